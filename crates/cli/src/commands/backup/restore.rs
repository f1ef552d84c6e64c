//! `roster restore`.

use std::path::{Path, PathBuf};

use roster_server::{
    model::{Clock as _, SystemClock},
    store::sqlite::{
        OpenError,
        backup::{CopyError, RestoreOptions, Restored, restore},
    },
};

use super::{Progress, changed_at, database, in_words, json, show};
use crate::{
    args::{Format, Global},
    config_flags::ConfigFlags,
    error::{CliError, Failure},
    exit::Exit,
    output::Output,
};

/// Put a backup in the place of the database, while no server runs on it
///
/// The backup is copied and checked first; it stays as it is. Afterwards everybody signs in again, links in mails lead
/// nowhere, and watches start again with a snapshot. What was changed after the backup is undone: accounts that were
/// deleted or deactivated since are back, and so are old passwords and roles.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster restore backup.db
  roster restore backup.db --force --revoke-api-keys

With --force, the database that was there is kept as FILE.replaced-TIME. docs/operations.md has the rest.")]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// Take the place of a database that is there
    #[arg(long)]
    force: bool,
    /// Revoke all API keys; otherwise those that were revoked since the backup are good again
    #[arg(long)]
    revoke_api_keys: bool,
    /// Settings, as `roster serve` would take them.
    #[command(flatten)]
    flags: ConfigFlags,
}

impl Restore {
    /// Restores.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let database = database(&self.flags)?;
        // With milliseconds, so that two of them keep two databases.
        let suffix = || jiff::Timestamp::now().strftime(".replaced-%Y%m%dT%H%M%S%.3fZ").to_string();
        let options = RestoreOptions {
            replaced_suffix: self.force.then(suffix),
            end_api_keys: self.revoke_api_keys,
            at: SystemClock.now(),
        };
        let mut progress = Progress::start();
        let done = restore(&self.file, &database, &options, &mut |copied| show(&mut progress, copied));
        progress.clear();
        let Restored { contents, replaced } = done.map_err(|error| explain(error, &self.file))?;
        let mut out = Output::stdout(global);
        match out.format {
            Format::Json => out.text(&json(&contents).to_string())?,
            Format::Table => {
                let until = changed_at(&contents).map_or_else(String::new, |at| format!(" as of {at}"));
                out.text(&format!("{} has {}{until}", database.display(), in_words(&contents)))?;
            }
        }
        if let Some(kept) = replaced {
            out.note(&format!("what was there is kept as {}; remove it when it is of no more use", kept.display()))?;
        }
        if !self.revoke_api_keys {
            out.note("API keys are as they were then: revoke again what was revoked since")?;
        }
        out.note("everybody signs in again, and watches start again with a snapshot")?;
        out.flush()
    }
}

/// What is wrong with the backup is no trouble of the database.
fn explain(error: CopyError, backup: &Path) -> Failure {
    let (exit, message) = match error {
        CopyError::Absent(path) => (Exit::NotFound, format!("there is no backup {}", path.display())),
        CopyError::Open(error @ OpenError::Damaged { .. }) => (Exit::Data, error.to_string()),
        CopyError::Open(error @ OpenError::NotADatabase { .. }) => (Exit::Data, error.to_string()),
        CopyError::Exists(path) => (Exit::CannotCreate, format!("{} is there already", path.display())),
        error => return error.into(),
    };
    let hint = match exit {
        Exit::CannotCreate => "--force takes its place, and keeps it under another name".to_owned(),
        _ => format!("nothing was changed; name another backup than {}", backup.display()),
    };
    CliError::new(exit, message).hint(hint).into()
}
