//! One file for each command.

pub mod address;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod preferences;
pub mod serve;
pub mod user;

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
        Command::Completions(completions) => completions.run(),
        Command::User(_) | Command::Address(_) | Command::Preferences(_) => block_on(async {
            let mut context = Context::connect(&global).await?;
            let result = call(&cli.command, &mut context).await;
            // What came before a failure is shown before it.
            context.out.flush().and(result)
        }),
    }
}

/// Runs a command that calls a server.
pub async fn call(command: &Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::User(user) => user.run(context).await,
        Command::Address(address) => address.run(context).await,
        Command::Preferences(preferences) => preferences.run(context).await,
        Command::Serve(_) | Command::Demo | Command::Doctor(_) | Command::Completions(_) => {
            Err(CliError::new(Exit::Internal, "this command calls no server").into())
        }
    }
}

/// Runs a future on this thread: a command does one thing at a time.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
