//! `roster user`: one file for each command, each of them one call of `user.v1.UserService` (or a page of them).

mod create;
mod deactivate;
mod delete;
mod fields;
mod get;
mod list;
mod reactivate;
mod search;
mod update;

use clap::Subcommand;

pub use self::fields::attribute;

use crate::{context::Context, error::Failure};

/// Create, read, change and find users
#[derive(Debug, Subcommand)]
pub enum User {
    /// Create a user
    Create(create::Create),
    /// Show a user
    Get(get::Get),
    /// List users
    List(list::List),
    /// Find users by any part of their name, email or username
    Search(search::Search),
    /// Change a user
    Update(update::Update),
    /// Delete users for good
    Delete(delete::Delete),
    /// Keep a user, but let them not sign in
    Deactivate(deactivate::Deactivate),
    /// Let a deactivated user sign in again
    Reactivate(reactivate::Reactivate),
}

impl User {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::Get(get) => get.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Search(search) => search.run(context).await,
            Self::Update(update) => update.run(context).await,
            Self::Delete(delete) => delete.run(context).await,
            Self::Deactivate(deactivate) => deactivate.run(context).await,
            Self::Reactivate(reactivate) => reactivate.run(context).await,
        }
    }
}

/// Parses the arguments after `roster user`, for the tests of each command.
#[cfg(test)]
fn parse(args: &[&str]) -> Result<User, clap::Error> {
    use crate::args::{Cli, Command};
    let cli = Cli::parse_from_args(["roster", "user"].iter().chain(args))?;
    match cli.command {
        Command::User(user) => Ok(*user),
        other => panic!("not a user command: {other:?}"),
    }
}
