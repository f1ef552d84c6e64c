//! `roster address`: one file for each command, each of them one call of `user.v1.UserService`.

mod add;
mod delete;
mod fields;
mod get;
mod list;
mod set_default;
mod update;

use clap::Subcommand;

use crate::{context::Context, error::Failure};

/// Keep the postal addresses of users
#[derive(Debug, Subcommand)]
pub enum Address {
    /// Add an address to a user
    Add(Box<add::Add>),
    /// Show an address
    Get(get::Get),
    /// List the addresses of a user
    List(list::List),
    /// Change an address
    Update(Box<update::Update>),
    /// Delete an address
    Delete(delete::Delete),
    /// Make an address the default of its kind
    SetDefault(set_default::SetDefault),
}

impl Address {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::Get(get) => get.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Update(update) => update.run(context).await,
            Self::Delete(delete) => delete.run(context).await,
            Self::SetDefault(set_default) => set_default.run(context).await,
        }
    }
}

/// Parses the arguments after `roster address`, for the tests of each command.
#[cfg(test)]
fn parse(args: &[&str]) -> Result<Address, clap::Error> {
    use crate::args::{Cli, Command};
    let cli = Cli::parse_from_args(["roster", "address"].iter().chain(args))?;
    match cli.command {
        Command::Address(address) => Ok(*address),
        other => panic!("not an address command: {other:?}"),
    }
}
