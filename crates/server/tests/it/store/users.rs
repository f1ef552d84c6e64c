//! Single users: what is written is what is read, whole or not at all.

use std::collections::BTreeMap;

use roster_server::{
    auth::PasswordHash,
    model::{AttributesPatch, Role, UserId, UserPatch, UserStatus, text::unique_key},
    store::{NewUser, Store, StoreError, Unique},
};

use super::{Decoded as _, create, join_all, meta, user};

pub async fn a_created_user_is_read_back_as_it_went_in(store: &dyn Store) {
    let mut bare = user("bare");
    (bare.username, bare.name, bare.phone, bare.locale) = Default::default();
    (bare.age, bare.attributes) = (None, BTreeMap::new());
    let mut odd = user("odd");
    odd.id = UserId::parse("auth0|5f7c8ec7c33c6c004bbafe82").unwrap();
    odd.name = "Zoë \u{1F469}\u{200D}\u{1F680} 'Robert\"); DROP TABLE users;--".into();
    odd.attributes.insert("quote".into(), "\"'\\\n\u{0}".into());
    (odd.role, odd.status, odd.email_verified) = (Role::Moderator, UserStatus::Inactive, true);

    for user in [user("plain"), bare, odd] {
        let created = create(store, &user).await.unwrap();
        assert_eq!(created, user);
        assert_eq!(store.find_user(&user.id).await.decoded().unwrap().as_ref(), Some(&user));
        let by_email = store.find_user_by_email(&unique_key(&user.email)).await.decoded().unwrap();
        assert_eq!(by_email.as_ref(), Some(&user));
        assert!(store.find_password_hash(&user.id).await.unwrap().is_none());
    }

    let user = user("secret");
    let hash = PasswordHash::from_store("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into());
    store
        .create_user(NewUser { user: user.clone(), password_hash: Some(hash.clone()), mail: None }, meta())
        .await
        .unwrap();
    let kept = store.find_password_hash(&user.id).await.unwrap().unwrap();
    assert_eq!(kept.as_str(), hash.as_str());
}

pub async fn what_is_taken_is_named(store: &dyn Store) {
    let first = user("first");
    create(store, &first).await.unwrap();
    for (unique, change) in [(Unique::Id, 0), (Unique::Email, 1), (Unique::Username, 2)] {
        let mut second = user("second");
        match change {
            0 => second.id = first.id.clone(),
            1 => second.email = first.email.to_uppercase(),
            _ => second.username = first.username.to_uppercase(),
        }
        assert_eq!(create(store, &second).await, Err(StoreError::Conflict(unique)));
    }
    // The same on update, and a user does not stand in its own way.
    let second = create(store, &user("second")).await.unwrap();
    let email = UserPatch { email: Some("FIRST@example.com".into()), ..UserPatch::default() };
    let taken = store.update_user(second.id.clone(), email, None, meta()).await.decoded();
    assert_eq!(taken, Err(StoreError::Conflict(Unique::Email)));
    let username = UserPatch { username: Some("Second".into()), ..UserPatch::default() };
    let renamed = store.update_user(second.id.clone(), username, None, meta()).await.decoded().unwrap();
    assert_eq!(renamed.username, "Second");
    // No username is no name that could be taken.
    for name in ["third", "fourth"] {
        let mut nameless = user(name);
        nameless.username = String::new();
        create(store, &nameless).await.unwrap();
    }
}

pub async fn look_alikes_are_taken_too(store: &dyn Store) {
    create(store, &user("alice")).await.unwrap();
    let mut cyrillic = user("other");
    cyrillic.username = "\u{430}lice".into();
    assert_eq!(create(store, &cyrillic).await, Err(StoreError::Conflict(Unique::Username)));
    cyrillic.username = String::new();
    cyrillic.email = "\u{430}lice@example.com".into();
    assert_eq!(create(store, &cyrillic).await, Err(StoreError::Conflict(Unique::Email)));
    // Digits that resemble letters are somebody else.
    for name in ["user1", "userl"] {
        create(store, &user(name)).await.unwrap();
    }
}

pub async fn one_of_32_parallel_creates_wins(store: &dyn Store) {
    let users: Vec<_> = (0..32)
        .map(|number| {
            let mut user = user(&format!("n{number}"));
            user.email = if number % 2 == 0 { "Same@example.com".into() } else { "same@EXAMPLE.com".into() };
            user
        })
        .collect();
    let outcomes = join_all(users.iter().map(|user| create(store, user))).await;
    let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    let lost = outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Conflict(Unique::Email)));
    assert_eq!(lost.count(), 31);
    assert_eq!(store.find_user_by_email("same@example.com").await.decoded().unwrap().as_ref(), Some(won[0]));
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 1);
}

