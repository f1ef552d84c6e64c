//! Messages between servers: one connection that listens, and those who want to hear.

use std::sync::Arc;
use std::time::Duration;

use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_stream::StreamExt as _;

use super::{error::OpenError, keeper::Shared};

/// Messages that a subscriber may be behind.
const BEHIND_MAX: usize = 4_096;
/// How often the connection is looked at, and how long the answer may take.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_MAX: Duration = Duration::from_secs(1);
/// The pause before another attempt.
const PAUSE: Duration = Duration::from_millis(250);

/// What messages are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Accounts and addresses that are locked.
    Lockouts,
    /// Who is online.
    Presence,
    /// Something was committed.
    Commits,
}

impl Channel {
    /// All of them with their names.
    pub(crate) const ALL: [(Self, &str); 3] =
        [(Self::Lockouts, "lockouts"), (Self::Presence, "presence"), (Self::Commits, "commits")];

    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// What a subscriber hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From now on messages are heard; what was said before may have been missed.
    Anew,
    /// What somebody said.
    Message(Arc<[u8]>),
}

/// What is said on a channel, in order. Begins with [`Heard::Anew`] as soon as there is a connection that listens, and has
/// another after each time that messages may have been missed: the connection was made anew, or the subscriber was more
/// than 4,096 messages behind.
pub struct Subscription {
    room: broadcast::Receiver<Heard>,
    /// What was heard when the subscription began has been told.
    greeted: bool,
    is_listening: tokio::sync::watch::Receiver<bool>,
}

impl Subscription {
    /// Waits for the next. `None` when Redis was given up, at the end of the server. Safe to cancel.
    pub async fn next(&mut self) -> Option<Heard> {
        if !self.greeted {
            self.is_listening.wait_for(|is_listening| *is_listening).await.ok()?;
            self.greeted = true;
            // Whoever comes to a connection that listens already hears of it here, and others a second time.
            return Some(Heard::Anew);
        }
        match self.room.recv().await {
            Ok(heard) => Some(heard),
            Err(RecvError::Lagged(_)) => Some(Heard::Anew),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Where subscribers wait, a room a channel.
pub(super) struct Rooms {
    rooms: [broadcast::Sender<Heard>; Channel::ALL.len()],
    is_listening: tokio::sync::watch::Sender<bool>,
}

impl Default for Rooms {
    fn default() -> Self {
        let room = |_| broadcast::Sender::new(BEHIND_MAX);
        Self { rooms: std::array::from_fn(room), is_listening: tokio::sync::watch::Sender::new(false) }
    }
}

impl Rooms {
    pub(super) fn enter(&self, channel: Channel) -> Subscription {
        let room = self.rooms[channel as usize].subscribe();
        Subscription { room, greeted: false, is_listening: self.is_listening.subscribe() }
    }

    pub(super) fn is_listening(&self) -> tokio::sync::watch::Receiver<bool> {
        self.is_listening.subscribe()
    }

    fn say(&self, channel: Channel, heard: Heard) {
        // Nobody may be there.
        let _ = self.rooms[channel as usize].send(heard);
    }
}

/// Listens on all channels.
pub(super) struct Listener(Arc<Shared>);

impl Listener {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Goes on for ever.
    pub(super) async fn run(self) {
        let names: Vec<String> = Channel::ALL.iter().map(|(channel, _)| self.0.channel_name(*channel)).collect();
        loop {
            // The keeper's connection says why, if this one cannot be made.
            let _ = self.listen(&names).await;
            self.0.rooms.is_listening.send_replace(false);
            sleep(PAUSE).await;
        }
    }

    /// Listens until the connection is of no use any more.
    async fn listen(&self, names: &[String]) -> Result<(), OpenError> {
        let (mut sink, mut messages) = self.0.connector.listen(names).await?.split();
        for (channel, _) in Channel::ALL {
            self.0.rooms.say(channel, Heard::Anew);
        }
        self.0.stats.gaps.increment();
        self.0.rooms.is_listening.send_replace(true);
        let looks = async {
            let mut ticks = interval(PING_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match timeout(PING_MAX, sink.ping::<redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    _ => return,
                }
            }
        };
        let passes = async {
            while let Some(message) = messages.next().await {
                let name = message.get_channel_name();
                let known = Channel::ALL.iter().zip(names).find(|(_, known)| *known == name);
                if let Some(((channel, _), _)) = known {
                    self.0.stats.heard(*channel);
                    self.0.rooms.say(*channel, Heard::Message(message.get_payload_bytes().into()));
                }
            }
        };
        tokio::select! {
            () = looks => {}
            () = passes => {}
        }
        Ok(())
    }
}
