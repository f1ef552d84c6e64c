//! Reads the change log as the audit log.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{PostgresStore, row::column, tx::View};
use crate::{
    model::{ActorKind, AuditEvent},
    store::{
        AuditQuery, AuditStore, NewEvent, StoreError,
        commands::AppendEvents,
        sql::{Dialect, SqlBuilder, where_audit_filter},
    },
};

const EVENTS: &str = "SELECT p.position, c.at, c.actor, c.action, c.user_id, c.target, c.remote_address, c.request_id, \
                      c.reason, c.fields FROM positions p JOIN shown_changes c ON c.seq = p.seq WHERE TRUE";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn list_events(&self, query: AuditQuery) -> Result<Vec<AuditEvent>, StoreError> {
        let mut sql = SqlBuilder::new(Dialect::Postgres, EVENTS);
        if let Some(filter) = &query.filter {
            sql.push(" AND ");
            where_audit_filter(filter, &mut sql);
        }
        if let Some(position) = query.after {
            sql.push(if query.newest_first { " AND p.position < " } else { " AND p.position > " }).bind(position);
        }
        sql.push(if query.newest_first { " ORDER BY p.position DESC" } else { " ORDER BY p.position" });
        sql.push(" LIMIT ").bind(i64::from(query.limit));
        let found = self.read(View::Numbered, async |tx| tx.answer(sql.into()).await).await?;
        found.rows.iter().map(event_from_row).collect()
    }

    async fn append_events(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.execute(AppendEvents { events }).await
    }
}

fn event_from_row(row: &Row) -> Result<AuditEvent, StoreError> {
    let damaged = |what: &str| StoreError::Corrupt(format!("an event of the log has {what}"));
    let (actor, actor_id) = ActorKind::split(column(row, 2)?).ok_or_else(|| damaged("an actor of no kind"))?;
    let nobody = column::<&[u8]>(row, 4)?.is_empty();
    Ok(AuditEvent {
        position: column(row, 0)?,
        at: column(row, 1)?,
        actor,
        actor_id: actor_id.to_owned(),
        action: column(row, 3)?,
        user_id: if nobody { None } else { Some(column(row, 4)?) },
        target: column(row, 5)?,
        remote_address: column(row, 6)?,
        request_id: column(row, 7)?,
        reason: column(row, 8)?,
        fields: serde_json::from_str(column(row, 9)?).map_err(|_| damaged("fields that cannot be read"))?,
    })
}
