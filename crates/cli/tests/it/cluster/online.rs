//! Who is online, as every node has it: clients that stay, one that comes and goes, one that falls silent.

use std::time::{Duration, Instant};

use roster_api::{
    Client, NotificationClient, Presence,
    notification::v1::{ClientStatus, GetClientStatusRequest},
};

use super::{
    calls::is_passing,
    nodes::NODES,
    site::{DirectPresence, Site},
};

/// A client that is silent for this long is gone.
pub const PRESENCE_TIMEOUT: Duration = Duration::from_secs(3);
/// How soon every node has it right once all nodes are there, however slow the machine is.
pub const RIGHT_WITHIN: Duration = PRESENCE_TIMEOUT.saturating_mul(2);
/// How soon one that falls silent is gone everywhere; servers look ten times a second.
const GONE_WITHIN: Duration = Duration::from_millis(3_500);
/// Between two looks at a node.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Clients that stay, half of them without the balancer.
const STAYING: usize = 6;
const PAGE: i32 = 1_000;

/// See the [module](self).
pub struct Online {
    staying: Vec<(String, Presence)>,
    through: NotificationClient,
    nodes: [DirectPresence; NODES],
    rounds: u64,
    /// When the one that is silent said something for the last time.
    silent_since: Instant,
}

impl Online {
    pub async fn start(site: &Site) -> Self {
        let clients: [Client; 2] = [site.client().await, site.client_of_all().await];
        let clients = clients.map(|client| NotificationClient::over(&client));
        let mut staying = Vec::new();
        for number in 0..STAYING {
            let id = format!("stays-{number}");
            let stay = clients[number % 2].stay(&id).await.unwrap();
            staying.push((id, stay));
        }
        let [through, _] = clients;
        Self { staying, through, nodes: site.each_presence(), rounds: 0, silent_since: Instant::now() }
    }

    /// To be called before something happens: from here on one client is silent.
    pub async fn fall_silent(&mut self) {
        self.rounds += 1;
        self.hello(&format!("silent-{}", self.rounds)).await;
        self.silent_since = Instant::now();
    }

    /// Waits until every node has it right; how long that took, and how long it took until all had heard of one that came
    /// and went just then.
    pub async fn until_right(&mut self) -> (Duration, Duration) {
        let since = Instant::now();
        let staying: Vec<String> = self.staying.iter().map(|(id, _)| id.clone()).collect();
        for id in &staying {
            self.until(id, ClientStatus::Connected, since + RIGHT_WITHIN).await;
        }
        let right_after = since.elapsed();
        let silent = format!("silent-{}", self.rounds);
        self.until(&silent, ClientStatus::Disconnected, (self.silent_since + GONE_WITHIN).max(since + RIGHT_WITHIN))
            .await;

        let (id, came) = (format!("passes-{}", self.rounds), Instant::now());
        self.hello(&id).await;
        self.until(&id, ClientStatus::Connected, came + RIGHT_WITHIN).await;
        let told_after = came.elapsed();
        let went = Instant::now();
        // To whichever server it comes.
        self.through.send_goodbye(&id).await.unwrap();
        self.until(&id, ClientStatus::Disconnected, went + RIGHT_WITHIN).await;
        (right_after, told_after.max(went.elapsed()))
    }

    async fn hello(&self, id: &str) {
        self.through.send_hello(id).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Waits until every node says so.
    async fn until(&mut self, id: &str, wanted: ClientStatus, deadline: Instant) {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            loop {
                let status = ask(node, id).await;
                if status == Some(wanted) {
                    break;
                }
                assert!(Instant::now() < deadline, "{id} is {status:?} on node {}, and not {wanted:?}", number + 1);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// What a node says of a client; `None` if it says nothing. Who is not known to be there is not there.
async fn ask(node: &mut DirectPresence, id: &str) -> Option<ClientStatus> {
    let request = GetClientStatusRequest { client_id: id.to_owned(), page_size: PAGE, ..Default::default() };
    match node.get_client_status(request).await.map_err(roster_api::Error::from) {
        Ok(page) => {
            let clients = page.into_inner().clients;
            Some(clients.first().map_or(ClientStatus::Disconnected, |client| client.status()))
        }
        Err(error) => {
            assert!(is_passing(&error), "{id}: {error}");
            None
        }
    }
}
