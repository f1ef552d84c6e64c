//! Watches with a filter: who begins to match, who matches no more, and what of it is told.

use roster_api::user::v1::{ChangeKind, DeactivateUserRequest, ReactivateUserRequest, UpdateUserRequest};
use tonic::Code;

use super::{Watch, deleted, from_token, named, renamed, snapshot, with_filter};
use crate::harness::{Server, problem};

#[tokio::test]
async fn transitions_are_told_as_the_table_says_live_and_from_a_token() {
    let server = Server::dev();
    let mut users = server.users().await;
    let filter = "name = \"in*\" status = ACTIVE";
    let mut live = Watch::start(&mut users, with_filter(filter)).await;
    let mut all = Watch::start(&mut users, Default::default()).await;
    users.create_user(named("in-first")).await.unwrap();
    let (start, _) = live.next().await;

    let deactivate = |id: &str| DeactivateUserRequest { user_id: id.into(), etag: String::new() };
    let reactivate = |id: &str| ReactivateUserRequest { user_id: id.into(), etag: String::new() };
    users.create_user(named("in-born")).await.unwrap();
    users.create_user(named("out-born")).await.unwrap();
    users.update_user(renamed("in-born", "in still")).await.unwrap();
    users.update_user(renamed("out-born", "out still")).await.unwrap();
    users.update_user(renamed("out-born", "in now")).await.unwrap();
    users.deactivate_user(deactivate("in-born")).await.unwrap();
    users.update_user(renamed("in-born", "in, but not active")).await.unwrap();
    users.reactivate_user(reactivate("in-born")).await.unwrap();
    users.update_user(renamed("in-born", "out")).await.unwrap();
    users.deactivate_user(deactivate("in-born")).await.unwrap();
    // A user who never matched is deleted too.
    users.create_user(named("out-gone")).await.unwrap();
    users.delete_user(deleted("out-gone")).await.unwrap();

    let expected = [
        (ChangeKind::Created, "in-born", "in-born", ""),
        (ChangeKind::Updated, "in-born", "in still", "name"),
        (ChangeKind::Updated, "out-born", "in now", "name"),
        (ChangeKind::LeftFilter, "in-born", "in still", "status"),
        (ChangeKind::Updated, "in-born", "in, but not active", "status"),
        (ChangeKind::LeftFilter, "in-born", "out", "name"),
        (ChangeKind::Deleted, "out-gone", "", ""),
    ];
    let resumed = roster_api::user::v1::WatchUsersRequest { filter: filter.into(), ..from_token(&start) };
    for mut watch in [live, Watch::start(&mut users, resumed).await] {
        for (kind, id, name, field) in expected {
            let change = watch.change().await;
            let told_name = change.user.as_ref().map_or("", |user| &user.name);
            let told = (change.kind(), change.user_id.as_str(), told_name, change.changed_fields.concat());
            assert_eq!(told, (kind, id, name, field.to_owned()));
        }
    }
    // Without a filter all of it is told, as what it was.
    let mut kinds = Vec::new();
    for _ in 0..13 {
        kinds.push(all.change().await.kind());
    }
    use ChangeKind::{Created, Deactivated, Deleted, Reactivated, Updated};
    assert_eq!(
        kinds,
        [
            Created,
            Created,
            Created,
            Updated,
            Updated,
            Updated,
            Deactivated,
            Updated,
            Reactivated,
            Updated,
            Deactivated,
            Created,
            Deleted
        ]
    );
}

#[tokio::test]
async fn a_snapshot_holds_who_matches() {
    let server = Server::dev();
    let mut users = server.users().await;
    for id in ["in-a", "out-b", "in-c"] {
        users.create_user(named(id)).await.unwrap();
    }
    let request = roster_api::user::v1::WatchUsersRequest { filter: "name = \"in*\"".into(), ..snapshot() };
    let mut watch = Watch::start(&mut users, request).await;
    let mut known = super::Known::default();
    let count = loop {
        if let Some(count) = known.take(watch.next().await.1) {
            break count;
        }
    };
    assert_eq!((count, known.0.keys().map(String::as_str).collect::<Vec<_>>()), (2, vec!["in-a", "in-c"]));
}

#[tokio::test]
async fn filters_that_cannot_be_read_are_refused_however_they_are_nested() {
    let server = Server::dev();
    let mut users = server.users().await;
    let deep = format!("{}name = a{}", "(".repeat(10_000), ")".repeat(10_000));
    for filter in [&deep, "name =", "nothing = 1", "\"", &"-".repeat(10_000), "name = a OR"] {
        let problem = problem(users.watch_users(with_filter(filter)).await);
        assert_eq!(problem.kind(), (Code::InvalidArgument, "FILTER_INVALID"));
        assert_eq!(problem.fields(), ["filter"]);
    }
    // Everything that is wrong is told at once.
    let heartbeat_interval = Some(prost_types::Duration { seconds: 0, nanos: 0 });
    let both = roster_api::user::v1::WatchUsersRequest { heartbeat_interval, ..with_filter("name =") };
    assert_eq!(problem(users.watch_users(both).await).fields(), ["heartbeat_interval", "filter"]);
}

#[tokio::test]
async fn what_a_user_was_is_not_told_once_the_user_is_deleted() {
    const SECRET: &str = "Ada Lovelace of Ockham";
    let server = Server::dev();
    let mut users = server.users().await;
    let mut watch = Watch::start(&mut users, Default::default()).await;
    users.create_user(named("start")).await.unwrap();
    let (start, _) = watch.next().await;
    users.create_user(named("ada")).await.unwrap();
    users.update_user(renamed("ada", SECRET)).await.unwrap();
    let phone = UpdateUserRequest { user_id: "ada".into(), phone: Some("+493012345678".into()), ..Default::default() };
    users.update_user(phone).await.unwrap();
    for _ in 0..3 {
        assert!(watch.change().await.user.is_some());
    }
    users.delete_user(deleted("ada")).await.unwrap();
    assert_eq!(watch.change().await.kind(), ChangeKind::Deleted);

    // From the memory of the watches, and after a restart from the log.
    let left = vec![ChangeKind::Created, ChangeKind::Updated, ChangeKind::Updated, ChangeKind::Deleted];
    assert_erased(&mut Watch::start(&mut users, from_token(&start)).await, &left, SECRET).await;
    drop((watch, users));
    let server = Server::start_in(server.stop().await.1, |_| ());
    let mut users = server.users().await;
    assert_erased(&mut Watch::start(&mut users, from_token(&start)).await, &left, SECRET).await;

    // With a filter, what cannot be judged any more is passed over.
    let mut filtered = Watch::start(&mut users, with_filter("name:*")).await;
    users.create_user(named("bea")).await.unwrap();
    let (start, _) = filtered.next().await;
    users.create_user(named("eve")).await.unwrap();
    users.delete_user(deleted("eve")).await.unwrap();
    let request = roster_api::user::v1::WatchUsersRequest { filter: "name:*".into(), ..from_token(&start) };
    assert_erased(&mut Watch::start(&mut users, request).await, &[ChangeKind::Deleted], "eve@example.com").await;
}

async fn assert_erased(watch: &mut Watch, kinds: &[ChangeKind], secret: &str) {
    for kind in kinds {
        let change = watch.change().await;
        assert_eq!((change.kind(), &change.user), (*kind, &None));
        assert!(!format!("{change:?}").contains(secret));
    }
}
