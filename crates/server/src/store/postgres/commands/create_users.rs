//! Adds users of different calls in one transaction: a commit costs the same for one as for many.

use std::{borrow::Cow, collections::HashSet};

use super::{
    import_users::{INSERT_FREE_IDS, Written, columns},
    log_rows::LogRows,
};
use crate::{
    model::{Action, UserId},
    store::{
        StoreError,
        answers::kept_until,
        commands::{Command as _, CreateUser},
        postgres::{
            row::{column, id_bytes},
            tx::Tx,
            value::{Value, params},
        },
    },
};

/// What calls have asked for that know nothing of each other; see [`CreateUser::may_share`]. Each of them is done whole or
/// not at all: gives the ids of those that are. Whoever else has something that one of them wants, that one is left out;
/// anything else that goes wrong undoes all.
pub(in crate::store::postgres) struct CreateUsers<'c>(pub(in crate::store::postgres) Vec<&'c CreateUser>);

impl CreateUsers<'_> {
    /// Does them, up to the commit.
    pub(in crate::store::postgres) async fn run(&self, tx: &mut Tx<'_>) -> Result<HashSet<UserId>, StoreError> {
        let rows = tx.rows(INSERT_FREE_IDS, columns(&self.users())).await?;
        let added = rows.iter().map(|row| column(row, 0)).collect::<Result<HashSet<UserId>, _>>()?;
        let creates = || self.0.iter().filter(|create| added.contains(&create.new.user.id));

        let (mut ids, mut hashes) = (Vec::new(), Vec::new());
        let mut log = LogRows::default();
        for create in creates() {
            let user = &create.new.user;
            if let Some(hash) = &create.new.password_hash {
                ids.push(Some(id_bytes(&user.id).into()));
                hashes.push(Some(hash.as_str().to_owned()));
            }
            log.change(Action::Created, user, (None, Some(&create.derived.stored)), &[], &create.meta)?;
        }
        if !ids.is_empty() {
            const SQL: &str = "INSERT INTO credentials (user_pk, password_hash)
                 SELECT u.pk, n.hash FROM unnest($1::BYTEA[], $2::TEXT[]) AS n (id, hash) JOIN users u ON u.id = n.id";
            tx.queue(SQL, params![Value::ByteStrings(ids), Value::Texts(hashes)]);
        }
        keep_answers(tx, creates().copied())?;
        log.write(tx);
        Ok(added)
    }

    /// In the order of their addresses: two servers that add the same users meet at the first of them.
    fn users(&self) -> Vec<Written<'_>> {
        let written = |create: &&'_ CreateUser| Written {
            user: Cow::Owned(create.new.user.clone()),
            derived: Cow::Owned(create.derived.clone()),
            is_new: true,
        };
        let mut users: Vec<_> = self.0.iter().map(written).collect();
        users.sort_unstable_by(|one, other| one.derived.email_key.cmp(&other.derived.email_key));
        users
    }
}

/// Queues what keeps the answers of calls that are to be answered once. One that was answered before undoes all.
fn keep_answers<'c>(tx: &mut Tx<'_>, creates: impl Iterator<Item = &'c CreateUser>) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO answers (id, request, answer, user_id, expires_at)
         SELECT * FROM unnest($1::BYTEA[], $2::BYTEA[], $3::BYTEA[], $4::BYTEA[], $5::BIGINT[])";
    let (mut ids, mut requests, mut sealed, mut users, mut until) = (vec![], vec![], vec![], vec![], vec![]);
    for create in creates {
        let Some(call) = create.meta.idempotency.as_deref() else { continue };
        let Some(kept) = create.answer(&create.derived.stored)? else { continue };
        ids.push(Some(call.id.to_vec().into()));
        requests.push(Some(call.request.to_vec().into()));
        sealed.push(Some(call.seal(&kept.answer).map_err(StoreError::Unavailable)?.into()));
        users.push(kept.about.as_ref().map(|id| id_bytes(id).into()));
        until.push(Some(kept_until(create.meta.at).0));
    }
    if !ids.is_empty() {
        let [ids, requests, sealed, users] = [ids, requests, sealed, users].map(Value::ByteStrings);
        tx.queue(SQL, params![ids, requests, sealed, users, Value::Ints(until)]);
    }
    Ok(())
}
