//! What the primary had when: marks that a replica is held against.
//!
//! A mark is the newest position of the change log as the primary gave it to a round that began at some time, and what is
//! in the log there. Whoever finds the same row at that position sees all that was committed before that time: the row
//! has its position by a transaction that came after all of them. No clock but ours is asked, and no rate of anything: a
//! primary that is idle has a mark that stays, and a replica that stands still does not have the next one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Marks may be this close together, and further apart the older they are.
const GAP_MIN: Duration = Duration::from_millis(20);
/// One part in this many of its age is how far a mark may be from the next.
const GAP_SHARE: u32 = 16;
/// No call may ask for what is older; see [`Staleness`](crate::model::Staleness).
const AGE_MAX: Duration = Duration::from_hours(1);

/// The place in the log up to which a replica must have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::postgres) struct Mark {
    pub(in crate::store::postgres) position: i64,
    /// What tells the row there from that of another history: two servers that were one once go on with the same numbers.
    pub(in crate::store::postgres) row: Arc<str>,
}

/// The marks of the last hour, the oldest first.
#[derive(Debug, Default)]
pub(in crate::store::postgres) struct Marks(Mutex<VecDeque<(Instant, Mark)>>);

impl Marks {
    /// Takes in what was the newest at a time, later than those before. One that is newest still takes the place of its own
    /// earlier self.
    pub(in crate::store::postgres) fn note(&self, at: Instant, mark: Mark) {
        let mut marks = self.lock();
        if marks.back().is_some_and(|(_, newest)| *newest == mark) {
            marks.pop_back();
        }
        marks.push_back((at, mark));
        thin_out(&mut marks, at);
    }

    /// The newest one.
    pub(in crate::store::postgres) fn newest(&self) -> Option<Mark> {
        self.lock().back().map(|(_, mark)| mark.clone())
    }

    /// The oldest that shows all that was done before this time: the one that a replica has soonest.
    pub(in crate::store::postgres) fn since(&self, at: Instant) -> Option<Mark> {
        self.lock().iter().find(|(noted, _)| *noted >= at).map(|(_, mark)| mark.clone())
    }

    /// Forgets all: the primary may be another now, whose log has taken another course.
    pub(in crate::store::postgres) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, Mark)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops marks between others that are close to each other, for their age, and those that nobody may ask for.
fn thin_out(marks: &mut VecDeque<(Instant, Mark)>, now: Instant) {
    let age = |at: Instant| now.saturating_duration_since(at);
    while marks.front().is_some_and(|(at, _)| age(*at) > AGE_MAX) {
        marks.pop_front();
    }
    let mut kept: VecDeque<(Instant, Mark)> = VecDeque::with_capacity(marks.len());
    while let Some((at, mark)) = marks.pop_front() {
        // The one before it and the one after it are close enough without it.
        let is_spare = kept.back().zip(marks.front()).is_some_and(|((before, _), (after, _))| {
            after.saturating_duration_since(*before) <= GAP_MIN.max(age(at) / GAP_SHARE)
        });
        if !is_spare {
            kept.push_back((at, mark));
        }
    }
    *marks = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(position: i64) -> Mark {
        Mark { position, row: position.to_string().into() }
    }

    #[test]
    fn a_mark_shows_what_was_done_before_it_and_the_oldest_that_does_is_wanted() {
        let (marks, start) = (Marks::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!((marks.newest(), marks.since(start)), (None, None));
        marks.note(after(100), mark(1));
        marks.note(after(200), mark(1));
        marks.note(after(300), mark(2));
        assert_eq!(marks.newest(), Some(mark(2)));
        // The first mark was the newest until 200 at least.
        for (since, wanted) in
            [(0, Some(1)), (150, Some(1)), (200, Some(1)), (201, Some(2)), (300, Some(2)), (301, None)]
        {
            assert_eq!(marks.since(after(since)), wanted.map(mark), "{since}");
        }
        marks.clear();
        assert_eq!(marks.since(start), None);
    }

    #[test]
    fn marks_of_an_hour_of_writes_are_few_and_none_is_far_from_the_next() {
        let (marks, start) = (Marks::default(), Instant::now());
        let step = Duration::from_millis(7);
        let count = 2 * u32::try_from(AGE_MAX.as_millis() / step.as_millis()).unwrap() / 10;
        for number in 0..count {
            marks.note(start + step * number, mark(number.into()));
        }
        let (marks, now) = (marks.lock(), start + step * (count - 1));
        assert!((20..500).contains(&marks.len()), "{}", marks.len());
        for (earlier, later) in marks.iter().zip(marks.iter().skip(1)) {
            let gap = later.0 - earlier.0;
            let allowed = GAP_MIN.max((now - earlier.0) / GAP_SHARE).max(step);
            assert!(gap <= allowed, "{gap:?} of {:?}", now - earlier.0);
        }
    }
}
