//! API keys, and what they give.

use std::sync::Arc;

use roster_server::{
    auth::ApiKeySecret,
    model::{
        ApiKey, ApiKeyId, ChangeMeta, Grant, Permission, PermissionSet, Role, Timestamp, UserId, UserPatch, UserStatus,
    },
    store::{API_KEYS_MAX, ApiKeyUse, Live, NewApiKey, Store, StoreError},
};

use super::{create, meta, tick, user};

const SCOPES: PermissionSet = PermissionSet::of(&[Permission::UsersRead, Permission::UsersDelete]);

fn new_key(name: &str, created_by: Option<&UserId>) -> NewApiKey {
    let created_at = tick();
    let (id, secret) = ApiKeySecret::generate(created_at).unwrap();
    let key = ApiKey {
        id,
        name: name.into(),
        prefix: secret.prefix().into(),
        scopes: SCOPES,
        expires_at: None,
        created_at,
        last_used_at: None,
        created_by: created_by.cloned(),
    };
    NewApiKey { key, hash: secret.hash() }
}

async fn add(store: &dyn Store, name: &str, created_by: Option<&UserId>) -> NewApiKey {
    let new = new_key(name, created_by);
    store.create_api_key(new.clone(), meta()).await.unwrap();
    new
}

async fn grant(store: &dyn Store, new: &NewApiKey) -> Option<Arc<Live>> {
    store.find_api_key_grant(new.key.id, &new.hash, tick()).await.unwrap()
}

/// What the key may do now; `None` if it is refused.
async fn permissions(store: &dyn Store, new: &NewApiKey) -> Option<PermissionSet> {
    grant(store, new).await.map(|live| match &live.grant {
        Grant::ApiKey { permissions, .. } => *permissions,
        Grant::Session { .. } => panic!("a session's grant"),
    })
}

pub async fn a_key_is_listed_as_it_went_in_until_it_is_revoked(store: &dyn Store) {
    let maker = create(store, &user("maker")).await.unwrap();
    let mut one = new_key("one, <two>", Some(&maker.id));
    one.key.expires_at = Some(Timestamp(i64::MAX));
    let rehearsal = ChangeMeta { validate_only: true, ..meta() };
    store.create_api_key(one.clone(), rehearsal).await.unwrap();
    assert_eq!(store.list_api_keys(None, 10).await.unwrap(), []);
    store.create_api_key(one.clone(), meta()).await.unwrap();
    let two = add(store, "two", None).await;
    assert_eq!(store.list_api_keys(None, 10).await.unwrap(), [two.key.clone(), one.key.clone()]);

    store.revoke_api_key(one.key.id, meta()).await.unwrap();
    assert_eq!(store.revoke_api_key(one.key.id, meta()).await, Err(StoreError::NotFound));
    assert_eq!(store.list_api_keys(None, 10).await.unwrap(), [two.key]);
    // Nothing of it is about a user.
    assert_eq!(store.list_changes(0, 10).await.unwrap().changes.len(), 1);
}

pub async fn there_are_no_more_than_the_limit(store: &dyn Store) {
    let mut last = add(store, "0", None).await;
    for number in 1..API_KEYS_MAX {
        last = add(store, &number.to_string(), None).await;
    }
    for validate_only in [true, false] {
        let meta = ChangeMeta { validate_only, ..meta() };
        assert_eq!(store.create_api_key(new_key("more", None), meta).await, Err(StoreError::LimitReached));
    }
    store.revoke_api_key(last.key.id, meta()).await.unwrap();
    add(store, "room again", None).await;
}

pub async fn pages_go_from_the_newest_to_the_oldest(store: &dyn Store) {
    let mut all = Vec::new();
    // Some are of the same moment, so that only their ids tell them apart.
    for number in 0..7 {
        let mut new = new_key(&number.to_string(), None);
        new.key.created_at = Timestamp(1_767_225_600_000_000 + number / 3);
        store.create_api_key(new.clone(), meta()).await.unwrap();
        all.push(new.key);
    }
    all.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_api_keys(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.created_at, last.id));
        seen.extend(page);
    }
    assert_eq!(seen, all);
}

pub async fn uses_only_move_forward(store: &dyn Store) {
    let new = add(store, "used", None).await;
    let id = new.key.id;
    let gone = ApiKeyId(uuid::Uuid::nil());
    let touch = |at| store.touch_api_keys(vec![ApiKeyUse { id: gone, at }, ApiKeyUse { id, at }]);
    for (at, expected) in [(5, 5), (3, 5), (5, 5), (9, 9)] {
        touch(Timestamp(at)).await.unwrap();
        assert_eq!(store.list_api_keys(None, 1).await.unwrap()[0].last_used_at, Some(Timestamp(expected)));
    }
}

