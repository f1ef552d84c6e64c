//! Addresses: at most 50 of a user, and one default of each kind at every moment, whoever writes at the same time.

use roster_server::{
    model::{
        Address, AddressId, AddressKind, AddressLines, AddressPatch, ChangeMeta, User, UserId, address::ADDRESSES_MAX,
    },
    store::{Store, StoreError},
};

use super::{create, join_all, meta, tick, user};

use AddressKind::{Billing, Shipping};

/// An address that is not the default unless it is the first.
pub(super) fn address(user: &User, kind: AddressKind) -> Address {
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

pub(super) async fn all(store: &dyn Store, user: &User) -> Vec<Address> {
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

pub(super) fn to_city(city: &str) -> AddressPatch {
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
    assert_eq!(store.find_user(&ada.id).await.unwrap().unwrap().user(), Ok(ada));
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), 1);
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
    assert_eq!(all(store, &bea).await, std::slice::from_ref(&foreign));

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
