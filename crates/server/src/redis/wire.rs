//! Connections to Redis: made, secured, and looked at before they are used.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _, Pipeline,
    RedisConnectionInfo, RedisFuture, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    error::OpenError,
    options::{Node, RedisOptions, RedisUrl},
};

/// How long a server may take to let us in.
const CONNECT_MAX: Duration = Duration::from_millis(1_200);
/// How long we wait to see whether a server that speaks no TLS to us speaks without.
const PLAIN_MAX: Duration = Duration::from_millis(200);
/// Commands that may wait to be sent. Whoever finds no place waits, and not longer than for an answer.
const QUEUE: usize = 1_024;
/// How long the library waits for a node of a cluster; who calls waits less.
const CLUSTER_ANSWER_MAX: Duration = Duration::from_secs(1);
/// Whether we may do what we need: writes in scripts, the server's time, and messages. The key and the channel are the
/// same in every installation with this prefix.
const CHECK: &str = "redis.call('SET', KEYS[1], '1', 'PX', 60000)
    redis.call('PUBLISH', ARGV[1], '')
    return redis.call('TIME')[1]";

/// A connection, or as many as a cluster has nodes. Cheap to clone; all clones share it.
#[derive(Clone)]
pub(super) enum Wire {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A connection and the task that carries it, which ends with this.
pub(super) struct Carried {
    pub(super) wire: Wire,
    /// `None` for a cluster, which carries itself.
    pub(super) carrier: Option<Carrier>,
}

/// A task that ends when this is dropped.
pub(super) struct Carrier(JoinHandle<()>);

impl Carrier {
    /// Waits until the connection has broken.
    pub(super) async fn ended(&mut self) {
        // It cannot be cancelled while we hold it, and what it panicked with is in the log.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What connections are made with, read once.
pub(super) struct Connector {
    pub(super) options: RedisOptions,
    tls: Option<Arc<ClientConfig>>,
    ca: Option<Vec<u8>>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

impl Connector {
    /// Reads whom to trust.
    pub(super) fn new(options: RedisOptions) -> Result<Self, OpenError> {
        let tls_error = |detail| OpenError::Tls { server: options.url.server(), detail };
        let ca = options.ca_file.as_ref().filter(|_| options.url.is_tls);
        let ca = ca.map(|path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display())));
        let ca = ca.transpose().map_err(tls_error)?;
        let tls = options.url.is_tls.then(|| client_config(ca.as_deref())).transpose().map_err(tls_error)?;
        Ok(Self { tls: tls.map(Arc::new), ca, options })
    }

    pub(super) fn server(&self) -> String {
        self.options.url.server()
    }

    /// A connection for commands that was seen to work.
    pub(super) async fn connect(&self) -> Result<Carried, OpenError> {
        let one = self.connect_one().await?;
        if !self.options.is_cluster {
            return Ok(one);
        }
        drop(one);
        let server = self.server();
        let failed = |error| OpenError::of(&server, &error);
        let client = self.cluster_client().map_err(failed)?;
        let late =
            |_| OpenError::Unreachable { server: server.clone(), detail: "the cluster's nodes do not answer".into() };
        let wire = timeout(CONNECT_MAX, client.get_async_connection()).await.map_err(late)?.map_err(failed)?;
        let mut wire = Wire::Cluster(wire);
        timeout(CONNECT_MAX, self.check(&mut wire)).await.map_err(late)??;
        Ok(Carried { wire, carrier: None })
    }

    /// The first node that lets us in, and was seen to work.
    async fn connect_one(&self) -> Result<Carried, OpenError> {
        let server = self.server();
        self.first(async |node| {
            let stream = self.open(node).await?;
            let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(QUEUE);
            let made = MultiplexedConnection::new_with_config(&self.sign_in(), stream, config).await;
            let (connection, carry) = made.map_err(|error| OpenError::of(&server, &error))?;
            let carrier = Some(Carrier(tokio::spawn(carry)));
            let mut wire = Wire::One(connection);
            if self.options.is_cluster {
                // The keys of the check may be another node's; that they can be written is looked at later.
                ask::<Value>(&mut wire, redis::cmd("CLUSTER").arg("MYID"), &server).await?;
            } else {
                self.check(&mut wire).await?;
            }
            Ok(Carried { wire, carrier })
        })
        .await
    }

    /// A connection for messages, to the first node that lets us in: a cluster passes messages on to all its nodes.
    pub(super) async fn listen(&self, channels: &[String]) -> Result<PubSub, OpenError> {
        let server = self.server();
        let failed = |error| OpenError::of(&server, &error);
        self.first(async |node| {
            let stream = self.open(node).await?;
            let mut messages = PubSub::new(&self.sign_in(), stream).await.map_err(failed)?;
            messages.subscribe(channels).await.map_err(failed)?;
            Ok(messages)
        })
        .await
    }

    /// What the first node gives that gives something, each within its time.
    async fn first<T>(&self, attempt: impl AsyncFn(&Node) -> Result<T, OpenError>) -> Result<T, OpenError> {
        let server = self.server();
        let mut last = OpenError::Unreachable { server: server.clone(), detail: "no server is named".into() };
        for node in &self.options.url.nodes {
            last = match timeout(CONNECT_MAX, attempt(node)).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => self.why_silent(node).await,
            };
        }
        Err(last)
    }

