//! Statements with their parameters, and how several of them share one round trip.

use std::{borrow::Cow, future::Future, pin::Pin, pin::pin, task::Poll};

use deadpool_postgres::ClientWrapper;
use tokio_postgres::{Error, Row, Statement as Prepared};
use tokio_stream::StreamExt as _;

use super::value::Value;
use crate::store::sql::SqlBuilder;

/// A statement to run.
#[derive(Debug)]
pub(super) struct Statement {
    /// Constants are prepared once a connection. What was made for one filter is not: there is no end of such.
    sql: Cow<'static, str>,
    params: Vec<Value>,
}

impl Statement {
    /// One of ours.
    pub(super) fn new(sql: &'static str, params: Vec<Value>) -> Self {
        Self { sql: Cow::Borrowed(sql), params }
    }

    /// One that was made.
    fn made(sql: String, params: Vec<Value>) -> Self {
        Self { sql: Cow::Owned(sql), params }
    }

    /// Asks the server to prepare it, if that is worth it and not done yet.
    pub(super) async fn prepare(&self, client: &ClientWrapper) -> Result<Option<Prepared>, Error> {
        match &self.sql {
            Cow::Borrowed(sql) => client.prepare_cached(sql).await.map(Some),
            Cow::Owned(_) => Ok(None),
        }
    }

    /// Runs it. It is sent when the future is polled for the first time.
    pub(super) async fn run(&self, client: &ClientWrapper, prepared: Option<&Prepared>) -> Result<Answer, Error> {
        let params = self.params.iter();
        let stream = match prepared {
            Some(prepared) => client.query_raw(prepared, params).await?,
            None => client.query_typed_raw(&self.sql, params.map(|value| (value, value.type_of()))).await?,
        };
        let mut stream = pin!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await {
            rows.push(row?);
        }
        Ok(Answer { rows, affected: stream.rows_affected().unwrap_or(0) })
    }
}

/// What a statement gave.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// How many rows it changed, or gave.
    pub(super) affected: u64,
}

/// Waits for all of them. Each is polled for the first time in its turn, so that what they send is sent in their order.
/// After one that fails right then, as a statement that cannot be encoded, those that follow send nothing and give
/// nothing: a commit must not come without what it is to commit.
pub(super) async fn in_order<T, E, F>(futures: impl IntoIterator<Item = F>) -> Vec<Result<T, E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    let mut is_first = true;
    std::future::poll_fn(|cx| {
        let is_first = std::mem::take(&mut is_first);
        let (mut waits, mut failed) = (false, None);
        for (index, (future, output)) in pending.iter_mut().enumerate().filter(|(_, (_, output))| output.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(ready) => {
                    failed = (is_first && ready.is_err()).then_some(index);
                    *output = Some(ready);
                }
                Poll::Pending => waits = true,
            }
            if failed.is_some() {
                break;
            }
        }
        if let Some(failed) = failed {
            pending.truncate(failed + 1);
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}

/// Sends what the future sends first, and waits for nothing.
pub(super) fn send_only<F: Future>(future: F) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = Pin::as_mut(&mut pin!(future)).poll(&mut cx);
}

impl From<SqlBuilder> for Statement {
    fn from(sql: SqlBuilder) -> Self {
        let (sql, params) = sql.into_parts();
        Self::made(sql, params.into_iter().map(Value::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::in_order;

    #[tokio::test]
    async fn nothing_is_sent_after_what_could_not_be_sent() {
        let sent = RefCell::new(Vec::new());
        let statement = async |number: u32, is_sound: bool| {
            if !is_sound {
                return Err(number);
            }
            sent.borrow_mut().push(number);
            tokio::task::yield_now().await;
            Ok(number)
        };
        let outcomes = in_order([statement(1, true), statement(2, false), statement(3, true)]).await;
        assert_eq!(outcomes, [Ok(1), Err(2)]);
        assert_eq!(*sent.borrow(), [1]);
    }
}
