//! What goes from node to node, as bytes: [postcard](https://postcard.jamesmunns.com/wire-format)'s.
//!
//! Times go as spans before the moment of sending, because no two clocks agree.

use serde::{Deserialize, Serialize};

use super::super::{
    Tick,
    claim::{Claim, Claimed},
};
use crate::model::inputs::parse_client_id;

/// Clients that one message has at most.
pub(super) const CLIENTS_MAX: usize = 1_000;

/// A message, and from whom it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Message<'a> {
    pub(super) from: u64,
    #[serde(borrow)]
    pub(super) body: Body<'a>,
}

/// What nodes say. Whoever adds something adds it at the end: nodes of the release before do not read it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Body<'a> {
    /// Here I am.
    Beat {
        /// How many changes I have told.
        seq: u64,
        /// How many ticks I am here without another word.
        lifetime: u32,
        /// And who are you?
        asks: bool,
    },
    /// Clients that have changed, as they are now.
    Changes {
        /// The number of these changes; the next have the next.
        seq: u64,
        /// At most [`CLIENTS_MAX`].
        #[serde(borrow)]
        clients: Vec<Entry<'a>>,
    },
    /// Tell me of your clients.
    Ask {
        /// Who is to answer.
        to: u64,
        /// Only of those after this one.
        after: &'a str,
    },
    /// These are my clients after that one.
    Part {
        /// How many changes I have told: these are in it, and maybe some that I have not told yet.
        seq: u64,
        /// After whom it begins.
        after: &'a str,
        /// In the order of their ids, at most [`CLIENTS_MAX`].
        #[serde(borrow)]
        clients: Vec<Entry<'a>>,
        /// There are no more after these.
        is_last: bool,
    },
}

/// A client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    id: &'a str,
    streams: u16,
    by_message: bool,
    goodbye: bool,
    /// Ticks since something was heard of it.
    silent: u32,
}

impl<'a> Message<'a> {
    /// Reads a message, which may be anything.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let message: Self = postcard::from_bytes(bytes).ok()?;
        let fits = match &message.body {
            Body::Beat { .. } => true,
            Body::Ask { after, .. } => is_place(after),
            Body::Changes { clients, .. } => all_fit(clients),
            Body::Part { after, clients, is_last, .. } => {
                let ids = || clients.iter().map(|client| client.id);
                is_place(after)
                    && all_fit(clients)
                    && (*is_last || !clients.is_empty())
                    && [*after].into_iter().chain(ids()).zip(ids()).all(|(one, next)| one < next)
            }
        };
        fits.then_some(message)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // It has nothing that could fail: no map, no sequence of unknown length, and memory to write to.
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

fn is_place(id: &str) -> bool {
    id.is_empty() || parse_client_id(id).is_ok()
}

fn all_fit(clients: &[Entry<'_>]) -> bool {
    clients.len() <= CLIENTS_MAX && clients.iter().all(|client| parse_client_id(client.id).is_ok())
}

impl<'a> Entry<'a> {
    pub(super) fn of(client: &'a Claimed, now: Tick) -> Self {
        let Claim { streams, by_message } = client.claim;
        let silent = now.0.saturating_sub(client.last_seen.0);
        Self { id: &client.id, streams, by_message, goodbye: client.goodbye, silent }
    }

    pub(super) fn claimed(&self, now: Tick) -> Claimed {
        Claimed {
            id: self.id.into(),
            claim: Claim { streams: self.streams, by_message: self.by_message },
            goodbye: self.goodbye,
            last_seen: Tick(now.0.saturating_sub(self.silent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(id: &str) -> Claimed {
        let claim = Claim { streams: 300, by_message: true };
        Claimed { id: id.into(), claim, goodbye: false, last_seen: Tick(70) }
    }

    fn part(after: &str, ids: &[&str], is_last: bool) -> Vec<u8> {
        let clients: Vec<_> = ids.iter().map(|id| claimed(id)).collect();
        let clients = clients.iter().map(|client| Entry::of(client, Tick(100))).collect();
        Message { from: 7, body: Body::Part { seq: 9, after, clients, is_last } }.bytes()
    }

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        let bytes = part("a", &["ada", "bea/1"], false);
        let Some(Message { from: 7, body: Body::Part { seq: 9, after: "a", clients, is_last: false } }) =
            Message::read(&bytes)
        else {
            panic!("{bytes:?}")
        };
        // On a node whose clock began at another time.
        let clients: Vec<_> = clients.iter().map(|client| client.claimed(Tick(1_000))).collect();
        let seen = |id| Claimed { last_seen: Tick(970), ..claimed(id) };
        assert_eq!(clients, [seen("ada"), seen("bea/1")]);
    }

    #[test]
    fn what_no_node_would_send_is_not_read() {
        let long = "x".repeat(129);
        for (after, ids, is_last) in [
            ("", &["b", "a"][..], true),
            ("", &["a", "a"], true),
            ("b", &["b"], true),
            ("", &[""], true),
            ("", &["a\n"], true),
            ("", &[&*long], true),
            (&*long, &[], true),
            // One that would be asked for again and again.
            ("a", &[], false),
        ] {
            assert!(Message::read(&part(after, ids, is_last)).is_none(), "{after} {ids:?}");
        }
        let bytes = part("a", &["ada", "bea/1"], false);
        for end in 0..bytes.len() {
            assert!(Message::read(&bytes[..end]).is_none(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                // Whatever it says then, nothing breaks.
                let _ = Message::read(&bytes);
            }
        }
        let ids: Vec<_> = (0..=CLIENTS_MAX).map(|id| format!("{id:05}")).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        assert!(Message::read(&part("", &ids, true)).is_none());
        assert!(Message::read(&part("", &ids[1..], true)).is_some());
    }
}
