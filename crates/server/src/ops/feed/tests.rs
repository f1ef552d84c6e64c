//! A watch whose client takes what it is sent later than the watch wants to beat.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::{
    hub::Hub,
    place::{Known, Place, ResumeTokens},
    watch_users::FeedEvent,
    watcher::{Shared, Watcher},
};
use crate::{
    model::{Actor, ChangeMeta, PermissionSet, Role, SystemClock, Timestamp, User, UserId, UserStatus},
    ops::page_token::PageTokens,
    store::{
        NewUser, Store,
        sqlite::{Location, SqliteOptions, SqliteStore},
    },
};

const USERS: usize = 60;

async fn create(store: &dyn Store, number: usize) {
    let meta = ChangeMeta {
        at: Timestamp(1),
        actor: Actor::Developer,
        held: PermissionSet::ALL,
        request_id: "request".into(),
        remote_address: String::new(),
        validate_only: false,
        idempotency: None,
    };
    let user = User {
        id: UserId::parse(&format!("u-{number:02}")).unwrap(),
        email: format!("u{number}@example.com"),
        name: String::new(),
        username: format!("u{number}"),
        role: Role::User,
        status: UserStatus::Active,
        age: None,
        phone: String::new(),
        locale: String::new(),
        attributes: BTreeMap::new(),
        email_verified: false,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        revision: 1,
    };
    store.create_user(NewUser { user, password_hash: None, mail: None }, meta).await.unwrap();
}

#[tokio::test]
async fn a_client_slower_than_the_heartbeat_is_sent_all() {
    let options =
        SqliteOptions { location: Location::Memory, cache_bytes: 0, write_queue_max: 1_024, reader_threads: 1 };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options).unwrap());
    for number in 0..USERS {
        create(&*store, number).await;
    }
    let (out, mut chunks) = mpsc::channel(1);
    let hub = Hub::start(Arc::clone(&store));
    let shared = Shared {
        store: Arc::clone(&store),
        clock: Arc::new(SystemClock),
        hub: Arc::clone(&hub),
        catch_up: Arc::new(Semaphore::new(1)),
        drain: None,
    };
    let watcher = Watcher {
        shared,
        progress: hub.progress(),
        filter: None,
        tokens: ResumeTokens::new(&PageTokens::new([0; 32]), None),
        private: true,
        own: None,
        // It beats in every read.
        heartbeat: Duration::ZERO,
        slow_after: Duration::from_hours(1),
        place: Place { position: *store.newest_position().borrow(), known: Known::Nobody },
        reached: Arc::default(),
        greets: false,
        resumes: false,
        page_max: 1,
        quiet_since: Instant::now(),
        out,
    };
    let watching = tokio::spawn(watcher.run());
    let mut told = 0;
    loop {
        while chunks.is_empty() && !watching.is_finished() {
            tokio::task::yield_now().await;
        }
        // The only thread that reads has done what the watcher asked of it when it has done this.
        store.moment(None).await.unwrap();
        let chunk = chunks.recv().await.expect("the watch has ended");
        let events = chunk.into_iter().map(|item| item.event);
        let events: Vec<_> = events.filter(|event| !matches!(event, FeedEvent::Heartbeat { .. })).collect();
        for event in events {
            match event {
                FeedEvent::SnapshotUser(user) => {
                    assert_eq!(user.user().unwrap().id.to_string(), format!("u-{told:02}"));
                    told += 1;
                }
                FeedEvent::SnapshotComplete { user_count } => {
                    assert_eq!((user_count, told), (USERS as u64, USERS));
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
