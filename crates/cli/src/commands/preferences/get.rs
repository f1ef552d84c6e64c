//! `roster preferences get`.

use roster_api::user::v1::GetPreferencesRequest;

use crate::{context::Context, error::Failure};

/// Show a user's preferences
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The user's id
    user: String,
}

impl Get {
    /// Reads the preferences and shows them.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(GetPreferencesRequest { user_id: self.user.clone() });
        let preferences = context.users.get_preferences(request).await?.into_inner();
        context.out.preferences(&preferences)
    }
}
