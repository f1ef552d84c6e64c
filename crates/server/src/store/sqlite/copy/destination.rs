//! A file that is copied into. While it is unfinished it has an application id of its own, by which every Roster refuses it,
//! and a table of what is missing.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, params, params_from_iter};

use super::rows::{self, Bound};
use crate::store::{
    copy::{self, Batch, Begun, CopyError, Mark, Table, Tables, Take, names},
    sqlite::{
        OpenError,
        backup::{owner_to_be, sync_folder},
        lock::FileLock,
        migrations::{self, APPLICATION_ID, COPYING_ID, NEWEST},
        open::{self, Location, beside},
        search_index,
    },
};

/// SQLite's own page cache, in KiB.
const CACHE_KIB: i64 = 65_536;
/// Where a file has its application id (<https://sqlite.org/fileformat2.html#the_database_header>).
const APPLICATION_ID_AT: usize = 68;

/// What makes a new file an unfinished copy.
const BEGIN: &str = "
    CREATE TABLE roster_copy (
        source   BLOB NOT NULL,                  -- a hash of what tells the source from other databases
        position INTEGER NOT NULL,               -- the end of its change log
        schema   INTEGER NOT NULL,
        spoilt   INTEGER NOT NULL DEFAULT FALSE  -- the next run begins anew
    ) STRICT;";

/// The file, with a server's lock.
pub(in crate::store) struct Destination {
    path: PathBuf,
    connection: Connection,
    /// Outlives the connection.
    _lock: FileLock,
}

impl Destination {
    /// Makes the file, or goes on with what an interrupted copy of this source has left. Anything else is left as it is.
    pub(in crate::store) fn open(path: &Path, mark: Mark) -> Result<(Self, Begun), CopyError> {
        let Location::File(path) = Location::File(path.to_owned()).resolved()? else {
            return Err(CopyError::Absent(path.to_owned()));
        };
        let unwritable = |error: io::Error| cannot_write(&path, &error.to_string());
        let owner = owner_to_be(&path).map_err(unwritable)?;
        refuse_what_is_there(&path)?;
        let lock = FileLock::acquire(&path)?;
        // Somebody may have been faster.
        refuse_what_is_there(&path)?;
        if let Some(owner) = owner {
            lock.give_note_to(owner);
            chown(&path, Some(owner.user), Some(owner.group)).map_err(unwritable)?;
        }
        let mut begun = Begun::Afresh;
        let mut connection = connect(&path).map_err(|error| failed(&path, &error))?;
        if is_of_no_more_use(&path, &connection, mark)? {
            connection.close().map_err(|(_, error)| failed(&path, &error))?;
            empty(&path).map_err(unwritable)?;
            connection = connect(&path).map_err(|error| failed(&path, &error))?;
            begun = Begun::Anew;
        }
        prepare(&path, &connection, mark)?;
        Ok((Self { path, connection, _lock: lock }, begun))
    }

    fn failed(&self, error: &rusqlite::Error) -> CopyError {
        failed(&self.path, error)
    }

    fn insert(&mut self, table: &'static Table, batch: &Batch) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached(&insertion(table))?;
            let (mut cells, width) = (batch.cells(), table.columns.len());
            for _ in 0..batch.rows() {
                let row = table.columns.iter().zip(&mut cells).map(|(column, cell)| Bound(column.kind, cell));
                let row: Vec<_> = row.collect();
                if row.len() < width {
                    return Err(rusqlite::Error::InvalidParameterCount(row.len(), width));
                }
                statement.execute(params_from_iter(row))?;
            }
        }
        transaction.commit()
    }
}

impl Tables for Destination {
    fn count(&mut self, table: &Table) -> Result<u64, CopyError> {
        rows::count(&self.connection, table).map_err(|error| self.failed(&error))
    }

    fn read(&mut self, table: &'static Table, after: Option<&[u8]>, take: Take<'_>) -> Result<(), CopyError> {
        rows::read(&self.connection, table, after, take).map_err(|error| self.failed(&error))
    }
}

impl copy::Destination for Destination {
    fn last_key(&mut self, table: &Table) -> Result<Option<Vec<u8>>, CopyError> {
        rows::last_key(&self.connection, table).map_err(|error| self.failed(&error))
    }

    fn write(&mut self, table: &'static Table, batch: &Batch) -> Result<(), CopyError> {
        self.insert(table, batch).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => CopyError::Unfit { table: table.name, detail: error.to_string() },
            _ => self.failed(&error),
        })
    }

    fn settle(&mut self) -> Result<(), CopyError> {
        let make = || -> rusqlite::Result<()> {
            let missing = "SELECT sql FROM roster_copy_indexes WHERE name NOT IN
                               (SELECT name FROM sqlite_schema WHERE type = 'index')";
            let mut missing = self.connection.prepare(missing)?;
            let missing: Vec<String> = missing.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            missing.iter().try_for_each(|sql| self.connection.execute_batch(sql))
        };
        make().map_err(|error| self.failed(&error))
    }

    fn spoil(&mut self) -> Result<(), CopyError> {
        let spoil = self.connection.execute("UPDATE roster_copy SET spoilt = TRUE", []);
        spoil.map(drop).map_err(|error| self.failed(&error))
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        // Of another database that was here.
        let index = search_index::path_of(&self.path);
        for suffix in ["", "-wal", "-shm"] {
            remove(&beside(&index, suffix))?;
        }
        let open_up = || -> rusqlite::Result<()> {
            let transaction = self.connection.unchecked_transaction()?;
            transaction.execute_batch("DROP TABLE roster_copy; DROP TABLE roster_copy_indexes")?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.commit()
        };
        open_up().map_err(|error| self.failed(&error))?;
        sync_folder(&self.path).map_err(|error| cannot_write(&self.path, &error.to_string()))
    }
}

