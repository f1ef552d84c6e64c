//! One transaction on one connection.
//!
//! Statements whose answer a command does not need yet are queued, and go out with the next one whose answer it needs,
//! or with the commit. So a command costs as many round trips as it has questions that rest on each other's answers, and
//! `BEGIN` and `COMMIT` cost none. A statement that fails makes the server refuse all after it, the `COMMIT` included.

use std::{mem, time::Instant};

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::{
    database::Database,
    error::{Aftermath, aftermath, full_text},
    statement::{Answer, Statement, in_order, send_only},
    value::{Value, params},
};
use crate::{
    model::Idempotency,
    store::{StoreError, answers::Kept},
};

/// What a transaction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The only statement what is committed when it begins.
    Alone,
    /// Each statement what is committed when it begins.
    Newest,
    /// All statements the same, and no changes can be made.
    Snapshot,
    /// The same, with all that was committed before it numbered in the log.
    Numbered,
}

/// Two messages in one: the first ends with its own commit.
const NUMBER_AND_BEGIN: &str =
    concat!("BEGIN; ", "SELECT number_changes(); COMMIT; ", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was sent.
    Fresh,
    /// It was begun, and no answer is outstanding.
    Open,
    /// Answers are outstanding: whoever drops it now does not know what the server is at.
    Waiting,
    /// The same, and one of them is that of the commit.
    Committing,
    /// It has ended.
    Ended,
}

/// A transaction. What was not committed is taken back when it is dropped, and what still runs is cancelled.
pub(super) struct Tx<'d> {
    database: &'d Database,
    /// `None` only while it is dropped.
    session: Option<Object>,
    began: Instant,
    view: View,
    phase: Phase,
    queue: Vec<Statement>,
    /// The call that is to be answered once, and how long that is kept, until this was sent.
    claim: Option<(&'d Idempotency, i64)>,
    aftermath: Aftermath,
}

impl<'d> Tx<'d> {
    /// On a connection of the pool. Nothing is sent yet.
    pub(super) async fn new(database: &'d Database, view: View) -> Result<Self, StoreError> {
        let session = Some(database.take().await?);
        let (phase, aftermath) = (Phase::Fresh, Aftermath::Lasting);
        Ok(Self { database, session, began: Instant::now(), view, phase, queue: Vec::new(), claim: None, aftermath })
    }

    /// Has the call answered at most once: of parallel ones, all but the first wait for its commit and then fail with
    /// [`StoreError::KeyUsed`].
    pub(super) fn claim(&mut self, call: &'d Idempotency, kept_until: i64) {
        self.claim = Some((call, kept_until));
    }

    /// Runs it with the next statement whose answer is awaited, or with the commit.
    pub(super) fn queue(&mut self, sql: &'static str, params: Vec<Value>) {
        self.queue.push(Statement::new(sql, params));
    }

    /// The rows that a statement gives.
    pub(super) async fn rows(&mut self, sql: &'static str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(self.answer(Statement::new(sql, params)).await?.rows)
    }

    /// The first of them, if there is one.
    pub(super) async fn row(&mut self, sql: &'static str, params: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// How many rows a statement changes.
    pub(super) async fn affected(&mut self, sql: &'static str, params: Vec<Value>) -> Result<u64, StoreError> {
        Ok(self.answer(Statement::new(sql, params)).await?.affected)
    }

    /// What a statement gives.
    pub(super) async fn answer(&mut self, statement: Statement) -> Result<Answer, StoreError> {
        Ok(self.answers(vec![statement]).await?.pop().unwrap_or_default())
    }

    /// What each of some statements gives, in one round trip.
    pub(super) async fn answers(&mut self, statements: Vec<Statement>) -> Result<Vec<Answer>, StoreError> {
        let wanted = statements.len();
        self.queue.extend(statements);
        let mut answers = self.exchange(None).await?;
        Ok(answers.split_off(answers.len() - wanted))
    }

    /// Sends what is queued and waits for it, without a commit.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        self.exchange(None).await.map(drop)
    }

    /// Ends it: all of it is durable then. `answer` is what a retry of the call is to be answered with.
    pub(super) async fn commit(&mut self, answer: Option<Kept>) -> Result<(), StoreError> {
        self.keep(answer)?;
        self.exchange(Some("COMMIT")).await.map(drop)
    }

    /// Ends a read, without waiting for that.
    pub(super) fn finish(mut self) {
        self.end_without_waiting("COMMIT");
    }

    /// What may come of running the command again, after an error of this.
    pub(super) fn aftermath(&self) -> Aftermath {
        self.aftermath
    }

    /// Queues what keeps the answer, or gives the call free again if there is none to keep.
    fn keep(&mut self, answer: Option<Kept>) -> Result<(), StoreError> {
        let Some((call, kept_until)) = self.claim else { return Ok(()) };
        let is_sent = self.phase != Phase::Fresh;
        match answer {
            Some(Kept { about, answer }) => {
                let sealed = call.seal(&answer).map_err(StoreError::Unavailable)?;
                if is_sent {
                    const KEEP: &str = "UPDATE answers SET answer = $2, user_id = $3 WHERE id = $1";
                    self.queue(KEEP, params![call.id, sealed, about.as_ref()]);
                } else {
                    self.claim = None;
                    let whole = params![call.id, call.request, sealed, about.as_ref(), kept_until];
                    self.queue.insert(0, Statement::new(CLAIM, whole));
                }
            }
            // That the call was not answered before is to be known all the same.
            None => self.queue("DELETE FROM answers WHERE id = $1", params![call.id]),
        }
        Ok(())
    }

