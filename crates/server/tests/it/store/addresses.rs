//! Addresses: at most 50 of a user, and one default of each kind at every moment, whoever writes at the same time.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use roster_server::{
    model::{
        Address, AddressId, AddressKind, AddressLines, AddressPatch, ChangeMeta, User, UserId, address::ADDRESSES_MAX,
    },
    store::{Store, StoreError},
};

use super::{create, join_all, meta, tick, user};

use AddressKind::{Billing, Shipping};

/// An address that is not the default unless it is the first.
fn address(user: &User, kind: AddressKind) -> Address {
    let now = tick();
    let lines = AddressLines {
        label: "Home".into(),
        recipient: "Zoë \u{1F469}\u{200D}\u{1F680} 'Robert\"); DROP TABLE addresses;--".into(),
        organization: "Example AG".into(),
        line1: "Unter den Linden 1".into(),
        line2: "2. Stock".into(),
        city: "Berlin".into(),
        region: "BE".into(),
        postal_code: "10117".into(),
        country: "DE".into(),
        phone: "+493012345678".into(),
    };
    let (id, user_id) = (AddressId::generate(now), user.id.clone());
    Address { id, user_id, kind, lines, is_default: false, created_at: now, updated_at: now, revision: 1 }
}

async fn add(store: &dyn Store, user: &User, kind: AddressKind) -> Address {
    store.add_address(address(user, kind), meta()).await.unwrap()
}

async fn all(store: &dyn Store, user: &User) -> Vec<Address> {
    let all = store.list_addresses(&user.id, None).await.unwrap();
    assert_one_default_of_each_kind(&all);
    all
}

fn assert_one_default_of_each_kind(all: &[Address]) {
    for kind in [Shipping, Billing] {
        let of_kind: Vec<_> = all.iter().filter(|address| address.kind == kind).collect();
        let defaults = of_kind.iter().filter(|address| address.is_default).count();
        assert_eq!(defaults, usize::from(!of_kind.is_empty()), "{of_kind:#?}");
    }
}

fn to_city(city: &str) -> AddressPatch {
    let lines = AddressLines { city: city.into(), ..AddressLines::default() };
    AddressPatch { lines, fields: vec!["city"], ..AddressPatch::default() }
}

pub async fn an_address_is_read_back_as_it_went_in(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let home = address(&ada, Shipping);
    let added = store.add_address(home.clone(), meta()).await.unwrap();
    // The first of its kind is the default.
    assert_eq!(added, Address { is_default: true, ..home });
    let bare = Address { lines: AddressLines::default(), ..address(&ada, Billing) };
    let bare = store.add_address(bare, meta()).await.unwrap();
    let second = add(store, &ada, Shipping).await;
    assert!(bare.is_default && !second.is_default);
    for address in [&added, &bare, &second] {
        assert_eq!(store.find_address(&ada.id, address.id).await.unwrap().as_ref(), Some(address));
    }
    assert_eq!(all(store, &ada).await, [added.clone(), bare.clone(), second.clone()]);
    assert_eq!(store.list_addresses(&ada.id, Some(Shipping)).await.unwrap(), [added, second]);
    assert_eq!(store.list_addresses(&ada.id, Some(Billing)).await.unwrap(), [bare]);
    // The user has not changed, and whoever follows users has nothing to hear of.
    assert_eq!(store.find_user(&ada.id).await.unwrap(), Some(ada));
    assert_eq!(store.list_changes(0, 100).await.unwrap().len(), 1);
}

