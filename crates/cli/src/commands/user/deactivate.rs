//! `roster user deactivate`.

use roster_api::user::v1::DeactivateUserRequest;

use crate::{context::Context, error::Failure};

/// Keep a user, but let them not sign in. Doing it twice changes nothing
#[derive(Debug, clap::Args)]
pub struct Deactivate {
    /// The user's id
    id: String,
    /// Only if the user still has this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
}

impl Deactivate {
    /// Does it and shows the user.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(DeactivateUserRequest { user_id: self.id.clone(), etag: self.etag.clone() });
        let user = context.users.deactivate_user(request).await?.into_inner();
        context.out.user(&user)
    }
}
