//! `roster keys`: what signs access tokens.

use clap::Subcommand;
use roster_api::admin::v1::RotateSigningKeyRequest;

use crate::{args::Format, context::Context, error::Failure};

/// Manage the keys that sign access tokens
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Sign with a new key from now on; tokens of the old one are good until they end
    Rotate,
}

impl Keys {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let Self::Rotate = self;
        let rotated = context.admin.rotate_signing_key(context.request(RotateSigningKeyRequest {})).await?.into_inner();
        match context.out.format {
            Format::Json => context.out.json(&rotated, "roster.admin.v1.RotateSigningKeyResponse"),
            Format::Table => {
                let keys = rotated.verifying_key_ids.join(", ");
                context.out.note(&format!("{} signs from now on; these verify: {keys}", rotated.key_id))
            }
        }
    }
}
