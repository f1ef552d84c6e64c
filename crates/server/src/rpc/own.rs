//! What all workers share, behind a reference count that each worker has for itself.

use std::{ops::Deref, sync::Arc};

/// A worker's handle. Calls clone it; threads that counted with one counter on every call would wait for each other's
/// caches.
#[derive(Debug)]
pub(super) struct Own<T> {
    #[expect(clippy::redundant_allocation, reason = "the outer count is the worker's, the inner one everybody's")]
    shared: Arc<Arc<T>>,
}

impl<T> Own<T> {
    pub(super) fn new(shared: Arc<T>) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// The same for one more worker.
    pub(super) fn for_worker(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl<T> Own<T> {
    /// What is shared, for what outlives a call's service.
    pub(super) fn shared(&self) -> Arc<T> {
        Arc::clone(&self.shared)
    }
}

impl<T> Clone for Own<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Deref for Own<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.shared
    }
}
