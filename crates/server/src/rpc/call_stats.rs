//! Calls in numbers: how many of each method are under way, how they ended, and how long they took.

use std::{sync::OnceLock, time::Instant};

use roster_api::access::{Method, RateClass};
use tonic::Code;

use super::{access, own::Own};
use crate::{
    metrics::{
        Counter, Histogram, LATENCIES, Page,
        names::{CALL_DURATION, CALLS, CALLS_IN_FLIGHT, CALLS_LIMITED, CALLS_REFUSED},
    },
    ops::{Reason, reason},
};

/// gRPC's statuses by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A status, as gRPC's documents name it.
pub(super) fn name_of(code: Code) -> &'static str {
    CODES[code as usize]
}

/// Classes of methods by their numbers.
const CLASSES: [(RateClass, &str); 5] = [
    (RateClass::SignIn, "sign_in"),
    (RateClass::SignUp, "sign_up"),
    (RateClass::Mail, "mail"),
    (RateClass::Read, "read"),
    (RateClass::Write, "write"),
];

/// The numbers of all methods. What was never called has none.
#[derive(Debug)]
pub struct CallStats {
    methods: Box<[OnceLock<Box<MethodStats>>]>,
    limited: [Counter; CLASSES.len()],
    /// By the number of the reason.
    refused: Box<[Counter]>,
}

#[derive(Debug)]
struct MethodStats {
    started: Counter,
    ended: [Counter; CODES.len()],
    durations: Histogram,
}

impl Default for CallStats {
    fn default() -> Self {
        let refused = Reason::ALL.iter().map(|_| Counter::default()).collect();
        // The last is for paths that name no method.
        Self { methods: (0..=access::COUNT).map(|_| OnceLock::new()).collect(), limited: Default::default(), refused }
    }
}

impl CallStats {
    fn of(&self, index: usize) -> &MethodStats {
        self.methods[index].get_or_init(|| {
            let durations = Histogram::new(&LATENCIES);
            Box::new(MethodStats { started: Counter::default(), ended: Default::default(), durations })
        })
    }

    /// Counts a call that a rate has stopped.
    pub(super) fn limited(&self, class: RateClass) {
        self.limited[class as usize].increment();
    }

    /// Counts a call that was refused because there was too much to do, or because it could not be done now.
    pub(super) fn refused(&self, reason: Reason) {
        self.refused[reason as usize].increment();
    }

    /// Puts them on the page.
    pub fn report(&self, page: &mut Page) {
        let called = || (0..self.methods.len()).filter_map(|index| Some((names_of(index), self.methods[index].get()?)));
        for ((service, method), stats) in called() {
            for (code, ended) in CODES.iter().zip(&stats.ended).filter(|(_, ended)| ended.get() > 0) {
                page.value(&CALLS, &[service, method, code], ended.get());
            }
        }
        for ((service, method), stats) in called() {
            page.histogram(&CALL_DURATION, &[service, method], &stats.durations);
        }
        for ((service, method), stats) in called() {
            let ended: u64 = stats.ended.iter().map(Counter::get).sum();
            // Read while calls go on, an end may be seen before its start.
            page.value(&CALLS_IN_FLIGHT, &[service, method], stats.started.get().saturating_sub(ended));
        }
        for (reason, refused) in Reason::ALL.iter().zip(&self.refused).filter(|(reason, _)| is_shed(**reason)) {
            page.value(&CALLS_REFUSED, &[reason.name()], refused.get());
        }
        for (class, name) in CLASSES {
            page.value(&CALLS_LIMITED, &[name], self.limited[class as usize].get());
        }
    }
}

/// Whether another time, or with less to do, the same call would be answered.
fn is_shed(reason: Reason) -> bool {
    matches!(reason.code(), reason::Code::ResourceExhausted | reason::Code::Unavailable)
}

/// Service and method; those of a path that names no method are its own, so that nothing from outside is a label.
fn names_of(index: usize) -> (&'static str, &'static str) {
    let path = access::method_at(index).map_or("/unknown/unknown", |method| method.path);
    path.trim_start_matches('/').split_once('/').unwrap_or((path, ""))
}

/// A call under way. It counts as cancelled if it is dropped before its end is told.
#[derive(Debug)]
pub(super) struct CallMeter {
    stats: Own<CallStats>,
    index: usize,
    started: Instant,
    ended: bool,
}

impl CallMeter {
    /// Begins to count a call of this method.
    pub(super) fn start(stats: &Own<CallStats>, method: Option<&'static Method>) -> Self {
        let index = method.map_or(access::COUNT, |method| method.index);
        stats.of(index).started.increment();
        Self { stats: stats.clone(), index, started: Instant::now(), ended: false }
    }

    /// When the call came.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Counts the end, if it is the first that is told.
    pub(super) fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            let stats = self.stats.of(self.index);
            stats.ended[code as usize].increment();
            stats.durations.observe(self.started.elapsed());
        }
    }
}

impl Drop for CallMeter {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_classes_have_their_numbers() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from(i32::try_from(number).unwrap());
            let written = format!("{code:?}").to_uppercase();
            assert_eq!(written, name.replace('_', ""));
        }
        assert!(Reason::ALL.iter().enumerate().all(|(number, reason)| *reason as usize == number));
        assert!(CLASSES.iter().enumerate().all(|(number, (class, _))| *class as usize == number));
    }
}
