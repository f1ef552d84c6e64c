//! One file for each command.

pub mod completions;
pub mod demo;
pub mod doctor;
pub mod serve;
pub mod user;

use tokio::runtime;

use crate::{
    args::{Cli, Command},
    context::Context,
    error::Failure,
};

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    match cli.command {
        Command::Serve(serve) => serve.run(global.color),
        Command::Demo => demo::run(&global),
        Command::Doctor(doctor) => block_on(doctor.run(&global)),
        Command::Completions(completions) => completions.run(),
        Command::User(user) => block_on(async {
            let mut context = Context::connect(&global).await?;
            let result = user.run(&mut context).await;
            // What came before a failure is shown before it.
            context.out.flush().and(result)
        }),
    }
}

/// Runs a future on this thread: a command does one thing at a time.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
