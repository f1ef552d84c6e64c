//! `roster account`: what people do with their own account: verify the address, change or reset the password.

use clap::Subcommand;
use roster_api::user::v1::{
    ChangePasswordRequest, RequestPasswordResetRequest, ResetPasswordRequest, SendVerificationEmailRequest,
    VerifyEmailRequest,
};

use crate::{
    context::Context,
    credentials::Store,
    error::{CliError, Failure},
    exit::Exit,
    password,
};

/// Verify an email address, change or reset a password
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Have a link mailed that verifies an address
    SendVerification {
        /// The address
        email: String,
    },
    /// Verify an address, with the token of the mailed link
    VerifyEmail {
        /// The token: what stands after token= in the link
        #[arg(allow_hyphen_values = true)]
        token: String,
    },
    /// Change a password: the current one and the new one are asked for, or read from two lines of stdin
    ChangePassword {
        /// Someone else's id, with the permission: only the new password is read then [default: you]
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        user: String,
    },
    /// Have a link mailed that resets a forgotten password
    ForgotPassword {
        /// Your address
        email: String,
    },
    /// Set a new password, with the token of the mailed link; it is asked for, or read from stdin
    ResetPassword {
        /// The token: what stands after token= in the link
        #[arg(allow_hyphen_values = true)]
        token: String,
    },
}

impl Account {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::SendVerification { email } => {
                let request = SendVerificationEmailRequest { email: email.clone() };
                context.users.send_verification_email(context.request(request)).await?;
                context.out.note(&format!("if {email} needs it, a mail is on its way; its link is good for 24 hours"))
            }
            Self::VerifyEmail { token } => {
                let request = context.request(VerifyEmailRequest { token: token.clone() });
                let verified = context.users.verify_email(request).await?.into_inner();
                context.out.note(&format!("{} is verified", verified.email))
            }
            Self::ChangePassword { user } => change_password(context, user).await,
            Self::ForgotPassword { email } => {
                let request = RequestPasswordResetRequest { email: email.clone() };
                context.users.request_password_reset(context.request(request)).await?;
                context.out.note(&format!("if {email} is known, a mail is on its way; its link is good for 10 minutes"))
            }
            Self::ResetPassword { token } => {
                let new_password = password::read(&mut context.input, "New password")?;
                let request = context.request(ResetPasswordRequest { token: token.clone(), new_password });
                context.users.reset_password(request).await?;
                context.out.note("the password is set, and every session has ended; sign in with `roster login`")
            }
        }
    }
}

async fn change_password(context: &mut Context, user: &str) -> Result<(), Failure> {
    let (user_id, current_password) = if user.is_empty() {
        let store = Store::open()?;
        let session = store.find(&context.server).ok_or_else(|| {
            CliError::new(Exit::Refused, format!("nobody is signed in to {}", context.server))
                .hint("sign in with `roster login`, or name a user with --user ID")
        })?;
        (session.user_id.clone(), password::read(&mut context.input, "Current password")?)
    } else {
        (user.to_owned(), String::new())
    };
    let new_password = password::read(&mut context.input, "New password")?;
    let request = context.request(ChangePasswordRequest { user_id, current_password, new_password });
    context.users.change_password(request).await?;
    context.out.note("the password is changed, and every session of the user has ended")
}
