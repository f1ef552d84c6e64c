//! Sessions and passwords in the store.

use roster_server::{
    auth::PasswordHash,
    model::{
        ChangeMeta, Grant, Role, Session, SessionId, Timestamp, User, UserId, UserPatch, UserStatus, text::unique_key,
    },
    store::{LoginKey, NewSession, NewUser, RefreshUse, SessionUse, Store, StoreError},
};

use super::{create, join_all, meta, tick, user};

/// A session lasts for an hour of the tests' clock, which ticks in microseconds.
const IDLE: i64 = 3_600_000_000;

pub(super) fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_store(text.to_owned())
}

pub(super) async fn with_password(store: &dyn Store, name: &str) -> User {
    let user = user(name);
    store
        .create_user(NewUser { user: user.clone(), password_hash: Some(hash("first")), mail: None }, meta())
        .await
        .unwrap();
    user
}

pub(super) fn new_session(user_id: &UserId) -> NewSession {
    let now = tick();
    let session = Session {
        id: SessionId::generate(now),
        user_id: user_id.clone(),
        device: "Anna's 📱".into(),
        remote_address: "192.0.2.7".into(),
        created_at: now,
        last_used_at: now,
        expires_at: Timestamp(now.0 + IDLE),
    };
    NewSession { session, refresh_hash: [0; 32], verified: hash("first"), rehashed: None }
}

pub(super) async fn begin(store: &dyn Store, user_id: &UserId) -> Session {
    let new = new_session(user_id);
    let session = new.session.clone();
    store.create_session(new, meta()).await.unwrap();
    session
}

/// The use of the token with this number, whose hash is that number.
pub(super) fn use_of(id: SessionId, generation: u8) -> RefreshUse {
    RefreshUse {
        id,
        generation: generation.into(),
        hash: [generation; 32],
        next_hash: [generation + 1; 32],
        expires_at: Timestamp(tick().0 + IDLE),
    }
}

pub(super) async fn list(store: &dyn Store, user_id: &UserId) -> Vec<Session> {
    store.list_sessions(user_id, tick(), None, 100).await.unwrap()
}

