//! One transaction on one connection.
//!
//! Statements whose answer a command does not need yet are queued, and go out with the next one whose answer it needs,
//! or with the commit. So a command costs as many round trips as it has questions that rest on each other's answers, and
//! `BEGIN` and `COMMIT` cost none. A statement that fails makes the server refuse all after it, the `COMMIT` included.

use std::{
    borrow::Cow,
    mem,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use tokio_postgres::{Error, Row, Statement as Prepared};

use super::{
    database::{Database, PooledSession},
    error::{Aftermath, aftermath, full_text},
    settle::Left,
    statement::{Answer, Statement, in_order, send_only},
    value::{Value, params},
};
use crate::{
    deadline,
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

/// How much longer than its caller waits the server lets a statement run. Whoever is alive cancels it by then.
const SLACK: Duration = Duration::from_millis(250);
/// Every statement may run this long: see the settings of connections.
const STATEMENT_MAX: Duration = Duration::from_mins(1);

/// Two messages in one: the first ends with its own commit.
const NUMBER_AND_BEGIN: &str =
    concat!("BEGIN; ", "SELECT number_changes(); COMMIT; ", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was sent.
    Fresh,
    /// The server was asked to prepare statements, and nothing else.
    Preparing,
    /// It was begun, and no answer is outstanding.
    Open,
    /// Answers are outstanding: whoever drops it now does not know what the server is at.
    Waiting,
    /// Answers are outstanding, that of the commit too.
    Committing,
    /// It has ended.
    Ended,
}

/// A transaction. What was not committed is taken back when it is dropped, and what still runs is cancelled.
pub(super) struct Tx<'d> {
    database: &'d Database,
    /// `None` only while it is dropped.
    session: Option<PooledSession>,
    began: Instant,
    view: View,
    /// How long each of its statements may run, if that is less than any may.
    limit: Option<Duration>,
    phase: Phase,
    /// What came before the first statement was answered.
    is_begun: AtomicBool,
    queue: Vec<Statement>,
    /// The call that is to be answered once, and how long that is kept, until this was sent.
    claim: Option<(&'d Idempotency, i64)>,
    aftermath: Aftermath,
}

impl<'d> Tx<'d> {
    /// On a connection of the pool. Nothing is sent yet.
    pub(super) async fn new(database: &'d Database, view: View) -> Result<Self, StoreError> {
        let session = Some(database.take().await?);
        let limit = deadline::current().map(|deadline| deadline.duration_since(tokio::time::Instant::now()) + SLACK);
        Ok(Self {
            database,
            session,
            began: Instant::now(),
            view,
            limit: limit.filter(|limit| *limit < STATEMENT_MAX),
            phase: Phase::Fresh,
            is_begun: AtomicBool::new(false),
            queue: Vec::new(),
            claim: None,
            aftermath: Aftermath::Lasting,
        })
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
        let begin = if is_first { self.begin() } else { None };
        self.phase = if is_first { Phase::Preparing } else { Phase::Waiting };
        let result = match self.prepare(&statements).await {
            Ok(prepared) => {
                self.phase = if end.is_some() { Phase::Committing } else { Phase::Waiting };
                self.send(begin.as_deref(), &statements, &prepared, end).await
            }
            Err(failure) => Err(failure),
        };
        self.phase = match result.as_ref().map_or_else(|failure| failure.sent, |_| Sent::All) {
            _ if self.is_bare() => Phase::Ended,
            Sent::All if end.is_some() => Phase::Ended,
            Sent::Nothing if is_first => Phase::Fresh,
            _ => Phase::Open,
        };
        result.map_err(|failure| {
            self.aftermath = failure.aftermath;
            failure.error
        })
    }

    /// Whether its statement is sent by itself. The server's limit goes with a transaction, so one with a limit is not.
    fn is_bare(&self) -> bool {
        self.view == View::Alone && self.limit.is_none()
    }

    /// What begins it. A limit is a part of the same message, so that it costs no round trip, and ends with it.
    fn begin(&self) -> Option<Cow<'static, str>> {
        let begin = match self.view {
            View::Alone if self.limit.is_none() => return None,
            View::Alone => "BEGIN READ ONLY",
            View::Newest => "BEGIN",
            View::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            View::Numbered => NUMBER_AND_BEGIN,
        };
        Some(match self.limit {
            None => begin.into(),
            Some(limit) => format!("{begin}; SET LOCAL statement_timeout = {}", limit.as_millis()).into(),
        })
    }

    /// Has the server prepare what it does not know yet. Nothing that is to be undone was sent until then, or the transaction
    /// is open.
    async fn prepare(&self, statements: &[Statement]) -> Result<Vec<Option<Prepared>>, Failure> {
        let Some(client) = &self.session else { return Err(Failure::of("a transaction without a connection")) };
        let prepared = in_order(statements.iter().map(|statement| statement.prepare(client))).await;
        prepared.into_iter().collect::<Result<_, _>>().map_err(|error| Failure::undone(error, Sent::Nothing))
    }

    async fn send(
        &self,
        begin: Option<&str>,
        statements: &[Statement],
        prepared: &[Option<Prepared>],
        end: Option<&'static str>,
    ) -> Result<Vec<Answer>, Failure> {
        let Some(client) = &self.session else { return Err(Failure::of("a transaction without a connection")) };
        let bare = async |sql: Option<&str>| match sql {
            Some(sql) => client.batch_execute(sql).await.map(|()| Answer::default()),
            None => Ok(Answer::default()),
        };
        let of_statements = statements.iter().zip(prepared).map(|(statement, prepared)| {
            let run: Running<'_> = Box::pin(statement.run(client, prepared.as_ref()));
            run
        });
        let begun: Running<'_> = Box::pin(async {
            let begun = bare(begin).await;
            self.is_begun.store(true, Ordering::Relaxed);
            begun
        });
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

impl Tx<'_> {
    /// What the server is at if nobody waits for it any more; `None` if it is at nothing.
    fn left(&self) -> Option<Left> {
        match self.phase {
            Phase::Fresh | Phase::Open | Phase::Ended => None,
            Phase::Committing => Some(Left::Committing),
            Phase::Waiting if self.view == View::Numbered && !self.is_begun.load(Ordering::Relaxed) => {
                Some(Left::Numbering)
            }
            Phase::Preparing => Some(Left::Alone),
            Phase::Waiting if self.is_bare() => Some(Left::Alone),
            Phase::Waiting => Some(Left::Open),
        }
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        self.database.took(self.began.elapsed());
        match (self.left(), self.aftermath) {
            (Some(left), _) => {
                self.session.take().into_iter().for_each(|session| self.database.take_back(session, left));
            }
            // Broken, or with a server that is of no use: what it has not committed goes with it.
            (None, Aftermath::RetryElsewhere) => drop(self.session.take().map(PooledSession::take)),
            (None, _) => self.end_without_waiting("ROLLBACK"),
        }
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
