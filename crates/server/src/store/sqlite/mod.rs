//! Users in SQLite: a file beside the server, or memory.

mod addresses;
mod answers;
mod api_keys;
mod audit;
pub mod backup;
mod candidates;
mod checkpoint;
mod commands;
pub(super) mod copy;
mod error;
mod feed;
mod files;
mod grants;
mod imports;
mod list;
mod lock;
mod mail;
mod migrations;
mod open;
mod preferences;
mod readers;
mod row;
mod search_index;
mod sessions;
mod signing_keys;
mod stale_reads;
mod stats;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use self::{
    checkpoint::Checkpointer,
    readers::{Readers, SCAN_QUEUE_MAX},
    search_index::SearchIndex,
    stats::SharedStats,
    writer::{Followers, RunInSqlite, Writer},
};
pub use self::{
    error::OpenError,
    files::{SQLITE_MAGIC, database_of, kind_of_no_file, read_header},
    lock::lock_path,
    migrations::{APPLICATION_ID, COPYING_ID, NEWEST as NEWEST_SCHEMA},
    open::Location,
};
use super::{
    LiveGrants, NewUser, Queue, Store, StoreError, StoredUser, UserQuery, Wait,
    cache::UserCache,
    commands::{ChangeUser, Command, CreateUser, DeleteUser, Secret},
    traces,
};
use crate::{
    auth::PasswordHash,
    metrics::{
        Page,
        names::{LOG_POSITION, STORE_DISK_FREE},
    },
    model::{ChangeMeta, UserId, UserPatch, UserStatus},
};

/// How a database is served.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Where it lies.
    pub location: Location,
    /// Memory for users that are read often, in bytes; 0 for none.
    pub cache_bytes: u64,
    /// Commands that may wait for the writer.
    pub write_queue_max: usize,
    /// Threads that read users at the same time.
    pub reader_threads: usize,
}

/// What the system is called in traces.
const SYSTEM: &str = "sqlite";
/// Threads for lists, searches and counts.
const SCAN_THREADS: usize = 2;

/// The SQLite backend.
#[derive(Debug)]
pub struct SqliteStore {
    cache: Arc<UserCache>,
    live: Arc<LiveGrants>,
    writer: Arc<Writer>,
    /// `None` in memory, where the one connection is the writer's.
    readers: Option<Readers>,
    /// Raised when the check of a large file, run while serving, finds damage.
    damaged: Arc<AtomicBool>,
    stats: SharedStats,
    /// Where the file is; `None` in memory.
    folder: Option<PathBuf>,
}

impl SqliteStore {
    /// Locks, checks, migrates and serves a database. Blocks.
    ///
    /// # Errors
    /// Why the database cannot be served.
    pub fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let location = options.location.resolved()?;
        let mut opened = open::open(&location)?;
        let cache = Arc::new(UserCache::new(options.cache_bytes));
        let live = Arc::new(LiveGrants::default());
        let damaged = Arc::new(AtomicBool::new(false));
        let stats = SharedStats::default();
        let (path, readers, followers) = match &location {
            Location::Memory => (PathBuf::from(":memory:"), None, None),
            Location::File(path) => {
                let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
                let search_index = SearchIndex::start(path).map_err(failed)?;
                let readers =
                    Readers::open(path, options.reader_threads, SCAN_THREADS, Arc::clone(&stats)).map_err(failed)?;
                let checkpointer = Checkpointer::start(path, &mut opened.writer, Arc::clone(&stats))?;
                if opened.check_later {
                    check_while_serving(path.clone(), Arc::clone(&damaged));
                }
                (path.clone(), Some(readers), Some(Followers { checkpointer, search_index }))
            }
        };
        let folder = readers.as_ref().and_then(|_: &Readers| path.parent().map(Path::to_owned));
        let shared = (Arc::clone(&cache), Arc::clone(&live), Arc::clone(&stats));
        let writer = Writer::start((opened.writer, opened.lock), shared, followers, options.write_queue_max)
            .map_err(|error| OpenError::Failed { path, detail: error.to_string() })?;
        Ok(Self { cache, live, writer: Arc::new(writer), readers, damaged, stats, folder })
    }

    /// A read of a few rows: here and now on a file, in the writer's queue in memory.
    async fn point<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => {
                let span = traces::begin(SYSTEM, traces::name_of_closure::<F>);
                let result = readers.point(read);
                if let Some(span) = span {
                    span.conclude(&result);
                }
                result
            }
            None => self.writer.execute(Read::now(read)).await,
        }
    }

    /// A read that may take long.
    async fn scan<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => readers.scan(read).await,
            None => self.writer.execute(Read::now(read)).await,
        }
    }
}

/// A read in the writer's queue.
struct Read<F> {
    read: F,
    behind_imports: bool,
}

impl<F> Read<F> {
    fn now(read: F) -> Self {
        Self { read, behind_imports: false }
    }

    /// After the imports that are in the queue.
    fn behind_imports(read: F) -> Self {
        Self { read, behind_imports: true }
    }
}

impl<T, F> Command for Read<F>
where
    T: Send + 'static,
    F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    type Output = T;

    fn is_bulk(&self) -> bool {
        self.behind_imports
    }
}

