//! What every command has in common that changes a user who is there: whom, and if they are still as the caller last saw
//! them.

use super::{RunInPostgres, ruled_user};
use crate::{
    model::{ChangeMeta, User},
    store::{
        StoreError, StoredUser,
        commands::{ChangeUser, UserAfter},
        postgres::tx::Tx,
    },
};

/// What is changed.
pub(in crate::store::postgres) trait Change: Send + Sync + 'static {
    /// Changes the user: its row, the user as it is, and the same stored.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
        before: (i64, User, StoredUser),
        meta: &ChangeMeta,
    ) -> impl Future<Output = Result<UserAfter, StoreError>> + Send;
}

impl<C: Change> RunInPostgres for ChangeUser<C> {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<UserAfter, StoreError> {
        let before = ruled_user(tx, &self.id, self.etag.as_deref(), &self.meta).await?;
        self.change.apply(tx, before, &self.meta).await
    }
}
