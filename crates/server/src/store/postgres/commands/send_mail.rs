//! What the sender does with the outbox: claims, notes outcomes, tidies up. No events: nobody's doing.
//!
//! Any number of nodes do so at the same time. What one of them has in its hands the others pass over.

use tokio_postgres::Row;

use super::RunInPostgres;
use crate::{
    model::{MailState, UserStatus},
    store::{
        ClaimedMail, MailClaim, StoreError,
        commands::{ClaimMails, FinishMail, Finished, PurgeMails},
        postgres::{
            mail::{mail_and_token_from_row, mail_columns},
            row::column,
            statement::Statement,
            tx::Tx,
            value::params,
        },
    },
};

/// Whether the link of the mail `m` leads anywhere at the time `$1`: it has not ended, and its user has the address still
/// and is active, as `$2` says.
macro_rules! leads_on {
    () => {
        "EXISTS (SELECT FROM one_time_tokens t JOIN users u ON u.pk = t.user_pk
                 WHERE t.user_pk = m.user_pk AND t.kind = m.kind AND t.expires_at > $1
                   AND t.email_key = u.email_key AND u.status = $2)"
    };
}

impl RunInPostgres for ClaimMails {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<ClaimedMail>, StoreError> {
        const GIVE_UP: &str = concat!(
            "UPDATE mails
             SET state = $3, token = NULL, next_attempt_at = NULL, finished_at = $1,
                 last_error = 'its link is not valid any more'
             WHERE id IN (SELECT m.id FROM mails m WHERE m.next_attempt_at <= $1 AND NOT ",
            leads_on!(),
            " FOR UPDATE SKIP LOCKED)"
        );
        const CLAIM: &str = concat!(
            "WITH due AS (
                 SELECT m.id, m.next_attempt_at AS since FROM mails m WHERE m.next_attempt_at <= $1 AND ",
            leads_on!(),
            "    ORDER BY m.next_attempt_at, m.id LIMIT $3 FOR UPDATE SKIP LOCKED
             ), claimed AS (
                 UPDATE mails m SET attempts = m.attempts + 1, next_attempt_at = $4,
                                    message_id = coalesce(m.message_id, m.id || '@' || $5)
                 FROM due WHERE m.id = due.id RETURNING m.*, due.since
             )
             SELECT ",
            mail_columns!(),
            ", m.message_id FROM claimed m JOIN users u ON u.pk = m.user_pk ORDER BY m.since, m.id"
        );
        let MailClaim { now, until, domain, limit } = &self.0;
        let active = UserStatus::Active as i64;
        tx.queue(GIVE_UP, params![*now, active, MailState::GivenUp as i64]);
        let rows = tx.rows(CLAIM, params![*now, active, *limit, *until, domain]).await?;
        rows.iter().map(claimed_from_row).collect()
    }
}

fn claimed_from_row(row: &Row) -> Result<ClaimedMail, StoreError> {
    let (mail, token) = mail_and_token_from_row(row)?;
    let token = token.ok_or_else(|| StoreError::Corrupt(format!("mail {} waits without a token", mail.id)))?;
    Ok(ClaimedMail { mail, token, message_id: column(row, 13)? })
}

impl RunInPostgres for FinishMail {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Finished { state, next_attempt_at, finished_at, last_error, keep_token } = self.row();
        tx.queue(
            "UPDATE mails SET state = $3, next_attempt_at = $4, finished_at = $5, last_error = coalesce($6, last_error),
                              token = CASE WHEN $7 THEN token END
             WHERE id = $1 AND attempts = $2 AND next_attempt_at IS NOT NULL",
            params![self.id.0, self.attempt, state as i64, next_attempt_at, finished_at, last_error, keep_token],
        );
        Ok(())
    }
}

impl RunInPostgres for PurgeMails {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        const LATE: &str = "UPDATE mails SET state = $3, token = NULL, next_attempt_at = NULL, finished_at = $1,
                    last_error = CASE last_error WHEN '' THEN 'its link has ended' ELSE last_error END
             WHERE id IN (SELECT id FROM mails WHERE next_attempt_at IS NOT NULL AND expires_at <= $1 LIMIT $2
                          FOR UPDATE SKIP LOCKED)";
        const TOKENS: &str = "DELETE FROM one_time_tokens WHERE (user_pk, kind) IN (
                 SELECT user_pk, kind FROM one_time_tokens WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        const OLD: &str = "DELETE FROM mails WHERE id IN (
                 SELECT id FROM mails WHERE finished_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let late = Statement::new(LATE, params![self.now, self.limit, MailState::GivenUp as i64]);
        let tokens = Statement::new(TOKENS, params![self.now, self.limit]);
        let old = Statement::new(OLD, params![self.finished_before, self.limit]);
        let changed: u64 = tx.answers(vec![late, tokens, old]).await?.iter().map(|answer| answer.affected).sum();
        Ok(u32::try_from(changed).unwrap_or(u32::MAX))
    }
}
