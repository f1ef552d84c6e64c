//! The change feed: images, positions, users as they were, and what is left of a log that was trimmed.

use std::collections::BTreeMap;

use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};
use roster_server::{
    auth::PasswordHash,
    model::{Action, ChangeMeta, Timestamp, User, UserId, UserPatch, UserStatus, filter::Filter},
    store::{LogTrim, Moment, Store, StoreError, UsersAt},
};

use super::{Decoded as _, create, meta, user};

/// Sets the name.
fn named(name: &str) -> UserPatch {
    UserPatch { name: Some(name.into()), ..UserPatch::default() }
}

/// A trim by number alone.
fn keep(keep_max: u64) -> LogTrim {
    LogTrim { before: Timestamp(0), keep_max, batch_max: 1_000 }
}

/// All users as they were, read in pages of `limit`.
async fn all_at(store: &dyn Store, position: i64, filter: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
    let filter = filter.map(|text| Filter::parse(text).unwrap().unwrap());
    let (mut users, mut after) = (Vec::new(), None);
    loop {
        let page = store.users_at(UsersAt { position, filter: filter.clone(), after, limit }).await?;
        users.extend(page.users.decoded());
        after = page.next_after;
        if after.is_none() {
            return Ok(users);
        }
    }
}

pub async fn a_change_has_the_user_before_and_after_it(store: &dyn Store) {
    let created = create(store, &user("imaged")).await.unwrap();
    let id = created.id.clone();
    let renamed = store.update_user(id.clone(), named("Two"), None, meta()).await.decoded().unwrap();
    let inactive = store.set_user_status(id.clone(), UserStatus::Inactive, None, meta()).await.decoded().unwrap();
    let hash = PasswordHash::from_store("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into());
    store.set_password(&id, hash, None, meta()).await.unwrap();
    let page = store.list_changes(0, 100).await.unwrap();
    let images: Vec<_> =
        page.changes.iter().map(|change| (change.before.clone().decoded(), change.after.clone().decoded())).collect();
    let same = || Some(inactive.clone());
    assert_eq!(
        images,
        [
            (None, Some(created.clone())),
            (Some(created), Some(renamed.clone())),
            (Some(renamed), same()),
            // No field shows a new password.
            (same(), same()),
        ]
    );
    assert_eq!((page.changes[3].action, page.changes[3].revision), (Action::PasswordChanged, inactive.revision));
    store.delete_user(id, None, meta()).await.unwrap();
    let page = store.list_changes(0, 100).await.unwrap();
    assert!(page.changes.iter().all(|change| change.before.is_none() && change.after.is_none()));
}

pub async fn the_newest_position_follows_every_commit(store: &dyn Store) {
    let mut newest = store.newest_position();
    let before = *newest.borrow_and_update();
    let refused = store.delete_user(UserId::parse("nobody").unwrap(), None, meta()).await;
    assert_eq!(refused.unwrap_err(), StoreError::NotFound);
    let rehearsal = ChangeMeta { validate_only: true, ..meta() };
    let tried = roster_server::store::NewUser { user: user("tried"), password_hash: None, mail: None };
    store.create_user(tried, rehearsal).await.unwrap();
    assert!(!newest.has_changed().unwrap());
    create(store, &user("first")).await.unwrap();
    newest.changed().await.unwrap();
    let now = *newest.borrow_and_update();
    assert!(now > before);
    // What is not a change of a user moves the place to read on from.
    let page = store.list_changes(before, 100).await.unwrap();
    assert_eq!((page.changes.len(), page.upto), (1, now));
    assert_eq!(store.list_changes(now, 100).await.unwrap().upto, now);
    assert_eq!(store.moment(None).await.unwrap(), Moment { position: now, user_count: 1 });
}

pub async fn the_end_of_the_log_is_behind_no_commit(store: &dyn Store) {
    for number in 1..=20 {
        let before = store.log_end().await.unwrap();
        create(store, &user(&format!("user{number}"))).await.unwrap();
        let end = store.log_end().await.unwrap();
        assert!(end > before);
        assert_eq!(store.list_changes(before, 100).await.unwrap().changes.len(), 1);
        assert_eq!(store.list_changes(end, 100).await.unwrap().changes, []);
    }
}

/// What a plain model takes users to have been after each change.
#[derive(Default)]
struct History {
    users: BTreeMap<UserId, User>,
    moments: Vec<(i64, BTreeMap<UserId, User>)>,
}

impl History {
    /// One random change.
    async fn step(&mut self, store: &dyn Store, number: usize, rng: &mut TestRng) {
        let chance = rng.next_u32() as usize;
        let id = self.users.keys().nth(chance / 16 % self.users.len().max(1)).cloned();
        match (chance % 8, id) {
            (0..3, _) | (_, None) => {
                let mut new = user(&format!("past{number}"));
                if chance & 8 > 0 {
                    new.id = UserId::parse(&format!("past-{number}")).unwrap();
                }
                let new = create(store, &new).await.unwrap();
                self.users.insert(new.id.clone(), new);
            }
            (3..5, Some(id)) => {
                let changed = store.update_user(id.clone(), named(&format!("N{number}")), None, meta()).await;
                self.users.insert(id, changed.decoded().unwrap());
            }
            (5..7, Some(id)) => {
                let status = if chance & 8 > 0 { UserStatus::Active } else { UserStatus::Inactive };
                let changed = store.set_user_status(id.clone(), status, None, meta()).await;
                self.users.insert(id, changed.decoded().unwrap());
            }
            (_, Some(id)) => {
                store.delete_user(id.clone(), None, meta()).await.unwrap();
                self.users.remove(&id);
            }
        }
        self.moments.push((store.moment(None).await.unwrap().position, self.users.clone()));
    }
}

pub async fn users_are_read_as_they_were(store: &dyn Store) {
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut history = History::default();
    for number in 0..300 {
        history.step(store, number, &mut rng).await;
    }
    let now = history.users.clone();
    for (number, (position, then)) in history.moments.iter().enumerate() {
        let limit = [1, 7, 50, 1_000][number % 4];
        // Who was deleted since is left out.
        let mut expected: Vec<_> = then.values().filter(|user| now.contains_key(&user.id)).cloned().collect();
        assert_eq!(all_at(store, *position, None, limit).await.unwrap(), expected, "after change {number}");
        expected.retain(|user| user.status == UserStatus::Inactive);
        let filtered = all_at(store, *position, Some("status = INACTIVE"), limit).await.unwrap();
        assert_eq!(filtered, expected, "after change {number}");
    }
}

pub async fn users_are_read_as_they_were_however_much_has_changed(store: &dyn Store) {
    let mut then = Vec::new();
    for number in 0..20 {
        then.push(create(store, &user(&format!("busy{number}"))).await.unwrap());
    }
    let position = store.moment(None).await.unwrap().position;
    // More than are looked through one by one.
    let many = (0..10_100).map(|number| {
        let id = then[number % 20].id.clone();
        store.update_user(id, named(&format!("N{number}")), None, meta())
    });
    for chunk in many.collect::<Vec<_>>().chunks_mut(500) {
        for changed in super::join_all(chunk).await {
            changed.unwrap();
        }
    }
    assert_eq!(all_at(store, position, None, 6).await.unwrap(), then);
}

pub async fn a_page_is_small_where_few_match_now_and_many_have_changed(store: &dyn Store) {
    let mut then = Vec::new();
    for number in 0..60 {
        let mut new = user(&format!("mass{number}"));
        new.id = UserId::parse(&format!("mass-{number:02}")).unwrap();
        then.push(create(store, &new).await.unwrap());
    }
    let position = store.moment(None).await.unwrap().position;
    // All but the first and the last.
    for user in &then[1..59] {
        store.set_user_status(user.id.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    }
    for filter in [Some("status = ACTIVE"), Some("status = INACTIVE"), None] {
        let parsed = filter.map(|text| Filter::parse(text).unwrap().unwrap());
        let first = UsersAt { position, filter: parsed, after: None, limit: 8 };
        let page = store.users_at(first).await.unwrap();
        assert!(page.users.len() <= 16 && page.next_after.is_some(), "{filter:?}: {}", page.users.len());
        let expected = if filter == Some("status = INACTIVE") { &[][..] } else { &then[..] };
        for limit in [1, 8] {
            assert_eq!(all_at(store, position, filter, limit).await.unwrap(), expected, "{filter:?}");
        }
    }
}

pub async fn a_log_is_trimmed_by_number_and_by_age_and_keeps_its_newest(store: &dyn Store) {
    let mut users = Vec::new();
    for number in 0..10 {
        users.push(create(store, &user(&format!("old{number}"))).await.unwrap());
    }
    let log = store.list_changes(0, 100).await.unwrap().changes;
    let first = log[0].position;
    assert_eq!(store.trim_log(LogTrim { batch_max: 2, ..keep(7) }).await.unwrap(), 2);
    assert_eq!(store.trim_log(keep(7)).await.unwrap(), 1);
    assert_eq!(store.trim_log(keep(7)).await.unwrap(), 0);
    // The first three are gone, and whoever has seen them goes on.
    assert_eq!(store.list_changes(first + 1, 100).await.unwrap_err(), StoreError::Trimmed);
    assert_eq!(store.list_changes(first + 2, 100).await.unwrap().changes.len(), 7);
    let as_they_were = |position| all_at(store, position, None, 100);
    assert_eq!(as_they_were(first).await.unwrap_err(), StoreError::Trimmed);
    assert_eq!(as_they_were(first + 2).await.unwrap(), users[..3]);

    let young = LogTrim { before: log[5].at, ..keep(100) };
    assert_eq!(store.trim_log(young).await.unwrap(), 2);
    assert_eq!(store.list_changes(first + 4, 100).await.unwrap().changes, log[5..]);
    // The newest stays, whatever its age: the next one is numbered after it.
    let all = LogTrim { before: Timestamp(i64::MAX), ..keep(0) };
    assert_eq!(store.trim_log(all).await.unwrap(), 4);
    assert_eq!(store.trim_log(all).await.unwrap(), 0);
    create(store, &user("next")).await.unwrap();
    let left = store.list_changes(first + 8, 100).await.unwrap();
    assert_eq!(left.changes.iter().map(|change| change.position).collect::<Vec<_>>(), [first + 9, first + 10]);
}
