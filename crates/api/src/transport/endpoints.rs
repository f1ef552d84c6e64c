//! The servers that a client may call, and which of them gets the next call.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use tonic::transport::Channel;

use super::breaker::{Breaker, Permit};

/// One server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(super) channel: Channel,
    breaker: Breaker,
    in_flight: AtomicUsize,
    /// What the server says of itself; see [`super::health`].
    serving: AtomicBool,
}

/// All servers of a client. Each can serve each call.
#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Box<[Endpoint]>,
    /// Where the next look begins, so that servers with as much to do take turns.
    next: AtomicUsize,
}

/// An endpoint that was picked. Tell what came of it; dropped without a word, it says nothing about the server.
#[derive(Debug)]
pub(super) struct Picked<'a>(&'a Endpoint);

impl Endpoints {
    pub(crate) fn new(channels: Vec<Channel>) -> Self {
        let list = channels.into_iter().map(|channel| Endpoint {
            channel,
            breaker: Breaker::default(),
            in_flight: AtomicUsize::new(0),
            serving: AtomicBool::new(true),
        });
        Self { list: list.collect(), next: AtomicUsize::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, index: usize) -> &Endpoint {
        &self.list[index]
    }

    /// The server with the least to do among those that serve and whose breaker is closed. One that is due for a probe
    /// goes first: nobody else would ever ask it. Without any, those that say that they do not serve are asked too:
    /// what they said may be old. `Err` has the time at which a breaker lets a call through again.
    pub(super) fn pick(&self, now: Instant) -> Result<Picked<'_>, Instant> {
        let start = self.next.fetch_add(1, Relaxed);
        let turn = || (0..self.list.len()).map(|offset| &self.list[start.wrapping_add(offset) % self.list.len()]);
        let (mut least, mut probe, mut earliest): (Option<&Endpoint>, _, Option<Instant>) = (None, None, None);
        for endpoint in turn() {
            let key = |endpoint: &Endpoint| (!endpoint.serving.load(Relaxed), endpoint.in_flight.load(Relaxed));
            match endpoint.breaker.look(now) {
                Permit::Yes if least.is_none_or(|least| key(endpoint) < key(least)) => least = Some(endpoint),
                Permit::Yes => {}
                Permit::Probe => probe = Some(endpoint),
                Permit::No(until) => earliest = Some(earliest.map_or(until, |earliest| earliest.min(until))),
            }
        }
        for endpoint in probe.into_iter().chain(least) {
            if !matches!(endpoint.breaker.enter(now), Permit::No(_)) {
                endpoint.in_flight.fetch_add(1, Relaxed);
                return Ok(Picked(endpoint));
            }
        }
        Err(earliest.unwrap_or(now))
    }
}

impl Endpoint {
    pub(super) fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Relaxed);
    }
}

impl Picked<'_> {
    pub(super) fn channel(&self) -> Channel {
        self.0.channel.clone()
    }

    pub(super) fn succeeded(&self) {
        self.0.breaker.succeeded();
    }

    pub(super) fn failed(&self, now: Instant) {
        self.0.breaker.failed(now);
    }
}

impl Drop for Picked<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn three() -> Endpoints {
        let lazy = || tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Endpoints::new(vec![lazy(), lazy(), lazy()])
    }

    fn index_of(all: &Endpoints, picked: &Picked<'_>) -> usize {
        all.list.iter().position(|endpoint| std::ptr::eq(endpoint, picked.0)).unwrap()
    }

    #[tokio::test]
    async fn calls_are_spread_by_what_is_under_way() {
        let all = three();
        let now = Instant::now();
        let mut picked: Vec<_> = (0..30).map(|_| all.pick(now).unwrap()).collect();
        let counts = |picked: &[Picked<'_>]| {
            let mut counts = [0; 3];
            picked.iter().for_each(|one| counts[index_of(&all, one)] += 1);
            counts
        };
        assert_eq!(counts(&picked), [10, 10, 10]);
        // Two of them are fast.
        picked.retain(|one| index_of(&all, one) == 0);
        picked.extend((0..20).map(|_| all.pick(now).unwrap()));
        assert_eq!(counts(&picked), [10, 10, 10]);
    }

    #[tokio::test]
    async fn those_that_fail_or_do_not_serve_are_passed_over_until_they_are_back() {
        let all = three();
        let now = Instant::now();
        all.list[0].set_serving(false);
        (0..5).for_each(|_| all.list[1].breaker.failed(now));
        for _ in 0..10 {
            assert_eq!(index_of(&all, &all.pick(now).unwrap()), 2);
        }
        // The one that failed is asked once.
        let later = now + Duration::from_secs(1);
        let probe = all.pick(later).unwrap();
        assert_eq!(index_of(&all, &probe), 1);
        assert_eq!(index_of(&all, &all.pick(later).unwrap()), 2);
        // Better one that says that it does not serve than none.
        (0..5).for_each(|_| all.list[2].breaker.failed(later));
        assert_eq!(index_of(&all, &all.pick(later).unwrap()), 0);
        (0..5).for_each(|_| all.list[0].breaker.failed(later));
        let next = all.pick(later).unwrap_err();
        assert!(next > later && next <= later + Duration::from_secs(1));
    }
}
