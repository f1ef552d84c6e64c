//! `roster copy`.

use std::{fmt, time::Instant};

use roster_server::{
    app::StartError,
    config::DatabaseUrl,
    store::copy::{Begun, Copied, CopyError, Place, Progress as How, TableCheck, copy},
};

use super::progress::{Progress, grouped};
use crate::{
    args::{Format, Global},
    error::{CliError, Failure},
    exit::Exit,
    output::{Cell, Output, grid},
};

/// Digits of a checksum that people are shown; JSON has all 64.
const DIGITS: usize = 16;

/// Move everything from SQLite to PostgreSQL, or back, while no server runs
///
/// Users, passwords, sessions, API keys, signing keys, mails that wait, the change log with its positions: all tables come
/// along, are compared row by row, and only then a server may start on the copy. Everybody stays signed in, and watches go
/// on from their resume tokens. The source stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster copy --from sqlite:roster.db --to postgres://roster@db1/roster
  roster copy --from postgres://roster@db1/roster --to sqlite:back.db

The destination must be empty. A copy that was interrupted goes on where it was when the same command is run again.
ROSTER_COPY_FROM and ROSTER_COPY_TO keep passwords out of the list of processes. docs/moving.md has the whole plan.")]
pub struct Copy {
    /// The database to copy: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL", env = "ROSTER_COPY_FROM", hide_env_values = true)]
    from: Given,
    /// Where to: a file that is not there yet, or an empty database
    #[arg(long, value_name = "URL", env = "ROSTER_COPY_TO", hide_env_values = true)]
    to: Given,
}

/// What was given for a database. It may have a password in it.
#[derive(Clone)]
struct Given(String);

impl From<String> for Given {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DatabaseUrl::redacted(&self.0))
    }
}

impl Given {
    fn place(&self, flag: &str) -> Result<Place, Failure> {
        let wrong =
            |what: String| CliError::new(Exit::Usage, format!("{flag} takes sqlite:PATH or postgres://…, {what}"));
        match self.0.parse() {
            Ok(DatabaseUrl::Sqlite(path)) => Ok(Place::Sqlite(path)),
            Ok(DatabaseUrl::Postgres(url)) => Ok(Place::Postgres(url)),
            Ok(DatabaseUrl::Memory) => Err(wrong("and not what is gone with its server".into()).into()),
            Err(()) => Err(wrong(format!("and not {self:?}"))
                .hint(
                    "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full; docs/postgresql.md has the rest",
                )
                .into()),
        }
    }
}

impl Copy {
    /// Copies and verifies.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let (from, to) = (self.from.place("--from")?, self.to.place("--to")?);
        let (begun, mut line) = (Instant::now(), Line::start());
        let done = copy(&from, &to, &mut |how| line.show(how));
        line.progress.clear();
        let done = done?;
        let mut out = Output::stdout(global);
        match out.format {
            Format::Json => out.text(&json(&done).to_string())?,
            Format::Table => {
                let table =
                    grid(&["TABLE", "ROWS", "SHA-256"], done.tables.iter().map(row).collect(), out.style, out.width);
                out.text(&table)?;
            }
        }
        match done.begun {
            Begun::Afresh => {}
            Begun::After { rows } => {
                out.note(&format!("went on with an interrupted copy, which had {} rows", grouped(rows)))?;
            }
            Begun::Anew => out.note("an interrupted copy was thrown away: it was of no more use")?,
        }
        let rows = done.tables.iter().map(|check| check.copy.rows).sum();
        let seconds = begun.elapsed().as_secs_f64();
        out.note(&format!("{} rows, the same in both databases; in {seconds:.1} s", grouped(rows)))?;
        out.note("start servers on the copy now, and none on the source: its sessions and tokens are valid there too")?;
        out.flush()
    }
}

/// The line on the terminal. Rows are copied and compared at different rates.
struct Line {
    progress: Progress,
    verifies: bool,
}

impl Line {
    fn start() -> Self {
        Self { progress: Progress::start(), verifies: false }
    }

