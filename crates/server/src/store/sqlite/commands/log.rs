//! Writes the change log.

use rusqlite::{CachedStatement, Connection, params};

use crate::{
    model::{Action, ChangeMeta, User, UserId},
    store::{
        StoreError, StoredUser,
        commands::{is_by_another, json},
    },
};

/// Writes rows that belong to changes of users, all of one call: what they share is made once, for an import writes
/// hundreds.
pub(super) struct ChangeLog<'c> {
    insert: CachedStatement<'c>,
    meta: &'c ChangeMeta,
    actor: String,
}

impl<'c> ChangeLog<'c> {
    pub(super) fn open(connection: &'c Connection, meta: &'c ChangeMeta) -> Result<Self, StoreError> {
        let insert = connection.prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, before, after,
                                  remote_address, by_another)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        Ok(Self { insert, meta, actor: meta.actor.to_string() })
    }

    /// One change: who was changed, what they were and are, and the names of the fields that changed.
    pub(super) fn write(
        &mut self,
        action: Action,
        (pk, user): (i64, &User),
        (before, after): (Option<&StoredUser>, Option<&StoredUser>),
        fields: &[&str],
    ) -> Result<(), StoreError> {
        self.insert.execute(params![
            self.meta.at,
            self.actor,
            action.name(),
            user.id,
            pk,
            user.revision,
            self.meta.request_id,
            json(fields)?,
            before,
            after,
            self.meta.remote_address,
            is_by_another(&self.meta.actor, Some(&user.id)),
        ])?;
        Ok(())
    }
}

/// Writes the change-log row that belongs to a change.
pub(super) fn log_change(
    connection: &Connection,
    action: Action,
    user: (i64, &User),
    images: (Option<&StoredUser>, Option<&StoredUser>),
    fields: &[&str],
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    ChangeLog::open(connection, meta)?.write(action, user, images, fields)
}

/// A row of the change log that changes no user: what was done beside one, or refused.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    /// Whom it concerns; `None` for nobody that there is.
    pub(super) user: Option<(i64, &'a UserId)>,
    /// What it was done to if not a user, such as `sessions/ID`; empty for nothing.
    pub(super) target: &'a str,
    /// The names of the fields that changed.
    pub(super) fields: &'a [&'a str],
    /// The reason of the error if it was refused; empty if it was done.
    pub(super) reason: &'a str,
}

/// Writes an [`Event`] to the change log, where the audit log reads it. Followers of users pass over it.
pub(super) fn log_event(
    connection: &Connection,
    action: Action,
    event: &Event<'_>,
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let (pk, id) = event.user.map_or((0, None), |(pk, id)| (pk, Some(id)));
    connection
        .prepare_cached(
            "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, remote_address,
                                  target, reason, by_another)
             VALUES (?1, ?2, ?3, ifnull(?4, ''), ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            meta.at,
            meta.actor.to_string(),
            action.name(),
            id,
            pk,
            meta.request_id,
            json(event.fields)?,
            meta.remote_address,
            event.target,
            event.reason,
            is_by_another(&meta.actor, id),
        ])?;
    Ok(())
}
