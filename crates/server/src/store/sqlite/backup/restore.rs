//! A backup takes the place of a database. What must not come back with it is ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig, params};
use rustix::process::geteuid;

use super::{
    Contents, CopyError, Progress, Source, exists,
    part::{Part, sync_folder},
};
use crate::{
    model::{Action, Actor, ChangeMeta, MailState, PermissionSet, Timestamp},
    store::{
        NewEvent,
        commands::AppendEvents,
        sqlite::{
            lock::{FileLock, Owner},
            migrations,
            open::{Location, beside, folder_of},
            writer::RunInSqlite as _,
        },
    },
};

/// How a backup is restored.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Take the place of a database that is there, and keep that with this at the end of its name; `None`: leave it alone
    /// and fail.
    pub replaced_suffix: Option<String>,
    /// End all API keys. Otherwise those that were revoked since the backup are good again.
    pub end_api_keys: bool,
    /// Now.
    pub at: Timestamp,
}

/// What has become of a restore.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup had in it.
    pub contents: Contents,
    /// Where the database is that was there.
    pub replaced: Option<PathBuf>,
}

/// Puts a copy of `backup` in the place of `database`, which no server may be serving. Blocks. At any moment the old
/// database or the restored one is there, whole.
///
/// # Errors
/// [`OpenError::Locked`](crate::store::sqlite::OpenError::Locked) while a server serves the database, [`CopyError::Exists`]; what is in the way otherwise.
pub fn restore(
    backup: &Path,
    database: &Path,
    options: &RestoreOptions,
    tell: &mut dyn FnMut(Progress),
) -> Result<Restored, CopyError> {
    let Location::File(database) = Location::File(database.to_owned()).resolved()? else {
        return Err(CopyError::Absent(database.to_owned()));
    };
    if backup.canonicalize().is_ok_and(|backup| backup == database) {
        return Err(CopyError::SameFile(backup.to_owned()));
    }
    let source = Source::open(backup)?;
    let owner = owner_to_be(&database).map_err(|error| CopyError::cannot_write(&database, error))?;
    let lock = FileLock::acquire(&database)?;
    if let Some(owner) = owner {
        lock.give_note_to(owner);
    }
    let is_there = holds_data(&database) || holds_data(&beside(&database, "-wal"));
    let restored = match &options.replaced_suffix {
        None if is_there => Err(exists(&database)),
        suffix => {
            let kept = suffix.as_ref().filter(|_| is_there).map(|suffix| beside(&database, suffix));
            replace(&source, &Place { database: &database, kept: kept.as_deref(), owner }, options, tell)
                .map(|contents| Restored { contents, replaced: kept })
        }
    };
    if restored.is_err() && !is_there && !holds_data(&database) {
        // The lock has made it. If it stays, it is as good as none.
        let _ = fs::remove_file(&database);
    }
    // From here on a server may start.
    drop(lock);
    restored
}

fn holds_data(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.len() > 0)
}

/// Who shall own the database, if that is somebody else: the owner of what is there, and where root restores into a folder
/// without one, that of the folder.
pub(in crate::store::sqlite) fn owner_to_be(database: &Path) -> io::Result<Option<Owner>> {
    match fs::metadata(database) {
        Ok(data) => Ok(Some(Owner::of(&data))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if !geteuid().is_root() => Ok(None),
        Err(_) => fs::metadata(folder_of(database)).map(|data| Some(Owner::of(&data))),
    }
}

/// Where a copy goes.
struct Place<'a> {
    database: &'a Path,
    /// The name that what is there gets.
    kept: Option<&'a Path>,
    owner: Option<Owner>,
}

fn replace(
    source: &Source<'_>,
    place: &Place<'_>,
    options: &RestoreOptions,
    tell: &mut dyn FnMut(Progress),
) -> Result<Contents, CopyError> {
    let database = place.database;
    let part = Part::begin(database)?;
    let contents = source.copy(&part, tell)?;
    let mut copy = part.open()?;
    end_what_must_not_come_back(&mut copy, options).map_err(|error| part.failed(&error))?;
    part.settle(&copy)?;
    copy.close().map_err(|(_, error)| part.failed(&error))?;

    if let Some(owner) = place.owner {
        part.give_to(owner)?;
    }
    if let Some(kept) = place.kept {
        keep(database, kept)?;
    }
    part.finish()?;
    Ok(contents)
}

/// Gives the database that is there a second name. Its log is moved into it before, so that it is whole without one; that
/// of a damaged database is kept as it is.
fn keep(database: &Path, kept: &Path) -> Result<(), CopyError> {
    let failed = |error| CopyError::cannot_write(kept, error);
    if fs::symlink_metadata(kept).is_ok() {
        return Err(exists(kept));
    }
    let log = beside(database, "-wal");
    // SQLite would throw the log of an empty file away.
    match holds_data(database).then(|| move_log(database)) {
        Some(Ok(true)) => {}
        Some(Ok(false)) => return Err(CopyError::UnderWay(database.to_owned())),
        None | Some(Err(_)) if !holds_data(&log) => {}
        None | Some(Err(_)) => fs::hard_link(&log, beside(kept, "-wal")).map_err(failed)?,
    }
    // Of a database that is damaged, or a copy that was cut off.
    let journal = beside(database, "-journal");
    if holds_data(&journal) {
        fs::hard_link(&journal, beside(kept, "-journal")).map_err(failed)?;
    }
    fs::hard_link(database, kept).and_then(|()| sync_folder(kept)).map_err(failed)
}

/// Moves all of the log into the database; `false` if somebody who reads it is in the way.
fn move_log(database: &Path) -> rusqlite::Result<bool> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}

/// Every position of the log, every revision and every session after the backup will be given once more, to something
/// else. So nothing that names them, and no access that may have been taken away meanwhile, outlives the restore.
/// docs/operations.md says what that means for people.
const ENDED: &str = "
    -- Tokens of watches and pages are places in a log that goes on differently now.
    DELETE FROM secrets WHERE name IN ('resume_token', 'page_token');
    -- What stands beside the file belongs to another history.
    UPDATE secrets SET value = randomblob(32) WHERE name = 'database';
    -- They may have been revoked, renewed or used since.
    DELETE FROM sessions;
    DELETE FROM signing_keys;
    DELETE FROM one_time_tokens;";

fn end_what_must_not_come_back(copy: &mut Connection, options: &RestoreOptions) -> rusqlite::Result<()> {
    // An older backup may lack some of the tables.
    migrations::run(copy)?;
    let transaction = copy.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(ENDED)?;
    // They may have been sent since, and their links lead nowhere.
    transaction.execute(
        "UPDATE mails SET state = ?1, last_error = 'the database was restored from a backup', next_attempt_at = NULL,
                          finished_at = ?2 WHERE next_attempt_at IS NOT NULL",
        params![MailState::GivenUp as i64, options.at],
    )?;
    transaction.execute("UPDATE mails SET token = NULL WHERE token IS NOT NULL", [])?;
    if options.end_api_keys {
        transaction.execute("DELETE FROM api_keys", [])?;
    }
    AppendEvents { events: vec![event(options.at)] }
        .run(&transaction)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    transaction.commit()
}

fn event(at: Timestamp) -> NewEvent {
    NewEvent {
        action: Action::DatabaseRestored,
        user_id: None,
        target: String::new(),
        reason: "",
        meta: ChangeMeta {
            at,
            actor: Actor::System,
            held: PermissionSet::ALL,
            request_id: String::new(),
            remote_address: String::new(),
            validate_only: false,
            idempotency: None,
        },
    }
}