    fn show(&mut self, how: How) {
        let part = |rows: u64, of: u64| Some(rows as f64 / of.max(1) as f64);
        match how {
            How::Checking => self.progress.stage("looking at the source …"),
            How::Copied { table, rows, of } => {
                self.progress.show(rows, &format!("rows copied ({table})"), part(rows, of));
            }
            How::Indexing => self.progress.stage("making indexes …"),
            How::Verified { rows, of } => {
                if !std::mem::replace(&mut self.verifies, true) {
                    self.progress.clear();
                    self.progress = Progress::start();
                }
                self.progress.show(rows, "rows compared", part(rows, of));
            }
        }
    }
}

fn row(check: &TableCheck) -> Vec<Cell> {
    let checksum = format!("{:.DIGITS$}", check.copy);
    [check.table.to_owned(), grouped(check.copy.rows), checksum].map(Cell::Plain).into()
}

/// For programs.
fn json(done: &Copied) -> serde_json::Value {
    let tables = done.tables.iter().map(
        |check| serde_json::json!({ "table": check.table, "rows": check.copy.rows, "sha256": check.copy.to_string() }),
    );
    let found = match done.begun {
        Begun::Afresh | Begun::Anew => 0,
        Begun::After { rows } => rows,
    };
    serde_json::json!({ "tables": tables.collect::<Vec<_>>(), "rowsFound": found })
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let message = error.to_string();
        let (exit, hint) = match &error {
            CopyError::Sqlite(_) | CopyError::Postgres(_) => return of_open(error),
            CopyError::Absent(_) | CopyError::EmptySource { .. } => (Exit::NotFound, "name the database with --from"),
            CopyError::OneKind { .. } => {
                (Exit::Usage, "`roster backup` copies a SQLite file, pg_dump and pg_restore a PostgreSQL database")
            }
            CopyError::Schema { found, known, .. } if found < known => {
                (Exit::Data, "start a server of this release on it once, and stop it")
            }
            CopyError::Schema { .. } => (Exit::Data, "copy with the Roster that wrote it"),
            CopyError::InUse { .. } => {
                (Exit::TryAgain, "stop it and run this again: what is written meanwhile would be lost")
            }
            CopyError::NotEmpty { .. } => {
                (Exit::CannotCreate, "it was left as it is; name a new file or an empty database with --to")
            }
            CopyError::Unfit { .. } => (Exit::Data, "mend the row where it is, then run the same command again"),
            CopyError::CannotRead { .. } => (Exit::Io, "run the same command again: it goes on where it was"),
            CopyError::CannotWrite { .. } => {
                (Exit::CannotCreate, "make room there, then run the same command again: it goes on where it was")
            }
            CopyError::Differs(_) => {
                (Exit::Data, "no server starts on it; run the same command again, and it begins anew")
            }
        };
        let mut failure = CliError::new(exit, message).hint(hint);
        if let CopyError::Differs(checks) = error {
            failure.details = checks.iter().filter(|check| !check.agrees()).map(differs).collect();
        }
        failure.into()
    }
}

fn of_open(error: CopyError) -> Failure {
    match error {
        CopyError::Sqlite(error) => StartError::from(error).into(),
        CopyError::Postgres(error) => StartError::from(error).into(),
        error => CliError::new(Exit::Internal, error.to_string()).into(),
    }
}

fn differs(check: &TableCheck) -> String {
    let TableCheck { table, source, copy } = check;
    format!(
        "{table}: {} rows with checksum {source:.DIGITS$}, and {} with {copy:.DIGITS$} in the copy",
        grouped(source.rows),
        grouped(copy.rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn no_password_is_in_what_is_said_of_a_url() {
        for to in ["postgres://ada:secret@db/roster?sslmode=what", "mysql://ada:secret@db", "secret@"] {
            let line = ["roster", "copy", "--from", "sqlite:a.db", "--to", to];
            let Command::Copy(copy) = Cli::parse_from_args(line).unwrap().command else { panic!("copy") };
            let Err(Failure::Error(error)) = copy.to.place("--to") else { panic!("{copy:?}") };
            let said = format!("{copy:?} {error:?}");
            assert!(error.exit == Exit::Usage && !said.contains("secret"), "{said}");
        }
    }
}