pub async fn logins_are_found_by_email_and_by_username(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    let email = LoginKey::Email(unique_key("ADA@example.com"));
    for key in [email.clone(), LoginKey::Username(unique_key("Ada"))] {
        let login = store.find_login(key).await.unwrap().unwrap();
        assert_eq!((login.user_id, login.role, login.password_hash), (ada.id.clone(), ada.role, Some(hash("first"))));
    }
    for nobody in [LoginKey::Email("ada".into()), LoginKey::Username("ada@example.com".into())] {
        assert!(store.find_login(nobody).await.unwrap().is_none());
    }
    let without = create(store, &user("without")).await.unwrap();
    let login = store.find_login(LoginKey::Username("without".into())).await.unwrap().unwrap();
    assert_eq!((&login.user_id, login.password_hash), (&without.id, None));
    store.set_user_status(ada.id.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    let inactive = store.find_login(email).await.unwrap().unwrap();
    assert_eq!((inactive.user_id, inactive.password_hash), (ada.id, None));
}

pub async fn a_session_begins_for_the_verified_password_alone(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    let session = begin(store, &ada.id).await;
    assert_eq!(list(store, &ada.id).await, [session]);
    // The hash is replaced with the session, and then the old one is not it any more.
    let rehashed = NewSession { rehashed: Some(hash("second")), ..new_session(&ada.id) };
    store.create_session(rehashed, meta()).await.unwrap();
    assert_eq!(store.find_password_hash(&ada.id).await.unwrap(), Some(hash("second")));
    let late = NewSession { rehashed: Some(hash("third")), ..new_session(&ada.id) };
    assert_eq!(store.create_session(late, meta()).await, Err(StoreError::Stale));
    assert_eq!(store.find_password_hash(&ada.id).await.unwrap(), Some(hash("second")));
    assert_eq!(list(store, &ada.id).await.len(), 2);

    let without = create(store, &user("without")).await.unwrap();
    assert_eq!(store.create_session(new_session(&without.id), meta()).await, Err(StoreError::Stale));
    store.set_user_status(ada.id.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    let absent = UserId::parse("absent").unwrap();
    for id in [&ada.id, &absent] {
        assert_eq!(store.create_session(new_session(id), meta()).await, Err(StoreError::NotFound));
        assert_eq!(list(store, id).await, []);
    }
}

pub async fn a_refresh_token_is_good_once_and_used_again_ends_the_session(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    let (session, other) = (begin(store, &ada.id).await, begin(store, &ada.id).await);
    let from = |address: &str| ChangeMeta { remote_address: address.into(), ..meta() };
    for generation in 0..3 {
        let (used, meta) = (use_of(session.id, generation), from("2001:db8::1"));
        let renewed = store.refresh_session(used.clone(), meta.clone()).await.unwrap();
        let expected = Session {
            remote_address: "2001:db8::1".into(),
            last_used_at: meta.at,
            expires_at: used.expires_at,
            ..session.clone()
        };
        assert_eq!(renewed, expected);
        assert_eq!(list(store, &ada.id).await, [renewed, other.clone()]);
    }
    // Not ours, or of a time that has not come: nothing happens.
    let forged = RefreshUse { hash: [9; 32], ..use_of(session.id, 3) };
    for refused in [forged, use_of(session.id, 4), use_of(SessionId::generate(tick()), 3)] {
        assert_eq!(store.refresh_session(refused, meta()).await, Err(StoreError::NotFound));
    }
    assert_eq!(list(store, &ada.id).await.len(), 2);
    for token in [1, 3] {
        assert_eq!(store.refresh_session(use_of(session.id, token), meta()).await, Err(StoreError::NotFound));
        assert_eq!(list(store, &ada.id).await, std::slice::from_ref(&other));
    }
}

pub async fn of_parallel_refreshes_one_wins_and_the_session_ends(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    let session = begin(store, &ada.id).await;
    let all = join_all((0..32).map(|_| store.refresh_session(use_of(session.id, 0), meta()))).await;
    assert_eq!(all.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(all.iter().all(|outcome| matches!(outcome, Ok(_) | Err(StoreError::NotFound))), "{all:?}");
    assert_eq!(list(store, &ada.id).await, []);
}

pub async fn sessions_end_with_their_time_and_their_user(store: &dyn Store) {
    let (ada, bea) = (with_password(store, "ada").await, with_password(store, "bea").await);
    let (mut old, mut new) = (new_session(&ada.id), new_session(&ada.id));
    (old.session.expires_at, new.session.expires_at) = (Timestamp(tick().0 + 1), Timestamp(tick().0 + IDLE));
    let (old_id, new_id) = (old.session.id, new.session.id);
    for new in [old, new] {
        store.create_session(new, meta()).await.unwrap();
    }
    let of_bea = begin(store, &bea.id).await;
    assert_eq!(list(store, &ada.id).await.iter().map(|session| session.id).collect::<Vec<_>>(), [new_id]);
    assert_eq!(store.refresh_session(use_of(old_id, 0), meta()).await, Err(StoreError::NotFound));
    assert_eq!(store.end_session(&ada.id, old_id, meta()).await, Err(StoreError::NotFound));
    assert_eq!([store.purge_sessions(tick(), 10).await, store.purge_sessions(tick(), 10).await], [Ok(1), Ok(0)]);

    store.set_user_status(ada.id.clone(), UserStatus::Inactive, None, meta()).await.unwrap();
    assert_eq!(store.refresh_session(use_of(new_id, 0), meta()).await, Err(StoreError::NotFound));
    // They do not come back either.
    store.set_user_status(ada.id.clone(), UserStatus::Active, None, meta()).await.unwrap();
    assert_eq!(list(store, &ada.id).await, []);
    assert_eq!(list(store, &bea.id).await, std::slice::from_ref(&of_bea));
    store.delete_user(bea.id.clone(), None, meta()).await.unwrap();
    assert_eq!(store.refresh_session(use_of(of_bea.id, 0), meta()).await, Err(StoreError::NotFound));
    assert_eq!(store.purge_sessions(Timestamp(i64::MAX), 10).await, Ok(0));
}

pub async fn a_user_ends_one_or_all_or_all_but_one(store: &dyn Store) {
    let (ada, bea) = (with_password(store, "ada").await, with_password(store, "bea").await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(begin(store, &ada.id).await.id);
    }
    let of_bea = begin(store, &bea.id).await;
    for (owner, id) in [(&ada.id, of_bea.id), (&bea.id, ids[0]), (&ada.id, SessionId::generate(tick()))] {
        assert_eq!(store.end_session(owner, id, meta()).await, Err(StoreError::NotFound));
    }
    store.end_session(&ada.id, ids[0], meta()).await.unwrap();
    assert_eq!(store.end_session(&ada.id, ids[0], meta()).await, Err(StoreError::NotFound));
    assert_eq!(store.end_sessions(&ada.id, Some(ids[2]), meta()).await, Ok(3));
    assert_eq!(list(store, &ada.id).await.iter().map(|session| session.id).collect::<Vec<_>>(), [ids[2]]);
    assert_eq!(store.end_sessions(&ada.id, Some(of_bea.id), meta()).await, Ok(1));
    assert_eq!(store.end_sessions(&ada.id, None, meta()).await, Ok(0));
    let absent = UserId::parse("absent").unwrap();
    assert_eq!(store.end_sessions(&absent, None, meta()).await, Err(StoreError::NotFound));
    assert_eq!(list(store, &bea.id).await, [of_bea]);
}

pub async fn a_new_password_ends_all_sessions(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    let session = begin(store, &ada.id).await;
    let set = |new: &str, verified: Option<&str>| store_set(store, &ada.id, hash(new), verified.map(hash));
    assert_eq!(set("second", Some("other")).await, Err(StoreError::Stale));
    assert_eq!(list(store, &ada.id).await, [session]);
    assert_eq!(set("second", Some("first")).await, Ok(()));
    assert_eq!(list(store, &ada.id).await, []);
    assert_eq!(set("third", None).await, Ok(()));
    assert_eq!(store.find_password_hash(&ada.id).await.unwrap(), Some(hash("third")));

    let without = create(store, &user("without")).await.unwrap();
    let first = |verified| store.set_password(&without.id, hash("first"), verified, meta());
    assert_eq!(first(Some(hash("first"))).await, Err(StoreError::Stale));
    assert_eq!(first(None).await, Ok(()));
    let absent = UserId::parse("absent").unwrap();
    assert_eq!(store.set_password(&absent, hash("first"), None, meta()).await, Err(StoreError::NotFound));
}

async fn store_set(
    store: &dyn Store,
    id: &UserId,
    new: PasswordHash,
    verified: Option<PasswordHash>,
) -> Result<(), StoreError> {
    store.set_password(id, new, verified, meta()).await
}

pub async fn pages_of_sessions_have_the_last_used_first(store: &dyn Store) {
    let ada = with_password(store, "ada").await;
    let mut sessions = Vec::new();
    for number in 0..25 {
        let mut new = new_session(&ada.id);
        // Many at the same time, so that their ids decide.
        new.session.last_used_at = Timestamp(number / 5);
        sessions.push(new.session.clone());
        store.create_session(new, meta()).await.unwrap();
    }
    sessions.sort_by_key(|session| std::cmp::Reverse((session.last_used_at, session.id)));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_sessions(&ada.id, tick(), after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.last_used_at, last.id));
        seen.extend(page);
    }
    assert_eq!(seen, sessions);

    let id = sessions[20].id;
    let at = |time| SessionUse { id, at: Timestamp(time), remote_address: format!("192.0.2.{time}") };
    // Uses may come late and for sessions that have ended.
    let gone = SessionUse { id: SessionId::generate(tick()), ..at(1) };
    store.touch_sessions(vec![gone, at(50), at(40)]).await.unwrap();
    let first = store.list_sessions(&ada.id, tick(), None, 1).await.unwrap().remove(0);
    assert_eq!((first.id, first.last_used_at.0, first.remote_address.as_str()), (id, 50, "192.0.2.50"));
}

pub async fn a_session_grants_what_its_user_may_do_until_it_ends(store: &dyn Store) {
    let (ada, bea) = (with_password(store, "ada").await, with_password(store, "bea").await);
    let (one, two) = (begin(store, &ada.id).await, begin(store, &ada.id).await);
    let find = |user_id: UserId, id, at: i64| async move {
        store.find_session_grant(&user_id, id, Timestamp(at)).await.unwrap()
    };
    let end = one.expires_at.0;
    let live = find(ada.id.clone(), one.id, end - 1).await.unwrap();
    let expected = Grant::Session { id: one.id, user_id: ada.id.clone(), role: ada.role, expires_at: one.expires_at };
    assert!(live.grant == expected && live.stands());
    assert!(find(ada.id.clone(), one.id, end).await.is_none());
    assert!(find(bea.id, one.id, end - 1).await.is_none(), "of another user");
    assert!(find(ada.id.clone(), SessionId::generate(tick()), end - 1).await.is_none());

    store.end_session(&ada.id, two.id, meta()).await.unwrap();
    assert!(live.stands(), "the end of another");
    let same = UserPatch { role: Some(ada.role), name: Some("Ada".into()), ..UserPatch::default() };
    store.update_user(ada.id.clone(), same, None, meta()).await.unwrap();
    store.set_user_status(ada.id.clone(), UserStatus::Active, None, meta()).await.unwrap();
    assert!(live.stands(), "neither role nor status has changed");
    let promoted = UserPatch { role: Some(Role::Moderator), ..UserPatch::default() };
    store.update_user(ada.id.clone(), promoted, None, meta()).await.unwrap();
    assert!(!live.stands());
    let live = find(ada.id.clone(), one.id, end - 1).await.unwrap();
    assert!(matches!(live.grant, Grant::Session { role: Role::Moderator, .. }));
    store.end_session(&ada.id, one.id, meta()).await.unwrap();
    assert!(!live.stands());
    assert!(find(ada.id, one.id, end - 1).await.is_none());
}
