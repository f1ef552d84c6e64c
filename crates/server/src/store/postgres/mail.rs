//! The outbox and the one-time tokens in PostgreSQL.

use std::error::Error;

use async_trait::async_trait;
use tokio_postgres::{
    Row,
    types::{FromSql, Type, accepts},
};

use super::{
    PostgresStore,
    row::{by_number, column},
    tx::View,
    value::params,
};
use crate::{
    auth::{OneTimeToken, PasswordHash},
    model::{ChangeMeta, Language, Mail, MailId, MailKind, MailState, Timestamp, UserId, UserStatus},
    store::{
        ClaimedMail, MailBacklog, MailClaim, MailOutcome, MailStore, NewMail, StoreError, StoredUser,
        commands::{ClaimMails, FinishMail, PurgeMails, RequestMail, UseToken},
    },
};

/// The columns that [`mail_and_token_from_row`] reads, of the mail `m` and its user `u`.
macro_rules! mail_columns {
    () => {
        "m.id, m.kind, u.id, m.recipient, m.language, m.state, m.attempts, m.last_error, m.created_at, \
         m.next_attempt_at, m.finished_at, m.expires_at, m.token"
    };
}
pub(super) use mail_columns;

/// Reads [`mail_columns`].
pub(super) fn mail_and_token_from_row(row: &Row) -> Result<(Mail, Option<OneTimeToken>), StoreError> {
    let state = column(row, 5)?;
    let attempts = u32::try_from(column::<i64>(row, 6)?);
    let finished_at: Option<Timestamp> = column(row, 10)?;
    let mail = Mail {
        id: MailId(column(row, 0)?),
        kind: column(row, 1)?,
        user_id: column(row, 2)?,
        recipient: column(row, 3)?,
        language: column(row, 4)?,
        state,
        attempts: attempts.map_err(|_| StoreError::Corrupt("a mail was not tried that often".into()))?,
        last_error: column(row, 7)?,
        created_at: column(row, 8)?,
        next_attempt_at: column(row, 9)?,
        sent_at: finished_at.filter(|_| state == MailState::Sent),
        expires_at: column(row, 11)?,
    };
    let token: Option<String> = column(row, 12)?;
    Ok((mail, token.map(OneTimeToken::from_store)))
}

impl<'a> FromSql<'a> for MailKind {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        by_number(Self::ALL, raw, |kind| kind as i64)
    }

    accepts!(INT2);
}

impl<'a> FromSql<'a> for MailState {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let wanted = i16::from_sql(ty, raw)?;
        let known = Self::ALL.iter().copied().find(|state| *state as i16 == wanted);
        known.ok_or_else(|| format!("{wanted} is the number of no state").into())
    }

    accepts!(INT2);
}

impl<'a> FromSql<'a> for Language {
    /// A language that a newer Roster knew is English here.
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::find(<&str>::from_sql(ty, raw)?).unwrap_or_default())
    }

    accepts!(TEXT);
}

#[async_trait]
impl MailStore for PostgresStore {
    async fn request_mail(&self, email_key: String, mail: NewMail, meta: ChangeMeta) -> Result<(), StoreError> {
        self.execute(RequestMail { email_key, mail, meta }).await
    }

    async fn find_one_time_token(
        &self,
        kind: MailKind,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        const SQL: &str = "SELECT u.id FROM one_time_tokens t JOIN users u ON u.pk = t.user_pk
             WHERE t.hash = $1 AND t.kind = $2 AND t.expires_at > $3 AND t.email_key = u.email_key AND u.status = $4";
        let row = self.database.point(SQL, params![hash, kind as i64, now, UserStatus::Active as i64]).await?;
        row.map(|row| column(&row, 0)).transpose()
    }

    async fn verify_email(&self, id: UserId, hash: [u8; 32], meta: ChangeMeta) -> Result<StoredUser, StoreError> {
        self.execute(UseToken { id, hash, password: None, meta }).await
    }

    async fn reset_password(
        &self,
        id: UserId,
        hash: [u8; 32],
        password: PasswordHash,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        self.execute(UseToken { id, hash, password: Some(password), meta }).await
    }

    async fn claim_mails(&self, claim: MailClaim) -> Result<Vec<ClaimedMail>, StoreError> {
        self.execute(ClaimMails(claim)).await
    }

    async fn finish_mail(
        &self,
        id: MailId,
        attempt: u32,
        outcome: MailOutcome,
        keep_token: bool,
    ) -> Result<(), StoreError> {
        self.execute(FinishMail { id, attempt, outcome, keep_token }).await
    }

    async fn next_mail_due(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT min(next_attempt_at) FROM mails WHERE next_attempt_at IS NOT NULL";
        let row = self.database.point(SQL, params![]).await?;
        Ok(row.map(|row| column(&row, 0)).transpose()?.flatten())
    }

    async fn mail_backlog(&self) -> Result<MailBacklog, StoreError> {
        const SQL: &str = "SELECT count(*), min(created_at) FROM mails WHERE next_attempt_at IS NOT NULL";
        let row = self.read(View::Alone, async |tx| tx.row(SQL, params![]).await).await?;
        let row = row.ok_or_else(|| StoreError::Internal("no count".into()))?;
        let waiting = u32::try_from(column::<i64>(&row, 0)?).unwrap_or(u32::MAX);
        Ok(MailBacklog { waiting, oldest: column(&row, 1)? })
    }

    async fn list_mails(&self, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            mail_columns!(),
            " FROM mails m JOIN users u ON u.pk = m.user_pk
              WHERE $1::UUID IS NULL OR m.id < $1 ORDER BY m.id DESC LIMIT $2"
        );
        let rows = self.read(View::Alone, async |tx| tx.rows(SQL, params![before.map(|id| id.0), limit]).await).await?;
        rows.iter().map(|row| mail_and_token_from_row(row).map(|(mail, _)| mail)).collect()
    }

    async fn find_mail(&self, id: MailId) -> Result<Option<(Mail, Option<OneTimeToken>)>, StoreError> {
        const SQL: &str =
            concat!("SELECT ", mail_columns!(), " FROM mails m JOIN users u ON u.pk = m.user_pk WHERE m.id = $1");
        let row = self.database.point(SQL, params![id.0]).await?;
        row.map(|row| mail_and_token_from_row(&row)).transpose()
    }

    async fn purge_mails(&self, now: Timestamp, finished_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.execute(PurgeMails { now, finished_before, limit }).await
    }
}
