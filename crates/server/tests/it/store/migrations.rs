//! Databases of earlier schemas: they are brought up to date whole, or not at all.

use std::path::Path;

use roster_server::{
    model::{Role, User, UserId, UserStatus},
    store::{
        FeedStore as _, Store as _,
        sqlite::{APPLICATION_ID, Location, NEWEST_SCHEMA, OpenError, SqliteOptions, SqliteStore},
    },
};
use rusqlite::{Connection, params};

use super::{Decoded as _, lists, user};

const FIRST: &str = include_str!("../../../src/store/sqlite/migrations/0001_users.sql");

fn open(database: &Path) -> Result<SqliteStore, OpenError> {
    let location = Location::File(database.to_owned());
    SqliteStore::open(SqliteOptions { location, cache_bytes: 0, write_queue_max: 16, reader_threads: 1 })
}

/// A user as the first schema has it: in columns, and in the change log as JSON.
fn insert(database: &Connection, user: &User) {
    let id: rusqlite::types::Value = match &user.id {
        UserId::Uuid(uuid) => uuid.as_bytes().to_vec().into(),
        UserId::Text(text) => text.to_string().into(),
    };
    let attributes = serde_json::to_string(&user.attributes).unwrap();
    let sql =
        "INSERT INTO users (id, email, email_key, username, username_key, name, name_key, role, status, age, phone,
                   locale, attributes, email_verified, created_at, updated_at, revision, search_text)
               VALUES (?1, ?2, ?2, ?3, nullif(?3, ''), ?4, lower(?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?2)";
    let values = params![
        id,
        user.email,
        user.username,
        user.name,
        user.role as i64,
        user.status as i64,
        user.age,
        user.phone,
        user.locale,
        attributes,
        user.email_verified,
        user.created_at.0,
        user.updated_at.0,
    ];
    database.execute(sql, values).unwrap();
    let logged = serde_json::json!({
        "id": user.id.to_string(), "email": user.email, "name": user.name, "username": user.username,
        "role": user.role.to_string(), "status": user.status.to_string(), "age": user.age, "phone": user.phone,
        "locale": user.locale, "attributes": user.attributes, "email_verified": user.email_verified,
        "created_at": user.created_at.0, "updated_at": user.updated_at.0, "revision": user.revision,
    });
    let sql = "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields, after)
               VALUES (?1, 'developer', 'created', ?2, ?3, 1, 'call', '[]', ?4)";
    database.execute(sql, params![user.created_at.0, id, database.last_insert_rowid(), logged.to_string()]).unwrap();
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date_or_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roster.db");
    let mut odd = user("odd");
    odd.id = UserId::parse("auth0|5f7c8ec7c33c6c004bbafe82").unwrap();
    odd.name = "Zoë \u{1F680} \"O'Brien\\\"".into();
    odd.attributes.insert("quote".into(), "\"'\\\n\u{0}".into());
    (odd.role, odd.status, odd.email_verified) = (Role::Moderator, UserStatus::Inactive, true);
    let mut bare = user("bare");
    (bare.username, bare.name, bare.phone, bare.locale) = Default::default();
    (bare.age, bare.role) = (None, Role::Admin);
    bare.attributes.clear();
    let users = [user("plain"), bare, odd];

    let database = Connection::open(&path).unwrap();
    database.execute_batch(FIRST).unwrap();
    database.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    for user in &users {
        insert(&database, user);
    }
    // Erased, as after a deletion.
    let sql = "INSERT INTO changes (at, actor, action, user_id, user_pk, revision, request_id, fields)
               VALUES (1, 'developer', 'deleted', 'gone', 99, 2, 'call', '[]')";
    database.execute(sql, []).unwrap();
    let spoil = |role: i64| database.execute("UPDATE users SET role = ?1 WHERE name = ''", [role]).unwrap();
    let version = || database.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();

    // It fails in the middle, and nothing has happened.
    spoil(9);
    assert!(open(&path).is_err());
    assert_eq!(version(), 1);
    assert!(database.prepare("SELECT message FROM users").is_err());
    spoil(Role::Admin as i64);

    let store = open(&path).unwrap();
    assert_eq!(version(), NEWEST_SCHEMA);
    for user in &users {
        assert_eq!(store.find_user(&user.id).await.decoded().unwrap().as_ref(), Some(user));
    }
    assert_eq!(lists::list(&store, "", "", "created_at desc", 2).await, users);
    let logged: Vec<_> =
        store.list_changes(0, 10).await.unwrap().changes.into_iter().map(|change| change.after.decoded()).collect();
    assert_eq!(logged[..3], users.map(Some));
    assert_eq!(logged[3..], [None]);
    store.close().await;
}
