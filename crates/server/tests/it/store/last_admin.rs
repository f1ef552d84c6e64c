//! There is always an administrator who can sign in.

use roster_server::{
    auth::PasswordHash,
    model::{Actor, ChangeMeta, Role, User, UserId, UserPatch, UserStatus},
    store::{NewUser, Store, StoreError},
};

use super::{create, join_all, meta, user};

/// An administrator who can sign in.
async fn admin(store: &dyn Store, name: &str) -> User {
    let admin = User { role: Role::Admin, ..user(name) };
    let password_hash = Some(PasswordHash::from_store("$argon2id$of another program".to_owned()));
    store.create_user(NewUser { user: admin.clone(), password_hash, mail: None }, meta()).await.unwrap();
    admin
}

/// One who cannot: without a password.
async fn mute_admin(store: &dyn Store, name: &str) -> User {
    let admin = User { role: Role::Admin, ..user(name) };
    create(store, &admin).await.unwrap();
    admin
}

fn by(id: &UserId) -> ChangeMeta {
    ChangeMeta { actor: Actor::User(id.clone()), ..meta() }
}

fn role(role: Role) -> UserPatch {
    UserPatch { role: Some(role), ..UserPatch::default() }
}

pub async fn the_last_one_is_neither_demoted_nor_deactivated_nor_deleted(store: &dyn Store) {
    let ada = admin(store, "ada").await;
    // Neither a plain user nor an administrator who cannot sign in takes the place.
    create(store, &user("plain")).await.unwrap();
    let away = admin(store, "away").await;
    store.set_user_status(away.id.clone(), UserStatus::Inactive, None, by(&ada.id)).await.unwrap();

    for meta in [by(&ada.id), ChangeMeta { actor: Actor::System, ..meta() }] {
        let rehearsal = ChangeMeta { validate_only: true, ..meta.clone() };
        for meta in [meta, rehearsal] {
            let demoted = store.update_user(ada.id.clone(), role(Role::Moderator), None, meta.clone()).await;
            assert_eq!(demoted, Err(StoreError::LastAdmin));
            let status = store.set_user_status(ada.id.clone(), UserStatus::Inactive, None, meta.clone()).await;
            assert_eq!(status, Err(StoreError::LastAdmin));
            assert_eq!(store.delete_user(ada.id.clone(), None, meta).await, Err(StoreError::LastAdmin));
        }
    }
    // A stale etag says so first, and nothing has changed.
    let stale = store.delete_user(ada.id.clone(), Some("0-0".into()), by(&ada.id)).await;
    assert_eq!(stale, Err(StoreError::Stale));
    assert_eq!(store.find_user(&ada.id).await.unwrap().unwrap().user().unwrap(), ada);
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 4);

    // Everything else goes on, for her and for the others.
    let renamed = UserPatch { name: Some("Ada".into()), role: Some(Role::Admin), ..UserPatch::default() };
    store.update_user(ada.id.clone(), renamed, None, by(&ada.id)).await.unwrap();
    store.set_user_status(ada.id.clone(), UserStatus::Active, None, by(&ada.id)).await.unwrap();
    store.delete_user(away.id, None, by(&ada.id)).await.unwrap();
    // With another one she may go.
    let bea = admin(store, "bea").await;
    store.update_user(ada.id.clone(), role(Role::User), None, by(&ada.id)).await.unwrap();
    let left = store.set_user_status(bea.id.clone(), UserStatus::Inactive, None, by(&bea.id)).await;
    assert_eq!(left, Err(StoreError::LastAdmin));
    // Where everybody is an administrator, none is missed.
    store.delete_user(bea.id, None, meta()).await.unwrap();
}

pub async fn only_those_who_can_sign_in_count(store: &dyn Store) {
    // Whoever cannot sign in is not missed.
    let lone = mute_admin(store, "lone").await;
    store.set_user_status(lone.id.clone(), UserStatus::Inactive, None, by(&lone.id)).await.unwrap();
    store.set_user_status(lone.id.clone(), UserStatus::Active, None, by(&lone.id)).await.unwrap();
    store.update_user(lone.id.clone(), role(Role::User), None, by(&lone.id)).await.unwrap();
    store.delete_user(lone.id.clone(), None, by(&lone.id)).await.unwrap();

    // And takes nobody's place, until there is a password.
    let (ada, mute) = (admin(store, "ada").await, mute_admin(store, "mute").await);
    let demote = async |id: &UserId| store.update_user(id.clone(), role(Role::User), None, by(id)).await.map(drop);
    assert_eq!(demote(&ada.id).await, Err(StoreError::LastAdmin));
    assert_eq!(store.delete_user(ada.id.clone(), None, by(&ada.id)).await, Err(StoreError::LastAdmin));
    demote(&mute.id).await.unwrap();
    store.update_user(mute.id.clone(), role(Role::Admin), None, by(&ada.id)).await.unwrap();
    let hash = PasswordHash::from_store("$argon2id$of another program".to_owned());
    store.set_password(&mute.id, hash, None, by(&mute.id)).await.unwrap();
    demote(&ada.id).await.unwrap();
    assert_eq!(demote(&mute.id).await, Err(StoreError::LastAdmin));
}

pub async fn of_two_who_demote_each_other_one_wins(store: &dyn Store) {
    let pairs = [("demote", 0), ("deactivate", 1), ("delete", 2), ("mixed", 3)];
    for (name, how) in pairs {
        let (one, two) = (admin(store, &format!("{name}1")).await, admin(store, &format!("{name}2")).await);
        let away = async |way: usize, whom: &UserId, who: &UserId| match way {
            0 => store.update_user(whom.clone(), role(Role::User), None, by(who)).await.map(drop),
            1 => store.set_user_status(whom.clone(), UserStatus::Inactive, None, by(who)).await.map(drop),
            _ => store.delete_user(whom.clone(), None, by(who)).await,
        };
        let second = if how == 3 { 0 } else { how };
        let outcomes = join_all([away(how, &two.id, &one.id), away(second, &one.id, &two.id)]).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "{name}: {outcomes:?}");
        assert!(outcomes.contains(&Err(StoreError::LastAdmin)), "{name}: {outcomes:?}");
        for gone in [one, two] {
            let _ = store.delete_user(gone.id, None, meta()).await;
        }
    }
}
