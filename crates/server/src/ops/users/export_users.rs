//! Exports users: all that match, as they were at one moment, a page at a time.

use std::sync::Arc;

use super::visible::{all_visible, check_query};
use crate::{
    model::{Permission, UserId, Violations, filter::Filter},
    ops::{Ctx, Error, Ops},
    store::{StoreError, StoredUser, UsersAt, UsersAtPage},
};

/// The permission to export.
const PERMISSION: Permission = Permission::UsersExport;
/// Users on a page, of which two are in memory.
const PAGE_USERS: u32 = 1_000;

/// An `ExportUsersRequest`.
#[derive(Clone, Debug, Default)]
pub struct ExportUsersInput {
    /// AIP-160.
    pub filter: String,
    /// Only users after it; empty for all.
    pub after_user_id: String,
}

/// An export under way.
pub struct Export {
    ops: Arc<Ops>,
    ctx: Ctx,
    total_size: u64,
    filter: Option<Filter>,
    position: i64,
    /// Where the next page begins; `None` after the last.
    next: Option<Option<UserId>>,
}

impl Ops {
    /// Begins an export of what there is now.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], and those of the store.
    pub async fn begin_export(self: Arc<Self>, ctx: Ctx, input: ExportUsersInput) -> Result<Export, Error> {
        ctx.caller.check(PERMISSION)?;
        let mut violations = Violations::new();
        let filter = violations.check("filter", Filter::parse(&input.filter)).flatten();
        let after = match input.after_user_id.as_str() {
            "" => None,
            id => violations.check("after_user_id", UserId::parse(id)),
        };
        check_query(&ctx, filter.as_ref(), None)?;
        violations.into_result()?;
        let moment = self.store.export_moment(filter.clone(), after.clone()).await?;
        let (position, total_size) = (moment.position, moment.user_count);
        Ok(Export { ops: self, ctx, total_size, filter, position, next: Some(after) })
    }
}

impl Export {
    /// How many users will come, but for those that are deleted meanwhile.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.total_size
    }

    /// Reads the next page, which may be empty; `None` after the last.
    pub fn next_page(&mut self) -> Option<impl Future<Output = Result<ExportPage, Error>> + Send + use<>> {
        let after = self.next.take()?;
        let (ops, ctx) = (Arc::clone(&self.ops), self.ctx.clone());
        let query = UsersAt { position: self.position, filter: self.filter.clone(), after, limit: PAGE_USERS };
        Some(async move {
            let UsersAtPage { users, next_after } = ops.store.users_at(query).await.map_err(|error| match error {
                // Who reads so slowly goes on after the last user, as things are then.
                StoreError::Trimmed => StoreError::Unavailable("the log was trimmed under an export".into()),
                other => other,
            })?;
            Ok(ExportPage { users: all_visible(&ctx, users)?, next_after })
        })
    }

    /// Goes on after a page.
    pub fn go_on(&mut self, page: &ExportPage) {
        self.next = page.next_after.clone().map(Some);
    }
}

/// A page of an export.
pub struct ExportPage {
    /// In the order of their ids.
    pub users: Vec<StoredUser>,
    next_after: Option<UserId>,
}
