//! Presence: which clients are connected, who may speak for them, and who may look.

mod connect;
mod get_client_status;
mod outbox;
mod send_message;
mod share;
mod watch_clients;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

pub use self::{
    connect::{ConnectInput, ConnectOutput, NoticeKind},
    get_client_status::{ClientPage, GetClientStatusInput},
    outbox::{End, Outputs},
    send_message::{SendMessageInput, SendMessageOutput, Vocabulary},
    watch_clients::{WatchClientsInput, WatchEvent},
};
use super::{Ctx, Error, Ops, Reason};
use crate::{
    auth::{Caller, Refusal},
    metrics::{
        Page,
        names::{
            PRESENCE_CHANGES, PRESENCE_CLIENTS, PRESENCE_ELSEWHERE, PRESENCE_IGNORED, PRESENCE_NODES,
            PRESENCE_READINGS, PRESENCE_STREAMS, PRESENCE_WATCHED,
        },
    },
    model::{Clock, Permission, Timestamp, UserId},
    presence::{Client, Full, Presence, PresenceOptions, TICK, Tick, Ticker},
};

/// Heartbeats in a timeout, so that one that is late or lost disconnects nobody.
const HEARTBEATS: u32 = 3;

/// Refusals on streams that are written to the audit log in a tick.
const NOTED_PER_TICK_MAX: u32 = 2;

/// What presence stands on.
pub(super) struct Desk {
    presence: Arc<Presence>,
    ticker: Ticker,
    options: PresenceOptions,
    /// Refusals that were noted in the tick of the last one.
    noted: Mutex<(Tick, u32)>,
}

impl Desk {
    pub(super) fn new(options: PresenceOptions, clock: &dyn Clock) -> Self {
        let noted = Mutex::new((Tick::default(), 0));
        Self { presence: Arc::new(Presence::new(&options)), ticker: Ticker::start(clock.now()), options, noted }
    }

    /// Puts how many clients, streams and watches there are on the page, and what other servers were told and have told.
    pub(super) fn report(&self, page: &mut Page) {
        page.value(&PRESENCE_CLIENTS, &[], self.presence.len());
        page.value(&PRESENCE_STREAMS, &[], self.presence.streams());
        page.value(&PRESENCE_WATCHED, &[], self.presence.watched());
        let stats = self.presence.peer_stats();
        page.value(&PRESENCE_NODES, &[], stats.nodes());
        page.value(&PRESENCE_ELSEWHERE, &[], self.presence.claims_elsewhere());
        page.value(&PRESENCE_CHANGES, &["told"], stats.changes_told());
        page.value(&PRESENCE_CHANGES, &["heard"], stats.clients_heard());
        page.value(&PRESENCE_READINGS, &[], stats.readings());
        page.value(&PRESENCE_IGNORED, &[], stats.ignored());
    }

    /// Whether one more refusal may be written to the audit log: whoever tries again and again must not fill the disk.
    fn may_note(&self) -> bool {
        let now = self.ticker.now();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = if noted.0 == now { (now, noted.1.saturating_add(1)) } else { (now, 1) };
        noted.1 <= NOTED_PER_TICK_MAX
    }

    fn heartbeat_interval(&self) -> Duration {
        self.options.timeout / HEARTBEATS
    }
}

/// A client, with its times on the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPresence {
    /// Its id.
    pub id: Arc<str>,
    /// Whether it is connected.
    pub connected: bool,
    /// Streams that it has open.
    pub streams: u16,
    /// When something was last heard of it, to the second; `None` if that is forgotten.
    pub last_seen: Option<Timestamp>,
}

impl Ops {
    /// Presence kept as these say; whoever was connected is forgotten.
    #[must_use]
    pub fn with_presence(self, options: PresenceOptions) -> Self {
        let desk = Arc::new(Desk::new(options, &*self.clock));
        Self { desk, ..self }
    }

    /// Has the time of presence pass, for ever.
    pub async fn keep_presence(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.desk.ticker.set_wall(self.clock.now());
            self.desk.presence.pass(self.desk.ticker.now());
        }
    }
}

impl Desk {
    fn shown(&self, client: Client) -> ClientPresence {
        let last_seen = client.last_seen.map(|tick| Timestamp(self.ticker.wall_time(tick).seconds() * 1_000_000));
        ClientPresence { id: client.id, connected: client.connected, streams: client.streams, last_seen }
    }
}

/// Whether the caller is the user whose id this is, alone or followed by `/` and a device.
fn is_own(caller: &Caller, client_id: &str) -> bool {
    let owner = client_id.split_once('/').map_or(client_id, |(owner, _)| owner);
    match caller.user_id() {
        Some(UserId::Text(id)) => **id == *owner,
        Some(UserId::Uuid(id)) => *id.hyphenated().encode_lower(&mut [0; 36]) == *owner,
        None => false,
    }
}

/// Whether the caller speaks for this client or holds `permission`.
fn check_own_or(caller: &Caller, client_id: &str, permission: Permission) -> Result<(), Refusal> {
    if is_own(caller, client_id) { Ok(()) } else { caller.check(permission) }
}

/// Below what the caller may add so many clients and no more; `None` for who may speak for anybody.
fn quota<'a>(ctx: &Ctx, client_id: &'a str) -> Option<&'a str> {
    if ctx.caller.permissions().has(Permission::PresenceWrite) {
        return None;
    }
    client_id.find('/').map(|slash| &client_id[..=slash])
}

impl From<Full> for Error {
    fn from(Full: Full) -> Self {
        Self::Plain(Reason::ClientLimitReached)
    }
}
