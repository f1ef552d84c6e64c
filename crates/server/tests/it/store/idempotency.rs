//! Calls with a key: run once, answered again, and forgotten in time and with the user that they are about.

use std::sync::Arc;

use roster_server::{
    model::{Actor, ChangeMeta, Idempotency, IdempotencyKey, IdempotencyKeys, Timestamp, UserPatch, UserStatus},
    store::{Answer as _, NewUser, Store, StoreError, StoredUser},
};

use super::{Decoded as _, create, join_all, meta, user};

const HOUR_US: i64 = 3_600_000_000;

pub(super) fn call(key: &str, request: &str) -> Arc<Idempotency> {
    let keys = IdempotencyKeys::new([1; 32]);
    let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
    Arc::new(keys.call(&Actor::Developer, "/method", &key, None, request.as_bytes()))
}

pub(super) fn with(call: &Arc<Idempotency>) -> ChangeMeta {
    ChangeMeta { idempotency: Some(Arc::clone(call)), ..meta() }
}

fn new(name: &str) -> NewUser {
    NewUser { user: user(name), password_hash: None, mail: None }
}

fn rename(name: &str) -> UserPatch {
    UserPatch { name: Some(name.into()), ..UserPatch::default() }
}

pub async fn a_call_with_a_key_runs_once_and_its_answer_is_kept(store: &dyn Store) {
    let (call, other) = (call("k", "request"), call("k", "another"));
    let created = store.create_user(new("once"), with(&call)).await.unwrap();
    for again in [&call, &other] {
        assert_eq!(store.create_user(new("twice"), with(again)).await, Err(StoreError::KeyUsed));
        assert_eq!(store.delete_user(created.user().unwrap().id, None, with(again)).await, Err(StoreError::KeyUsed));
    }
    let kept = store.find_answer(call.id, meta().at).await.unwrap().unwrap();
    assert!(call.is_of(&kept.request) && !other.is_of(&kept.request));
    let answer = call.open(&kept.sealed.unwrap()).unwrap();
    assert_eq!(StoredUser::from_kept(&answer), Ok(created.clone()));
    assert_eq!(store.list_changes(0, 10).await.unwrap().changes.len(), 1);
    // What was not run leaves the cache as it was.
    let id = created.user().unwrap().id;
    store.update_user(id.clone(), rename("Later"), None, meta()).await.unwrap();
    let later = UserStatus::Inactive;
    assert_eq!(store.set_user_status(id.clone(), later, None, with(&call)).await, Err(StoreError::KeyUsed));
    let found = store.find_user(&id).await.decoded().unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.status), ("Later", UserStatus::Active));
}

pub async fn of_parallel_calls_with_a_key_one_runs(store: &dyn Store) {
    let call = call("k", "request");
    let names: Vec<_> = (0..32).map(|number| format!("parallel{number}")).collect();
    let outcomes = join_all(names.iter().map(|name| store.create_user(new(name), with(&call)))).await;
    let done: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(done.len(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::KeyUsed)).count(), 31);
    assert_eq!(super::count(store, "parallel").await, 1);
}

pub async fn what_fails_or_is_rehearsed_keeps_no_answer(store: &dyn Store) {
    let call = call("k", "request");
    let ada = create(store, &user("ada")).await.unwrap();
    let stale = store.update_user(ada.id.clone(), rename("x"), Some("0-0".into()), with(&call)).await;
    assert_eq!(stale, Err(StoreError::Stale));
    let rehearsal = ChangeMeta { validate_only: true, ..with(&call) };
    store.update_user(ada.id.clone(), rename("x"), None, rehearsal.clone()).await.unwrap();
    assert_eq!(store.find_answer(call.id, meta().at).await, Ok(None));
    store.update_user(ada.id.clone(), rename("y"), None, with(&call)).await.unwrap();
    store.update_user(ada.id, rename("z"), None, rehearsal).await.unwrap();
    assert!(store.find_answer(call.id, meta().at).await.unwrap().is_some());
    // A guess that fails says nothing of a call that was answered.
    assert_eq!(store.fail_sign_in(None, "SIGN_IN_FAILED", with(&call)).await, Err(StoreError::KeyUsed));
}

pub async fn a_deleted_user_takes_the_answers_along(store: &dyn Store) {
    let (create, update, delete) = (call("create", ""), call("update", ""), call("delete", ""));
    let id = store.create_user(new("gone"), with(&create)).await.unwrap().user().unwrap().id;
    store.update_user(id.clone(), rename("Gone Soon"), None, with(&update)).await.unwrap();
    let (other, of_other) = (call("other", ""), new("stays"));
    store.create_user(of_other, with(&other)).await.unwrap();
    store.delete_user(id.clone(), None, with(&delete)).await.unwrap();
    for (call, is_kept) in [(&create, false), (&update, false), (&delete, true), (&other, true)] {
        let answered = store.find_answer(call.id, meta().at).await.unwrap().unwrap();
        assert_eq!(answered.sealed.is_some(), is_kept);
        // Nor is anything done again.
        assert_eq!(store.create_user(new("again"), with(call)).await, Err(StoreError::KeyUsed));
    }
}

pub async fn answers_are_kept_for_a_day(store: &dyn Store) {
    let (first, second) = (call("first", ""), call("second", ""));
    let begun = with(&first);
    store.create_user(new("first"), begun.clone()).await.unwrap();
    let second_meta = ChangeMeta { at: Timestamp(begun.at.0 + HOUR_US), ..with(&second) };
    store.create_user(new("second"), second_meta).await.unwrap();
    let end = Timestamp(begun.at.0 + 24 * HOUR_US);
    let before = Timestamp(end.0 - 1);
    assert!(store.find_answer(first.id, before).await.unwrap().is_some());
    assert_eq!(store.purge_answers(before, 10).await, Ok(0));
    assert_eq!(store.find_answer(first.id, end).await, Ok(None));
    // What has ended is as good as gone, purged or not, and the key may be used anew.
    store.create_user(new("anew"), ChangeMeta { at: end, ..with(&first) }).await.unwrap();
    assert!(store.find_answer(first.id, end).await.unwrap().is_some());
    let much_later = Timestamp(end.0 + 48 * HOUR_US);
    assert_eq!(store.purge_answers(much_later, 1).await, Ok(1));
    assert_eq!(store.purge_answers(much_later, 10).await, Ok(1));
    assert_eq!(store.purge_answers(much_later, 10).await, Ok(0));
}