pub async fn a_new_default_takes_the_place_of_the_old(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let first = add(store, &ada, Shipping).await;
    let billing = add(store, &ada, Billing).await;
    let meta = meta();
    let eager = Address { is_default: true, ..address(&ada, Shipping) };
    let second = store.add_address(eager, meta.clone()).await.unwrap();
    let ceased = Address { is_default: false, updated_at: meta.at, revision: 2, ..first.clone() };
    assert_eq!(all(store, &ada).await, [ceased.clone(), billing.clone(), second.clone()]);
    assert_ne!(ceased.etag(), first.etag());

    let again = store.set_default_address(&ada.id, first.id, super::meta()).await.unwrap();
    assert_eq!((again.is_default, again.revision), (true, 3));
    // The one that is it stays as it is.
    assert_eq!(store.set_default_address(&ada.id, first.id, super::meta()).await.unwrap(), again);
    assert_eq!(all(store, &ada).await[0], again);

    // The oldest left becomes it; a kind without addresses has none.
    let third = add(store, &ada, Shipping).await;
    store.delete_address(&ada.id, first.id, None, super::meta()).await.unwrap();
    let left = all(store, &ada).await;
    assert_eq!(
        left.iter().map(|left| (left.id, left.is_default)).collect::<Vec<_>>(),
        [(billing.id, true), (second.id, true), (third.id, false),]
    );
    assert_eq!(left[1].revision, 3);
    store.delete_address(&ada.id, third.id, None, super::meta()).await.unwrap();
    store.delete_address(&ada.id, second.id, None, super::meta()).await.unwrap();
    assert_eq!(all(store, &ada).await, [billing]);
}

pub async fn an_address_patch_changes_what_it_names(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let before = add(store, &ada, Shipping).await;
    let meta = meta();
    let patch = AddressPatch { fields: vec!["city", "line2"], kind: Some(Shipping), ..to_city("Bern") };
    let after = store.update_address(&ada.id, before.id, patch, Some(before.etag()), meta.clone()).await.unwrap();
    let lines = AddressLines { city: "Bern".into(), line2: String::new(), ..before.lines.clone() };
    let expected = Address { lines, updated_at: meta.at, revision: 2, ..before.clone() };
    assert_eq!(after, expected);

    let update = |patch, etag| store.update_address(&ada.id, before.id, patch, etag, super::meta());
    assert_eq!(update(to_city("Basel"), Some(before.etag())).await, Err(StoreError::Stale));
    let other_kind = update(AddressPatch { kind: Some(Billing), ..to_city("Basel") }, None).await;
    assert!(
        matches!(&other_kind, Err(StoreError::Rejected { field, .. }) if field == "address.kind"),
        "{other_kind:?}"
    );
    let stale = store.delete_address(&ada.id, before.id, Some(before.etag()), super::meta()).await;
    assert_eq!(stale, Err(StoreError::Stale));
    // Nothing new: no trace.
    assert_eq!(update(to_city("Bern"), Some(after.etag())).await.unwrap(), expected);
    assert_eq!(update(AddressPatch::default(), None).await.unwrap(), expected);
    // A clock that was set back does not make it older.
    let early = ChangeMeta { at: before.created_at, ..super::meta() };
    let late = store.update_address(&ada.id, before.id, to_city("Biel"), None, early).await.unwrap();
    assert_eq!((late.updated_at, late.revision), (meta.at, 3));
    store.delete_address(&ada.id, before.id, Some(late.etag()), super::meta()).await.unwrap();
    assert_eq!(all(store, &ada).await, []);
}

pub async fn an_absent_address_and_a_foreign_one_are_the_same(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let bea = create(store, &user("bea")).await.unwrap();
    let foreign = add(store, &bea, Shipping).await;
    for id in [foreign.id, AddressId::generate(tick())] {
        assert_eq!(store.find_address(&ada.id, id).await, Ok(None));
        let missing = StoreError::ItemNotFound;
        assert_eq!(store.update_address(&ada.id, id, to_city("x"), None, meta()).await, Err(missing.clone()));
        assert_eq!(store.delete_address(&ada.id, id, None, meta()).await, Err(missing.clone()));
        assert_eq!(store.set_default_address(&ada.id, id, meta()).await, Err(missing));
    }
    assert_eq!(all(store, &bea).await, [foreign.clone()]);

    let nobody = UserId::parse("nobody").unwrap();
    let id = foreign.id;
    let missing = StoreError::NotFound;
    let homeless = Address { user_id: nobody.clone(), ..address(&ada, Shipping) };
    assert_eq!(store.add_address(homeless, meta()).await, Err(missing.clone()));
    assert_eq!(store.find_address(&nobody, id).await, Err(missing.clone()));
    assert_eq!(store.list_addresses(&nobody, None).await, Err(missing.clone()));
    assert_eq!(store.update_address(&nobody, id, to_city("x"), None, meta()).await, Err(missing.clone()));
    assert_eq!(store.delete_address(&nobody, id, None, meta()).await, Err(missing.clone()));
    assert_eq!(store.set_default_address(&nobody, id, meta()).await, Err(missing));
}