pub async fn a_patch_changes_what_it_names_and_no_more(store: &dyn Store) {
    let before = create(store, &user("before")).await.unwrap();
    let patch = UserPatch {
        name: Some("After".into()),
        age: Some(None),
        attributes: AttributesPatch::Edit(BTreeMap::from([
            ("team".to_owned(), None),
            ("desk".to_owned(), Some("7".to_owned())),
        ])),
        ..UserPatch::default()
    };
    let meta = meta();
    let after = store.update_user(before.id.clone(), patch, Some(before.etag()), meta.clone()).await.decoded().unwrap();
    let mut expected = before.clone();
    (expected.name, expected.age, expected.revision, expected.updated_at) = ("After".into(), None, 2, meta.at);
    expected.attributes = BTreeMap::from([("desk".to_owned(), "7".to_owned())]);
    assert_eq!(after, expected);
    assert_eq!(store.find_user(&before.id).await.decoded().unwrap().as_ref(), Some(&expected));

    // A new address is not verified; the old one no longer finds the user.
    let verified = UserPatch { email_verified: Some(true), ..UserPatch::default() };
    store.update_user(before.id.clone(), verified, None, super::meta()).await.unwrap();
    let moved = UserPatch { email: Some("after@example.com".into()), ..UserPatch::default() };
    let moved = store.update_user(before.id.clone(), moved, None, super::meta()).await.decoded().unwrap();
    assert!(!moved.email_verified);
    assert_eq!(store.find_user_by_email("before@example.com").await.decoded().unwrap(), None);
    assert_eq!(store.find_user_by_email("after@example.com").await.decoded().unwrap(), Some(moved));
}

pub async fn a_patch_that_changes_nothing_leaves_no_trace(store: &dyn Store) {
    let user = create(store, &user("same")).await.unwrap();
    let patch = UserPatch { name: Some(user.name.clone()), role: Some(user.role), ..UserPatch::default() };
    assert_eq!(store.update_user(user.id.clone(), patch, None, meta()).await.decoded().unwrap(), user);
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 1);
}

pub async fn a_stale_etag_changes_nothing(store: &dyn Store) {
    let first = create(store, &user("etag")).await.unwrap();
    let rename = |name: &str| UserPatch { name: Some(name.into()), ..UserPatch::default() };
    let second =
        store.update_user(first.id.clone(), rename("Second"), Some(first.etag()), meta()).await.decoded().unwrap();
    let stale = Some(first.etag());
    let id = first.id.clone();
    assert_eq!(
        store.update_user(id.clone(), rename("Third"), stale.clone(), meta()).await.decoded(),
        Err(StoreError::Stale)
    );
    let inactive = UserStatus::Inactive;
    assert_eq!(
        store.set_user_status(id.clone(), inactive, stale.clone(), meta()).await.decoded(),
        Err(StoreError::Stale)
    );
    assert_eq!(store.delete_user(id.clone(), stale, meta()).await, Err(StoreError::Stale));
    assert_eq!(store.find_user(&id).await.decoded().unwrap(), Some(second.clone()));
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 2);
    store.delete_user(id, Some(second.etag()), meta()).await.unwrap();
}

pub async fn the_status_is_set_once(store: &dyn Store) {
    let user = create(store, &user("status")).await.unwrap();
    let id = &user.id;
    let first = store.set_user_status(id.clone(), UserStatus::Inactive, None, meta()).await.decoded().unwrap();
    assert_eq!((first.status, first.revision), (UserStatus::Inactive, 2));
    let again = store.set_user_status(id.clone(), UserStatus::Inactive, None, meta()).await.decoded().unwrap();
    assert_eq!(again, first);
    let back = store.set_user_status(id.clone(), UserStatus::Active, None, meta()).await.decoded().unwrap();
    assert_eq!((back.status, back.revision), (UserStatus::Active, 3));
}

