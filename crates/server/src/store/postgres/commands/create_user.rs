//! Adds a user, its credentials and its change-log row.

use super::{RunInPostgres, log_change, request_mail::write_mail};
use crate::{
    auth::PasswordHash,
    model::{Action, User, UserId},
    store::{
        StoreError, StoredUser,
        commands::{Command as _, CreateUser},
        derived::Derived,
        postgres::{tx::Tx, value::params},
    },
};

impl CreateUser {
    /// Whether it can share a transaction with others: it is no rehearsal, and causes no mail.
    pub(in crate::store::postgres) fn may_share(&self) -> bool {
        self.keep() && self.new.mail.is_none()
    }

    /// Of the user.
    pub(in crate::store::postgres) fn id(&self) -> &UserId {
        &self.new.user.id
    }

    /// The user as it is once this is done.
    pub(in crate::store::postgres) fn created(&self) -> &StoredUser {
        &self.derived.stored
    }
}

impl RunInPostgres for CreateUser {
    /// Needs no answer before the commit: one round trip in all.
    async fn run(&self, tx: &mut Tx<'_>) -> Result<StoredUser, StoreError> {
        let user = &self.new.user;
        insert(tx, user, &self.derived);
        if let Some(hash) = &self.new.password_hash {
            insert_password(tx, hash);
        }
        if let Some(mail) = &self.new.mail {
            write_mail(tx, (&user.id, &user.email, &self.derived.email_key), mail, self.meta.at);
        }
        log_change(tx, Action::Created, user, (None, Some(&self.derived.stored)), &[], &self.meta)?;
        Ok(self.derived.stored.clone())
    }
}

/// Gives the user that was added last a password.
pub(super) fn insert_password(tx: &mut Tx<'_>, hash: &PasswordHash) {
    const SQL: &str = "INSERT INTO credentials (user_pk, password_hash) VALUES (currval('users_pk_seq'), $1)";
    tx.queue(SQL, params![hash.as_str()]);
}

/// Writes the row of a new user. A conflict fails the transaction.
pub(super) fn insert(tx: &mut Tx<'_>, user: &User, derived: &Derived) {
    const SQL: &str =
        "INSERT INTO users (id, email, email_key, username, username_key, name, name_key, role, status, age,
                            phone, locale, attributes, email_verified, created_at, updated_at, revision, search_text,
                            message)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
    let values = params![
        &user.id,
        &user.email,
        &derived.email_key,
        &user.username,
        derived.username_key.clone(),
        &user.name,
        &derived.name_key,
        user.role as i64,
        user.status as i64,
        user.age,
        &user.phone,
        &user.locale,
        &derived.attributes,
        user.email_verified,
        user.created_at,
        user.updated_at,
        user.revision,
        &derived.search_text,
        &derived.stored,
    ];
    tx.queue(SQL, values);
}