pub async fn fifty_of_60_parallel_adds_fit(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let adds: Vec<Address> = (0..60)
        .map(|number| {
            let kind = if number % 2 == 0 { Shipping } else { Billing };
            Address { is_default: number % 3 == 0, ..address(&ada, kind) }
        })
        .collect();
    let outcomes = join_all(adds.into_iter().map(|address| store.add_address(address, meta()))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), ADDRESSES_MAX);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::LimitReached)).count(), 10);
    let full = all(store, &ada).await;
    assert_eq!(full.len(), ADDRESSES_MAX);
    assert!(full.is_sorted_by_key(|address| (address.created_at, address.id)));
    // Room again, for one, and for others all the time.
    store.delete_address(&ada.id, full[7].id, None, meta()).await.unwrap();
    add(store, &ada, Shipping).await;
    assert_eq!(store.add_address(address(&ada, Shipping), meta()).await, Err(StoreError::LimitReached));
    let bea = create(store, &user("bea")).await.unwrap();
    add(store, &bea, Shipping).await;
}

pub async fn one_default_stays_under_parallel_writes(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let mut addresses = Vec::new();
    for number in 0..20 {
        addresses.push(add(store, &ada, if number % 2 == 0 { Shipping } else { Billing }).await);
    }
    let ids: Vec<AddressId> = addresses.iter().map(|address| address.id).collect();
    let write = async |number: usize| match number % 4 {
        // Of every address that is deleted, another is made the default at the same time.
        0 => store.delete_address(&ada.id, ids[number / 4], None, meta()).await,
        1 => store.set_default_address(&ada.id, ids[(number * 7) % 20], meta()).await.map(drop),
        2 => store.set_default_address(&ada.id, ids[19 - number / 4], meta()).await.map(drop),
        _ => store
            .update_address(&ada.id, ids[number % 20], to_city(&format!("c{number}")), None, meta())
            .await
            .map(drop),
    };
    let look = async || all(store, &ada).await.len();
    let writes = join_all((0..48).map(write));
    let looks = join_all((0..48).map(|_| look()));
    let (outcomes, seen) = tokio::join!(writes, looks);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(StoreError::ItemNotFound))), "{outcomes:?}");
    assert!(seen.iter().all(|seen| (8..=20).contains(seen)), "{seen:?}");
    let left = all(store, &ada).await;
    assert_eq!(left.iter().map(|address| address.id).collect::<Vec<_>>(), ids[12..]);
}

pub async fn addresses_go_with_their_user(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let home = add(store, &ada, Shipping).await;
    let rehearsal = ChangeMeta { validate_only: true, ..meta() };
    store.delete_user(ada.id.clone(), None, rehearsal).await.unwrap();
    assert_eq!(all(store, &ada).await, [home]);
    store.delete_user(ada.id.clone(), None, meta()).await.unwrap();
    assert_eq!(store.list_addresses(&ada.id, None).await, Err(StoreError::NotFound));
    // Another user with the same id starts with none.
    create(store, &ada).await.unwrap();
    assert_eq!(all(store, &ada).await, []);
}