pub async fn a_key_gives_what_its_maker_may_still_give(store: &dyn Store) {
    let role = |role| UserPatch { role: Some(role), ..UserPatch::default() };
    let mut maker = user("maker");
    maker.role = Role::Admin;
    let maker = create(store, &maker).await.unwrap().id.clone();
    let (new, operators) = (add(store, "mine", Some(&maker)).await, add(store, "operator's", None).await);
    assert_eq!(permissions(store, &new).await, Some(SCOPES));
    assert_eq!(permissions(store, &operators).await, Some(SCOPES));

    store.update_user(maker.clone(), role(Role::Moderator), None, meta()).await.unwrap();
    assert_eq!(permissions(store, &new).await, Some(PermissionSet::of(&[Permission::UsersRead])));
    store.update_user(maker.clone(), role(Role::User), None, meta()).await.unwrap();
    assert_eq!(permissions(store, &new).await, Some(PermissionSet::NONE));
    store.update_user(maker.clone(), role(Role::Admin), None, meta()).await.unwrap();
    store.set_user_status(maker.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    assert_eq!(permissions(store, &new).await, None);
    store.set_user_status(maker.clone(), UserStatus::Active, None, meta()).await.unwrap();
    assert_eq!(permissions(store, &new).await, Some(SCOPES));
    store.delete_user(maker, None, meta()).await.unwrap();
    assert_eq!(permissions(store, &new).await, None);
    assert_eq!(permissions(store, &operators).await, Some(SCOPES));

    // Another key's secret, a key that is none, one that has expired and one that was revoked are all the same nothing.
    let other = add(store, "other", None).await;
    assert!(store.find_api_key_grant(other.key.id, &operators.hash, tick()).await.unwrap().is_none());
    let absent = ApiKeyId(uuid::Uuid::nil());
    assert!(store.find_api_key_grant(absent, &operators.hash, tick()).await.unwrap().is_none());
    let mut brief = new_key("brief", None);
    brief.key.expires_at = Some(Timestamp(brief.key.created_at.0 + 10));
    store.create_api_key(brief.clone(), meta()).await.unwrap();
    let at = |offset| store.find_api_key_grant(brief.key.id, &brief.hash, Timestamp(brief.key.created_at.0 + offset));
    assert!(at(9).await.unwrap().is_some());
    assert!(at(10).await.unwrap().is_none());
    store.revoke_api_key(operators.key.id, meta()).await.unwrap();
    assert_eq!(permissions(store, &operators).await, None);
}

pub async fn a_key_stands_until_what_it_rests_on_ends(store: &dyn Store) {
    let mut maker = user("maker");
    maker.role = Role::Admin;
    let maker = create(store, &maker).await.unwrap().id.clone();
    let bystander = create(store, &user("bystander")).await.unwrap().id.clone();
    let (mine, operators) = (add(store, "mine", Some(&maker)).await, add(store, "operator's", None).await);
    let (live, other) = (grant(store, &mine).await.unwrap(), grant(store, &operators).await.unwrap());

    // What does not concern it, what fails and what is only a rehearsal leaves it alone.
    let renamed = UserPatch { name: Some("New".into()), ..UserPatch::default() };
    store.update_user(maker.clone(), renamed, None, meta()).await.unwrap();
    store.set_user_status(bystander, UserStatus::Inactive, None, meta()).await.unwrap();
    store.revoke_api_key(ApiKeyId(uuid::Uuid::nil()), meta()).await.unwrap_err();
    store.revoke_api_key(mine.key.id, ChangeMeta { validate_only: true, ..meta() }).await.unwrap();
    let demoted = UserPatch { role: Some(Role::User), ..UserPatch::default() };
    store
        .update_user(maker.clone(), demoted.clone(), None, ChangeMeta { validate_only: true, ..meta() })
        .await
        .unwrap();
    assert!(live.stands() && other.stands());

    store.update_user(maker.clone(), demoted, None, meta()).await.unwrap();
    assert!(!live.stands() && other.stands());
    let live = grant(store, &mine).await.unwrap();
    store.set_user_status(maker.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    assert!(!live.stands() && other.stands());
    store.set_user_status(maker.clone(), UserStatus::Active, None, meta()).await.unwrap();
    let live = grant(store, &mine).await.unwrap();
    store.delete_user(maker, None, meta()).await.unwrap();
    assert!(!live.stands() && other.stands());
    store.revoke_api_key(operators.key.id, meta()).await.unwrap();
    assert!(!other.stands());
    other.ended().await;
}
