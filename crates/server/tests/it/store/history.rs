//! The change log, and long histories against a plain model.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use roster_server::{
    model::{Action, Actor, AttributesPatch, ChangeMeta, Role, User, UserId, UserPatch, UserStatus, text::unique_key},
    store::{NewUser, Store, StoreError, Unique},
};

use super::{Decoded as _, create, lists, meta, user};

pub async fn every_change_is_logged_with_who_when_what_and_why(store: &dyn Store) {
    let created = create(store, &user("logged")).await.unwrap();
    let id = created.id.clone();
    let by = ChangeMeta { actor: Actor::User(id.clone()), request_id: "call-2".into(), ..meta() };
    let patch = UserPatch { name: Some("New".into()), role: Some(Role::Admin), ..UserPatch::default() };
    let updated = store.update_user(id.clone(), patch, None, by.clone()).await.decoded().unwrap();
    let inactive = store.set_user_status(id.clone(), UserStatus::Inactive, None, meta()).await.decoded().unwrap();
    let active = store.set_user_status(id.clone(), UserStatus::Active, None, meta()).await.decoded().unwrap();

    let log = store.list_changes(0, 100).await.unwrap().changes;
    let facts: Vec<_> =
        log.iter().map(|change| (change.action, change.revision, change.after.clone().decoded())).collect();
    assert_eq!(
        facts,
        [
            (Action::Created, 1, Some(created)),
            (Action::Updated, 2, Some(updated)),
            (Action::Deactivated, 3, Some(inactive)),
            (Action::Reactivated, 4, Some(active)),
        ]
    );
    assert!(log.is_sorted_by(|one, next| one.position < next.position));
    assert!(log.iter().all(|change| change.user_id == id));
    let update = &log[1];
    assert_eq!((update.at, update.actor.as_str()), (by.at, format!("user:{id}").as_str()));
    assert_eq!((update.request_id.as_str(), update.fields.as_slice()), ("call-2", &["name".into(), "role".into()][..]));
    // Read on from a place, and in bites.
    assert_eq!(store.list_changes(log[1].position, 1).await.unwrap().changes, log[2..3]);

    store.delete_user(id, None, meta()).await.unwrap();
    let log = store.list_changes(0, 100).await.unwrap().changes;
    assert_eq!((log.len(), log[4].action, log[4].revision), (5, Action::Deleted, 5));
    assert!(log.iter().all(|change| change.after.is_none()));
}

/// A step of a history, over a few users so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Create { slot: usize, email: usize, username: usize },
    Update { slot: usize, email: Option<usize>, username: Option<usize>, name: Option<usize>, fresh_etag: Option<bool> },
    SetStatus { slot: usize, active: bool },
    Delete { slot: usize },
    Read { slot: usize, email: usize },
}

const SLOTS: usize = 40;

fn steps() -> impl Strategy<Value = Step> {
    let (slot, few) = (0..SLOTS, 0..SLOTS);
    let maybe = || prop::option::of(0..SLOTS);
    prop_oneof![
        4 => (slot.clone(), few.clone(), few.clone())
            .prop_map(|(slot, email, username)| Step::Create { slot, email, username }),
        4 => (slot.clone(), maybe(), maybe(), maybe(), prop::option::of(any::<bool>())).prop_map(
            |(slot, email, username, name, fresh_etag)| Step::Update { slot, email, username, name, fresh_etag }
        ),
        1 => (slot.clone(), any::<bool>()).prop_map(|(slot, active)| Step::SetStatus { slot, active }),
        1 => slot.clone().prop_map(|slot| Step::Delete { slot }),
        3 => (slot, few).prop_map(|(slot, email)| Step::Read { slot, email }),
    ]
}

/// The store's promises as a map.
#[derive(Default)]
struct Model {
    users: BTreeMap<UserId, User>,
    changes: usize,
}

impl Model {
    fn conflict(&self, user: &User) -> Option<Unique> {
        let others = || self.users.values().filter(|other| other.id != user.id);
        if others().any(|other| unique_key(&other.email) == unique_key(&user.email)) {
            return Some(Unique::Email);
        }
        let named = !user.username.is_empty();
        let taken = named && others().any(|other| unique_key(&other.username) == unique_key(&user.username));
        taken.then_some(Unique::Username)
    }

    fn keep(&mut self, user: User) -> Result<User, StoreError> {
        match self.conflict(&user) {
            // Which of two is named first is the backend's choice; see `same`.
            Some(unique) => Err(StoreError::Conflict(unique)),
            None => {
                self.changes += 1;
                self.users.insert(user.id.clone(), user.clone());
                Ok(user)
            }
        }
    }
}

pub async fn ten_thousand_random_commands_agree_with_a_plain_model(store: &dyn Store) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = steps();
    let mut model = Model::default();
    for number in 0..10_000 {
        let step = strategy.new_tree(&mut runner).unwrap().current();
        take(store, &mut model, &step, number).await;
    }
    let log = store.list_changes(0, u32::MAX).await.unwrap().changes;
    assert_eq!(log.len(), model.changes);
    assert_eq!(super::count(store, "").await, model.users.len());
    for user in model.users.values() {
        let last = log.iter().rfind(|change| change.user_id == user.id).unwrap();
        assert_eq!(last.after.clone().decoded().as_ref(), Some(user));
    }
    what_is_listed_is_what_is_filtered(store, &model).await;
}

