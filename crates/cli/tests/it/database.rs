//! A database file looked into with SQLite itself, apart from Roster's own code.

use std::{collections::HashMap, fs, path::Path};

use rusqlite::Connection;

/// A user as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The display name.
    pub name: String,
    /// Whether the user may sign in.
    pub active: bool,
    /// Changes so far, the creation included.
    pub revision: i64,
    /// Whether there is a credentials row.
    pub has_password: bool,
}

/// A copy of `roster.db` of `folder` and of its log, opened in `copy`: looking changes nothing for the server.
pub fn open_copy(folder: &Path, copy: &Path) -> Connection {
    for name in ["roster.db", "roster.db-wal"] {
        if let Err(error) = fs::copy(folder.join(name), copy.join(name)) {
            assert!(error.kind() == std::io::ErrorKind::NotFound, "{name}: {error}");
            let _ = fs::remove_file(copy.join(name));
        }
    }
    // Belongs to the log that was there before.
    let _ = fs::remove_file(copy.join("roster.db-shm"));
    Connection::open(copy.join("roster.db")).unwrap()
}

/// Users by id. Those whose id is a UUID are left out: tests choose their ids.
pub fn users(database: &Connection) -> HashMap<String, Row> {
    let sql = "SELECT id, name, status, revision, EXISTS (SELECT 1 FROM credentials WHERE user_pk = pk) FROM users
               WHERE typeof(id) = 'text'";
    let mut statement = database.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let user = Row {
            name: row.get(1)?,
            active: row.get::<_, i64>(2)? == 1,
            revision: row.get(3)?,
            has_password: row.get(4)?,
        };
        Ok((row.get(0)?, user))
    };
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

/// That the file is whole, and that users and change log agree.
pub fn assert_consistent(database: &Connection) {
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    for (broken, sql) in BROKEN {
        let count: i64 = database.query_row(&format!("SELECT count(*) FROM ({sql})"), [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{broken}");
    }
}

/// What must find no row, with SQLite and with PostgreSQL.
pub const BROKEN: &[(&str, &str)] = &[
    (
        "users without exactly one change-log row for their creation",
        "SELECT 1 FROM users WHERE 1 <> (SELECT count(*) FROM changes WHERE user_id = users.id AND action = 'created')",
    ),
    (
        "users with more or fewer changes than their revision says",
        "SELECT 1 FROM users WHERE revision <> (SELECT count(*) FROM changes WHERE user_id = users.id AND revision > 0
                                                                               AND action <> 'password.changed')
                                OR revision <> (SELECT max(revision) FROM changes WHERE user_id = users.id)",
    ),
    (
        "changes of users that are neither there nor deleted",
        "SELECT 1 FROM changes c WHERE revision > 0 AND NOT EXISTS (SELECT 1 FROM users WHERE id = c.user_id)
                                   AND NOT EXISTS (SELECT 1 FROM changes WHERE user_id = c.user_id AND action = 'deleted')",
    ),
    (
        "users that are there and deleted",
        "SELECT 1 FROM users JOIN changes ON user_id = users.id WHERE action = 'deleted'",
    ),
    (
        "personal data of deleted users in the change log",
        "SELECT 1 FROM changes c WHERE after IS NOT NULL
                                   AND EXISTS (SELECT 1 FROM changes WHERE user_id = c.user_id AND action = 'deleted')",
    ),
    (
        "credentials of nobody",
        "SELECT 1 FROM credentials WHERE user_pk NOT IN (SELECT pk FROM users)",
    ),
];
