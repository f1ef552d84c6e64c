//! Preferences as rows, and what reads and writes them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{SqliteStore, row::attributes_from};
use crate::{
    model::{ChangeMeta, NotificationSwitches, Preferences, PreferencesPatch, UserId},
    store::{PreferencesStore, StoreError, commands::UpdatePreferences},
};

/// The user's row and preferences; `None` if there is no such user.
pub(super) fn find(connection: &Connection, user_id: &UserId) -> Result<Option<(i64, Preferences)>, StoreError> {
    const SQL: &str = "SELECT u.pk, u.created_at, p.language, p.time_zone, p.notify_email, p.notify_sms, p.notify_push,
                              p.notify_marketing, p.custom, p.updated_at, p.revision
                       FROM users u LEFT JOIN preferences p ON p.user_pk = u.pk WHERE u.id = ?1";
    let read = |row: &Row<'_>| Ok((row.get(0)?, preferences_from_row(row, user_id)?));
    Ok(connection.prepare_cached(SQL)?.query_row([user_id], read).optional()?)
}

fn preferences_from_row(row: &Row<'_>, user_id: &UserId) -> rusqlite::Result<Preferences> {
    let new = Preferences::new(user_id.clone(), row.get(1)?);
    // The outer join gives a row of NULLs to a user who never set any.
    let Some(revision) = row.get(10)? else { return Ok(new) };
    Ok(Preferences {
        language: row.get(2)?,
        time_zone: row.get(3)?,
        notifications: NotificationSwitches {
            email: row.get(4)?,
            sms: row.get(5)?,
            push: row.get(6)?,
            marketing: row.get(7)?,
        },
        custom: attributes_from(row.get_ref(8)?)?,
        updated_at: row.get(9)?,
        revision,
        ..new
    })
}

/// Writes preferences whole.
pub(super) fn put(connection: &Connection, user_pk: i64, preferences: &Preferences) -> Result<(), StoreError> {
    let custom = serde_json::to_string(&preferences.custom).map_err(|error| StoreError::Internal(error.to_string()))?;
    let switches = preferences.notifications;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO preferences (user_pk, language, time_zone, notify_email, notify_sms, notify_push,
                notify_marketing, custom, updated_at, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            user_pk,
            preferences.language,
            preferences.time_zone,
            switches.email,
            switches.sms,
            switches.push,
            switches.marketing,
            custom,
            preferences.updated_at,
            preferences.revision,
        ])?;
    Ok(())
}

#[async_trait]
impl PreferencesStore for SqliteStore {
    async fn find_preferences(&self, user_id: &UserId) -> Result<Option<Preferences>, StoreError> {
        let user_id = user_id.clone();
        self.point(move |connection| Ok(find(connection, &user_id)?.map(|(_, preferences)| preferences))).await
    }

    async fn update_preferences(
        &self,
        user_id: &UserId,
        patch: PreferencesPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Preferences, StoreError> {
        self.writer.execute(UpdatePreferences { user_id: user_id.clone(), patch, etag, meta }).await
    }
}
