//! Many rows of the change log, written by one statement.

use bytes::Bytes;

use super::Event;
use crate::{
    model::{Action, ChangeMeta, User},
    store::{
        StoreError, StoredUser,
        commands::{is_by_another, json},
        postgres::{
            row::id_bytes,
            tx::Tx,
            value::{Value, params},
        },
    },
};

/// Rows in the order that they are to have in the log, column by column.
#[derive(Default)]
pub(super) struct LogRows {
    at: Vec<Option<i64>>,
    actor: Vec<Option<String>>,
    action: Vec<Option<String>>,
    user_id: Vec<Option<Bytes>>,
    revision: Vec<Option<i64>>,
    request_id: Vec<Option<String>>,
    fields: Vec<Option<String>>,
    before: Vec<Option<Bytes>>,
    after: Vec<Option<Bytes>>,
    remote_address: Vec<Option<String>>,
    target: Vec<Option<String>>,
    reason: Vec<Option<String>>,
    by_another: Vec<bool>,
}

impl LogRows {
    /// As [`log_change`](super::log_change).
    pub(super) fn change(
        &mut self,
        action: Action,
        user: &User,
        (before, after): (Option<&StoredUser>, Option<&StoredUser>),
        fields: &[&str],
        meta: &ChangeMeta,
    ) -> Result<(), StoreError> {
        self.push(action, &Event { user: Some(&user.id), fields, ..Event::default() }, user.revision, meta)?;
        self.before.push(before.map(|user| user.as_bytes().clone()));
        self.after.push(after.map(|user| user.as_bytes().clone()));
        Ok(())
    }

    /// As [`log_event`](super::log_event).
    pub(super) fn event(&mut self, action: Action, event: &Event<'_>, meta: &ChangeMeta) -> Result<(), StoreError> {
        self.push(action, event, 0, meta)?;
        self.before.push(None);
        self.after.push(None);
        Ok(())
    }

    fn push(&mut self, action: Action, event: &Event<'_>, revision: i64, meta: &ChangeMeta) -> Result<(), StoreError> {
        self.at.push(Some(meta.at.0));
        self.actor.push(Some(meta.actor.to_string()));
        self.action.push(Some(action.name().to_owned()));
        self.user_id.push(Some(event.user.map(id_bytes).unwrap_or_default().into()));
        self.revision.push(Some(revision));
        self.request_id.push(Some(meta.request_id.clone()));
        self.fields.push(Some(json(event.fields)?));
        self.remote_address.push(Some(meta.remote_address.clone()));
        self.target.push(Some(event.target.to_owned()));
        self.reason.push(Some(event.reason.to_owned()));
        self.by_another.push(is_by_another(&meta.actor, event.user));
        Ok(())
    }

    /// Queues what writes them.
    pub(super) fn write(self, tx: &mut Tx<'_>) {
        const SQL: &str = "WITH logged AS (
                INSERT INTO changes (at, actor, action, user_id, revision, request_id, fields, before, after,
                                     remote_address, target, reason, by_another)
                SELECT at, actor, action, user_id, revision, request_id, fields, before, after, remote_address, target,
                       reason, by_another
                FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::BYTEA[], $5::BIGINT[], $6::TEXT[], $7::TEXT[],
                            $8::BYTEA[], $9::BYTEA[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::BOOLEAN[])
                     WITH ORDINALITY AS n (at, actor, action, user_id, revision, request_id, fields, before, after,
                                           remote_address, target, reason, by_another, place)
                ORDER BY place RETURNING seq
            ) INSERT INTO unnumbered (seq) SELECT seq FROM logged";
        if self.at.is_empty() {
            return;
        }
        let values = params![
            Value::Ints(self.at),
            Value::Texts(self.actor),
            Value::Texts(self.action),
            Value::ByteStrings(self.user_id),
            Value::Ints(self.revision),
            Value::Texts(self.request_id),
            Value::Texts(self.fields),
            Value::ByteStrings(self.before),
            Value::ByteStrings(self.after),
            Value::Texts(self.remote_address),
            Value::Texts(self.target),
            Value::Texts(self.reason),
            Value::Bools(self.by_another),
        ];
        tx.queue(SQL, values);
    }
}
