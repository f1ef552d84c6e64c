//! `roster user get`.

use roster_api::user::v1::{GetUserByEmailRequest, GetUserRequest};

use crate::{context::Context, error::Failure};

/// Show a user
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The user's id
    #[arg(required_unless_present = "email", conflicts_with = "email")]
    id: Option<String>,
    /// The user's email instead
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

impl Get {
    /// Reads the user and shows it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let response = if let Some(email) = &self.email {
            let request = context.request(GetUserByEmailRequest { email: email.clone() });
            context.users.get_user_by_email(request).await?
        } else {
            let request = context.request(GetUserRequest { user_id: self.id.clone().unwrap_or_default() });
            context.users.get_user(request).await?
        };
        context.out.user(&response.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn takes_an_id_or_an_email_and_not_both() {
        assert!(parse(&["get", "ada"]).is_ok());
        assert!(parse(&["get", "--email", "a@b.c"]).is_ok());
        assert!(parse(&["get"]).is_err());
        assert!(parse(&["get", "ada", "--email", "a@b.c"]).is_err());
    }
}