/// A user's fields, by which filters and orders go, and the message that is answered tell the same.
async fn what_is_listed_is_what_is_filtered(store: &dyn Store, model: &Model) {
    for user in model.users.values() {
        let texts = [
            ("email", &user.email),
            ("username", &user.username),
            ("name", &user.name),
            ("phone", &user.phone),
            ("locale", &user.locale),
        ];
        let texts = texts.map(|(field, value)| match value.as_str() {
            "" => format!("NOT {field}:*"),
            value => format!("{field} = {value:?}"),
        });
        let mut parts = vec![
            format!("role = {} AND status = {}", user.role, user.status),
            user.age.map_or("NOT age:*".into(), |age| format!("age = {age}")),
            format!("email_verified = {}", user.email_verified),
            format!("created_at = \"{}\" AND updated_at = \"{}\"", user.created_at, user.updated_at),
        ];
        parts.extend(texts);
        parts.extend(user.attributes.iter().map(|(key, value)| format!("attributes.{key} = {value:?}")));
        let filter = parts.join(" AND ");
        assert_eq!(lists::list(store, &filter, "", "", 10).await, std::slice::from_ref(user), "{filter}");
    }
    for order in ["", "name, email desc", "username desc", "age, role", "status, updated_at", "created_at desc"] {
        let all = model.users.values().cloned().collect();
        assert_eq!(lists::list(store, "", "", order, 7).await, lists::sorted(all, order), "{order:?}");
    }
}

async fn take(store: &dyn Store, model: &mut Model, step: &Step, number: usize) {
    let meta = meta();
    let id = |slot: &usize| UserId::parse(&format!("user-{slot}")).unwrap();
    match step {
        Step::Create { slot, email, username } => {
            let mut new = user(&format!("u{number}"));
            (new.id, new.email) = (id(slot), format!("e{email}@example.com"));
            new.username = if *username == 0 { String::new() } else { format!("name{username}") };
            (new.created_at, new.updated_at) = (meta.at, meta.at);
            let expected = match model.users.contains_key(&new.id) {
                true => Err(StoreError::Conflict(Unique::Id)),
                false => model.keep(new.clone()),
            };
            same(
                &store.create_user(NewUser { user: new, password_hash: None, mail: None }, meta).await.decoded(),
                &expected,
            );
        }
        Step::Update { slot, email, username, name, fresh_etag } => {
            let patch = UserPatch {
                email: email.map(|email| format!("E{email}@example.com")),
                username: username.map(|number| if number == 0 { String::new() } else { format!("Name{number}") }),
                name: name.map(|number| format!("Name {number}")),
                attributes: name.map_or(AttributesPatch::Keep, |number| {
                    AttributesPatch::Edit(BTreeMap::from([(
                        format!("k{}", number % 5),
                        (number % 2 == 0).then(|| "v".into()),
                    )]))
                }),
                role: name.map(|number| Role::ALL[number % Role::ALL.len()].0),
                age: name.map(|number| (number % 3 > 0).then_some(number as u8)),
                phone: name.map(|number| format!("+4930123{number:03}")),
                locale: name.map(|number| if number % 2 == 0 { "de-CH".into() } else { String::new() }),
                email_verified: email.map(|number| number % 2 == 0),
            };
            let before = model.users.get(&id(slot)).cloned();
            let etag = fresh_etag.map(|fresh| match &before {
                Some(user) if fresh => user.etag(),
                _ => "0-0".into(),
            });
            let expected = match before {
                None => Err(StoreError::NotFound),
                Some(user) if etag.as_ref().is_some_and(|etag| *etag != user.etag()) => Err(StoreError::Stale),
                Some(user) => match patch.apply(&user, meta.at) {
                    (same, changed) if changed.is_empty() => Ok(same),
                    (after, _) => model.keep(after),
                },
            };
            same(&store.update_user(id(slot), patch, etag, meta).await.decoded(), &expected);
        }
        Step::SetStatus { slot, active } => {
            let status = if *active { UserStatus::Active } else { UserStatus::Inactive };
            let expected = match model.users.get(&id(slot)).cloned() {
                None => Err(StoreError::NotFound),
                Some(user) if user.status == status => Ok(user),
                Some(user) => model.keep(User { status, revision: user.revision + 1, updated_at: meta.at, ..user }),
            };
            same(&store.set_user_status(id(slot), status, None, meta).await.decoded(), &expected);
        }
        Step::Delete { slot } => {
            let expected = model.users.remove(&id(slot)).map(|_| model.changes += 1).ok_or(StoreError::NotFound);
            assert_eq!(store.delete_user(id(slot), None, meta).await, expected);
        }
        Step::Read { slot, email } => {
            let found = store.find_user(&id(slot)).await.decoded().unwrap();
            assert_eq!(found.as_ref(), model.users.get(&id(slot)));
            let key = format!("e{email}@example.com");
            let expected = model.users.values().find(|user| unique_key(&user.email) == key);
            assert_eq!(store.find_user_by_email(&key).await.decoded().unwrap().as_ref(), expected);
        }
    }
}

/// Equal, but for which of two conflicts is named.
fn same(outcome: &Result<User, StoreError>, expected: &Result<User, StoreError>) {
    match (outcome, expected) {
        (Err(StoreError::Conflict(_)), Err(StoreError::Conflict(_))) => {}
        (outcome, expected) => assert_eq!(outcome, expected),
    }
}
