//! Calls with one idempotency key go one after the other: whoever comes while the first is under way waits for its answer
//! instead of doing its work beside it, such as hashing the same password.
//!
//! This spares work on one node. That nothing is done twice is the store's matter.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// Calls with one key that may wait at once, and the one under way.
const DOOR_MAX: usize = 1_024;

type Id = [u8; 32];
type Door = Arc<tokio::sync::Mutex<()>>;

/// Whose turn it is. Holds nothing but what is under way.
#[derive(Default)]
pub(super) struct Turns {
    doors: Mutex<HashMap<Id, Door>>,
}

/// The turn of one call, until it is dropped.
pub(super) struct Turn<'a> {
    _inside: OwnedMutexGuard<()>,
    _place: Place<'a>,
}

/// A place before a door. The last to leave takes the door along.
struct Place<'a> {
    turns: &'a Turns,
    id: Id,
    door: Option<Door>,
}

impl Turns {
    /// Waits for the turn of a call with this id; `None` if too many do.
    pub(super) async fn wait(&self, id: Id) -> Option<Turn<'_>> {
        let (place, door) = {
            let mut doors = self.lock();
            let door = doors.entry(id).or_default();
            // Beside the map, each call holds it twice.
            if Arc::strong_count(door) > 2 * DOOR_MAX {
                return None;
            }
            (Place { turns: self, id, door: Some(Arc::clone(door)) }, Arc::clone(door))
        };
        Some(Turn { _inside: door.lock_owned().await, _place: place })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Door>> {
        // No code under the lock can leave the map half changed.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut doors = self.turns.lock();
        self.door = None;
        if doors.get(&self.id).is_some_and(|door| Arc::strong_count(door) == 1) {
            doors.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let first = turns.wait([1; 32]).await;
        let other = turns.wait([2; 32]).await;
        // Whoever gives up leaves the others waiting.
        for _ in 0..2 {
            tokio::select! {
                biased;
                _ = turns.wait([1; 32]) => panic!("two at a time"),
                () = std::future::ready(()) => {}
            }
        }
        drop(first);
        let second = turns.wait([1; 32]).await;
        assert_eq!(turns.lock().len(), 2);
        drop((second, other));
        assert_eq!(turns.lock().len(), 0);
    }

    #[tokio::test]
    async fn a_crowd_before_a_door_does_not_grow_for_ever() {
        let turns = Turns::default();
        let inside = turns.wait([1; 32]).await;
        let mut crowd: Vec<_> = (1..DOOR_MAX).map(|_| Box::pin(turns.wait([1; 32]))).collect();
        for waiting in &mut crowd {
            assert!(at_once(waiting.as_mut()).is_none());
        }
        assert!(turns.wait([1; 32]).await.is_none());
        assert!(turns.wait([2; 32]).await.is_some());
        crowd.pop();
        assert!(at_once(Box::pin(turns.wait([1; 32])).as_mut()).is_none(), "there is room, and it waits");
        drop((crowd, inside));
        assert_eq!(turns.lock().len(), 0);
    }

    /// What a future gives at once.
    fn at_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
