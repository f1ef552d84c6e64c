//! The API through the wire: a real server, real clients, and what no client of ours would send.

mod access;
mod addresses;
mod api_keys;
mod audit;
mod bad_input;
mod call_log;
mod compat_user;
mod dashboards;
mod drain;
mod errors_page;
mod exports;
mod guards;
mod health;
mod idempotency;
mod imports;
mod limits;
mod mail;
mod matrix;
mod metrics;
mod operator;
mod over_postgres;
mod overload;
mod own_email;
mod pages;
mod paging;
mod passwords;
mod preferences;
mod presence;
mod rate_limits;
mod redis;
mod refused_late;
mod sessions;
mod sign_in;
mod staleness;
mod tls;
mod tokens;
mod traces;
mod transport;
mod updates;
mod users;
mod watch;
mod web;

use roster_server::model::Action;
use tempfile::TempDir;

/// Paths of methods start with it.
const USERS: &str = "/user.v1.UserService";

/// What a change of something beside a user leaves in the log: what, whose, to what, and which fields.
type Event = (Action, String, String, Vec<String>);

/// The events in the database of a server that has ended, in order. Only who may read the audit log sees them on the
/// wire.
fn events_in(folder: &TempDir) -> Vec<Event> {
    let connection = rusqlite::Connection::open(folder.path().join("roster.db")).unwrap();
    let sql = "SELECT c.action, c.target, c.fields, c.user_id = u.id, hex(c.user_id) FROM changes c
               JOIN users u ON u.pk = c.user_pk WHERE c.revision = 0 ORDER BY c.position";
    let mut statement = connection.prepare(sql).unwrap();
    let event = |row: &rusqlite::Row<'_>| {
        let (action, fields): (String, String) = (row.get(0)?, row.get(2)?);
        let action = Action::ALL.iter().find(|(_, name)| *name == action).unwrap().0;
        assert!(row.get::<_, bool>(3)?, "the user's id and row agree");
        let id = uuid::Uuid::try_parse(&row.get::<_, String>(4)?).unwrap().to_string();
        Ok((action, id, row.get(1)?, serde_json::from_str(&fields).unwrap()))
    };
    statement.query_map([], event).unwrap().map(Result::unwrap).collect()
}
