//! The task that follows the log: one a server.
//!
//! In each round it has the database number what was committed, ends the grants that the new rows have ended, and says
//! how far the log goes. A round begins when something was committed here, when another server says that it has numbered
//! something (`NOTIFY`), and otherwise a few times a second: notifications are lost with their connection.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, sleep_until, timeout},
};
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use super::{
    NUMBER, NUMBER_ALL, Readers,
    ended::{ENDING, ended_by},
};
use crate::{
    model::UserId,
    store::{
        Ended, LiveGrants, StoreError, Trust,
        postgres::{
            connect::{Connector, Wire},
            row::column,
        },
    },
};

/// How long the log is left alone if nobody says that it has grown.
const POLL: Duration = Duration::from_millis(150);
/// Commits within this time share a round.
const GATHER: Duration = Duration::from_millis(2);
/// How long a round may take before its connection is given up.
const ROUND_MAX: Duration = Duration::from_secs(5);
/// How long it waits between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Rows that a round looks at for what they have ended. If there are more, all grants end: they are read anew sooner.
const CATCH_UP_MAX: i64 = 10_000;

/// What its connection begins with, after what all do. Whoever holds up the numbering, which no server of ours does, is
/// not waited for by more and more of those whose client has given up.
const LISTEN: &str = "SET statement_timeout = '4s'; SET lock_timeout = '3s'; SET application_name = 'roster log';
    LISTEN roster_log";

/// Follows the log.
pub(super) struct Follower {
    connector: Connector,
    live: Arc<LiveGrants>,
    trust: Arc<Trust>,
    readers: Readers,
    newest: watch::Sender<i64>,
    wake: Arc<Notify>,
    session: Option<Session>,
}

/// A connection that listens.
struct Session {
    client: Client,
    carrier: JoinHandle<()>,
    /// Up to where rows of the log were looked at; `None` before its first round. The next session begins without: it
    /// may lead to another server, whose log has taken another course since.
    upto: Option<i64>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Follower {
    pub(super) fn new(
        connector: Connector,
        (live, trust): (Arc<LiveGrants>, Arc<Trust>),
        readers: Readers,
        newest: watch::Sender<i64>,
        wake: Arc<Notify>,
    ) -> Self {
        Self { connector, live, trust, readers, newest, wake, session: None }
    }

    /// The first round. Grants are only read after it.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.round().await
    }

    /// Goes on until it is to stop.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let watchdog = tokio::spawn(end_untrusted(Arc::clone(&self.live), Arc::clone(&self.trust)));
        let mut fails = false;
        loop {
            let pause = if fails { PAUSE } else { POLL };
            let wake = Arc::clone(&self.wake);
            tokio::select! {
                () = sleep(pause) => {}
                () = wake.notified(), if !fails => sleep(GATHER).await,
                () = stopped(&mut stopping) => break,
            }
            let result = self.round().await;
            if let Err(error) = &result {
                self.session = None;
                if !fails {
                    tracing::warn!(%error, "the change log cannot be followed");
                }
            } else if fails {
                tracing::info!("the change log is followed again");
            }
            fails = result.is_err();
        }
        // What was committed last is numbered by whoever comes next, if this fails.
        let _ = self.round().await;
        watchdog.abort();
    }

    /// Numbers what is committed, and takes in what is new.
    async fn round(&mut self) -> Result<(), StoreError> {
        let slow = |_| StoreError::Unavailable("the database does not answer in time".into());
        if self.session.is_none() {
            let session =
                timeout(self.connector.patience(), listen(&self.connector, &self.wake)).await.map_err(slow)?;
            self.session = Some(session?);
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        let began = Instant::now();
        let news = timeout(ROUND_MAX, news_after(&session.client, session.upto)).await.map_err(slow)??;
        match news.ended {
            Some(ended) => self.live.end(&ended),
            None => self.live.end_all(),
        }
        let before = session.upto.replace(news.newest);
        self.trust.confirm(began);
        let before = before.filter(|before| (0..=CATCH_UP_MAX).contains(&news.newest.saturating_sub(*before)));
        let heard = self.readers.hear(&session.client, began, before, news.newest);
        timeout(ROUND_MAX, heard).await.map_err(slow)??;
        self.newest.send_if_modified(|newest| std::mem::replace(newest, news.newest) != news.newest);
        Ok(())
    }
}

