//! `roster user reactivate`.

use roster_api::user::v1::ReactivateUserRequest;

use crate::{context::Context, error::Failure};

/// Let a deactivated user sign in again. Doing it twice changes nothing
#[derive(Debug, clap::Args)]
pub struct Reactivate {
    /// The user's id
    id: String,
    /// Only if the user still has this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
}

impl Reactivate {
    /// Does it and shows the user.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(ReactivateUserRequest { user_id: self.id.clone(), etag: self.etag.clone() });
        let user = context.users.reactivate_user(request).await?.into_inner();
        context.out.user(&user)
    }
}
