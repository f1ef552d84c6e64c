//! What caused things that are done later, so that their spans are in the trace of their cause.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::trace::SpanContext;

use super::current;

/// How many are remembered; the oldest are forgotten.
const REMEMBERED_MAX: usize = 1_024;

/// Causes by the key of what they have caused, in memory: a restart forgets them, and what is done after it has a trace of
/// its own.
#[derive(Debug)]
pub struct Origins<K>(Mutex<VecDeque<(K, SpanContext)>>);

impl<K> Default for Origins<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq> Origins<K> {
    /// Remembers the current span, if there is one.
    pub fn note(&self, key: K) {
        let Some(span) = current() else { return };
        let mut all = self.lock();
        if all.len() >= REMEMBERED_MAX {
            all.pop_front();
        }
        all.push_back((key, span.context()));
    }

    /// What caused it, if that is known.
    pub fn find(&self, key: &K) -> Option<SpanContext> {
        self.lock().iter().find(|(known, _)| known == key).map(|(_, cause)| cause.clone())
    }

    /// Forgets what is over.
    pub fn forget(&self, key: &K) {
        self.lock().retain(|(known, _)| known != key);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(K, SpanContext)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