pub async fn a_rehearsal_leaves_addresses_as_they_are(store: &dyn Store) {
    let ada = create(store, &user("ada")).await.unwrap();
    let rehearsal = || ChangeMeta { validate_only: true, ..meta() };
    assert!(store.add_address(address(&ada, Shipping), rehearsal()).await.unwrap().is_default);
    assert_eq!(all(store, &ada).await, []);
    let first = add(store, &ada, Shipping).await;
    let second = add(store, &ada, Shipping).await;
    let before = all(store, &ada).await;
    let eager = Address { is_default: true, ..address(&ada, Shipping) };
    assert!(store.add_address(eager, rehearsal()).await.unwrap().is_default);
    assert!(store.set_default_address(&ada.id, second.id, rehearsal()).await.unwrap().is_default);
    let moved = store.update_address(&ada.id, first.id, to_city("Bern"), None, rehearsal()).await.unwrap();
    assert_eq!(moved.lines.city, "Bern");
    store.delete_address(&ada.id, first.id, None, rehearsal()).await.unwrap();
    assert_eq!(all(store, &ada).await, before);
    // What would be refused is refused in a rehearsal too.
    for _ in 2..ADDRESSES_MAX {
        add(store, &ada, Billing).await;
    }
    assert_eq!(store.add_address(address(&ada, Shipping), rehearsal()).await, Err(StoreError::LimitReached));
}

/// A step of a history, over a few users and places so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Add {
        user: usize,
        billing: bool,
        default: bool,
        keep: bool,
    },
    Update {
        user: usize,
        place: usize,
        city: usize,
        fresh_etag: Option<bool>,
    },
    Delete {
        user: usize,
        place: usize,
        fresh_etag: Option<bool>,
    },
    SetDefault {
        user: usize,
        place: usize,
    },
    /// Deletes the user and creates it anew.
    Renew {
        user: usize,
    },
}

const USERS: usize = 3;

fn steps() -> impl Strategy<Value = Step> {
    let etag = || prop::option::weighted(0.3, any::<bool>());
    // A place beyond the last is an address that there is not.
    let place = || 0..60_usize;
    prop_oneof![
        12 => (0..USERS, any::<bool>(), any::<bool>(), prop::bool::weighted(0.9))
            .prop_map(|(user, billing, default, keep)| Step::Add { user, billing, default, keep }),
        6 => (0..USERS, place(), 0..3_usize, etag())
            .prop_map(|(user, place, city, fresh_etag)| Step::Update { user, place, city, fresh_etag }),
        6 => (0..USERS, place(), etag()).prop_map(|(user, place, fresh_etag)| Step::Delete { user, place, fresh_etag }),
        6 => (0..USERS, place()).prop_map(|(user, place)| Step::SetDefault { user, place }),
        // The first user stays, so that the limit is met.
        1 => (1..USERS).prop_map(|user| Step::Renew { user }),
    ]
    .boxed()
}

/// The store's promises as lists, oldest first.
#[derive(Default)]
struct Model(BTreeMap<usize, Vec<Address>>);

impl Model {
    fn of(&mut self, user: usize) -> &mut Vec<Address> {
        self.0.entry(user).or_default()
    }

    /// Makes the address at `place` the default, the last step of whatever changes defaults.
    fn make_default(&mut self, user: usize, place: usize, meta: &ChangeMeta) {
        let all = self.of(user);
        let kind = all[place].kind;
        for (other, address) in all.iter_mut().enumerate().filter(|(_, address)| address.kind == kind) {
            if address.is_default != (other == place) {
                address.is_default = other == place;
                address.revision += 1;
                address.updated_at = meta.at;
            }
        }
    }
}

pub async fn two_thousand_random_steps_agree_with_a_plain_model(store: &dyn Store) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = steps();
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(create(store, &user(&format!("user{number}"))).await.unwrap());
    }
    let mut model = Model::default();
    let mut full = 0;
    for _ in 0..2_000 {
        let step = strategy.new_tree(&mut runner).unwrap().current();
        full += usize::from(take(store, &users, &mut model, &step).await == Err(StoreError::LimitReached));
        for (number, user) in users.iter().enumerate() {
            assert_eq!(all(store, user).await, *model.of(number), "{step:?}");
        }
    }
    assert!(full > 0, "the limit was never met");
}