    /// Why a node does not answer: perhaps it waits for plain text where we begin with TLS.
    async fn why_silent(&self, node: &Node) -> OpenError {
        let server = self.server();
        let speaks_plainly = async {
            let mut stream = TcpStream::connect((node.host.as_str(), node.port)).await.ok()?;
            stream.write_all(b"PING\r\n").await.ok()?;
            stream.read_u8().await.ok().filter(|first| matches!(first, b'+' | b'-'))
        };
        if self.tls.is_some() && timeout(PLAIN_MAX, speaks_plainly).await.is_ok_and(|first| first.is_some()) {
            return OpenError::Tls { server, detail: format!("{node} answers in plain text alone") };
        }
        OpenError::Unreachable { server, detail: format!("{node} does not answer within {CONNECT_MAX:?}") }
    }

    async fn open(&self, node: &Node) -> Result<Box<dyn Stream>, OpenError> {
        let server = self.server();
        let failed = |error| OpenError::of_system(&server, &error);
        let stream = TcpStream::connect((node.host.as_str(), node.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(node.host.clone());
        let name = name.map_err(|error| OpenError::Tls { server: server.clone(), detail: error.to_string() })?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(failed)?;
        Ok(Box::new(stream))
    }

    /// Looks whether this is a Redis that does what we need.
    async fn check(&self, wire: &mut Wire) -> Result<(), OpenError> {
        let server = self.server();
        let pong: String = ask(wire, &redis::cmd("PING"), &server).await?;
        if pong != "PONG" {
            return Err(OpenError::NotRedis { server, detail: "it does not answer PING with PONG".into() });
        }
        self.try_out(wire).await?;
        // Not every user may ask; a node of a cluster has only some of the keys, and others tomorrow.
        let info = redis::cmd("INFO").arg("cluster").query_async::<String>(wire).await;
        match info {
            Ok(info) if !self.options.is_cluster && info.contains("cluster_enabled:1") => {
                Err(OpenError::Cluster { server, detail: "it says cluster_enabled:1".into() })
            }
            _ => Ok(()),
        }
    }

    /// Does once what we need: a server that answers may have become a replica, or be full.
    pub(super) async fn try_out(&self, wire: &mut Wire) -> Result<(), OpenError> {
        let name = format!("{}:check", self.options.prefix);
        let mut check = redis::cmd("EVAL");
        check.arg(CHECK).arg(1).arg(&name).arg(&name);
        ask::<i64>(wire, &check, &self.server()).await.map(drop)
    }

    fn sign_in(&self) -> RedisConnectionInfo {
        let RedisUrl { user, password, database, .. } = &self.options.url;
        let mut info =
            RedisConnectionInfo::default().set_db(*database).set_lib_name("roster", env!("CARGO_PKG_VERSION"));
        if let Some(user) = user {
            info = info.set_username(user);
        }
        if let Some(password) = password {
            info = info.set_password(password);
        }
        info
    }

    fn cluster_client(&self) -> redis::RedisResult<ClusterClient> {
        let address = |node: &Node| {
            let Node { host, port } = node.clone();
            if self.tls.is_some() {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        };
        let nodes = self.options.url.nodes.iter().map(address);
        let nodes = nodes.map(|address| Ok(address.into_connection_info()?.set_redis_settings(self.sign_in())));
        let nodes: Vec<ConnectionInfo> = nodes.collect::<redis::RedisResult<_>>()?;
        let mut builder = ClusterClient::builder(nodes)
            .connection_timeout(CONNECT_MAX)
            .response_timeout(CLUSTER_ANSWER_MAX)
            .overall_response_timeout(Some(CLUSTER_ANSWER_MAX))
            .retries(2);
        if self.tls.is_some() {
            builder = builder.certs(TlsCertificates { client_tls: None, root_cert: self.ca.clone() });
        }
        builder.build()
    }
}

/// One command, while a connection is made.
pub(super) async fn ask<T: FromRedisValue>(wire: &mut Wire, command: &Cmd, server: &str) -> Result<T, OpenError> {
    command.query_async(wire).await.map_err(|error| OpenError::of(server, &error))
}

/// Whom to trust: the authorities of the file, or the system's.
fn client_config(ca: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| format!("redis_ca_file: {error}"))?;
                roots.add(certificate).map_err(|error| format!("redis_ca_file: {error}"))?;
            }
        }
    }
    if roots.is_empty() {
        return Err("there is no authority to trust; see redis_ca_file".into());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
