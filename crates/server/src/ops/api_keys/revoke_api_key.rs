//! Revokes an API key.

use crate::{
    model::{ApiKeyId, Permission, Violations},
    ops::{Ctx, Error, Ops, Reason},
    store::StoreError,
};

/// The permission to revoke keys.
const PERMISSION: Permission = Permission::ApiKeysWrite;

impl Ops {
    /// Revokes an API key for good, and ends what is under way with it.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Reason::ApiKeyNotFound`], and those of the store.
    pub async fn revoke_api_key(&self, ctx: &Ctx, api_key_id: &str) -> Result<(), Error> {
        ctx.caller.check(PERMISSION)?;
        let Some(id) = ApiKeyId::parse(api_key_id) else {
            let mut violations = Violations::new();
            violations.add("api_key_id", if api_key_id.is_empty() { "is required" } else { "is no id of an API key" });
            return Err(violations.into());
        };
        self.once(ctx, async {
            let meta = ctx.change(self.clock.now(), false);
            self.store.revoke_api_key(id, meta).await.map_err(|error| match error {
                StoreError::NotFound => Error::Missing { reason: Reason::ApiKeyNotFound, id: id.to_string() },
                other => other.into(),
            })
        })
        .await
    }
}
