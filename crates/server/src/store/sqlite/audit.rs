//! Reads the change log as the audit log.

use async_trait::async_trait;
use rusqlite::{
    Connection, Row, params_from_iter,
    types::{FromSqlError, ValueRef},
};

use super::SqliteStore;
use crate::{
    model::{ActorKind, AuditEvent},
    store::{
        AuditQuery, AuditStore, NewEvent, StoreError,
        commands::AppendEvents,
        sql::{Dialect, SqlBuilder, where_audit_filter},
    },
};

const EVENTS: &str = "SELECT c.position, c.at, c.actor, c.action, c.user_id, c.target, c.remote_address, c.request_id, \
                      c.reason, c.fields FROM changes c WHERE TRUE";

#[async_trait]
impl AuditStore for SqliteStore {
    async fn list_events(&self, query: AuditQuery) -> Result<Vec<AuditEvent>, StoreError> {
        self.scan(move |connection| list_events(connection, &query)).await
    }

    async fn append_events(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.writer.execute(AppendEvents { events }).await
    }
}

fn list_events(connection: &Connection, query: &AuditQuery) -> Result<Vec<AuditEvent>, StoreError> {
    let mut sql = SqlBuilder::new(Dialect::Sqlite, EVENTS);
    if let Some(filter) = &query.filter {
        sql.push(" AND ");
        where_audit_filter(filter, &mut sql);
    }
    if let Some(position) = query.after {
        sql.push(if query.newest_first { " AND c.position < " } else { " AND c.position > " }).bind(position);
    }
    sql.push(if query.newest_first { " ORDER BY c.position DESC" } else { " ORDER BY c.position" });
    sql.push(" LIMIT ").bind(i64::from(query.limit));
    let mut statement = connection.prepare_cached(sql.text())?;
    let rows = statement.query_map(params_from_iter(sql.params()), event_from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn event_from_row(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    let (actor, actor_id) = ActorKind::split(row.get_ref(2)?.as_str()?).ok_or(FromSqlError::InvalidType)?;
    Ok(AuditEvent {
        position: row.get(0)?,
        at: row.get(1)?,
        actor,
        actor_id: actor_id.to_owned(),
        action: row.get(3)?,
        user_id: match row.get_ref(4)? {
            ValueRef::Text(b"") => None,
            _ => Some(row.get(4)?),
        },
        target: row.get(5)?,
        remote_address: row.get(6)?,
        request_id: row.get(7)?,
        reason: row.get(8)?,
        fields: serde_json::from_str(row.get_ref(9)?.as_str()?).map_err(FromSqlError::other)?,
    })
}
