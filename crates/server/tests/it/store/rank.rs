//! Nobody acts on a user who may do more than they may, however close a promotion came before.

use roster_server::{
    auth::PasswordHash,
    model::{
        Action, Actor, ChangeMeta, Permission, PermissionSet, Role, SessionId, User, UserId, UserPatch, UserStatus,
    },
    store::{Store, StoreError},
};

use super::{create, join_all, meta, tick, user};

/// A write by Mona, a moderator.
fn by_mona(mona: &User) -> ChangeMeta {
    ChangeMeta { actor: Actor::User(mona.id.clone()), held: PermissionSet::of_role(Role::Moderator), ..meta() }
}

fn role(role: Role) -> UserPatch {
    UserPatch { role: Some(role), ..UserPatch::default() }
}

/// What each command says that one user may do to another, in its own order.
async fn all(store: &dyn Store, id: &UserId, etag: Option<&str>, meta: &ChangeMeta) -> Vec<Result<(), StoreError>> {
    let (etag, renamed) = (etag.map(str::to_owned), UserPatch { name: Some("New".into()), ..UserPatch::default() });
    let hash = PasswordHash::from_store("$argon2id$new".to_owned());
    vec![
        store.update_user(id.clone(), renamed, etag.clone(), meta.clone()).await.map(drop),
        store.set_user_status(id.clone(), UserStatus::Inactive, etag.clone(), meta.clone()).await.map(drop),
        store.set_user_status(id.clone(), UserStatus::Active, etag.clone(), meta.clone()).await.map(drop),
        store.set_password(id, hash, None, meta.clone()).await,
        store.end_session(id, SessionId::generate(tick()), meta.clone()).await,
        store.end_sessions(id, None, meta.clone()).await.map(drop),
        store.delete_user(id.clone(), etag, meta.clone()).await,
    ]
}

pub async fn whoever_holds_less_changes_nothing(store: &dyn Store) {
    let mona = create(store, &User { role: Role::Moderator, ..user("mona") }).await.unwrap();
    let root = create(store, &User { role: Role::Admin, ..user("root") }).await.unwrap();
    let before = store.list_changes(0, 100).await.unwrap().changes.len();
    // The first that she lacks, before anything else is told.
    let lacks = PermissionSet::of_role(Role::Moderator).lacks_of(Role::Admin).unwrap();
    for (etag, validate_only) in [(None, false), (None, true), (Some("0-0"), false)] {
        let meta = ChangeMeta { validate_only, ..by_mona(&mona) };
        for outcome in all(store, &root.id, etag, &meta).await {
            assert_eq!(outcome, Err(StoreError::Outranked(lacks)));
        }
    }
    assert_eq!(store.find_user(&root.id).await.unwrap().unwrap().user().unwrap(), root);
    assert_eq!(store.find_password_hash(&root.id).await.unwrap(), None);
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), before);
    // A service with one permission too few is no better, and one that is absent is absent for all.
    let almost: PermissionSet = Permission::ALL.iter().copied().filter(|one| *one != Permission::MailRead).collect();
    let service = ChangeMeta { actor: Actor::Service("billing".into()), held: almost, ..meta() };
    for outcome in all(store, &root.id, None, &service).await {
        assert_eq!(outcome, Err(StoreError::Outranked(Permission::MailRead)));
    }
    for outcome in all(store, &UserId::generate(tick()), None, &by_mona(&mona)).await {
        assert_eq!(outcome, Err(StoreError::NotFound));
    }

    // Her like and those below her are hers, and so is she herself, whatever she holds.
    let other = create(store, &User { role: Role::Moderator, ..user("other") }).await.unwrap();
    let herself = ChangeMeta { held: PermissionSet::NONE, ..by_mona(&mona) };
    for (id, meta) in [(&other.id, by_mona(&mona)), (&mona.id, herself)] {
        let outcomes = all(store, id, None, &meta).await;
        let expected: Vec<_> =
            (0..7).map(|index| if index == 4 { Err(StoreError::NotFound) } else { Ok(()) }).collect();
        assert_eq!(outcomes, expected);
    }
}

pub async fn a_promotion_just_before_is_seen(store: &dyn Store) {
    let mona = create(store, &User { role: Role::Moderator, ..user("mona") }).await.unwrap();
    for number in 0..50 {
        let ada = create(store, &user(&format!("ada{number}"))).await.unwrap();
        let begun = store.moment(None).await.unwrap().position;
        // In SQLite queued behind each other, and so in one commit.
        let promote = store.update_user(ada.id.clone(), role(Role::Admin), None, meta());
        let deactivate = store.set_user_status(ada.id.clone(), UserStatus::Inactive, None, by_mona(&mona));
        let [promoted, deactivated] = join_all([promote, deactivate]).await.try_into().unwrap();
        promoted.unwrap();
        // Either the promotion came first and she was told so, or she did it to a plain user.
        let (status, order) = match deactivated {
            Err(StoreError::Outranked(_)) => (UserStatus::Active, vec![Action::Updated]),
            other => other.map(|_| (UserStatus::Inactive, vec![Action::Deactivated, Action::Updated])).unwrap(),
        };
        let after = store.find_user(&ada.id).await.unwrap().unwrap().user().unwrap();
        assert_eq!((after.role, after.status), (Role::Admin, status));
        let changes = store.list_changes(begun, 10).await.unwrap().changes;
        assert_eq!(changes.iter().map(|change| change.action).collect::<Vec<_>>(), order);
    }
}
