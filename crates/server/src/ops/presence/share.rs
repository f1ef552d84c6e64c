//! Shares who is online with the other servers, through Redis.

use std::{pin::pin, sync::LazyLock, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Desk;
use crate::{
    ops::Ops,
    presence::{Peers, TICK},
    redis::{Channel, Heard, Purpose, Redis, Script},
};

/// Changes that come within this time of others are told together with them.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// Says things in this order. By a key, so that all that is said goes by one server of a cluster, and keeps its order there.
static SAY: LazyLock<Script> =
    LazyLock::new(|| Script::new("for i = 2, #ARGV do redis.call('PUBLISH', ARGV[1], ARGV[i]) end return 1"));

impl Ops {
    /// Tells other servers of clients that come and go, and takes in what they tell, until the server drains. Without
    /// Redis the table goes on by itself.
    pub async fn share_presence(&self, redis: &Redis) {
        let desk = &*self.desk;
        let id = match getrandom::u64() {
            Ok(id) => id,
            Err(error) => {
                return tracing::error!(%error, "who is online is not shared: the system gives no random numbers");
            }
        };
        let mut peers = Peers::new(desk.presence.clone(), id, desk.options.timeout, desk.ticker.now());
        let mut said = redis.subscribe(Channel::Presence);
        let mut draining = pin!(self.draining());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut has_more, mut tell_at) = (false, Instant::now());
        loop {
            tokio::select! {
                () = &mut draining => {
                    peers.rest(desk.ticker.now());
                    return desk.send(redis, &mut peers).await;
                }
                heard = said.next() => match heard {
                    Some(Heard::Anew) => peers.missed(desk.ticker.now()),
                    Some(Heard::Message(message)) => peers.hear(&message, desk.ticker.now()),
                    None => return,
                },
                () = desk.presence.untold(), if !has_more => has_more = true,
                () = sleep_until(tell_at), if has_more => {
                    has_more = peers.tell_changes(desk.ticker.now());
                    tell_at = Instant::now() + TELL_EVERY;
                }
                _ = ticks.tick() => peers.pass(desk.ticker.now()),
            }
            desk.send(redis, &mut peers).await;
        }
    }
}

impl Desk {
    async fn send(&self, redis: &Redis, peers: &mut Peers) {
        let messages = peers.take_outbox();
        if messages.is_empty() {
            return;
        }
        let mut script = SAY.key(redis.key("{presence}"));
        script.arg(redis.channel(Channel::Presence));
        for message in &messages {
            script.arg(message.as_slice());
        }
        let sent = redis.work::<()>(Purpose::Presence, script).await;
        if sent.is_ok() {
            redis.said(Channel::Presence, messages.len() as u64);
        }
        peers.sent(sent.is_ok(), self.ticker.now());
    }
}
