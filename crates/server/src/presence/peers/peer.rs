//! Another node: when it was heard, and how much of what it has told is known.

use std::sync::Arc;

use super::{Node, Tick};

/// What was asked for and has not come by then is asked for again.
const ASK_EVERY: Tick = Tick(5);
/// What a node has told and is still not here by then is lost.
const LATE_MAX: Tick = Tick(5);
/// Clients for whom there was no room are asked for again then, if there is room.
const ROOM_EVERY: Tick = Tick(100);

/// What is to be done about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for the next stretch of its clients once more.
    Go,
    /// Ask for all of its clients.
    Anew,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: u64,
    pub(super) node: Node,
    pub(super) heard: Tick,
    /// It has no clients any more after silence for this long.
    pub(super) lifetime: Tick,
    /// The changes that are known; `None` before the first stretch of its clients has come.
    pub(super) seq: Option<u64>,
    reading: Option<Reading>,
    /// Since when it has told more than is known.
    behind: Option<Tick>,
    /// Since when there was no room for all of its clients.
    no_room: Option<Tick>,
}

/// Its clients are being read.
#[derive(Debug)]
struct Reading {
    /// The last that is known.
    after: Arc<str>,
    /// When to ask for the next again.
    again_at: Tick,
}

impl Peer {
    pub(super) fn new(id: u64, node: Node, lifetime: Tick, now: Tick) -> Self {
        Self { id, node, heard: now, lifetime, seq: None, reading: None, behind: None, no_room: None }
    }

    /// All of its clients are to be read.
    pub(super) fn begin(&mut self, now: Tick) {
        self.reading = Some(Reading { after: "".into(), again_at: now });
        (self.seq, self.behind, self.no_room) = (None, None, None);
    }

    /// All up to this one are known.
    pub(super) fn go_on(&mut self, after: &str) {
        if let Some(reading) = &mut self.reading {
            reading.after = after.into();
        }
    }

    /// After whom to ask, if its clients are being read.
    pub(super) fn ask(&mut self, now: Tick) -> Option<Arc<str>> {
        let reading = self.reading.as_mut()?;
        reading.again_at = now.after(ASK_EVERY);
        Some(Arc::clone(&reading.after))
    }

    /// All are known.
    pub(super) fn finish(&mut self) {
        self.reading = None;
    }

    /// Whether a stretch is the one that was asked for, and as new as what is known. One that is not is asked for again
    /// by the next tick: something is still on the way, or lost.
    pub(super) fn expects(&mut self, after: &str, seq: u64, now: Tick) -> bool {
        let Some(reading) = self.reading.as_mut().filter(|reading| *reading.after == *after) else { return false };
        let known = *self.seq.get_or_insert(seq);
        if known != seq {
            reading.again_at = now.after(Tick(1));
            self.compare(seq, now);
        }
        known == seq
    }

    /// Compares what it has told with what is known.
    pub(super) fn compare(&mut self, told: u64, now: Tick) {
        match self.seq {
            Some(known) if known < told => drop(self.behind.get_or_insert(now)),
            // An older word that has come late, or all is known.
            _ => self.behind = None,
        }
    }

    /// There was no room for a client.
    pub(super) fn had_no_room(&mut self, now: Tick) {
        self.no_room.get_or_insert(now);
    }

    /// What is to be done now.
    pub(super) fn due(&self, now: Tick, has_room: bool) -> Option<Step> {
        let since = |moment: Option<Tick>, span| moment.is_some_and(|moment| moment.after(span) <= now);
        if since(self.behind, LATE_MAX) || (has_room && self.reading.is_none() && since(self.no_room, ROOM_EVERY)) {
            return Some(Step::Anew);
        }
        self.reading.as_ref().filter(|reading| reading.again_at <= now).map(|_| Step::Go)
    }
}