pub async fn a_deleted_user_leaves_nothing_of_the_person(store: &dyn Store) {
    let secret = user("forgotten");
    let hash = PasswordHash::from_store("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into());
    store.create_user(NewUser { user: secret.clone(), password_hash: Some(hash), mail: None }, meta()).await.unwrap();
    let rename = UserPatch { name: Some("Forgotten Too".into()), ..UserPatch::default() };
    store.update_user(secret.id.clone(), rename, None, meta()).await.unwrap();
    store.delete_user(secret.id.clone(), None, meta()).await.unwrap();

    assert_eq!(store.find_user(&secret.id).await.decoded().unwrap(), None);
    assert_eq!(store.find_user_by_email(&unique_key(&secret.email)).await.decoded().unwrap(), None);
    assert!(store.find_password_hash(&secret.id).await.unwrap().is_none());
    assert_eq!(super::count(store, "forgotten").await, 0);
    let log = format!("{:?}", store.list_changes(0, 100).await.unwrap().changes).to_lowercase();
    assert!(!log.contains("forgotten") && !log.contains(&secret.phone), "{log}");
    // That it happened stays.
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 3);
    // What it held is free again.
    create(store, &secret).await.unwrap();
}

pub async fn an_absent_user_is_not_found_by_any_command(store: &dyn Store) {
    let id = UserId::parse("nobody").unwrap();
    assert_eq!(store.find_user(&id).await.decoded().unwrap(), None);
    assert_eq!(store.cached_user(&id), None);
    let patch = UserPatch { name: Some("x".into()), ..UserPatch::default() };
    assert_eq!(store.update_user(id.clone(), patch, None, meta()).await.decoded(), Err(StoreError::NotFound));
    let status = store.set_user_status(id.clone(), UserStatus::Inactive, None, meta()).await.decoded();
    assert_eq!(status, Err(StoreError::NotFound));
    assert_eq!(store.delete_user(id, None, meta()).await, Err(StoreError::NotFound));
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes, []);
}

pub async fn a_rehearsal_changes_nothing(store: &dyn Store) {
    let rehearsal = || {
        let mut meta = meta();
        meta.validate_only = true;
        meta
    };
    let kept = create(store, &user("kept")).await.unwrap();
    let new = |user| NewUser { user, password_hash: None, mail: None };
    // It says what would happen, conflicts included.
    let would_be = user("would-be");
    assert_eq!(store.create_user(new(would_be.clone()), rehearsal()).await.decoded().unwrap(), would_be);
    let mut taken = user("taken");
    taken.email.clone_from(&kept.email);
    assert_eq!(store.create_user(new(taken), rehearsal()).await.decoded(), Err(StoreError::Conflict(Unique::Email)));
    let patch = UserPatch { name: Some("Renamed".into()), ..UserPatch::default() };
    assert_eq!(store.update_user(kept.id.clone(), patch, None, rehearsal()).await.decoded().unwrap().name, "Renamed");

    assert_eq!(store.find_user(&would_be.id).await.decoded().unwrap(), None);
    assert_eq!(store.find_user(&kept.id).await.decoded().unwrap(), Some(kept));
    assert_eq!(super::count(store, "").await, 1);
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 1);
}

pub async fn every_read_sees_every_write_before_it(store: &dyn Store) {
    let id = create(store, &user("fresh")).await.unwrap().id.clone();
    let writes = async {
        for number in 0..500 {
            let name = UserPatch { name: Some(format!("name {number}")), ..UserPatch::default() };
            let written = store.update_user(id.clone(), name, None, meta()).await.decoded().unwrap();
            let read = store.find_user(&id).await.decoded().unwrap().unwrap();
            assert_eq!(read, written);
            let by_email = store.find_user_by_email("fresh@example.com").await.decoded().unwrap().unwrap();
            assert_eq!(by_email.revision, written.revision);
        }
    };
    // Readers beside it see time go one way only.
    let reads = || async {
        let mut seen = 0;
        for turn in 0..2_000 {
            let user = match turn % 2 {
                0 => store.find_user(&id).await.decoded().unwrap().unwrap(),
                _ => store.find_user_by_email("fresh@example.com").await.decoded().unwrap().unwrap(),
            };
            assert!(user.revision >= seen, "{} after {seen}", user.revision);
            seen = user.revision;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writes, reads(), reads());
}

pub async fn secrets_stay_the_same(store: &dyn Store) {
    let first = store.secret("one").await.unwrap();
    assert_eq!(store.secret("one").await.unwrap(), first);
    assert_ne!(store.secret("two").await.unwrap(), first);
    assert_ne!(first, [0; 32]);
}

pub async fn a_closed_store_refuses(store: &dyn Store) {
    store.ping().await.unwrap();
    store.close().await;
    let refused = create(store, &user("late")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.ping().await.is_err());
}
