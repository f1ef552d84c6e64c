//! Writes a mail with a fresh token for whoever has an address, and its event.

use super::{Event, RunInPostgres, log_event};
use crate::{
    model::{Action, MailKind, MailState, Timestamp, User, UserId},
    store::{
        NewMail, StoreError, StoredUser,
        commands::RequestMail,
        mail::{MAILS_PER_HOUR, an_hour_before, wants},
        postgres::{row::column, statement::Statement, tx::Tx, value::params},
    },
};

/// Who has the address, locked.
struct Recipient {
    pk: i64,
    user: User,
    /// Mails of the kind in the last hour.
    mails_lately: i64,
}

impl RunInPostgres for RequestMail {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let kind = self.mail.kind;
        let wanted = |found: &Recipient| wants(&found.user, kind) && found.mails_lately < MAILS_PER_HOUR;
        let Some(Recipient { pk, user, .. }) = self.recipient(tx).await?.filter(wanted) else {
            // Whoever asked for an address that nobody has is on record, but not the address. Nor is somebody who was
            // mailed so often of late that another must be asking: the last link stays good then.
            return log_event(tx, Action::MailRequested, &Event::default(), &self.meta);
        };
        give_up_older(tx, pk, kind, self.meta.at);
        write_mail(tx, (&user.id, &user.email, &self.email_key), &self.mail, self.meta.at);
        let target = format!("mails/{}", self.mail.id);
        let event = Event { user: Some(&user.id), target: &target, ..Event::default() };
        log_event(tx, Action::MailRequested, &event, &self.meta)
    }
}

impl RequestMail {
    /// The mails are counted after the lock, so that of two who ask at once the second counts what the first has written.
    async fn recipient(&self, tx: &mut Tx<'_>) -> Result<Option<Recipient>, StoreError> {
        const LOCK: &str = "SELECT pk, message FROM users WHERE email_key = $1 FOR UPDATE";
        const COUNT: &str = "SELECT count(*) FROM mails m JOIN users u ON u.pk = m.user_pk
             WHERE u.email_key = $1 AND m.kind = $2 AND m.created_at > $3";
        let lately = an_hour_before(self.meta.at);
        let lock = Statement::new(LOCK, params![&self.email_key]);
        let count = Statement::new(COUNT, params![&self.email_key, self.mail.kind as i64, lately]);
        let answers = tx.answers(vec![lock, count]).await?;
        let [found, counted] = &answers[..] else { return Err(StoreError::Internal("an answer is missing".into())) };
        let (Some(found), Some(counted)) = (found.rows.first(), counted.rows.first()) else { return Ok(None) };
        let user = column::<StoredUser>(found, 1)?.user()?;
        Ok(Some(Recipient { pk: column(found, 0)?, user, mails_lately: column(counted, 0)? }))
    }
}

fn give_up_older(tx: &mut Tx<'_>, pk: i64, kind: MailKind, now: Timestamp) {
    tx.queue(
        "UPDATE mails SET state = $3, token = NULL, next_attempt_at = NULL, finished_at = $4,
                          last_error = 'a newer mail took its place'
         WHERE user_pk = $1 AND kind = $2 AND next_attempt_at IS NOT NULL",
        params![pk, kind as i64, MailState::GivenUp as i64, now],
    );
}

/// The mail and its token, to this user, address and key of it.
pub(super) fn write_mail(
    tx: &mut Tx<'_>,
    (user_id, email, email_key): (&UserId, &str, &str),
    mail: &NewMail,
    now: Timestamp,
) {
    tx.queue(
        "INSERT INTO one_time_tokens (user_pk, kind, hash, email_key, expires_at)
         SELECT pk, $2, $3, $4, $5 FROM users WHERE id = $1
         ON CONFLICT (user_pk, kind) DO UPDATE
         SET hash = excluded.hash, email_key = excluded.email_key, expires_at = excluded.expires_at",
        params![user_id, mail.kind as i64, mail.token.hash(), email_key, mail.expires_at],
    );
    tx.queue(
        "INSERT INTO mails (id, user_pk, kind, recipient, language, token, state, created_at, next_attempt_at, expires_at)
         SELECT $2, pk, $3, $4, $5, $6, $7, $8, $8, $9 FROM users WHERE id = $1",
        params![
            user_id,
            mail.id.0,
            mail.kind as i64,
            email,
            mail.language.tag(),
            mail.token.as_str(),
            MailState::Waiting as i64,
            now,
            mail.expires_at,
        ],
    );
}
