//! Until when somebody waits for what a thread is doing.
//!
//! A call's deadline is in a variable of the thread while the call is polled, as its span is: no use case and no method
//! of a store has to hand it on, and what no deadline is set for sees none.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

thread_local! {
    static CURRENT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// When whoever waits for this gives up; `None` if nobody does.
#[must_use]
pub fn current() -> Option<Instant> {
    CURRENT.get()
}

/// The deadline of what this thread does until this is dropped.
#[derive(Debug)]
pub struct Entered(Option<Instant>);

/// Has this thread work by `deadline`.
#[must_use = "the deadline counts until this is dropped"]
pub fn enter(deadline: Option<Instant>) -> Entered {
    Entered(CURRENT.replace(deadline))
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

pin_project! {
    /// A future that is polled with a deadline; see [`by`].
    #[derive(Debug)]
    pub struct By<F> {
        deadline: Instant,
        #[pin]
        work: F,
    }
}

/// Does the work by a deadline: whoever asks within finds it. It is not cut off then; that is for who waits.
pub fn by<F: Future>(deadline: Instant, work: F) -> By<F> {
    By { deadline, work }
}

impl<F: Future> Future for By<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(Some(*this.deadline));
        this.work.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_works_by_a_deadline_finds_it_and_nobody_else_does() {
        let soon = Instant::now() + Duration::from_secs(1);
        let mut seen = Vec::new();
        let work = async {
            seen.push(current());
            tokio::task::yield_now().await;
            seen.push(current());
        };
        let other = async {
            assert_eq!(current(), None);
            tokio::task::yield_now().await;
            assert_eq!(current(), None);
        };
        tokio::join!(by(soon, work), other);
        assert_eq!(seen, [Some(soon), Some(soon)]);
        assert_eq!(current(), None);
    }
}
