//! `roster completions`: a script that teaches a shell our commands and flags.

use std::io::{self, Write as _};

use clap_complete::{Shell, generate};

use crate::{args::Cli, error::Failure};

/// Print a completion script for your shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster completions bash > ~/.local/share/bash-completion/completions/roster
  roster completions zsh > ~/.zfunc/_roster
  roster completions fish > ~/.config/fish/completions/roster.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints it.
    pub fn run(&self) -> Result<(), Failure> {
        // Through memory: the generator panics when its writer fails, and a pipe may close.
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::full_command(), "roster", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
