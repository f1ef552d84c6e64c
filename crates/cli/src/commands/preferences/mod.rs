//! `roster preferences`: one file for each command, each of them one call of `user.v1.UserService`.

mod get;
mod set;

use clap::Subcommand;

use crate::{context::Context, error::Failure};

/// See and set what users like: language, time zone, messages
#[derive(Debug, Subcommand)]
pub enum Preferences {
    /// Show a user's preferences
    Get(get::Get),
    /// Change a user's preferences
    Set(set::Set),
}

impl Preferences {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Get(get) => get.run(context).await,
            Self::Set(set) => set.run(context).await,
        }
    }
}

/// Parses the arguments after `roster preferences`, for the tests of each command.
#[cfg(test)]
fn parse(args: &[&str]) -> Result<Preferences, clap::Error> {
    use crate::args::{Cli, Command};
    let cli = Cli::parse_from_args(["roster", "preferences"].iter().chain(args))?;
    match cli.command {
        Command::Preferences(preferences) => Ok(*preferences),
        other => panic!("not a preferences command: {other:?}"),
    }
}
