//! Everybody who calls: users of each role with a session, API keys for each permission, and a look into the database.

use std::collections::BTreeMap;

use roster_api::{
    auth::v1::{ApiKey, CreateApiKeyRequest, SignInRequest, auth_service_client::AuthServiceClient},
    user::v1::{CreateUserRequest, Role, UpdateUserRequest},
};
use roster_server::model::Permission;
use rusqlite::{Connection, OpenFlags, types::Value};
use tonic::{Request, transport::Channel};

use crate::harness::{Home, Server};

/// The password of everybody.
const PASSWORD: &str = "correct horse battery staple";
/// Users by what they are called in the tests, with their ids, which are the local parts of their addresses too.
const USERS: [(&str, &str, Role); 7] = [
    ("Ada", "ada", Role::User),
    ("another user", "bea", Role::User),
    ("a moderator", "mod", Role::Moderator),
    ("an administrator", "root", Role::Admin),
    ("demoted", "dora", Role::Admin),
    ("deactivated", "dean", Role::User),
    ("deleted", "dave", Role::User),
];
/// Has no session and calls nothing.
const IDLE: &str = "idle";

/// A server without `--dev`, and everybody who calls it.
pub struct Cast {
    pub server: Server,
    /// Whom callers name when they name themselves.
    pub ada: String,
    /// Whom they name otherwise.
    pub idle: String,
    tokens: BTreeMap<&'static str, String>,
    /// By permission: a key that has it alone, and one that has all others.
    keys: BTreeMap<&'static str, (String, String)>,
    auth: AuthServiceClient<Channel>,
}

impl Cast {
    /// Makes everybody on a server for development, and starts one that is not over what it left.
    pub async fn gather() -> Self {
        let (keys, folder) = Self::prepare().await;
        let server = Server::start_in(folder, |config| config.dev = false);
        let auth = AuthServiceClient::new(server.channel().await);
        let mut cast = Self { server, ada: "ada".into(), idle: IDLE.into(), tokens: BTreeMap::new(), keys, auth };
        for (name, _, _) in USERS {
            let token = cast.sign_in(name).await;
            cast.tokens.insert(name, token);
        }
        cast
    }

    async fn prepare() -> (BTreeMap<&'static str, (String, String)>, Home) {
        let server = Server::dev();
        let mut users = server.users().await;
        for (id, role) in USERS.map(|(_, id, role)| (id, role)).into_iter().chain([(IDLE, Role::User)]) {
            let request = CreateUserRequest {
                email: format!("{id}@example.com"),
                user_id: id.into(),
                password: PASSWORD.into(),
                role: role.into(),
                ..Default::default()
            };
            users.create_user(request).await.unwrap();
        }
        let mut auth = AuthServiceClient::new(server.channel().await);
        let mut keys = BTreeMap::new();
        for permission in Permission::ALL {
            let with = create_key(&mut auth, &|other| other == *permission).await;
            let without = create_key(&mut auth, &|other| other != *permission).await;
            keys.insert(permission.name(), (with, without));
        }
        (keys, server.stop().await.1)
    }

    /// The access token that this user signed in for at the start.
    pub fn token(&self, name: &str) -> &str {
        &self.tokens[name]
    }

    /// Signs a user in once more.
    pub async fn sign_in(&self, name: &str) -> String {
        self.tokens_of(name).await.0
    }

    /// Signs a user in once more: the access token and the refresh token.
    pub async fn tokens_of(&self, name: &str) -> (String, String) {
        let (_, id, _) = USERS.iter().find(|(user, _, _)| *user == name).unwrap();
        let request =
            SignInRequest { login: format!("{id}@example.com"), password: PASSWORD.into(), device: "".into() };
        let tokens = self.auth.clone().sign_in(request).await.unwrap().into_inner().tokens.unwrap();
        (tokens.access_token, tokens.refresh_token)
    }

    /// A key that has this permission alone, and one that has all others.
    pub fn keys_for(&self, permission: &str) -> (&str, &str) {
        let (with, without) = &self.keys[permission];
        (with, without)
    }

    /// A key, whatever it may do.
    pub fn any_key(&self) -> &str {
        self.keys_for(Permission::UsersRead.name()).0
    }

    /// The id of nobody, as long as Ada's.
    pub fn absent(&self) -> String {
        "adx".into()
    }

    /// Gives a user another role.
    pub async fn set_role(&self, name: &str, role: Role, authorization: &str) {
        let (_, id, _) = USERS.iter().find(|(user, _, _)| *user == name).unwrap();
        let request = UpdateUserRequest { user_id: (*id).into(), role: Some(role.into()), ..Default::default() };
        self.server.users().await.update_user(authorized(request, authorization)).await.unwrap();
    }
}

async fn create_key(auth: &mut AuthServiceClient<Channel>, has: &dyn Fn(Permission) -> bool) -> String {
    let scopes = Permission::ALL.iter().filter(|permission| has(**permission)).map(|p| p.name().to_owned()).collect();
    let api_key = Some(ApiKey { name: "test".into(), scopes, ..Default::default() });
    auth.create_api_key(CreateApiKeyRequest { api_key, validate_only: false }).await.unwrap().into_inner().secret
}

/// `message` with this token.
pub fn authorized<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// Everything in the database but the notes of who called: events, and when a session or key was last used.
#[derive(Debug, PartialEq)]
pub struct Database(Vec<(String, Vec<Vec<Value>>)>);

impl Database {
    pub fn read(cast: &Cast) -> Self {
        let connection = open(cast);
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut statement = connection.prepare(tables).unwrap();
        let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        Self(names.into_iter().map(|name| (rows(&connection, &name), name)).map(|(rows, name)| (name, rows)).collect())
    }
}

fn rows(connection: &Connection, table: &str) -> Vec<Vec<Value>> {
    let kept = if table == "changes" { "WHERE revision > 0" } else { "" };
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} {kept}")).unwrap();
    let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
    let kept: Vec<_> = (0..columns.len()).filter(|&index| !columns[index].starts_with("last_used")).collect();
    let read = statement.query_map([], |row| kept.iter().map(|index| row.get(*index)).collect());
    read.unwrap().map(Result::unwrap).collect()
}

/// The database of the server that runs, to be read.
pub fn open(cast: &Cast) -> Connection {
    Connection::open_with_flags(cast.server.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}
