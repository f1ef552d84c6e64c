//! What the sender does with the outbox: claims, notes outcomes, tidies up. No events: nobody's doing.

use rusqlite::{Connection, params};

use crate::{
    model::{MailId, MailState, UserStatus},
    store::{
        ClaimedMail, StoreError,
        commands::{ClaimMails, FinishMail, Finished, PurgeMails},
        sqlite::{
            mail::{MAILS, mail_and_token_from_row},
            writer::RunInSqlite,
        },
    },
};

impl RunInSqlite for ClaimMails {
    fn run(&self, connection: &Connection) -> Result<Vec<ClaimedMail>, StoreError> {
        self.give_up_void(connection)?;
        let mut claimed = Vec::new();
        for id in self.due(connection)? {
            claimed.push(self.claim(connection, id)?);
        }
        Ok(claimed)
    }
}

impl ClaimMails {
    /// Gives up what is due and leads nowhere: the link has ended, or the user has another address or is inactive.
    fn give_up_void(&self, connection: &Connection) -> Result<(), StoreError> {
        connection
            .prepare_cached(
                "UPDATE mails AS m
                 SET state = ?2, token = NULL, next_attempt_at = NULL, finished_at = ?1,
                     last_error = 'its link is not valid any more'
                 WHERE next_attempt_at <= ?1 AND NOT EXISTS (
                     SELECT 1 FROM one_time_tokens t JOIN users u ON u.pk = t.user_pk
                     WHERE t.user_pk = m.user_pk AND t.kind = m.kind AND t.expires_at > ?1
                       AND t.email_key = u.email_key AND u.status = ?3)",
            )?
            .execute(params![self.0.now, MailState::GivenUp as i64, UserStatus::Active as i64])?;
        Ok(())
    }

    fn due(&self, connection: &Connection) -> Result<Vec<MailId>, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT id FROM mails WHERE next_attempt_at <= ?1 ORDER BY next_attempt_at, id LIMIT ?2")?;
        let ids = statement.query_map(params![self.0.now, self.0.limit], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn claim(&self, connection: &Connection, id: MailId) -> Result<ClaimedMail, StoreError> {
        connection
            .prepare_cached(
                "UPDATE mails SET attempts = attempts + 1, next_attempt_at = ?2, message_id = ifnull(message_id, ?3)
                 WHERE id = ?1",
            )?
            .execute(params![id, self.0.until, format!("{id}@{}", self.0.domain)])?;
        let message_id = connection
            .prepare_cached("SELECT message_id FROM mails WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let (mail, token) =
            connection.prepare_cached(&format!("{MAILS} WHERE m.id = ?1"))?.query_row([id], mail_and_token_from_row)?;
        let token = token.ok_or_else(|| StoreError::Corrupt(format!("mail {id} waits without a token")))?;
        Ok(ClaimedMail { mail, token, message_id })
    }
}

impl RunInSqlite for FinishMail {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let Finished { state, next_attempt_at, finished_at, last_error, keep_token } = self.row();
        connection
            .prepare_cached(
                "UPDATE mails SET state = ?3, next_attempt_at = ?4, finished_at = ?5, last_error = ifnull(?6, last_error),
                                  token = iif(?7, token, NULL)
                 WHERE id = ?1 AND attempts = ?2 AND next_attempt_at IS NOT NULL",
            )?
            .execute(params![self.id, self.attempt, state as i64, next_attempt_at, finished_at, last_error, keep_token])?;
        Ok(())
    }
}

impl RunInSqlite for PurgeMails {
    fn run(&self, connection: &Connection) -> Result<u32, StoreError> {
        let late = connection
            .prepare_cached(
                "UPDATE mails SET state = ?3, token = NULL, next_attempt_at = NULL, finished_at = ?1,
                                  last_error = iif(last_error = '', 'its link has ended', last_error)
                 WHERE id IN (SELECT id FROM mails WHERE next_attempt_at IS NOT NULL AND expires_at <= ?1 LIMIT ?2)",
            )?
            .execute(params![self.now, self.limit, MailState::GivenUp as i64])?;
        let tokens = connection
            .prepare_cached(
                "DELETE FROM one_time_tokens WHERE (user_pk, kind) IN (
                     SELECT user_pk, kind FROM one_time_tokens WHERE expires_at <= ?1 LIMIT ?2)",
            )?
            .execute(params![self.now, self.limit])?;
        let old = connection
            .prepare_cached("DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE finished_at < ?1 LIMIT ?2)")?
            .execute(params![self.finished_before, self.limit])?;
        Ok(u32::try_from(late + tokens + old).unwrap_or(u32::MAX))
    }
}
