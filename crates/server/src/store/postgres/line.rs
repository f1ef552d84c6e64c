//! Who waits while as many are at work as may be at once: those that wait go together when one of these ends.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Whoever has waited so long waits for one that is held up, perhaps by a lock or a connection that broke.
pub(super) const HELD_UP: Duration = Duration::from_millis(100);

/// What is under way, and a queue of those who wait for one of it to end.
#[derive(Debug)]
pub(super) struct Line<T> {
    under_way: usize,
    queue: VecDeque<(Instant, T)>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { under_way: 0, queue: VecDeque::new() }
    }
}

impl<T> Line<T> {
    /// Whether one more begins, of so many that may be under way. It ends by [`Self::next`] giving none.
    pub(super) fn begin(&mut self, most: usize) -> bool {
        let begins = self.under_way < most;
        self.under_way += usize::from(begins);
        begins
    }

    /// One more waits.
    pub(super) fn join(&mut self, waiting: T) {
        self.queue.push_back((Instant::now(), waiting));
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether those who wait had better have one more than there may be.
    pub(super) fn is_held_up(&self) -> bool {
        self.queue.front().is_some_and(|(since, _)| since.elapsed() >= HELD_UP)
    }

    /// Those who go next, without whoever has gone already; none if what was under way was the last, and is no more.
    pub(super) fn next(&mut self, most: usize, is_gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some((_, waiting)) = self.queue.pop_front()
        {
            if !is_gone(&waiting) {
                batch.push(waiting);
            }
        }
        self.under_way -= usize::from(batch.is_empty());
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_goes_with_the_next_and_the_last_makes_room() {
        let mut line = Line::default();
        assert!(line.begin(2) && line.begin(2) && !line.begin(2));
        (0..5).for_each(|number| line.join(number));
        assert!(!line.is_held_up());
        let is_gone = |number: &i32| *number == 1;
        assert_eq!(line.next(3, is_gone), [0, 2, 3]);
        assert_eq!((line.next(3, is_gone), line.len()), (vec![4], 0));
        // Two are under way still.
        assert!(!line.begin(2));
        line.join(1);
        assert!(line.next(3, is_gone).is_empty(), "it waits no more");
        assert!(line.begin(2) && !line.begin(2));
    }
}