/// The search index finds a user by the number of its row, which PostgreSQL's log does not have.
fn insertion(table: &Table) -> String {
    let places = vec!["?"; table.columns.len()].join(", ");
    if table.name == "changes" {
        let of_user = table.columns.iter().position(|column| column.name == "user_id").map_or(0, |index| index + 1);
        let places = (1..=table.columns.len()).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ");
        let columns = names(table.columns);
        return format!(
            "INSERT INTO changes ({columns}, user_pk)
             VALUES ({places}, coalesce((SELECT pk FROM users WHERE id = ?{of_user}), 0))"
        );
    }
    format!("INSERT INTO {} ({}) VALUES ({places})", table.name, names(table.columns))
}

fn failed(path: &Path, error: &rusqlite::Error) -> CopyError {
    match OpenError::from_sqlite(path, error) {
        OpenError::CannotCreate { error, .. } => cannot_write(path, &error.to_string()),
        OpenError::Failed { detail, .. } => cannot_write(path, &detail),
        error => error.into(),
    }
}

fn cannot_write(path: &Path, detail: &str) -> CopyError {
    CopyError::CannotWrite { database: path.display().to_string(), detail: detail.to_owned() }
}

fn remove(path: &Path) -> Result<(), CopyError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_write(path, &error.to_string())),
        _ => Ok(()),
    }
}

/// Refuses whatever is no copy in the making, without SQLite's touching it.
fn refuse_what_is_there(path: &Path) -> Result<(), CopyError> {
    open_header(path).map_err(|error| cannot_write(path, &error.to_string()))?.map_or_else(
        || Ok(open::check_no_log(path)?),
        |application| match i64::from(application) {
            COPYING_ID => Ok(()),
            // The last step of a copy that was cut off: SQLite takes it back.
            APPLICATION_ID if holds_data(&beside(path, "-journal")) => Ok(()),
            APPLICATION_ID => {
                let detail = "it is a Roster database already".to_owned();
                Err(CopyError::NotEmpty { database: path.display().to_string(), detail })
            }
            _ => {
                let detail = "it is a file of another program".to_owned();
                Err(CopyError::NotEmpty { database: path.display().to_string(), detail })
            }
        },
    )
}

/// The application id in the file's header, or what stands there in a file that is none of SQLite's; `None` if it is empty.
fn open_header(path: &Path) -> io::Result<Option<u32>> {
    let mut header = Vec::with_capacity(APPLICATION_ID_AT + 4);
    match File::open(path) {
        Ok(file) => file.take(APPLICATION_ID_AT as u64 + 4).read_to_end(&mut header)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if header.is_empty() {
        return Ok(None);
    }
    let id = header.get(APPLICATION_ID_AT..).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    Ok(Some(id.unwrap_or(0)))
}

fn holds_data(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.len() > 0)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // It has a rollback journal, as new files do, and that has little to keep of a file that grows.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// Whether it is a copy in the making of what the source was once; an error if it is one of something else.
fn is_of_no_more_use(path: &Path, connection: &Connection, mark: Mark) -> Result<bool, CopyError> {
    let read = || -> rusqlite::Result<Option<(Mark, i64, bool)>> {
        if connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let sql = "SELECT source, position, schema, spoilt FROM roster_copy";
        let of_row = |row: &rusqlite::Row<'_>| {
            Ok((Mark { source: row.get(0)?, position: row.get(1)? }, row.get(2)?, row.get(3)?))
        };
        connection.query_row(sql, [], of_row).optional()
    };
    match read().map_err(|error| failed(path, &error))? {
        None => Ok(false),
        Some((found, schema, spoilt)) if found.source == mark.source => {
            Ok(spoilt || schema != NEWEST || found.position != mark.position)
        }
        Some(_) => {
            let detail = "it is an unfinished copy of another database".to_owned();
            Err(CopyError::NotEmpty { database: path.display().to_string(), detail })
        }
    }
}

/// Empties a file of which we have the lock, so that it keeps its place.
fn empty(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.set_len(0)
}

/// Brings the file to where rows can be added. Each step is a transaction, so a step that is cut off has not happened.
fn prepare(path: &Path, connection: &Connection, mark: Mark) -> Result<(), CopyError> {
    let has = |connection: &Connection, table: &str| {
        connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", [table], |row| {
            row.get::<_, bool>(0)
        })
    };
    let prepare = || -> rusqlite::Result<()> {
        if !has(connection, "roster_copy")? {
            let transaction = connection.unchecked_transaction()?;
            transaction.pragma_update(None, "application_id", COPYING_ID)?;
            transaction.execute_batch(BEGIN)?;
            transaction.execute(
                "INSERT INTO roster_copy (source, position, schema) VALUES (?1, ?2, ?3)",
                params![mark.source, mark.position, NEWEST],
            )?;
            transaction.commit()?;
        }
        migrations::run_as(connection, COPYING_ID)?;
        if !has(connection, "roster_copy_indexes")? {
            set_indexes_aside(connection)?;
        }
        Ok(())
    };
    prepare().map_err(|error| failed(path, &error))
}

/// Indexes are made when all rows are there: to add to them row by row takes longer. Those that a table cannot be without
/// stay.
fn set_indexes_aside(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(
        "CREATE TABLE roster_copy_indexes (name TEXT PRIMARY KEY, sql TEXT NOT NULL) STRICT;
         INSERT INTO roster_copy_indexes SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL;",
    )?;
    let names: Vec<String> = transaction
        .prepare("SELECT name FROM roster_copy_indexes")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    names.iter().try_for_each(|name| transaction.execute_batch(&format!("DROP INDEX {name}")))?;
    transaction.commit()
}
