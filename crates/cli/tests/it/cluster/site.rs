//! Everything together: PostgreSQL and its standby, Redis, three servers over them, and the balancer before these.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use roster_api::{
    Client, RetryPolicy,
    auth::v1::{ApiKey, CreateApiKeyRequest, auth_service_client::AuthServiceClient},
    notification::v1::notification_service_client::NotificationServiceClient,
    user::v1::user_service_client::UserServiceClient,
};
use roster_server::model::Permission;
use tempfile::TempDir;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::{
    balancer::Balancer,
    databases::Pair,
    nodes::{NODES, Network, Node},
};
use crate::redis_server::RedisServer;

/// How long a node that is asked by itself has: it may be gone.
pub const READ_ELSEWHERE_MAX: Duration = Duration::from_millis(500);
/// The deadline of clients that know all nodes: an attempt gets half of what is left of it.
const DEADLINE_WITHOUT_BALANCER: Duration = Duration::from_secs(4);

/// A node asked by itself, by a client that tries nothing twice and remembers nothing of the last call.
pub type Direct = UserServiceClient<InterceptedService<Channel, Bearer>>;

/// The same, for who is online.
pub type DirectPresence = NotificationServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts a token on calls that have none.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !request.metadata().contains_key("authorization") {
            request.metadata_mut().insert("authorization", self.0.clone());
        }
        Ok(request)
    }
}

/// In the order in which they end.
pub struct Site {
    pub balancer: Balancer,
    pub nodes: Arc<[Node; NODES]>,
    pub databases: Arc<Mutex<Pair>>,
    pub redis: Arc<Mutex<RedisServer>>,
    /// An API key that may do everything.
    key: String,
    _folder: TempDir,
}

impl Site {
    pub async fn start() -> Self {
        tokio::task::spawn_blocking(Self::start_servers).await.unwrap().with_key().await
    }

    fn start_servers() -> Self {
        let (folder, databases, network) = (tempfile::tempdir().unwrap(), Pair::start(), Network::new());
        let redis = RedisServer::start();
        let urls = (databases.url.as_str(), redis.url());
        let nodes = [1, 2, 3].map(|number| Node::new(&network, number, folder.path(), (urls.0, &urls.1)));
        // At once, on an empty database: one makes the schema.
        thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(|| node.start()))));
        let balancer = Balancer::start(&network, folder.path());
        let (databases, redis) = (Arc::new(Mutex::new(databases)), Arc::new(Mutex::new(redis)));
        Self { balancer, nodes: Arc::new(nodes), databases, redis, key: String::new(), _folder: folder }
    }

    /// With what the first operator makes.
    async fn with_key(mut self) -> Self {
        let operator = Client::connect(&format!("unix:{}", self.nodes[0].socket.display())).await.unwrap();
        let scopes = Permission::ALL.iter().map(|permission| permission.name().to_owned()).collect();
        let api_key = Some(ApiKey { name: "everything".into(), scopes, ..Default::default() });
        let made = operator.auth().create_api_key(CreateApiKeyRequest { api_key, validate_only: false }).await.unwrap();
        self.key = made.into_inner().secret;
        self
    }

    /// A client with connections of its own through the balancer.
    pub async fn client(&self) -> Client {
        Client::builder().endpoint(&self.balancer.endpoint).token(&self.key).connect().await.unwrap()
    }

    /// One that knows all nodes and needs no balancer.
    pub async fn client_of_all(&self) -> Client {
        let builder = Client::builder().token(&self.key).deadline(DEADLINE_WITHOUT_BALANCER);
        self.nodes
            .iter()
            .fold(builder, |builder, node| builder.endpoint(node.grpc.to_string()))
            .connect()
            .await
            .unwrap()
    }

    /// Each node by itself, by clients that try nothing twice.
    pub async fn client_of_each(&self) -> [Client; NODES] {
        let connect = async |node: &Node| {
            let builder =
                Client::builder().endpoint(node.grpc.to_string()).token(&self.key).retry(RetryPolicy::never());
            builder.connect().await.unwrap()
        };
        let [one, two, three] = &*self.nodes;
        [connect(one).await, connect(two).await, connect(three).await]
    }

    /// Each node by itself, by connections that know nothing of the last call.
    pub fn each(&self) -> [Direct; NODES] {
        let bearer = self.bearer();
        self.channels().map(|channel| Direct::new(InterceptedService::new(channel, bearer.clone())))
    }

    /// The same, for who is online.
    pub fn each_presence(&self) -> [DirectPresence; NODES] {
        let bearer = self.bearer();
        self.channels().map(|channel| DirectPresence::new(InterceptedService::new(channel, bearer.clone())))
    }

    /// The same, for sign-in and sessions, as nobody.
    pub fn each_auth(&self) -> [AuthServiceClient<Channel>; NODES] {
        self.channels().map(AuthServiceClient::new)
    }

    /// Each node by itself, as nobody, from an address of this machine that has this last part and that nobody else uses.
    pub fn each_from(&self, last: u8) -> [UserServiceClient<Channel>; NODES] {
        [0, 1, 2].map(|node| {
            let grpc = self.nodes[node].grpc;
            let IpAddr::V4(address) = grpc.ip() else { panic!("{grpc}") };
            let [first, second, third, _] = address.octets();
            let from = Ipv4Addr::new(first, second, third, last);
            let endpoint = Endpoint::from_shared(format!("http://{grpc}")).unwrap();
            UserServiceClient::new(endpoint.local_address(Some(from.into())).connect_lazy())
        })
    }

    fn bearer(&self) -> Bearer {
        Bearer(format!("Bearer {}", self.key).parse().unwrap())
    }

    fn channels(&self) -> [Channel; NODES] {
        let channel = |grpc: SocketAddr| Endpoint::from_shared(format!("http://{grpc}")).unwrap().connect_lazy();
        [0, 1, 2].map(|node| channel(self.nodes[node].grpc))
    }
}
