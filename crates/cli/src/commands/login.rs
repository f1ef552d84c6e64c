//! `roster login`, `roster logout`: a session on a server, kept for the commands that follow.

use roster_api::auth::v1::{SignInRequest, SignOutRequest};
use tonic::Code;

use crate::{
    context::Context,
    credentials::{Credentials, Store},
    error::{CliError, Failure},
    exit::Exit,
    password,
};

/// Sign in to the server
///
/// The session is kept in your configuration folder, in a file that only you can read. Commands use it for this
/// --server until `roster logout`. A token or API key in ROSTER_TOKEN goes before it.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// Your email or username
    login: String,
    /// A name for the session, as `roster session list` shows it
    #[arg(long, value_name = "NAME", default_value = "roster on the command line")]
    device: String,
}

impl Login {
    /// Asks for the password, signs in and keeps the session.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        context.check_secrecy("the password")?;
        let password = password::read(&mut context.input, "Password")?;
        let device = self.device.clone();
        // As nobody: a session that is left over may have ended.
        let request = context.request(SignInRequest { login: self.login.clone(), password, device });
        let response = context.auth.sign_in(request).await?.into_inner();
        let lacking = || CliError::new(Exit::Internal, "the server signed in without giving tokens");
        let tokens = response.tokens.ok_or_else(lacking)?;
        let credentials = Credentials::new(response.user_id.clone(), response.session_id, tokens);
        Store::open()?.put(&context.server, credentials)?;
        context.out.note(&format!("signed in to {} as {}", context.server, response.user_id))
    }
}

/// Sign out of the server
#[derive(Debug, clap::Args)]
pub struct Logout {}

impl Logout {
    /// Ends the session and forgets it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let identified = context.identify().await;
        let forgotten = Store::open()?.forget(&context.server)?;
        let Some(forgotten) = forgotten else {
            // What identify says of a session that has ended: it is forgotten already.
            identified?;
            return Err(CliError::new(Exit::NotFound, format!("nobody is signed in to {}", context.server)).into());
        };
        let request = context.request(SignOutRequest {});
        match context.auth.sign_out(request).await {
            Ok(_) => {}
            // It had ended already.
            Err(status) if status.code() == Code::Unauthenticated => {}
            Err(status) => return Err(status.into()),
        }
        context.out.note(&format!("signed out of {} as {}", context.server, forgotten.user_id))
    }
}
