//! The keys that sign access tokens.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ctx, Error, Ops};
use crate::{
    auth::{Authenticator, generate_signing_key},
    model::Permission,
    store::{Answer as _, answers::kept_as_json},
};

/// The permission to rotate the keys.
const PERMISSION: Permission = Permission::KeysRotate;

/// The keys after a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedKeys {
    /// The key that signs from now on.
    pub key_id: String,
    /// All keys that verify, that one first.
    pub verifying_key_ids: Vec<String>,
}

kept_as_json!(RotatedKeys);

impl Ops {
    /// Makes a new key that signs access tokens from now on. What the old one signed is good until it ends.
    ///
    /// # Errors
    /// [`Error::Refused`], and those of the store.
    pub async fn rotate_signing_key(&self, ctx: &Ctx) -> Result<RotatedKeys, Error> {
        ctx.caller.check(PERMISSION)?;
        let now = self.clock.now();
        let fresh = generate_signing_key(now).map_err(|error| Error::Internal(error.to_string()))?;
        self.once(ctx, async {
            // Another node may have rotated them.
            self.read_keys().await?;
            let key_id = fresh.id.clone();
            let verifying_key_ids =
                [key_id.clone()].into_iter().chain(self.authenticator.tokens().key_ids(now)).collect();
            let rotated = RotatedKeys { key_id, verifying_key_ids };
            self.store.rotate_signing_key(fresh, ctx.change(now, false).answering(|| rotated.to_kept())?).await?;
            // Read anew rather than taken from the answer: of two rotations, the later may have been answered first.
            self.read_keys().await?;
            Ok(rotated)
        })
        .await
    }

    async fn read_keys(&self) -> Result<(), Error> {
        self.authenticator.refresh_keys().await.map_err(|error| Error::Internal(error.to_string()))
    }

    /// The public keys as a JSON Web Key Set, the one that signs first.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.authenticator.tokens().jwks(self.clock.now())
    }

    /// What tells who calls.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<Authenticator> {
        &self.authenticator
    }
}
