//! What waits for the writer: a command and whoever asked for it.

use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::RunInSqlite;
use crate::{
    store::{
        Ended, StoreError,
        commands::{ShowUser, name_of},
        sqlite::answers::run_once,
    },
    trace::Span,
};

/// A command with its caller, whatever its type.
pub(super) trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        false
    }
    /// What it is called in numbers.
    fn name(&self) -> &'static str;
    /// Since when it waits; `None` if nobody asks.
    fn since(&self) -> Option<Instant> {
        None
    }
    /// The command in a trace, if its call is traced.
    fn span(&self) -> Option<&Span> {
        None
    }
    /// See [`Command::is_bulk`].
    fn is_bulk(&self) -> bool {
        false
    }
    /// Whether this is the last job.
    fn is_close(&self) -> bool {
        false
    }
    /// Whether the changes are taken back even if all goes well.
    fn is_rehearsal(&self) -> bool {
        false
    }
    /// Runs; `Ok(true)` if the changes are to be kept.
    fn run(&mut self, connection: &Connection) -> Result<bool, StoreError>;
    /// The users that it has changed: none if it failed or was a rehearsal. See [`Command::show_users`].
    fn show_users<'a>(&'a self, _: &mut ShowUser<'_, 'a>) {}
    /// The grants that it has ended or changed; see [`Command::ends`].
    fn ends(&self) -> Vec<Ended> {
        Vec::new()
    }
    /// Answers, after the commit.
    fn finish(self: Box<Self>, committed: &Result<(), StoreError>);
}

pub(super) struct Pending<C: RunInSqlite> {
    pub(super) command: C,
    pub(super) reply: oneshot::Sender<(Result<C::Output, StoreError>, C)>,
    pub(super) outcome: Option<Result<C::Output, StoreError>>,
    pub(super) since: Instant,
    pub(super) span: Option<Span>,
}

impl<C: RunInSqlite> Job for Pending<C> {
    fn name(&self) -> &'static str {
        name_of::<C>()
    }

    fn since(&self) -> Option<Instant> {
        Some(self.since)
    }

    fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn is_bulk(&self) -> bool {
        self.command.is_bulk()
    }

    fn is_rehearsal(&self) -> bool {
        !self.command.keep()
    }

    fn run(&mut self, connection: &Connection) -> Result<bool, StoreError> {
        let outcome = run_once(&self.command, connection);
        let keep = outcome.as_ref().map(|_| self.command.keep()).map_err(Clone::clone);
        self.outcome = Some(outcome);
        keep
    }

    fn show_users<'a>(&'a self, show: &mut ShowUser<'_, 'a>) {
        if let Some(Ok(output)) = &self.outcome
            && self.command.keep()
        {
            self.command.show_users(output, show);
        }
    }

    fn ends(&self) -> Vec<Ended> {
        match &self.outcome {
            Some(Ok(output)) if self.command.keep() => self.command.ends(output),
            _ => Vec::new(),
        }
    }

    fn finish(self: Box<Self>, committed: &Result<(), StoreError>) {
        let result = match (committed, self.outcome) {
            // A refusal too: it may rest on what another command of the lost transaction had done.
            (Err(error), _) => Err(error.clone()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Internal("a command was answered before it ran".into())),
        };
        // The caller may have gone; the change stands.
        let _ = self.reply.send((result, self.command));
    }
}

/// Ends the thread.
pub(super) struct Close;

impl Job for Close {
    fn name(&self) -> &'static str {
        "Close"
    }
    fn is_close(&self) -> bool {
        true
    }
    fn run(&mut self, _: &Connection) -> Result<bool, StoreError> {
        Ok(true)
    }
    fn finish(self: Box<Self>, _: &Result<(), StoreError>) {}
}