/// Waits until the task is to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the store is gone.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// What a round has brought.
struct News {
    newest: i64,
    /// `None` if the log does not say what was ended.
    ended: Option<Vec<Ended>>,
}

async fn news_after(client: &Client, upto: Option<i64>) -> Result<News, StoreError> {
    let newest = number(client, if upto.is_some() { NUMBER } else { NUMBER_ALL }).await?;
    match upto {
        Some(upto) if upto == newest => Ok(News { newest, ended: Some(Vec::new()) }),
        Some(upto) if (1..=CATCH_UP_MAX).contains(&newest.saturating_sub(upto)) => {
            Ok(News { newest, ended: ended_after(client, upto, newest).await? })
        }
        // Too much to look at; or a database that has gone back, and what it was told last did not happen.
        _ => Ok(News { newest, ended: None }),
    }
}

/// Numbers what is committed; the newest position then.
async fn number(client: &Client, sql: &str) -> Result<i64, StoreError> {
    let messages = client.simple_query(sql).await?;
    let newest = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    newest.ok_or_else(|| StoreError::Internal("number_changes gave no number".into()))
}

/// What the rows up to `newest` have ended, after those up to `upto`.
async fn ended_after(client: &Client, upto: i64, newest: i64) -> Result<Option<Vec<Ended>>, StoreError> {
    let sql = format!(
        "SELECT c.action, nullif(c.user_id, ''), c.target, c.fields
         FROM positions p JOIN changes c ON c.seq = p.seq
         WHERE p.position > $1 AND p.position <= $2 AND {ENDING} ORDER BY p.position"
    );
    const OLDEST: &str = "SELECT min(position) FROM positions";
    let bounds: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&upto, &newest];
    let (rows, oldest) = (client.query(&sql, &bounds).await?, client.query_one(OLDEST, &[]).await?);
    // Read after the rows: if the log still reaches back now, it did then.
    if column::<Option<i64>>(&oldest, 0)?.is_none_or(|oldest| oldest > upto.saturating_add(1)) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for row in rows {
        let fields: Vec<String> = serde_json::from_str(column(&row, 3)?)
            .map_err(|error| StoreError::Corrupt(format!("fields of a change: {error}")))?;
        all.extend(ended_by(column(&row, 0)?, column::<Option<UserId>>(&row, 1)?, column(&row, 2)?, &fields));
    }
    Ok(Some(all))
}

/// A connection that wakes the follower when another server has numbered something.
async fn listen(connector: &Connector, wake: &Arc<Notify>) -> Result<Session, StoreError> {
    let (client, carrier) = connector.reach(|wire| tokio::spawn(carry(wire, Arc::clone(wake)))).await?;
    let session = Session { client, carrier, upto: None };
    session.client.batch_execute(LISTEN).await?;
    Ok(session)
}

async fn carry(mut wire: Wire, wake: Arc<Notify>) {
    // It ends with the connection; who waits for an answer hears of that.
    while let Some(Ok(message)) = poll_fn(|cx| wire.poll_message(cx)).await {
        if let AsyncMessage::Notification(_) = message {
            wake.notify_one();
        }
    }
}

/// Ends all grants whenever it is not known any more what others have ended, so that open streams hear of it too.
async fn end_untrusted(live: Arc<LiveGrants>, trust: Arc<Trust>) {
    loop {
        let until = trust.until();
        if Instant::now() < until {
            sleep_until(until.into()).await;
        } else {
            live.end_all();
            sleep(PAUSE).await;
        }
    }
}