async fn take(store: &dyn Store, users: &[Arc<User>], model: &mut Model, step: &Step) -> Result<(), StoreError> {
    let meta = meta();
    match *step {
        Step::Add { user, billing, default, keep } => {
            let kind = if billing { Billing } else { Shipping };
            let new = Address { is_default: default, ..address(&users[user], kind) };
            let meta = ChangeMeta { validate_only: !keep, ..meta };
            let outcome = store.add_address(new.clone(), meta.clone()).await;
            let known = model.of(user);
            if known.len() == ADDRESSES_MAX {
                assert_eq!(outcome, Err(StoreError::LimitReached));
            } else {
                let is_default = default || known.iter().all(|other| other.kind != kind);
                let expected = Address { is_default, ..new };
                assert_eq!(outcome.as_ref(), Ok(&expected));
                if keep {
                    known.push(expected);
                    let place = known.len() - 1;
                    if is_default {
                        model.make_default(user, place, &meta);
                    }
                }
            }
            outcome.map(drop)
        }
        Step::Update { user, place, city, fresh_etag } => {
            let (id, etag) = aim(model, user, place, fresh_etag);
            let city = format!("City {city}");
            let outcome = store.update_address(&users[user].id, id, to_city(&city), etag, meta.clone()).await;
            match model.of(user).get_mut(place) {
                None => assert_eq!(outcome, Err(StoreError::ItemNotFound)),
                Some(_) if fresh_etag == Some(false) => assert_eq!(outcome, Err(StoreError::Stale)),
                Some(address) => {
                    if address.lines.city != city {
                        address.lines.city = city;
                        (address.updated_at, address.revision) = (meta.at, address.revision + 1);
                    }
                    assert_eq!(outcome.as_ref(), Ok(&*address));
                }
            }
            outcome.map(drop)
        }
        Step::Delete { user, place, fresh_etag } => {
            let (id, etag) = aim(model, user, place, fresh_etag);
            let outcome = store.delete_address(&users[user].id, id, etag, meta.clone()).await;
            if model.of(user).get(place).is_none() {
                assert_eq!(outcome, Err(StoreError::ItemNotFound));
            } else if fresh_etag == Some(false) {
                assert_eq!(outcome, Err(StoreError::Stale));
            } else {
                assert_eq!(outcome, Ok(()));
                let gone = model.of(user).remove(place);
                let oldest = model.of(user).iter().position(|left| left.kind == gone.kind);
                if let Some(oldest) = oldest.filter(|_| gone.is_default) {
                    model.make_default(user, oldest, &meta);
                }
            }
            outcome
        }
        Step::SetDefault { user, place } => {
            let (id, _) = aim(model, user, place, None);
            let outcome = store.set_default_address(&users[user].id, id, meta.clone()).await;
            if model.of(user).get(place).is_none() {
                assert_eq!(outcome, Err(StoreError::ItemNotFound));
            } else {
                model.make_default(user, place, &meta);
                assert_eq!(outcome.as_ref(), Ok(&model.of(user)[place]));
            }
            outcome.map(drop)
        }
        Step::Renew { user } => {
            store.delete_user(users[user].id.clone(), None, meta).await.unwrap();
            create(store, &users[user]).await.unwrap();
            model.of(user).clear();
            Ok(())
        }
    }
}

/// The address at a place, or one that there is not, and an etag of it or of nothing.
fn aim(model: &mut Model, user: usize, place: usize, fresh: Option<bool>) -> (AddressId, Option<String>) {
    let address = model.of(user).get(place);
    let etag = fresh.map(|fresh| match address {
        Some(address) if fresh => address.etag(),
        _ => "0-0".into(),
    });
    (address.map_or_else(|| AddressId::generate(tick()), |address| address.id), etag)
}
