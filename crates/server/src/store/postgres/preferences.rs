//! Preferences as rows, and what reads and writes them.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{PostgresStore, row::column, statement::Statement, tx::Tx, value::params};
use crate::{
    model::{ChangeMeta, NotificationSwitches, Preferences, PreferencesPatch, UserId},
    store::{PreferencesStore, StoreError, commands::UpdatePreferences},
};

const FIND: &str = "SELECT u.pk, u.created_at, p.language, p.time_zone, p.notify_email, p.notify_sms, p.notify_push,
            p.notify_marketing, p.custom, p.updated_at, p.revision
     FROM users u LEFT JOIN preferences p ON p.user_pk = u.pk WHERE u.id = $1";

/// The row of a user, locked, and the user's preferences.
pub(super) async fn locked(tx: &mut Tx<'_>, user_id: &UserId) -> Result<(i64, Preferences), StoreError> {
    const LOCK: &str = "SELECT FROM users WHERE id = $1 FOR UPDATE";
    let lock = Statement::new(LOCK, params![user_id]);
    let mut answers = tx.answers(vec![lock, Statement::new(FIND, params![user_id])]).await?;
    let found = answers.pop().unwrap_or_default().rows;
    let row = found.first().ok_or(StoreError::NotFound)?;
    Ok((column(row, 0)?, preferences_from_row(row, user_id)?))
}

fn preferences_from_row(row: &Row, user_id: &UserId) -> Result<Preferences, StoreError> {
    let new = Preferences::new(user_id.clone(), column(row, 1)?);
    // The outer join gives a row of NULLs to a user who never set any.
    let Some(revision) = column(row, 10)? else { return Ok(new) };
    let custom = serde_json::from_str(column(row, 8)?);
    Ok(Preferences {
        language: column(row, 2)?,
        time_zone: column(row, 3)?,
        notifications: NotificationSwitches {
            email: column(row, 4)?,
            sms: column(row, 5)?,
            push: column(row, 6)?,
            marketing: column(row, 7)?,
        },
        custom: custom.map_err(|error| StoreError::Corrupt(format!("the free keys of preferences: {error}")))?,
        updated_at: column(row, 9)?,
        revision,
        ..new
    })
}

/// Writes preferences whole.
pub(super) fn put(tx: &mut Tx<'_>, user_pk: i64, preferences: &Preferences) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO preferences (user_pk, language, time_zone, notify_email, notify_sms, notify_push,
                notify_marketing, custom, updated_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (user_pk) DO UPDATE SET language = excluded.language, time_zone = excluded.time_zone,
                notify_email = excluded.notify_email, notify_sms = excluded.notify_sms,
                notify_push = excluded.notify_push, notify_marketing = excluded.notify_marketing,
                custom = excluded.custom, updated_at = excluded.updated_at, revision = excluded.revision";
    let custom = serde_json::to_string(&preferences.custom).map_err(|error| StoreError::Internal(error.to_string()))?;
    let switches = preferences.notifications;
    let values = params![
        user_pk,
        &preferences.language,
        &preferences.time_zone,
        switches.email,
        switches.sms,
        switches.push,
        switches.marketing,
        custom,
        preferences.updated_at,
        preferences.revision,
    ];
    tx.queue(SQL, values);
    Ok(())
}

#[async_trait]
impl PreferencesStore for PostgresStore {
    async fn find_preferences(&self, user_id: &UserId) -> Result<Option<Preferences>, StoreError> {
        let row = self.database.point(FIND, params![user_id]).await?;
        row.map(|row| preferences_from_row(&row, user_id)).transpose()
    }

    async fn update_preferences(
        &self,
        user_id: &UserId,
        patch: PreferencesPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Preferences, StoreError> {
        self.execute(UpdatePreferences { user_id: user_id.clone(), patch, etag, meta }).await
    }
}
