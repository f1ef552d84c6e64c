//! Adds a user, its credentials and its change-log row.

use rusqlite::{CachedStatement, Connection, params};

use super::{log_change, request_mail::write_mail};
use crate::{
    auth::PasswordHash,
    model::{Action, User},
    store::{StoreError, StoredUser, commands::CreateUser, derived::Derived, sqlite::writer::RunInSqlite},
};

impl RunInSqlite for CreateUser {
    fn run(&self, connection: &Connection) -> Result<StoredUser, StoreError> {
        let user = &self.new.user;
        let pk = NewRows::open(connection)?.insert(user, &self.derived)?;
        if let Some(hash) = &self.new.password_hash {
            insert_password(connection, pk, hash)?;
        }
        if let Some(mail) = &self.new.mail {
            write_mail(connection, (pk, &user.email, &self.derived.email_key), mail, self.meta.at)?;
        }
        log_change(connection, Action::Created, (pk, user), (None, Some(&self.derived.stored)), &[], &self.meta)?;
        Ok(self.derived.stored.clone())
    }
}

/// Gives a new user a password.
pub(super) fn insert_password(connection: &Connection, pk: i64, hash: &PasswordHash) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO credentials (user_pk, password_hash) VALUES (?1, ?2)")?
        .execute(params![pk, hash.as_str()])?;
    Ok(())
}

/// Writes rows of new users.
pub(super) struct NewRows<'c>(CachedStatement<'c>);

impl<'c> NewRows<'c> {
    pub(super) fn open(connection: &'c Connection) -> Result<Self, StoreError> {
        Ok(Self(connection.prepare_cached(
            "INSERT INTO users (id, email, email_key, username, username_key, name, name_key, role, status, age,
                                phone, locale, attributes, email_verified, created_at, updated_at, revision, search_text,
                                message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?))
    }

    /// Writes one; gives its `pk`. A conflict leaves nothing behind.
    pub(super) fn insert(&mut self, user: &User, derived: &Derived) -> Result<i64, StoreError> {
        Ok(self.0.insert(params![
            user.id,
            user.email,
            derived.email_key,
            user.username,
            derived.username_key,
            user.name,
            derived.name_key,
            user.role as i64,
            user.status as i64,
            user.age,
            user.phone,
            user.locale,
            derived.attributes,
            user.email_verified,
            user.created_at,
            user.updated_at,
            user.revision,
            derived.search_text,
            derived.stored,
        ])?)
    }
}
