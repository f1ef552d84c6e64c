//! How the service is.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Ops;
use crate::{
    mail::Delivery,
    redis::{Redis, State},
    store::StoreError,
};

/// How well something works; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// As it should.
    Healthy,
    /// In part: what else there is goes on.
    Degraded,
    /// Not at all.
    Unhealthy,
}

/// One thing that the service stands on.
#[derive(Clone, Debug)]
pub struct DependencyHealth {
    /// `store`, `mail`, `redis` or `server`.
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

/// How long the store may take to answer. A database that is frozen answers never, and who asks is to hear of it.
const PING_MAX: Duration = Duration::from_secs(2);

/// What it stands on itself: listed only when it is about to go.
pub const SERVER: &str = "server";

impl Ops {
    /// Checks everything now. `grpc.health.v1.Health`, `HealthCheck` and `/readyz` all go by this.
    pub async fn health_check(&self) -> Health {
        let mut dependencies = vec![store_health(self.store.ping(), PING_MAX).await, self.mail_health()];
        dependencies.extend(self.redis.as_ref().map(redis_health));
        if self.is_draining() {
            let message = "the server is stopping";
            let state = HealthState::Unhealthy;
            dependencies.push(DependencyHealth { name: SERVER, state, latency: None, message });
        }
        let state = dependencies.iter().map(|dependency| dependency.state).max().unwrap_or(HealthState::Healthy);
        Health { state, version: env!("CARGO_PKG_VERSION"), dependencies }
    }

    /// How mails fare, as far as is known without sending one.
    fn mail_health(&self) -> DependencyHealth {
        let (state, message) = match self.mailer.delivery() {
            Delivery::Waiting => {
                (HealthState::Degraded, "no mail server is configured (smtp_url): mails wait in the outbox")
            }
            Delivery::Server if self.mailer.is_failing() => {
                (HealthState::Degraded, "the mail server does not take mails; the server's log says why")
            }
            Delivery::Server | Delivery::Kept => (HealthState::Healthy, ""),
        };
        DependencyHealth { name: "mail", state, latency: None, message }
    }
}

/// How Redis is. Never worse than degraded: all goes on without it.
fn redis_health(redis: &Redis) -> DependencyHealth {
    let (state, latency, message) = match &*redis.state().borrow() {
        State::Up(_) if redis.refuses() => {
            (HealthState::Degraded, None, "Redis refuses commands; the server's log says why")
        }
        State::Up(ping) => (HealthState::Healthy, Some(*ping), ""),
        State::Slow(ping) => (HealthState::Degraded, Some(*ping), "Redis answers too slowly for calls to wait for it"),
        State::Connecting => (HealthState::Degraded, None, "Redis is not connected yet"),
        State::Away(error) => (HealthState::Degraded, None, error.message()),
    };
    DependencyHealth { name: "redis", state, latency, message }
}

/// How the store is, by its answer to a ping within this time.
async fn store_health(ping: impl Future<Output = Result<(), StoreError>>, max: Duration) -> DependencyHealth {
    let started = Instant::now();
    let late = || StoreError::Unavailable(format!("no answer to a ping within {max:?}"));
    let (state, latency, message) = match timeout(max, ping).await.unwrap_or_else(|_| Err(late())) {
        Ok(()) => (HealthState::Healthy, Some(started.elapsed()), ""),
        Err(error) => {
            tracing::error!(%error, "the store does not answer");
            (HealthState::Unhealthy, None, "the store does not answer; the server's log says why")
        }
    };
    DependencyHealth { name: "store", state, latency, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_never_answers_is_not_well() {
        let state = async |ping| store_health(ping, Duration::ZERO).await.state;
        assert_eq!(state(Box::pin(std::future::pending()) as Ping).await, HealthState::Unhealthy);
        assert_eq!(
            state(Box::pin(async { Err(StoreError::Unavailable("gone".into())) })).await,
            HealthState::Unhealthy
        );
        assert_eq!(state(Box::pin(async { Ok(()) })).await, HealthState::Healthy);
    }

    type Ping = std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;
}
