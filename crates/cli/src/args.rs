//! The command line: what every command shares, and the list of commands.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, error::ErrorKind};

use crate::{client::Connection, commands, exit::Exit};

/// User management over gRPC in one binary.
#[derive(Debug, Parser)]
#[command(name = "roster", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Try it: `roster demo`. Exit codes: see `roster --help`.")]
pub struct Cli {
    /// What every command shares.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that can stand before or after the command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The server to call, and how.
    #[command(flatten)]
    pub connection: Connection,
    /// Tables for people, JSON for programs
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Seconds that a call may take
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout: u32,
    /// Milliseconds that what is read may be old; the server may then answer from memory or from a replica
    #[arg(long, global = true, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=3_600_000))]
    pub max_staleness: Option<u32>,
    /// When to use colours; auto means on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns that fit the terminal
    Table,
    /// Protobuf's canonical JSON, one object a line
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Even into a file or pipe
    Always,
    /// Not at all
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(commands::serve::Serve),
    /// Start a server in memory and walk through all it can do
    Demo,
    /// Create, read, change and find users
    #[command(subcommand)]
    User(Box<commands::user::User>),
    /// Import users from a CSV file or JSON lines
    Import(Box<commands::transfer::Import>),
    /// Export users into a CSV file or JSON lines
    Export(commands::transfer::Export),
    /// Keep the postal addresses of users
    #[command(subcommand)]
    Address(Box<commands::address::Address>),
    /// See and set what users like: language, time zone, messages
    #[command(subcommand)]
    Preferences(Box<commands::preferences::Preferences>),
    /// Follow the changes of users as they happen
    Watch(commands::watch::Watch),
    /// Verify an email address, change or reset a password
    #[command(subcommand)]
    Account(commands::account::Account),
    /// Sign in to the server
    Login(commands::login::Login),
    /// Sign out of the server
    Logout(commands::login::Logout),
    /// See and end sessions
    #[command(subcommand)]
    Session(commands::session::Session),
    /// Create, see and revoke API keys
    #[command(subcommand)]
    ApiKey(commands::api_key::ApiKey),
    /// Manage the keys that sign access tokens
    #[command(subcommand)]
    Keys(commands::keys::Keys),
    /// Look into the outbox
    #[command(subcommand)]
    Mail(commands::mail::Mail),
    /// Make certificates
    #[command(subcommand)]
    Cert(commands::cert::Cert),
    /// What an operator does on the server's machine
    #[command(subcommand)]
    Admin(Box<commands::admin::Admin>),
    /// Read what was done and what was refused
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// See who is online, and be so
    #[command(subcommand)]
    Presence(commands::presence::Presence),
    /// Put load on a server and measure how it answers
    Bench(commands::bench::Bench),
    /// Check configuration, database, ports and limits, and say what to do
    Doctor(commands::doctor::Doctor),
    /// Ask a server whether it serves; what is beside it, such as mail, may be unwell
    Health,
    /// Copy the database into a file, whether or not the server runs
    Backup(commands::backup::Backup),
    /// Put a backup in the place of the database
    Restore(commands::backup::Restore),
    /// Move everything from SQLite to PostgreSQL, or back, while no server runs
    Copy(commands::copy::Copy),
    /// Print a completion script for your shell
    Completions(commands::completions::Completions),
}

impl Cli {
    /// The command line of this process, or the code to end with once help, the version or what is
    /// wrong has been printed.
    pub fn parse_or_explain() -> Result<Self, ExitCode> {
        Self::parse_from_args(std::env::args_os()).map_err(|error| {
            // Fails when the reader of the help is gone, which is no failure of ours.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => Exit::Usage.into(),
            }
        })
    }

    /// Parses a command line, the program's name included.
    pub fn parse_from_args<T>(args: impl IntoIterator<Item = T>) -> Result<Self, clap::Error>
    where
        T: Into<std::ffi::OsString> + Clone,
    {
        Self::from_arg_matches(&Self::full_command().try_get_matches_from(args)?)
    }

    /// The command with the exit codes in its long help.
    pub fn full_command() -> clap::Command {
        Self::command().after_long_help(Exit::help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::full_command().debug_assert();
        assert!(Cli::full_command().render_long_help().to_string().contains("77  the caller is not known"));
    }
}
