//! How the service is.

use std::time::{Duration, Instant};

use super::Ops;

/// How well something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// As it should.
    Healthy,
    /// Not at all.
    Unhealthy,
}

/// One thing that the service stands on.
#[derive(Clone, Debug)]
pub struct DependencyHealth {
    /// `store`.
    pub name: &'static str,
    /// How it is.
    pub state: HealthState,
    /// How long the answer took, if there was one.
    pub latency: Option<Duration>,
    /// What is wrong, without anything internal; empty if nothing is.
    pub message: &'static str,
}

/// The service and all that it stands on.
#[derive(Clone, Debug)]
pub struct Health {
    /// The worst of the dependencies.
    pub state: HealthState,
    /// Roster's version.
    pub version: &'static str,
    /// What it stands on.
    pub dependencies: Vec<DependencyHealth>,
}

impl Ops {
    /// Checks everything now.
    pub async fn health_check(&self) -> Health {
        let started = Instant::now();
        let (state, latency, message) = match self.store.ping().await {
            Ok(()) => (HealthState::Healthy, Some(started.elapsed()), ""),
            Err(error) => {
                tracing::error!(%error, "the store does not answer");
                (HealthState::Unhealthy, None, "the store does not answer; the server's log says why")
            }
        };
        let store = DependencyHealth { name: "store", state, latency, message };
        Health { state, version: env!("CARGO_PKG_VERSION"), dependencies: vec![store] }
    }
}
