//! How sign-ins end, in numbers.

use super::SignedIn;
use crate::{
    metrics::{
        Counter, Page,
        names::{SIGN_IN_FAILURES, SIGN_INS},
    },
    ops::Error,
};

/// Counts how sign-ins end.
#[derive(Debug, Default)]
pub(in crate::ops) struct SignInOutcomes {
    done: Counter,
    failed: Counter,
    locked: Counter,
    busy: Counter,
    /// Whatever else stood in the way, such as a request that was no request.
    other: Counter,
    failures: [Counter; Failure::ALL.len()],
}

/// Why a sign-in has failed. Operators see it in numbers, and nobody else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    UnknownLogin,
    WrongPassword,
    NoPassword,
    Inactive,
}

impl Failure {
    const ALL: [(Self, &str); 4] = [
        (Self::UnknownLogin, "unknown_login"),
        (Self::WrongPassword, "wrong_password"),
        (Self::NoPassword, "no_password"),
        (Self::Inactive, "inactive"),
    ];
}

impl SignInOutcomes {
    pub(super) fn count(&self, outcome: &Result<SignedIn, Error>) {
        let counter = match outcome {
            Ok(_) => &self.done,
            Err(Error::Unauthenticated(_)) => &self.failed,
            Err(Error::AccountLocked { .. }) => &self.locked,
            Err(Error::HashingBusy { .. }) => &self.busy,
            Err(_) => &self.other,
        };
        counter.increment();
    }

    pub(super) fn fail(&self, failure: Failure) {
        self.failures[failure as usize].increment();
    }

    /// Puts them on the page.
    pub(in crate::ops) fn report(&self, page: &mut Page) {
        let Self { done, failed, locked, busy, other, failures } = self;
        for (outcome, counter) in
            [("done", done), ("failed", failed), ("locked", locked), ("busy", busy), ("other", other)]
        {
            page.value(&SIGN_INS, &[outcome], counter.get());
        }
        for (failure, name) in Failure::ALL {
            page.value(&SIGN_IN_FAILURES, &[name], failures[failure as usize].get());
        }
    }
}
