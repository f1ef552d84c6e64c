//! Reads the change log as the feed, and users as they were.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;
use tokio::sync::watch;

use super::PostgresStore;
use crate::{
    model::filter::Filter,
    store::{ChangePage, FeedStore, LogTrim, Moment, StoreError, UsersAt, UsersAtPage},
};

#[async_trait]
impl FeedStore for PostgresStore {
    fn newest_position(&self) -> watch::Receiver<i64> {
        self.log.newest_position()
    }

    async fn list_changes(&self, position: i64, limit: u32) -> Result<ChangePage, StoreError> {
        unimplemented!()
    }

    async fn moment(&self, filter: Option<Filter>) -> Result<Moment, StoreError> {
        unimplemented!()
    }

    async fn users_at(&self, query: UsersAt) -> Result<UsersAtPage, StoreError> {
        unimplemented!()
    }

    async fn trim_log(&self, trim: LogTrim) -> Result<u32, StoreError> {
        unimplemented!()
    }
}