impl<T, F> RunInSqlite for Read<F>
where
    T: Send + 'static,
    F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    fn run(&self, connection: &Connection) -> Result<T, StoreError> {
        (self.read)(connection)
    }
}

fn check_while_serving(path: PathBuf, damaged: Arc<AtomicBool>) {
    let check = move || {
        let checked = open::reader(&path)
            .map_err(|error| OpenError::from_sqlite(&path, &error))
            .and_then(|connection| open::check_whole(&path, &connection));
        match checked {
            Ok(()) => tracing::info!(path = %path.display(), "the database file was checked and is whole"),
            Err(error) => {
                tracing::error!(%error, "stop the server and put the last backup in place: roster restore BACKUP --force");
                damaged.store(true, Ordering::Relaxed);
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("sqlite-check".into()).spawn(check) {
        tracing::error!(%error, "cannot check the database file");
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn cached_user(&self, id: &UserId) -> Option<StoredUser> {
        self.cache.get(id)
    }

    async fn find_user(&self, id: &UserId) -> Result<Option<StoredUser>, StoreError> {
        if let Some(user) = self.cache.get(id) {
            return Ok(Some(user));
        }
        const SQL: &str = "SELECT message FROM users WHERE id = ?1";
        let ticket = self.cache.ticket(id);
        let wanted = id.clone();
        let read = move |connection: &Connection| {
            Ok(connection.prepare_cached(SQL)?.query_row([&wanted], |row| row.get(0)).optional()?)
        };
        let user = self.point(read).await?;
        if let Some(user) = &user {
            self.cache.fill(ticket, id, user);
        }
        Ok(user)
    }

    async fn find_user_by_email(&self, email_key: &str) -> Result<Option<StoredUser>, StoreError> {
        const SQL: &str = "SELECT message FROM users WHERE email_key = ?1";
        let key = email_key.to_owned();
        self.point(move |connection| {
            Ok(connection.prepare_cached(SQL)?.query_row([&key], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn find_password_hash(&self, id: &UserId) -> Result<Option<PasswordHash>, StoreError> {
        const SQL: &str = "SELECT c.password_hash FROM credentials c JOIN users u ON u.pk = c.user_pk WHERE u.id = ?1";
        let id = id.clone();
        self.point(move |connection| {
            let hash = connection.prepare_cached(SQL)?.query_row([&id], |row| row.get(0)).optional()?;
            Ok(hash.map(PasswordHash::from_store))
        })
        .await
    }

    async fn list_users(&self, query: UserQuery) -> Result<Vec<StoredUser>, StoreError> {
        self.scan(move |connection| list::list_users(connection, &query)).await
    }

    async fn search_users(&self, query: UserQuery, total_max: u32) -> Result<(Vec<StoredUser>, u32), StoreError> {
        let indexed = self.readers.is_some();
        self.scan(move |connection| list::search_users(connection, &query, total_max, indexed)).await
    }

    async fn create_user(&self, new: NewUser, meta: ChangeMeta) -> Result<StoredUser, StoreError> {
        self.writer.execute(CreateUser::new(new, meta)?).await
    }

    async fn update_user(
        &self,
        id: UserId,
        patch: UserPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        Ok(self.writer.execute(ChangeUser { id, change: patch, etag, meta }).await?.user)
    }

    async fn set_user_status(
        &self,
        id: UserId,
        status: UserStatus,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        Ok(self.writer.execute(ChangeUser { id, change: status, etag, meta }).await?.user)
    }

    async fn delete_user(&self, id: UserId, etag: Option<String>, meta: ChangeMeta) -> Result<(), StoreError> {
        self.writer.execute(DeleteUser { id, etag, meta }).await
    }

    async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError> {
        self.writer.execute(Secret { name }).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(StoreError::Corrupt("the check of the file found damage".into()));
        }
        if !self.writer.is_open() {
            return Err(StoreError::Unavailable("the writer has stopped".into()));
        }
        self.point(|connection| Ok(connection.prepare_cached("SELECT 1")?.query_row([], |_| Ok(()))?)).await
    }

    fn wait(&self, queue: Queue, ahead: usize) -> Wait {
        match (&self.readers, queue) {
            (Some(readers), Queue::Scans) => readers.wait(ahead),
            (None, Queue::Scans) | (_, Queue::Writes) => self.writer.wait(ahead),
        }
    }

    fn report(&self, page: &mut Page) {
        // In memory no scan waits apart from the commands.
        let scans = self.readers.as_ref().map_or((0, SCAN_QUEUE_MAX), Readers::waiting);
        self.stats.report(page, self.writer.waiting(), scans);
        if let Some(disk) = self.folder.as_ref().and_then(|folder| rustix::fs::statvfs(folder).ok()) {
            page.value(&STORE_DISK_FREE, &[], disk.f_bavail.saturating_mul(disk.f_frsize));
        }
        self.cache.report(page);
        page.value(&LOG_POSITION, &[], self.writer.newest_position().borrow().unsigned_abs());
    }

    async fn close(&self) {
        if let Some(readers) = &self.readers {
            readers.close();
        }
        let writer = Arc::clone(&self.writer);
        // Only a panic in the closure could fail this, and the writer logs its own.
        let _ = tokio::task::spawn_blocking(move || writer.close()).await;
    }
}
