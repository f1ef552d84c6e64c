//! `roster admin`: what an operator does on the server's own machine, before anybody could sign in.

use std::{
    io::{BufReader, Write as _, stderr, stdin},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use clap::Subcommand;
use roster_api::user::v1::{CreateUserRequest, Role};
use roster_server::{
    app::{self, Running},
    config::Config,
};
use rustix::{net::sockopt::socket_peercred, process::geteuid};

use crate::{
    args::Global,
    client::Connection,
    config_flags::ConfigFlags,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::Output,
    password,
};

/// What an operator does on the server's machine
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Create an administrator, whether or not the server runs
    ///
    /// Run it on the server's machine, as the server's user and with its settings: it calls the running server through
    /// its operator_socket, or opens the database itself if no server runs. The password is asked for, or read from the
    /// first line of stdin.
    Create(Create),
}

/// Create an administrator
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The administrator's address; it counts as verified
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Display name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Unique, whatever its case
    #[arg(long, default_value = "", hide_default_value = true)]
    username: String,
    /// Settings, as `roster serve` would take them.
    #[command(flatten)]
    flags: ConfigFlags,
}

impl Admin {
    /// Does it.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let Self::Create(create) = self;
        let config = create.flags.load_to_open()?;
        let path = config.operator_socket_path().ok_or_else(no_socket)?;
        let password = password::read(&mut BufReader::new(stdin()), "Password")?;
        let own = match UnixStream::connect(&path) {
            Ok(stream) => check_peer(&stream, &path).map(|()| None)?,
            Err(_) => {
                tell_if_new(&config, &path);
                Some(start(config)?)
            }
        };
        let result = super::block_on(create.through(&path, password, global));
        if let Some(running) = own {
            running.shutdown();
            running.wait()?;
        }
        result
    }
}

impl Create {
    async fn through(&self, socket: &Path, password: String, global: &Global) -> Result<(), Failure> {
        let server = format!("unix:{}", socket.display());
        let client = Connection::to(&server).connect().await?;
        let mut context = Context::new(&server, &client, Output::stdout(global));
        let request = context.request(CreateUserRequest {
            email: self.email.clone(),
            name: self.name.clone(),
            username: self.username.clone(),
            password,
            role: Role::Admin.into(),
            email_verified: true,
            ..Default::default()
        });
        let user = context.users.create_user(request).await?.into_inner();
        context.out.user(&user)?;
        context.out.note(&format!("{} can sign in now: roster login {}", self.email, self.email))?;
        context.out.flush()
    }
}

/// Somebody in another folder than the server's would wonder why nobody can sign in.
fn tell_if_new(config: &Config, socket: &Path) {
    let Some(database) = config.database_url.path().filter(|path| !path.exists()) else { return };
    let database = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
    let text = format!("no server answers at {}: making a new database, {}", socket.display(), database.display());
    // Without stderr there is nobody to tell.
    let _ = writeln!(stderr(), "{}", roster_server::telemetry::escape(&text));
}

/// A server for as long as this command takes. It is reached through its socket alone: on its port nobody is let in
/// without credentials, and nobody knows the port.
fn start(mut config: Config) -> Result<Running, Failure> {
    config.dev = false;
    config.tls_certificate = None;
    config.tls_key = None;
    config.tls_client_ca = None;
    config.drain_grace = Duration::from_secs(1);
    Ok(app::start(config)?)
}

/// Whoever may write in the folder of the database could listen there, and would be told a password.
fn check_peer(stream: &UnixStream, path: &Path) -> Result<(), CliError> {
    let peer = socket_peercred(stream).map(|peer| peer.uid);
    if peer.is_ok_and(|uid| uid == geteuid() || uid.is_root()) {
        return Ok(());
    }
    let message = format!("what listens at {} is neither this user's nor root's", path.display());
    Err(CliError::new(Exit::Refused, message).hint("run this as the user that runs the server"))
}

fn no_socket() -> CliError {
    CliError::new(Exit::Config, "there is no operator socket: operator_socket is off, or the database is in memory")
        .hint("set operator_socket to a path, for this command and for the server")
}
