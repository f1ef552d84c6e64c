//! The outbox and the one-time tokens in SQLite.

use async_trait::async_trait;
use rusqlite::{
    Connection, OptionalExtension as _, Row, ToSql, params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use super::{SqliteStore, row::by_number};
use crate::{
    auth::{OneTimeToken, PasswordHash},
    model::{ChangeMeta, Language, Mail, MailId, MailKind, MailState, Timestamp, UserId, UserStatus},
    store::{
        ClaimedMail, MailBacklog, MailClaim, MailOutcome, MailStore, NewMail, StoreError, StoredUser,
        commands::{ClaimMails, FinishMail, PurgeMails, RequestMail, UseToken},
    },
};

/// `SELECT` of the columns that [`mail_and_token_from_row`] reads; conditions follow.
pub(super) const MAILS: &str = "SELECT m.id, m.kind, u.id, m.recipient, m.language, m.state, m.attempts, m.last_error, \
    m.created_at, m.next_attempt_at, m.finished_at, m.expires_at, m.token FROM mails m CROSS JOIN users u ON u.pk = m.user_pk";

/// Sorts after every id, which has 16 bytes.
const AFTER_ALL: &str = "x'ffffffffffffffffffffffffffffffffff'";

/// Reads the columns of [`MAILS`].
pub(super) fn mail_and_token_from_row(row: &Row<'_>) -> rusqlite::Result<(Mail, Option<OneTimeToken>)> {
    let state = row.get(5)?;
    let finished_at: Option<Timestamp> = row.get(10)?;
    let mail = Mail {
        id: row.get(0)?,
        kind: row.get(1)?,
        user_id: row.get(2)?,
        recipient: row.get(3)?,
        language: row.get(4)?,
        state,
        attempts: row.get(6)?,
        last_error: row.get(7)?,
        created_at: row.get(8)?,
        next_attempt_at: row.get(9)?,
        sent_at: finished_at.filter(|_| state == MailState::Sent),
        expires_at: row.get(11)?,
    };
    let token: Option<String> = row.get(12)?;
    Ok((mail, token.map(OneTimeToken::from_store)))
}

impl ToSql for MailId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for MailId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Self).map_err(FromSqlError::other)
    }
}

impl FromSql for MailKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        by_number(Self::ALL, value.as_i64()?, |kind| kind as i64)
    }
}

impl FromSql for MailState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let wanted = value.as_i64()?;
        let known = Self::ALL.iter().copied().find(|state| *state as i64 == wanted);
        known.ok_or(FromSqlError::OutOfRange(wanted))
    }
}

impl FromSql for Language {
    /// A language that a newer Roster knew is English here.
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self::find(value.as_str()?).unwrap_or_default())
    }
}

#[async_trait]
impl MailStore for SqliteStore {
    async fn request_mail(&self, email_key: String, mail: NewMail, meta: ChangeMeta) -> Result<(), StoreError> {
        self.writer.execute(RequestMail { email_key, mail, meta }).await
    }

    async fn find_one_time_token(
        &self,
        kind: MailKind,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        const SQL: &str = "SELECT u.id FROM one_time_tokens t JOIN users u ON u.pk = t.user_pk
             WHERE t.hash = ?1 AND t.kind = ?2 AND t.expires_at > ?3 AND t.email_key = u.email_key AND u.status = ?4";
        self.point(move |connection| {
            let facts = params![hash, kind as i64, now, UserStatus::Active as i64];
            Ok(connection.prepare_cached(SQL)?.query_row(facts, |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn verify_email(&self, id: UserId, hash: [u8; 32], meta: ChangeMeta) -> Result<StoredUser, StoreError> {
        self.writer.execute(UseToken { id, hash, password: None, meta }).await
    }

    async fn reset_password(
        &self,
        id: UserId,
        hash: [u8; 32],
        password: PasswordHash,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        self.writer.execute(UseToken { id, hash, password: Some(password), meta }).await
    }

    async fn claim_mails(&self, claim: MailClaim) -> Result<Vec<ClaimedMail>, StoreError> {
        self.writer.execute(ClaimMails(claim)).await
    }

    async fn finish_mail(
        &self,
        id: MailId,
        attempt: u32,
        outcome: MailOutcome,
        keep_token: bool,
    ) -> Result<(), StoreError> {
        self.writer.execute(FinishMail { id, attempt, outcome, keep_token }).await
    }

    async fn next_mail_due(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT min(next_attempt_at) FROM mails WHERE next_attempt_at IS NOT NULL";
        self.point(|connection| Ok(connection.prepare_cached(SQL)?.query_row([], |row| row.get(0))?)).await
    }

    async fn mail_backlog(&self) -> Result<MailBacklog, StoreError> {
        const SQL: &str = "SELECT count(*), min(created_at) FROM mails WHERE next_attempt_at IS NOT NULL";
        let read = |connection: &Connection| {
            let row = |row: &Row<'_>| Ok(MailBacklog { waiting: row.get(0)?, oldest: row.get(1)? });
            Ok(connection.prepare_cached(SQL)?.query_row([], row)?)
        };
        self.scan(read).await
    }

    async fn list_mails(&self, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>, StoreError> {
        self.scan(move |connection| {
            let sql = format!("{MAILS} WHERE m.id < ifnull(?1, {AFTER_ALL}) ORDER BY m.id DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![before, limit], mail_and_token_from_row)?;
            Ok(rows.map(|row| row.map(|(mail, _)| mail)).collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn find_mail(&self, id: MailId) -> Result<Option<(Mail, Option<OneTimeToken>)>, StoreError> {
        self.point(move |connection| {
            let sql = format!("{MAILS} WHERE m.id = ?1");
            Ok(connection.prepare_cached(&sql)?.query_row([id], mail_and_token_from_row).optional()?)
        })
        .await
    }

    async fn purge_mails(&self, now: Timestamp, finished_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.writer.execute(PurgeMails { now, finished_before, limit }).await
    }
}
