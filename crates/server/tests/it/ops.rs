//! What use cases let a user, a service and nobody do with what hangs on a user, and what they tell those they refuse.

use std::{net::IpAddr, num::NonZero, sync::Arc};

use roster_server::{
    auth::{Caller, Hasher, HasherOptions, Refusal},
    model::{Grant, Permission, Role, SessionId, SystemClock, Timestamp, User, UserId},
    ops::{
        AddAddressInput, AddressInput, CreateUserInput, Ctx, Error, Ops, RequestId, UpdateAddressInput,
        UpdatePreferencesInput, UserAgent,
    },
    store::{
        LiveGrants,
        sqlite::{Location, SqliteOptions, SqliteStore},
    },
};

async fn ops() -> Ops {
    let options = SqliteOptions { location: Location::Memory, cache_bytes: 0, write_queue_max: 100, reader_threads: 1 };
    let one = HasherOptions { threads: NonZero::<usize>::MIN, ..HasherOptions::default() };
    let (store, hasher) = (SqliteStore::open(options).unwrap(), Hasher::new(one).unwrap());
    Ops::new(Arc::new(store), hasher, Arc::new(SystemClock)).await.unwrap()
}

fn call(caller: Caller) -> Ctx {
    let remote = Some(IpAddr::from([192, 0, 2, 1]));
    Ctx { caller, request_id: RequestId::generate(), remote, user_agent: UserAgent::default() }
}

/// A user with a session.
fn signed_in(user_id: &UserId, role: Role) -> Caller {
    let live = LiveGrants::default();
    let expires_at = Timestamp(i64::MAX);
    let id = SessionId::generate(Timestamp(0));
    Caller::Granted(live.admit(live.ticket(), Grant::Session { id, user_id: user_id.clone(), role, expires_at }))
}

async fn create(ops: &Ops, name: &str, locale: &str) -> User {
    let input =
        CreateUserInput { email: format!("{name}@example.com"), locale: locale.into(), ..CreateUserInput::default() };
    ops.create_user(&call(Caller::Developer), input).await.unwrap().user().unwrap()
}

fn home() -> AddressInput {
    let mut home = AddressInput { kind: 1, ..AddressInput::default() };
    (home.lines.line1, home.lines.city, home.lines.country) = ("1 Main St".into(), "Reno".into(), "US".into());
    home
}

/// Does all there is to do with a user's addresses and preferences, on an address that there is or is not.
async fn everything(ops: &Ops, ctx: &Ctx, user_id: &str, address_id: &str) -> Vec<(Permission, Result<(), Error>)> {
    let (user, address) = (|| user_id.to_owned(), || address_id.to_owned());
    let add = AddAddressInput { user_id: user(), address: Some(home()), ..Default::default() };
    let update =
        UpdateAddressInput { user_id: user(), address_id: address(), address: Some(home()), ..Default::default() };
    let prefer = UpdatePreferencesInput { user_id: user(), present: true, ..Default::default() };
    vec![
        (Permission::AddressesWrite, ops.add_address(ctx, add).await.map(drop)),
        (Permission::AddressesRead, ops.get_address(ctx, user_id, address_id).await.map(drop)),
        (Permission::AddressesWrite, ops.update_address(ctx, update).await.map(drop)),
        (Permission::AddressesRead, ops.list_addresses(ctx, user_id, 0).await.map(drop)),
        (Permission::AddressesWrite, ops.set_default_address(ctx, user_id, address_id).await.map(drop)),
        (Permission::PreferencesRead, ops.get_preferences(ctx, user_id).await.map(drop)),
        (Permission::PreferencesWrite, ops.update_preferences(ctx, prefer).await.map(drop)),
        (Permission::AddressesWrite, ops.delete_address(ctx, user_id, address_id, String::new()).await),
    ]
}

#[tokio::test]
async fn what_hangs_on_a_user_is_the_users_and_an_administrators() {
    let ops = ops().await;
    let (ada, bea) = (create(&ops, "ada", "").await, create(&ops, "bea", "").await);
    for caller in [signed_in(&ada.id, Role::User), signed_in(&bea.id, Role::Admin), Caller::Operator] {
        let add = AddAddressInput { user_id: ada.id.to_string(), address: Some(home()), ..Default::default() };
        let address = ops.add_address(&call(caller.clone()), add).await.unwrap();
        for (_, done) in everything(&ops, &call(caller), &ada.id.to_string(), &address.id.to_string()).await {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn others_are_refused_before_anything_is_looked_up_or_checked() {
    let ops = ops().await;
    let (ada, bea) = (create(&ops, "ada", "").await, create(&ops, "bea", "").await);
    let add = AddAddressInput { user_id: ada.id.to_string(), address: Some(home()), ..Default::default() };
    let address = ops.add_address(&call(Caller::Developer), add).await.unwrap();
    let before = ops.list_addresses(&call(Caller::Developer), &ada.id.to_string(), 0).await.unwrap();
    for caller in [signed_in(&bea.id, Role::User), signed_in(&bea.id, Role::Moderator), Caller::Anonymous] {
        // Whether the user or the address exists, or the id could be one, makes no difference.
        for user_id in [ada.id.to_string(), "nobody".to_owned()] {
            for address_id in [address.id.to_string(), "01890a5d-ac96-774b-bcce-b302099a8057".into(), "\0".into()] {
                for (needed, done) in everything(&ops, &call(caller.clone()), &user_id, &address_id).await {
                    let refused = matches!(done, Err(Error::Refused(Refusal::Lacks(lacks))) if lacks == needed);
                    assert!(refused, "{needed} {done:?}");
                }
            }
        }
    }
    assert_eq!(ops.list_addresses(&call(Caller::Developer), &ada.id.to_string(), 0).await.unwrap(), before);
}

#[tokio::test]
async fn mails_are_in_the_language_of_the_preferences_then_the_locale_then_english() {
    let ops = ops().await;
    let ada = create(&ops, "ada", "de-CH").await;
    let bea = create(&ops, "bea", "").await;
    assert_eq!(ops.find_user_language(&ada).await.unwrap(), "de-CH");
    assert_eq!(ops.find_user_language(&bea).await.unwrap(), "en");
    for user in [&ada, &bea] {
        let (user_id, language) = (user.id.to_string(), "fr".to_owned());
        let prefer = UpdatePreferencesInput { user_id, present: true, language, ..Default::default() };
        ops.update_preferences(&call(signed_in(&user.id, Role::User)), prefer).await.unwrap();
        assert_eq!(ops.find_user_language(user).await.unwrap(), "fr");
    }
}
