//! `roster backup`.

use std::path::PathBuf;

use roster_server::store::sqlite::backup::backup;

use super::{Progress, changed_at, database, in_words, json, show};
use crate::{
    args::{Format, Global},
    config_flags::ConfigFlags,
    error::Failure,
    output::Output,
};

/// Copy the database into a file, whether or not the server runs
///
/// Run it on the server's machine, as the server's user and with its settings. The copy is the database as it was at one
/// moment. It is checked page by page before it gets its name, and is for its owner alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster backup backup.db
  roster backup --database-url sqlite:/srv/roster.db \"/backups/roster-$(date +%F).db\"

`roster restore` puts such a file in the place of a database. docs/operations.md tells what that means.")]
pub struct Backup {
    /// The file to make
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Settings, as `roster serve` would take them.
    #[command(flatten)]
    flags: ConfigFlags,
}

impl Backup {
    /// Makes the copy.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let database = database(&self.flags)?;
        let mut progress = Progress::start();
        let made = backup(&database, &self.file, self.force, &mut |copied| show(&mut progress, copied));
        progress.clear();
        let contents = made?;
        let mut out = Output::stdout(global);
        match out.format {
            Format::Json => out.text(&json(&contents).to_string())?,
            Format::Table => {
                let until = changed_at(&contents).map_or_else(String::new, |at| format!(", the newest change of {at}"));
                out.text(&format!("{}: {}{until}", self.file.display(), in_words(&contents)))?;
            }
        }
        out.note(&format!("checked; in {:.1} s", progress.elapsed().as_secs_f64()))?;
        out.flush()
    }
}
