//! The feed asked itself, as callers of every kind, where a wire would only be in the way.

use std::{sync::Arc, time::Duration};

use roster_server::{
    auth::{Caller, Service},
    mail::{Delivery, Mailer},
    model::{Grant, Permission, PermissionSet, Role, SessionId, Staleness, SystemClock, Timestamp, UserId},
    ops::{
        ChangeKind, CreateUserInput, Ctx, Error, FeedEvent, FeedOptions, LogRetention, Ops, Reason, RequestId,
        UserAgent, UserWatch, WatchStart, WatchUsersInput,
    },
    store::{LiveGrants, Store, StoredUser},
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{ops_over, store_in};

/// The use cases over a file of their own.
struct Bench {
    ops: Ops,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(store_in(&folder));
        let mailer = Mailer::new(Delivery::Waiting, false, "Roster".into(), None);
        let ops = ops_over(Arc::clone(&store), Arc::new(SystemClock), Arc::new(mailer)).await;
        Self { ops, store, _folder: folder }
    }

    async fn create(&self, id: &str) {
        let input = CreateUserInput {
            email: format!("{id}@example.com"),
            user_id: id.into(),
            age: Some(36),
            phone: "+493012345678".into(),
            attributes: [("team".to_owned(), "blue".to_owned())].into(),
            ..Default::default()
        };
        self.ops.create_user(&ctx(Caller::Developer), input).await.unwrap();
    }

    async fn watch(&self, caller: Caller, start: WatchStart) -> UserWatch {
        let greets = start == WatchStart::Now;
        let input = WatchUsersInput { start, ..Default::default() };
        let mut watch = self.ops.watch_users(&ctx(caller), &input).await.unwrap();
        if greets {
            assert!(matches!(watch.next().await.unwrap().event, FeedEvent::Heartbeat { .. }));
        }
        watch
    }

    async fn no_watchers(&self) {
        while self.ops.feed_load().watchers > 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn ctx(caller: Caller) -> Ctx {
    let (request_id, user_agent) = (RequestId::generate(), UserAgent::default());
    Ctx { caller, request_id, remote: None, user_agent, idempotency: None, staleness: Staleness::NONE }
}

fn service(permissions: &[Permission]) -> Caller {
    Caller::Service(Arc::new(Service { name: "billing".into(), permissions: PermissionSet::of(permissions) }))
}

fn session(id: &str, role: Role) -> Caller {
    let (grants, user_id) = (LiveGrants::default(), UserId::parse(id).unwrap());
    let grant = Grant::Session { id: SessionId(Uuid::from_u128(1)), user_id, role, expires_at: Timestamp(i64::MAX) };
    Caller::Granted(grants.admit(grants.ticket(), grant))
}

fn has_private(user: &StoredUser) -> bool {
    let user = user.user().unwrap();
    let fields = [user.age.is_some(), !user.phone.is_empty(), !user.attributes.is_empty()];
    assert!(fields == [true; 3] || fields == [false; 3], "{user:?}");
    fields[0]
}

async fn next_user(watch: &mut UserWatch) -> StoredUser {
    match watch.next().await.unwrap().event {
        FeedEvent::Change(change) => change.user.unwrap(),
        FeedEvent::SnapshotUser(user) => user,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn private_fields_are_in_the_feed_of_those_who_may_read_them() {
    let bench = Bench::new().await;
    bench.create("ada").await;
    let watcher = service(&[Permission::UsersWatch]);
    let reader = service(&[Permission::UsersWatch, Permission::UsersReadPrivate]);
    let callers = [(watcher.clone(), false), (reader, true), (session("root", Role::Admin), true)];
    for (number, (caller, sees)) in callers.into_iter().enumerate() {
        let mut snapshot = bench.watch(caller.clone(), WatchStart::Snapshot).await;
        assert_eq!(has_private(&next_user(&mut snapshot).await), sees);
        let mut watch = bench.watch(caller, WatchStart::Now).await;
        bench.create(&format!("new-{number}")).await;
        assert_eq!(has_private(&next_user(&mut watch).await), sees);
    }
    // Nor may who cannot read them find users by them.
    let input = WatchUsersInput { filter: "age > 30".into(), ..Default::default() };
    let refused = bench.ops.watch_users(&ctx(watcher), &input).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
    for role in [Role::User, Role::Moderator] {
        let refused = bench.ops.watch_users(&ctx(session("ada", role)), &Default::default()).await.unwrap_err();
        assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn one_write_wakes_ten_thousand_watches_with_one_read() {
    const WATCHES: usize = 10_000;
    let bench = Bench::new().await;
    // So that the hub is awake and has caught up.
    let mut first = bench.watch(Caller::Developer, WatchStart::Now).await;
    bench.create("first").await;
    next_user(&mut first).await;
    let mut watches = Vec::with_capacity(WATCHES);
    for _ in 0..WATCHES {
        watches.push(bench.watch(Caller::Developer, WatchStart::Now).await);
    }
    let before = bench.ops.feed_load();
    assert_eq!(before.watchers, WATCHES + 1);
    bench.create("ada").await;
    let mut tokens = std::collections::BTreeSet::new();
    for watch in &mut watches {
        let item = watch.next().await.unwrap();
        let FeedEvent::Change(change) = item.event else { panic!("no change") };
        assert_eq!((change.kind, change.user_id.to_string().as_str()), (ChangeKind::Created, "ada"));
        tokens.insert(item.resume_token);
    }
    assert_eq!(bench.ops.feed_load().reads, before.reads + 1);
    assert_eq!(tokens.len(), 1);
    // Nobody watches: nothing is read any more.
    drop((watches, first));
    bench.no_watchers().await;
    let asleep = bench.ops.feed_load();
    bench.create("bea").await;
    assert_eq!(bench.ops.feed_load(), asleep);
}

#[tokio::test]
async fn a_watch_that_is_not_read_ends_and_costs_the_others_nothing() {
    let mut bench = Bench::new().await;
    bench.ops = bench.ops.with_feed(FeedOptions { slow_after: Duration::from_millis(20), ..FeedOptions::default() });
    let mut lazy = bench.watch(Caller::Developer, WatchStart::Now).await;
    let mut eager = bench.watch(Caller::Developer, WatchStart::Now).await;
    let mut told = 0;
    // One chunk waits for its reader, and what comes then makes it a laggard.
    while bench.ops.feed_load().watchers == 2 {
        told += 1;
        bench.create(&format!("u-{told}")).await;
        assert_eq!(next_user(&mut eager).await.user().unwrap().id.to_string(), format!("u-{told}"));
    }
    let (mut seen, mut last) = (0, String::new());
    let token = loop {
        match lazy.next().await {
            Ok(item) => {
                seen += 1;
                last = item.resume_token;
            }
            Err(Error::WatchEnded { reason: Reason::WatcherTooSlow, resume_token }) => break resume_token,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(seen < told, "{seen} of {told}");
    assert_eq!(token, last, "it goes on after what was handed over");
    let mut again = bench.watch(Caller::Developer, WatchStart::Resume(token)).await;
    for number in seen + 1..=told {
        assert_eq!(next_user(&mut again).await.user().unwrap().id.to_string(), format!("u-{number}"));
    }
}

#[tokio::test]
async fn whoever_falls_behind_the_memory_reads_the_same_from_the_store() {
    // As many as the ring holds, and more.
    const WRITERS: usize = 50;
    const EACH: usize = 340;
    let mut bench = Bench::new().await;
    bench.ops = bench.ops.with_feed(FeedOptions { slow_after: Duration::from_secs(3_600), ..FeedOptions::default() });
    let bench = Arc::new(bench);
    let mut behind = bench.watch(Caller::Developer, WatchStart::Now).await;
    let mut ahead = bench.watch(Caller::Developer, WatchStart::Now).await;
    for writer in 0..WRITERS {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            for number in 0..EACH {
                bench.create(&format!("u-{writer}-{number}")).await;
            }
        });
    }
    let mut told = Vec::with_capacity(WRITERS * EACH);
    for _ in 0..WRITERS * EACH {
        told.push(ahead.next().await.unwrap());
    }
    for expected in told {
        assert_eq!(behind.next().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn the_log_keeps_what_it_is_told_to_keep() {
    let mut bench = Bench::new().await;
    for number in 0..20 {
        bench.create(&format!("u-{number}")).await;
    }
    let retention = LogRetention { max_rows: 5, ..LogRetention::default() };
    bench.ops = bench.ops.with_retention(retention);
    bench.ops.keep_house().await;
    let newest = *bench.store.newest_position().borrow();
    assert_eq!(bench.store.list_changes(newest - 5, 100).await.unwrap().changes.len(), 5);
    assert!(bench.store.list_changes(newest - 6, 100).await.is_err());
    // By age too, and never the newest.
    bench.ops = bench.ops.with_retention(LogRetention { max_age: Duration::ZERO, ..LogRetention::default() });
    bench.ops.keep_house().await;
    assert_eq!(bench.store.list_changes(newest - 1, 100).await.unwrap().changes.len(), 1);
    assert!(bench.store.list_changes(newest - 2, 100).await.is_err());
}