    /// Sends what is queued, begins before that if need be and ends after it if `end` says how, and waits for all.
    async fn exchange(&mut self, end: Option<&'static str>) -> Result<Vec<Answer>, StoreError> {
        let is_first = self.phase == Phase::Fresh;
        if let Some((call, kept_until)) = self.claim.filter(|_| is_first) {
            let claim = params![call.id, call.request, Value::Null, Value::Null, kept_until];
            self.queue.insert(0, Statement::new(CLAIM, claim));
        }
        let statements = mem::take(&mut self.queue);
        let begin = match self.view {
            _ if !is_first => None,
            View::Alone => None,
            View::Newest => Some("BEGIN"),
            View::Snapshot => Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            View::Numbered => Some(NUMBER_AND_BEGIN),
        };
        self.phase = if end.is_some() { Phase::Committing } else { Phase::Waiting };
        let result = self.send(begin, &statements, end).await;
        self.phase = match result.as_ref().map_or_else(|failure| failure.sent, |_| Sent::All) {
            _ if self.view == View::Alone => Phase::Ended,
            Sent::All if end.is_some() => Phase::Ended,
            Sent::Nothing if is_first => Phase::Fresh,
            _ => Phase::Open,
        };
        result.map_err(|failure| {
            self.aftermath = failure.aftermath;
            failure.error
        })
    }

    async fn send(
        &self,
        begin: Option<&'static str>,
        statements: &[Statement],
        end: Option<&'static str>,
    ) -> Result<Vec<Answer>, Failure> {
        let Some(client) = &self.session else { return Err(Failure::of("a transaction without a connection")) };
        // Nothing that is to be undone was sent yet, or the transaction is open and goes with its connection.
        let prepared = in_order(statements.iter().map(|statement| statement.prepare(client))).await;
        let prepared = prepared
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::undone(error, Sent::Nothing))?;
        let bare = async |sql: Option<&'static str>| match sql {
            Some(sql) => client.batch_execute(sql).await.map(|()| Answer::default()),
            None => Ok(Answer::default()),
        };
        let of_statements = statements.iter().zip(&prepared).map(|(statement, prepared)| {
            let run: Running<'_> = Box::pin(statement.run(client, prepared.as_ref()));
            run
        });
        let begun: Running<'_> = Box::pin(bare(begin));
        let ended: Running<'_> = Box::pin(bare(end));
        let all = std::iter::once(begun).chain(of_statements).chain([ended]);
        let mut answers = Vec::with_capacity(statements.len() + 2);
        let outcomes = in_order(all).await;
        // The end comes last, and is left out if anything before it could not be sent.
        let sent = if outcomes.len() == statements.len() + 2 { Sent::All } else { Sent::Some };
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let is_end = index > statements.len();
            let with_commit = end.is_some() && sent == Sent::All;
            answers.push(outcome.map_err(|error| Failure::after(error, sent, (with_commit, is_end)))?);
        }
        answers.pop();
        answers.remove(0);
        Ok(answers)
    }

    fn end_without_waiting(&mut self, how: &'static str) {
        if self.phase == Phase::Open
            && let Some(client) = &self.session
        {
            // What is sent on this connection next is done after it.
            send_only(client.batch_execute(how));
        }
        self.phase = Phase::Ended;
    }
}

/// A call that is answered, or about to be.
const CLAIM: &str = "INSERT INTO answers (id, request, answer, user_id, expires_at) VALUES ($1, $2, $3, $4, $5)";

type Running<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>>;

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        let is_bad = self.phase == Phase::Waiting || self.aftermath == Aftermath::RetryElsewhere;
        if self.phase == Phase::Committing
            && let Some(session) = self.session.take()
        {
            self.database.connector().see_through(session);
        } else if is_bad && let Some(session) = self.session.take() {
            self.database.connector().abandon(Object::take(session));
        } else {
            self.end_without_waiting("ROLLBACK");
        }
        self.database.took(self.began.elapsed());
    }
}

/// How much of a round trip was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    /// Not the last, which is the commit if there is to be one.
    Some,
    All,
}

/// Why a round trip failed, and what may come of another attempt.
struct Failure {
    error: StoreError,
    aftermath: Aftermath,
    sent: Sent,
}

impl Failure {
    fn of(text: &str) -> Self {
        Self { error: StoreError::Internal(text.into()), aftermath: Aftermath::Lasting, sent: Sent::Nothing }
    }

    /// Of something that is certainly undone.
    fn undone(error: Error, sent: Sent) -> Self {
        Self { aftermath: aftermath(&error), error: error.into(), sent }
    }

    /// Of something that was sent with or without the commit.
    fn after(error: Error, sent: Sent, (with_commit, of_commit): (bool, bool)) -> Self {
        // The server says why it has not come to the commit. If it says nothing, or was at it, nobody knows.
        let is_known = !with_commit || (error.as_db_error().is_some() && !of_commit);
        if is_known {
            return Self::undone(error, sent);
        }
        let text = format!("whether the commit was done is not known: {}", full_text(&error));
        Self { error: StoreError::Unavailable(text), aftermath: Aftermath::Lasting, sent }
    }
}
