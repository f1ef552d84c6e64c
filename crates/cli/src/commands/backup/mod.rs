//! `roster backup` and `roster restore`: what they share.

mod make;
mod restore;

use std::path::PathBuf;

use roster_server::{
    app::StartError,
    store::sqlite::backup::{Contents, CopyError, Progress as Copied},
};

pub use self::{make::Backup, restore::Restore};
use super::progress::{Progress, grouped};
use crate::{
    config_flags::ConfigFlags,
    error::{CliError, Failure},
    exit::Exit,
};

/// The database file that the settings name.
fn database(flags: &ConfigFlags) -> Result<PathBuf, Failure> {
    let config = flags.load_to_open()?;
    let path = config.database_url.path().map(ToOwned::to_owned);
    path.ok_or_else(|| {
        let error = CliError::new(Exit::Usage, format!("{} is no database in a file", config.database_url));
        error.hint("name one with --database-url sqlite:PATH; other databases have backup tools of their own").into()
    })
}

/// Shows how far a copy is.
fn show(progress: &mut Progress, copied: Copied) {
    match copied {
        Copied::Copied { bytes, of } => progress.show(bytes >> 20, "MiB copied", Some(bytes as f64 / of.max(1) as f64)),
        Copied::Checking => progress.stage("checking every page of the copy …"),
    }
}

/// `1,234 users, 5,678 rows of the change log, 12 MiB`
fn in_words(contents: &Contents) -> String {
    let Contents { users, changes, bytes, .. } = contents;
    let size = if *bytes < 10 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", grouped(bytes >> 20)) };
    format!("{} users, {} rows of the change log, {size}", grouped(*users), grouped(*changes))
}

/// When the newest row of the log was written.
fn changed_at(contents: &Contents) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(contents.changed_at?.0).ok()?;
    Some(format!("{at:.0}"))
}

/// For programs.
fn json(contents: &Contents) -> serde_json::Value {
    let Contents { users, changes, bytes, .. } = contents;
    serde_json::json!({ "users": users, "changes": changes, "bytes": bytes, "changedAt": changed_at(contents) })
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let message = error.to_string();
        let (exit, hint) = match error {
            CopyError::Open(error) => return StartError::from(error).into(),
            CopyError::Absent(_) => (Exit::NotFound, "name the database with --database-url sqlite:PATH"),
            CopyError::Exists(_) => (Exit::CannotCreate, "choose another name, or say --force"),
            CopyError::SameFile(_) | CopyError::BelongsTo { .. } => (Exit::Usage, "name another file"),
            CopyError::UnderWay(_) => (Exit::TryAgain, "wait until that is done"),
            CopyError::CannotRead { .. } => (Exit::Io, "run this as the user that runs the server"),
            CopyError::CannotWrite { .. } => (Exit::CannotCreate, "make room, or let this user write there"),
            CopyError::Differs { .. } => (Exit::Internal, "the copy was thrown away; please report this"),
        };
        CliError::new(exit, message).hint(hint).into()
    }
}
