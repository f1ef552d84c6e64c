//! `roster presence`: who is online.

mod connect;
mod list;
mod watch;

use clap::Subcommand;
use roster_api::notification::v1::{ClientPresence, ClientStatus};

use crate::{
    context::Context,
    error::Failure,
    output::{Cell, short},
};

/// See who is online, and be so
#[derive(Debug, Subcommand)]
pub enum Presence {
    /// List clients by their ids
    List(list::List),
    /// Show clients as they come and go
    Watch(watch::Watch),
    /// Keep a client connected until Ctrl-C
    Connect(connect::Connect),
}

impl Presence {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Watch(watch) => watch.run(context).await,
            Self::Connect(connect) => connect.run(context).await,
        }
    }
}

/// The protos' name of a message that is shown as JSON.
const CLIENT: &str = "notification.v1.ClientPresence";

/// Whether it is connected, in a word.
fn status(client: &ClientPresence) -> Cell {
    let word = short(client.status().as_str_name(), "CLIENT_STATUS_");
    match client.status() {
        ClientStatus::Connected => Cell::Good(word),
        _ => Cell::Plain(word),
    }
}

#[cfg(test)]
fn parse(args: &[&str]) -> Result<Presence, clap::Error> {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        presence: Presence,
    }
    Line::try_parse_from(["presence"].iter().chain(args)).map(|line| line.presence)
}
