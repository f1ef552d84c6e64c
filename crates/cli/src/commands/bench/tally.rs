//! What came of the calls: how many, how long they took, and what went wrong.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use roster_api::Error;
use tonic::Status;

use super::work::Kind;
use crate::error::CliError;

/// Times are told apart to one in a thousand, between a microsecond and an hour, in nanoseconds.
const RANGE: (u64, u64) = (1_000, 3_600_000_000_000);
const DIGITS: u8 = 3;

/// Of one method.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Calls that were answered with OK, by the nanoseconds that they took.
    pub times: Histogram<u64>,
    /// Messages in their answers.
    pub messages: u64,
    /// Calls that failed, by status and reason.
    pub errors: BTreeMap<String, u64>,
}

/// Of all methods, by the number of their kind.
#[derive(Clone, Debug)]
pub struct Tally {
    pub calls: [Calls; Kind::ALL.len()],
    /// Calls that were due and never begun: there were as many under way as may be, to the end.
    pub unsent: u64,
    /// Of those that failed, the one that ended first.
    first_failed: Option<Failed>,
    /// How long was measured.
    pub elapsed: Duration,
}

/// A call that failed.
#[derive(Clone, Debug)]
struct Failed {
    kind: Kind,
    ended: Instant,
    status: Status,
}

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never: the bounds of the times are constants that fit.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let times = Histogram::new_with_bounds(RANGE.0, RANGE.1, DIGITS)?;
        let calls = Calls { times, messages: 0, errors: BTreeMap::new() };
        Ok(Self {
            calls: std::array::from_fn(|_| calls.clone()),
            unsent: 0,
            first_failed: None,
            elapsed: Duration::ZERO,
        })
    }

    /// Counts a call whose time counts from `since`, and that took so long.
    pub fn count(&mut self, kind: Kind, since: Instant, took: Duration, ended: Result<u64, Status>) {
        let calls = &mut self.calls[kind as usize];
        match ended {
            Ok(messages) => {
                calls.messages += messages;
                calls.times.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
            Err(status) => {
                self.first_failed.get_or_insert_with(|| Failed { kind, ended: since + took, status: status.clone() });
                let error = Error::from(status);
                let code = format!("{:?}", error.code());
                let name = error.reason().map_or(code.clone(), |reason| format!("{code} ({reason})"));
                *calls.errors.entry(name).or_default() += 1;
            }
        }
    }

    /// Takes in what another thread has counted.
    pub fn add(&mut self, other: &Self) {
        for (calls, more) in self.calls.iter_mut().zip(&other.calls) {
            // Both have the same bounds, so this cannot fail.
            let _ = calls.times.add(&more.times);
            calls.messages += more.messages;
            for (name, count) in &more.errors {
                *calls.errors.entry(name.clone()).or_default() += count;
            }
        }
        self.unsent += other.unsent;
        let both = self.first_failed.take().into_iter().chain(other.first_failed.clone());
        self.first_failed = both.min_by_key(|failed| failed.ended);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Says how many calls failed, and of what the first did, if any.
    ///
    /// # Errors
    /// With the exit code that this call has when it is made alone.
    pub fn check(&self) -> Result<(), CliError> {
        let Some(first) = &self.first_failed else { return Ok(()) };
        let failed: u64 = self.calls.iter().map(Calls::failed).sum();
        let all = failed + self.calls.iter().map(Calls::done).sum::<u64>();
        let error = CliError::from(first.status.clone());
        let message = format!("{failed} of {all} calls failed, {} first: {}", first.kind.name(), error.message);
        // What else it says is for who made that call alone; but its id finds it in the server's log.
        Err(CliError { request_id: error.request_id, ..CliError::new(error.exit, message) })
    }
}

impl Calls {
    /// How many were answered with OK.
    pub fn done(&self) -> u64 {
        self.times.len()
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Seconds within which this share of those that were done ended.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn what_threads_count_adds_up() {
        let (mut one, mut other) = (Tally::new().unwrap(), Tally::new().unwrap());
        let begun = Instant::now();
        for number in 1..=100 {
            let tally = if number % 2 == 0 { &mut one } else { &mut other };
            tally.count(Kind::List, begun, Duration::from_millis(number), Ok(3));
        }
        assert!(one.check().is_ok());
        let second = Duration::from_secs(1);
        one.count(Kind::Get, begun, 3 * second, Err(Status::unavailable("gone")));
        other.count(Kind::Get, begun + second, second, Err(Status::resource_exhausted("busy")));
        (one.unsent, other.unsent) = (1, 2);
        other.elapsed = second;
        one.add(&other);
        let list = &one.calls[Kind::List as usize];
        assert_eq!((list.done(), list.messages, list.failed()), (100, 300, 0));
        let median = list.quantile(0.5);
        assert!((median - 0.05).abs() < 1e-4, "{median}");
        let get = &one.calls[Kind::Get as usize];
        assert_eq!((get.done(), get.failed(), get.errors["Unavailable"]), (0, 2, 1));
        assert_eq!((one.unsent, one.elapsed), (3, second));
        let error = one.check().unwrap_err();
        assert_eq!((error.exit, &*error.message), (Exit::TryAgain, "2 of 102 calls failed, GetUser first: busy"));
    }

    #[test]
    fn kinds_have_their_numbers() {
        assert!(Kind::ALL.iter().enumerate().all(|(number, kind)| *kind as usize == number));
    }
}
