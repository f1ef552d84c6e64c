//! One file for each command.

pub mod account;
pub mod address;
pub mod admin;
pub mod api_key;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod cert;
pub mod completions;
pub mod copy;
pub mod demo;
pub mod doctor;
pub mod health;
pub mod keys;
pub mod login;
pub mod mail;
mod mask;
mod pages;
pub mod preferences;
pub mod presence;
mod progress;
pub mod serve;
pub mod session;
mod token_file;
pub mod transfer;
pub mod user;
pub mod watch;

use tokio::runtime;

use crate::{
    args::{Cli, Command},
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
};

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    match cli.command {
        Command::Serve(serve) => serve.run(global.color),
        Command::Demo => demo::run(&global),
        Command::Doctor(doctor) => block_on(doctor.run(&global)),
        Command::Health => block_on(health::run(&global)),
        Command::Completions(completions) => completions.run(),
        Command::Backup(backup) => backup.run(&global),
        Command::Restore(restore) => restore.run(&global),
        Command::Copy(copy) => copy.run(&global),
        Command::Cert(cert) => cert.run(&global),
        Command::Admin(admin) => admin.run(&global),
        Command::Bench(bench) => block_on(bench.run(&global)),
        command => block_on(async {
            let mut context = Context::connect(&global).await?;
            let result = as_caller(&command, &mut context).await;
            // What came before a failure is shown before it.
            context.out.flush().and(result)
        }),
    }
}

/// Calls as whoever is signed in; who signs in or out, or has forgotten the password, calls as nobody.
async fn as_caller(command: &Command, context: &mut Context) -> Result<(), Failure> {
    if !matches!(command, Command::Login(_) | Command::Logout(_)) {
        context.identify().await?;
    }
    call(command, context).await
}

/// Does what a command that calls a server says.
pub async fn call(command: &Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::User(user) => user.run(context).await,
        Command::Import(import) => import.run(context).await,
        Command::Export(export) => export.run(context).await,
        Command::Audit(audit) => audit.run(context).await,
        Command::Watch(watch) => watch.run(context).await,
        Command::Address(address) => address.run(context).await,
        Command::Preferences(preferences) => preferences.run(context).await,
        Command::Account(account) => account.run(context).await,
        Command::Login(login) => login.run(context).await,
        Command::Logout(logout) => logout.run(context).await,
        Command::Session(session) => session.run(context).await,
        Command::ApiKey(api_key) => api_key.run(context).await,
        Command::Keys(keys) => keys.run(context).await,
        Command::Mail(mail) => mail.run(context).await,
        Command::Presence(presence) => presence.run(context).await,
        Command::Serve(_)
        | Command::Demo
        | Command::Bench(_)
        | Command::Doctor(_)
        | Command::Health
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Copy(_)
        | Command::Completions(_)
        | Command::Cert(_)
        | Command::Admin(_) => Err(CliError::new(Exit::Internal, "this command calls no server").into()),
    }
}

/// Runs a future on this thread: a command does one thing at a time.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
