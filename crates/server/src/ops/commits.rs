//! Wakes other servers, through Redis, when something was committed here, and is woken by them.
//!
//! PostgreSQL does so itself where a connection may listen; behind a pooler none may, and servers look several times a
//! second. Nothing depends on these messages: what is missed is found by looking.

use std::time::Duration;

use tokio::time::sleep;

use super::Ops;
use crate::redis::{Channel, Heard, Redis};

/// At most one message in this time.
const GATHER: Duration = Duration::from_millis(1);

impl Ops {
    /// Goes on for ever.
    pub(super) async fn follow_commits(&self, redis: &Redis) {
        let mut newest = self.store.newest_position();
        let mut messages = redis.subscribe(Channel::Commits);
        // The newest position that was told, by whomever.
        let mut told = *newest.borrow_and_update();
        loop {
            tokio::select! {
                changed = newest.changed() => {
                    let position = *newest.borrow_and_update();
                    // An error says that the store is closed. What others have told needs no second telling.
                    if changed.is_err() {
                        return;
                    }
                    if position > told {
                        told = position;
                        let _ = redis.publish(Channel::Commits, position.to_string().into_bytes()).await;
                        sleep(GATHER).await;
                    }
                }
                heard = messages.next() => match heard {
                    Some(Heard::Message(message)) => {
                        let position = std::str::from_utf8(&message).ok().and_then(|text| text.parse::<i64>().ok());
                        if position.is_some_and(|position| position > *newest.borrow()) {
                            told = told.max(position.unwrap_or_default());
                            self.store.look_now();
                        }
                    }
                    Some(Heard::Anew) => self.store.look_now(),
                    None => return,
                }
            }
        }
    }
}
