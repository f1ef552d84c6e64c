//! What one server ends is ended on every other.

use std::sync::Arc;

use roster_server::{
    model::{ApiKey, ApiKeyId, PermissionSet, Role, SessionId, User, UserPatch, UserStatus},
    store::{
        ApiKeyStore as _, GrantStore as _, Live, NewApiKey, SessionStore as _, Store as _, postgres::PostgresStore,
    },
};

use url::Url;

use super::node;
use crate::{
    postgres::Database,
    store::{
        meta,
        sessions::{begin, with_password},
        tick,
    },
};

/// A grant that stands. Grants are not trusted until the server has heard of the others' doings, which may take a moment.
async fn standing(store: &PostgresStore, user: &User, session: SessionId) -> Arc<Live> {
    loop {
        let live = store.find_session_grant(&user.id, session, tick()).await;
        if let Ok(Some(live)) = live
            && live.stands()
        {
            return live;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_end_reaches_grants_on_every_server() {
    let database = Database::new();
    let (here, there) = (node(&database), node(&database));
    let ada = with_password(&here, "ada").await;
    let session = begin(&here, &ada.id).await;
    let ends: [(&str, Ending); 4] = [
        ("role", Ending::Role),
        ("password", Ending::Password),
        ("status", Ending::Status),
        ("session", Ending::Session),
    ];
    let mut session = session;
    for (name, end) in ends {
        let live = standing(&there, &ada, session.id).await;
        end.end(&here, &ada, session.id).await;
        live.ended().await;
        assert!(!live.stands(), "{name}");
        let now = there.find_session_grant(&ada.id, session.id, tick()).await.unwrap();
        assert_eq!(now.is_some(), name == "role", "{name}");
        if now.is_none() {
            here.set_user_status(ada.id.clone(), UserStatus::Active, None, meta()).await.unwrap();
            let hash = roster_server::auth::PasswordHash::from_store("first".into());
            here.set_password(&ada.id, hash, None, meta()).await.unwrap();
            session = begin(&here, &ada.id).await;
        }
    }

    let key = ApiKey {
        id: ApiKeyId::generate(tick()),
        name: "key".into(),
        prefix: "prefix".into(),
        scopes: PermissionSet::ALL,
        expires_at: None,
        created_at: tick(),
        last_used_at: None,
        created_by: Some(ada.id.clone()),
    };
    here.create_api_key(NewApiKey { key: key.clone(), hash: [7; 32] }, meta()).await.unwrap();
    let live = there.find_api_key_grant(key.id, &[7; 32], tick()).await.unwrap().unwrap();
    here.revoke_api_key(key.id, meta()).await.unwrap();
    live.ended().await;
    assert!(there.find_api_key_grant(key.id, &[7; 32], tick()).await.unwrap().is_none());
    here.close().await;
    there.close().await;
}

/// What ends grants.
enum Ending {
    Role,
    Password,
    Status,
    Session,
}

impl Ending {
    async fn end(&self, store: &PostgresStore, user: &User, session: SessionId) {
        match self {
            Self::Role => {
                let patch = UserPatch { role: Some(Role::Moderator), ..UserPatch::default() };
                store.update_user(user.id.clone(), patch, None, meta()).await.unwrap();
            }
            Self::Password => {
                let hash = roster_server::auth::PasswordHash::from_store("second".into());
                store.set_password(&user.id, hash, None, meta()).await.unwrap();
            }
            Self::Status => {
                store.set_user_status(user.id.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
            }
            Self::Session => store.end_session(&user.id, session, meta()).await.unwrap(),
        }
    }
}

#[tokio::test]
async fn no_grant_stands_while_the_database_is_out_of_reach() {
    let database = Database::new();
    // Whoever shuts a database must be in another.
    let (elsewhere, store) = (Database::new(), node(&database));
    let owner = elsewhere.connect().await;
    let ada = with_password(&store, "ada").await;
    let session = begin(&store, &ada.id).await;
    let live = standing(&store, &ada, session.id).await;
    let name = Url::parse(database.url()).unwrap().path().trim_start_matches('/').to_owned();
    let allow = |allowed: bool| {
        format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
    };
    owner.batch_execute(&allow(false)).await.unwrap();
    live.ended().await;
    assert!(!live.stands());
    assert!(store.find_session_grant(&ada.id, session.id, tick()).await.is_err());
    assert!(store.ping().await.is_err());
    owner.batch_execute(&allow(true)).await.unwrap();
    assert!(standing(&store, &ada, session.id).await.stands());
    assert!(!live.stands(), "what was cut stays cut");
    store.close().await;
}

#[tokio::test]
async fn a_session_that_makes_room_ends_on_every_server() {
    let database = Database::new();
    let (here, there) = (node(&database), node(&database));
    let ada = with_password(&here, "ada").await;
    let first = begin(&here, &ada.id).await;
    let live = standing(&there, &ada, first.id).await;
    for _ in 0..100 {
        begin(&here, &ada.id).await;
    }
    live.ended().await;
    assert!(there.find_session_grant(&ada.id, first.id, tick()).await.unwrap().is_none());
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn grants_end_when_the_log_is_followed_anew() {
    let database = Database::new();
    let (store, owner) = (node(&database), database.connect().await);
    let ada = with_password(&store, "ada").await;
    let session = begin(&store, &ada.id).await;
    let live = standing(&store, &ada, session.id).await;
    let end_follower = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'roster log'";
    assert_eq!(owner.execute(end_follower, &[]).await.unwrap(), 1);
    live.ended().await;
    assert!(standing(&store, &ada, session.id).await.stands());
    assert!(!live.stands(), "the server that answers now may not be the one that did");
    store.close().await;
}
