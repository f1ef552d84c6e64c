//! `roster audit`: what was done and what was refused.

mod list;

use clap::Subcommand;

use crate::{context::Context, error::Failure};

/// Read the audit log
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List what was done and what was refused, the newest first
    List(list::List),
}

impl Audit {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
        }
    }
}
