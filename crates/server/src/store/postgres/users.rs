//! Users in PostgreSQL: the commands and reads of [`Store`] itself.

use async_trait::async_trait;

use super::{PostgresStore, list, row::column, tx::View, value::params};
use crate::{
    auth::PasswordHash,
    metrics::{Page, names::LOG_POSITION},
    model::{ChangeMeta, UserId, UserPatch, UserStatus},
    store::{
        FeedStore as _, NewUser, Queue, Store, StoreError, StoredUser, UserQuery, Wait,
        commands::{ChangeUser, CreateUser, DeleteUser, Secret},
    },
};

#[async_trait]
impl Store for PostgresStore {
    /// A cache would not know what other servers write.
    fn cached_user(&self, _: &UserId) -> Option<StoredUser> {
        None
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<StoredUser>, StoreError> {
        self.finds.find(id).await
    }

    async fn find_user_by_email(&self, email_key: &str) -> Result<Option<StoredUser>, StoreError> {
        let row = self.database.point("SELECT message FROM users WHERE email_key = $1", params![email_key]).await?;
        row.map(|row| column(&row, 0)).transpose()
    }

    async fn find_password_hash(&self, id: &UserId) -> Result<Option<PasswordHash>, StoreError> {
        const SQL: &str = "SELECT c.password_hash FROM credentials c JOIN users u ON u.pk = c.user_pk WHERE u.id = $1";
        let row = self.database.point(SQL, params![id]).await?;
        Ok(row.map(|row| column(&row, 0)).transpose()?.map(PasswordHash::from_store))
    }

    async fn list_users(&self, query: UserQuery) -> Result<Vec<StoredUser>, StoreError> {
        self.read(View::Alone, async |tx| list::list_users(tx, &query).await).await
    }

    async fn search_users(&self, query: UserQuery, total_max: u32) -> Result<(Vec<StoredUser>, u32), StoreError> {
        self.read(View::Snapshot, async |tx| list::search_users(tx, &query, total_max).await).await
    }

    async fn create_user(&self, new: NewUser, meta: ChangeMeta) -> Result<StoredUser, StoreError> {
        self.create(CreateUser::new(new, meta)?).await
    }

    async fn update_user(
        &self,
        id: UserId,
        patch: UserPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        Ok(self.execute(ChangeUser { id, change: patch, etag, meta }).await?.user)
    }

    async fn set_user_status(
        &self,
        id: UserId,
        status: UserStatus,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        Ok(self.execute(ChangeUser { id, change: status, etag, meta }).await?.user)
    }

    async fn delete_user(&self, id: UserId, etag: Option<String>, meta: ChangeMeta) -> Result<(), StoreError> {
        self.execute(DeleteUser { id, etag, meta }).await
    }

    async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError> {
        self.execute(Secret { name }).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database.point("SELECT 1", params![]).await.map(drop)
    }

    /// Commands and scans share the connections.
    fn wait(&self, _: Queue, ahead: usize) -> Wait {
        self.database.wait(ahead)
    }

    fn report(&self, page: &mut Page) {
        self.stats.report(page, self.database.waiting() + self.creates.waiting());
        self.near.report(page);
        self.replicas.report(page);
        page.value(&LOG_POSITION, &[], self.newest_position().borrow().unsigned_abs());
    }

    async fn close(&self) {
        self.log.stop().await;
        self.database.close();
        self.replicas.close();
    }
}
