//! Writes a mail with a fresh token for whoever has an address, and its event.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Event, log_event};
use crate::{
    model::{Action, MailKind, MailState, Timestamp},
    store::{
        NewMail, StoreError, StoredUser,
        commands::RequestMail,
        mail::{MAILS_PER_HOUR, an_hour_before, wants},
        sqlite::writer::RunInSqlite,
    },
};

impl RunInSqlite for RequestMail {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let found = connection
            .prepare_cached("SELECT pk, message FROM users WHERE email_key = ?1")?
            .query_row([&self.email_key], |row| Ok((row.get(0)?, row.get::<_, StoredUser>(1)?)))
            .optional()?;
        let found = found.map(|(pk, stored)| stored.user().map(|user| (pk, user))).transpose()?;
        let Some((pk, user)) = found.filter(|(_, user)| wants(user, self.mail.kind)) else {
            // Whoever asked for an address that nobody has is on record, but not the address.
            return log_event(connection, Action::MailRequested, &Event::default(), &self.meta);
        };
        if is_flooded(connection, pk, self.mail.kind, self.meta.at)? {
            return log_event(connection, Action::MailRequested, &Event::default(), &self.meta);
        }
        give_up_older(connection, pk, self.mail.kind, self.meta.at)?;
        write_mail(connection, (pk, &user.email, &self.email_key), &self.mail, self.meta.at)?;
        let target = format!("mails/{}", self.mail.id);
        let event = Event { user: Some((pk, &user.id)), target: &target, ..Event::default() };
        log_event(connection, Action::MailRequested, &event, &self.meta)
    }
}

/// Whether the user was mailed so often of late that somebody else must be asking. The last link stays good then.
fn is_flooded(connection: &Connection, pk: i64, kind: MailKind, now: Timestamp) -> Result<bool, StoreError> {
    let mails: i64 = connection
        .prepare_cached("SELECT count(*) FROM mails WHERE user_pk = ?1 AND kind = ?2 AND created_at > ?3")?
        .query_row(params![pk, kind as i64, an_hour_before(now)], |row| row.get(0))?;
    Ok(mails >= MAILS_PER_HOUR)
}

fn give_up_older(connection: &Connection, pk: i64, kind: MailKind, now: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE mails SET state = ?3, token = NULL, next_attempt_at = NULL, finished_at = ?4,
                              last_error = 'a newer mail took its place'
             WHERE user_pk = ?1 AND kind = ?2 AND next_attempt_at IS NOT NULL",
        )?
        .execute(params![pk, kind as i64, MailState::GivenUp as i64, now])?;
    Ok(())
}

/// The mail and its token, to the user with this row, address and key of it.
pub(super) fn write_mail(
    connection: &Connection,
    (pk, email, email_key): (i64, &str, &str),
    mail: &NewMail,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO one_time_tokens (user_pk, kind, hash, email_key, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (user_pk, kind) DO UPDATE
             SET hash = excluded.hash, email_key = excluded.email_key, expires_at = excluded.expires_at",
        )?
        .execute(params![pk, mail.kind as i64, mail.token.hash(), email_key, mail.expires_at])?;
    connection
        .prepare_cached(
            "INSERT INTO mails (id, user_pk, kind, recipient, language, token, state, created_at, next_attempt_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
        )?
        .execute(params![
            mail.id,
            pk,
            mail.kind as i64,
            email,
            mail.language.tag(),
            mail.token.as_str(),
            MailState::Waiting as i64,
            now,
            mail.expires_at
        ])?;
    Ok(())
}
