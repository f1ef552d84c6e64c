//! Long histories of addresses against a plain model.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use roster_server::{
    model::{
        Address, AddressId,
        AddressKind::{Billing, Shipping},
        ChangeMeta, User,
        address::ADDRESSES_MAX,
    },
    store::{Store, StoreError},
};

use super::{
    addresses::{address, all, to_city},
    create, meta, tick, user,
};

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

async fn take(store: &dyn Store, users: &[User], model: &mut Model, step: &Step) -> Result<(), StoreError> {
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
