//! Reads that may be old: of single users from this server's own memory, of many from a replica.

use std::time::Instant;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore, list,
    replicas::Read,
    row::column,
    tx::Tx,
    value::{Value, params},
};
use crate::{
    model::{Preferences, Staleness, UserId},
    store::{PreferencesStore as _, StaleReads, Store as _, StoreError, StoredUser, UserQuery},
};

#[async_trait]
impl StaleReads for PostgresStore {
    fn remembered_user(&self, id: &UserId, staleness: Staleness) -> Option<StoredUser> {
        if staleness.is_none() { None } else { self.near.user(id, staleness) }
    }

    async fn find_user_within(&self, id: &UserId, staleness: Staleness) -> Result<Option<StoredUser>, StoreError> {
        const SQL: &str = "SELECT id, email_key, message FROM users WHERE id = $1";
        if staleness.is_none() {
            return self.find_user(id).await;
        }
        self.find_and_keep(SQL, params![id]).await
    }

    async fn find_user_by_email_within(
        &self,
        email_key: &str,
        staleness: Staleness,
    ) -> Result<Option<StoredUser>, StoreError> {
        const SQL: &str = "SELECT id, email_key, message FROM users WHERE email_key = $1";
        if staleness.is_none() {
            return self.find_user_by_email(email_key).await;
        }
        match self.near.user_by_email(email_key, staleness) {
            Some(user) => Ok(Some(user)),
            None => self.find_and_keep(SQL, params![email_key]).await,
        }
    }

    async fn find_preferences_within(
        &self,
        user_id: &UserId,
        staleness: Staleness,
    ) -> Result<Option<Preferences>, StoreError> {
        if staleness.is_none() {
            return self.find_preferences(user_id).await;
        }
        if let Some(preferences) = self.near.preferences(user_id, staleness) {
            return Ok(Some(preferences));
        }
        let began = Instant::now();
        let found = self.find_preferences(user_id).await?;
        Ok(found.inspect(|preferences| self.near.keep_preferences(began, preferences)))
    }

    async fn list_users_within(&self, query: UserQuery, staleness: Staleness) -> Result<Vec<StoredUser>, StoreError> {
        match self.replicas.read(staleness, Page(&query)).await {
            Some(users) => Ok(users),
            None => self.list_users(query).await,
        }
    }

    async fn search_users_within(
        &self,
        query: UserQuery,
        total_max: u32,
        staleness: Staleness,
    ) -> Result<(Vec<StoredUser>, u32), StoreError> {
        match self.replicas.read(staleness, Search(&query, total_max)).await {
            Some(found) => Ok(found),
            None => self.search_users(query, total_max).await,
        }
    }
}

/// A page of a list.
struct Page<'q>(&'q UserQuery);

impl Read for Page<'_> {
    type Output = Vec<StoredUser>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<StoredUser>, StoreError> {
        list::list_users(tx, self.0).await
    }
}

/// A page of a search, and how far its total is counted.
struct Search<'q>(&'q UserQuery, u32);

impl Read for Search<'_> {
    type Output = (Vec<StoredUser>, u32);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        list::search_users(tx, self.0, self.1).await
    }
}

impl PostgresStore {
    /// Reads `id, email_key, message` of a user, and remembers them.
    async fn find_and_keep(&self, sql: &'static str, params: Vec<Value>) -> Result<Option<StoredUser>, StoreError> {
        let began = Instant::now();
        let keep = |row: Row| {
            let (id, user) = (column(&row, 0)?, column(&row, 2)?);
            self.near.keep_user(&id, column(&row, 1)?, began, &user);
            Ok(user)
        };
        self.database.point(sql, params).await?.map(keep).transpose()
    }
}
