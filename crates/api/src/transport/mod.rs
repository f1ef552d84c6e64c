//! The way of a call: which server gets it, how long it may take, and whether it is tried again.
//!
//! [`Transport`] is a tower service under every stub. One call goes through [`call`]: it puts the deadline and the token
//! on it, picks an [`endpoint`](endpoints), and tries again what may be tried again ([`policy`]) while the
//! [`budget`] lasts.

mod breaker;
mod budget;
mod call;
mod endpoints;
mod health;
mod policy;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{Status, body::Body};
use tower::Service;

use self::budget::Budget;
pub use self::policy::RetryPolicy;
pub(crate) use self::{
    call::{chance, new_idempotency_key},
    endpoints::Endpoints,
    health::watch_health,
};
use crate::on_call::OnCall;

/// What stubs call through. Cheap to clone; clones share connections, breakers and budget.
#[derive(Clone, Debug)]
pub struct Transport {
    shared: Arc<Shared>,
    on_call: OnCall,
}

/// What all clones share.
#[derive(Debug)]
struct Shared {
    endpoints: Arc<Endpoints>,
    policy: RetryPolicy,
    budget: Budget,
}

impl Transport {
    pub(crate) fn new(endpoints: Arc<Endpoints>, policy: RetryPolicy, on_call: OnCall) -> Self {
        Self { shared: Arc::new(Shared { endpoints, policy, budget: Budget::default() }), on_call }
    }

    /// The same connections, with something else on every call.
    pub(crate) fn with(&self, on_call: OnCall) -> Self {
        Self { shared: Arc::clone(&self.shared), on_call }
    }

    /// What is put on every call.
    pub(crate) fn on_call(&self) -> &OnCall {
        &self.on_call
    }
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Each attempt waits for its own endpoint.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(call::run(Arc::clone(&self.shared), self.on_call.clone(), request))
    }
}
