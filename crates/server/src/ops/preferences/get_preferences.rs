//! Reads the preferences of a user.

use crate::{
    model::{Permission, Preferences},
    ops::{Ctx, Error, Ops, users::parse_user_id},
    store::StoreError,
};

impl Ops {
    /// The user's preferences, the defaults if they never changed.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], and those of the store.
    pub async fn get_preferences(&self, ctx: &Ctx, user_id: &str) -> Result<Preferences, Error> {
        let user_id = parse_user_id(user_id)?;
        ctx.caller.check_self_or(&user_id, Permission::PreferencesRead)?;
        let found = self.store.find_preferences_within(&user_id, ctx.staleness).await?;
        found.ok_or(StoreError::NotFound).map_err(Error::for_user(&user_id))
    }
}
