//! Notes when and from where sessions were last used.

use super::RunInPostgres;
use crate::store::{
    StoreError,
    commands::TouchSessions,
    postgres::{
        tx::Tx,
        value::{Value, params},
    },
};

impl RunInPostgres for TouchSessions {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        // In one order on all nodes, so that none waits for another that waits for it.
        const LOCK: &str = "SELECT FROM sessions WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        const TOUCH: &str = "UPDATE sessions s SET last_used_at = n.at, remote_address = n.address
             FROM (SELECT DISTINCT ON (id) id, at, address
                   FROM unnest($1::UUID[], $2::BIGINT[], $3::TEXT[]) WITH ORDINALITY AS n (id, at, address, place)
                   ORDER BY id, at DESC, place DESC) n
             WHERE s.id = n.id AND s.last_used_at <= n.at";
        let ids: Vec<_> = self.uses.iter().map(|used| used.id.0).collect();
        let times = self.uses.iter().map(|used| Some(used.at.0)).collect();
        let addresses = self.uses.iter().map(|used| Some(used.remote_address.clone())).collect();
        tx.queue(LOCK, params![Value::Uuids(ids.clone())]);
        tx.queue(TOUCH, params![Value::Uuids(ids), Value::Ints(times), Value::Texts(addresses)]);
        Ok(())
    }
}
