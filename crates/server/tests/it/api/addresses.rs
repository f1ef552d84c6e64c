//! The six address methods: what each does, each of their errors, masks, and what outlives a restart.

use prost_types::FieldMask;
use roster_api::{
    client::Transport,
    user::v1::{
        AddAddressRequest, Address, AddressKind, DeleteAddressRequest, DeleteUserRequest, GetAddressRequest,
        GetUserRequest, ListAddressesRequest, SetDefaultAddressRequest, UpdateAddressRequest,
        user_service_client::UserServiceClient,
    },
};
use roster_server::model::{Action, address::ADDRESSES_MAX};
use tonic::{Code, Status};

use super::events_in;
use crate::harness::{Problem, Server, create_all, problem};

/// A server with a user and a client that acts on it.
struct Fixture {
    users: UserServiceClient<Transport>,
    user_id: String,
    server: Server,
}

async fn fixture() -> Fixture {
    let server = Server::dev();
    let mut users = server.users().await;
    let user_id = create_all(&mut users, &["ada"]).await.remove(0).id;
    Fixture { users, user_id, server }
}

/// An address with every field that a caller may set.
fn full(kind: AddressKind) -> Address {
    Address {
        kind: kind.into(),
        label: "Home".into(),
        recipient: "Ada Lovelace".into(),
        organization: "Analytical Engines".into(),
        line1: "12 St James's Square".into(),
        line2: "2nd floor".into(),
        city: "London".into(),
        region: "Greater London".into(),
        postal_code: "SW1Y 4JH".into(),
        country: "GB".into(),
        phone: "+442079460018".into(),
        ..Address::default()
    }
}

/// An address with what must be there.
fn bare(kind: AddressKind) -> Address {
    Address {
        kind: kind.into(),
        line1: "1 Main St".into(),
        city: "Reno".into(),
        country: "us".into(),
        ..Address::default()
    }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

impl Fixture {
    fn add_request(&self, address: Address) -> AddAddressRequest {
        AddAddressRequest { user_id: self.user_id.clone(), address: Some(address), ..Default::default() }
    }

    async fn add(&mut self, address: Address) -> Address {
        let request = self.add_request(address);
        self.users.add_address(request).await.unwrap().into_inner()
    }

    async fn get(&mut self, address_id: &str) -> Result<Address, Status> {
        let request = GetAddressRequest { user_id: self.user_id.clone(), address_id: address_id.into() };
        self.users.get_address(request).await.map(tonic::Response::into_inner)
    }

    async fn list(&mut self, kind: AddressKind) -> Vec<Address> {
        let request = ListAddressesRequest { user_id: self.user_id.clone(), kind: kind.into() };
        self.users.list_addresses(request).await.unwrap().into_inner().addresses
    }

    async fn all(&mut self) -> Vec<Address> {
        self.list(AddressKind::Unspecified).await
    }

    fn update_request(&self, id: &str, address: Address) -> UpdateAddressRequest {
        let (user_id, address_id) = (self.user_id.clone(), id.into());
        UpdateAddressRequest { user_id, address_id, address: Some(address), ..Default::default() }
    }

    /// What the update leaves, apart from the marks that every change leaves.
    async fn after(&mut self, before: &Address, request: UpdateAddressRequest) -> Address {
        let after = self.users.update_address(request).await.unwrap().into_inner();
        assert_eq!(self.get(&after.id).await.unwrap(), after);
        assert_ne!(after.etag, before.etag);
        Address { etag: before.etag.clone(), updated_at: before.updated_at, ..after }
    }

    async fn refused(&mut self, request: UpdateAddressRequest) -> Problem {
        let before = self.all().await;
        let problem = problem(self.users.update_address(request).await);
        assert_eq!(self.all().await, before);
        problem
    }

    async fn set_default(&mut self, id: &str) -> Address {
        let request = SetDefaultAddressRequest { user_id: self.user_id.clone(), address_id: id.into() };
        self.users.set_default_address(request).await.unwrap().into_inner()
    }

    async fn delete(&mut self, id: &str, etag: &str) -> Result<(), Status> {
        let (user_id, address_id) = (self.user_id.clone(), id.into());
        let request = DeleteAddressRequest { user_id, address_id, etag: etag.into() };
        self.users.delete_address(request).await.map(drop)
    }
}

#[tokio::test]
async fn an_address_from_its_first_day_to_its_last() {
    let mut fixture = fixture().await;
    let user = fixture.users.get_user(GetUserRequest { user_id: fixture.user_id.clone() }).await.unwrap().into_inner();
    // What is output only is ignored.
    let lies = Address { id: "mine".into(), user_id: "other".into(), etag: "e".into(), ..full(AddressKind::Shipping) };
    let home = fixture.add(lies).await;
    let expected = Address {
        id: home.id.clone(),
        user_id: fixture.user_id.clone(),
        is_default: true,
        created_at: home.created_at,
        updated_at: home.created_at,
        etag: home.etag.clone(),
        ..full(AddressKind::Shipping)
    };
    assert_eq!(home, expected);
    assert!(home.id.len() == 36 && home.created_at.is_some() && !home.etag.is_empty(), "{home:?}");
    assert_eq!(fixture.get(&home.id.to_uppercase()).await.unwrap(), home);

    let office = fixture.add(bare(AddressKind::Shipping)).await;
    assert_eq!((office.country.as_str(), office.is_default), ("US", false));
    let invoices = fixture.add(bare(AddressKind::Billing)).await;
    assert!(invoices.is_default);
    assert_eq!(fixture.all().await, [home.clone(), office.clone(), invoices.clone()]);
    assert_eq!(fixture.list(AddressKind::Billing).await, std::slice::from_ref(&invoices));

    let chosen = fixture.set_default(&office.id).await;
    assert!(chosen.is_default && chosen.etag != office.etag);
    assert_eq!(fixture.set_default(&office.id).await, chosen);
    let ceased = fixture.get(&home.id).await.unwrap();
    assert!(!ceased.is_default && ceased.etag != home.etag);

    let mut eager = fixture.add_request(bare(AddressKind::Shipping));
    eager.make_default = true;
    let eager = fixture.users.add_address(eager).await.unwrap().into_inner();
    assert!(eager.is_default && !fixture.get(&office.id).await.unwrap().is_default);
    fixture.delete(&eager.id, &eager.etag).await.unwrap();
    assert_eq!(problem(fixture.get(&eager.id).await).kind(), (Code::NotFound, "ADDRESS_NOT_FOUND"));
    // The oldest left.
    assert!(fixture.get(&home.id).await.unwrap().is_default);

    // None of this changes the user.
    let after = fixture.users.get_user(GetUserRequest { user_id: user.id.clone() }).await.unwrap().into_inner();
    assert_eq!(after, user);

    let kept = fixture.all().await;
    let (_, folder) = fixture.server.stop().await;
    assert_eq!(
        events_in(&folder),
        [
            (Action::AddressAdded, user.id.clone(), format!("addresses/{}", home.id), vec![]),
            (Action::AddressAdded, user.id.clone(), format!("addresses/{}", office.id), vec![]),
            (Action::AddressAdded, user.id.clone(), format!("addresses/{}", invoices.id), vec![]),
            (
                Action::AddressUpdated,
                user.id.clone(),
                format!("addresses/{}", office.id),
                vec!["is_default".to_owned()]
            ),
            (Action::AddressAdded, user.id.clone(), format!("addresses/{}", eager.id), vec![]),
            (Action::AddressDeleted, user.id.clone(), format!("addresses/{}", eager.id), vec![]),
        ]
    );
    let server = Server::start_in(folder, |_| ());
    let users = server.users().await;
    let mut fixture = Fixture { users, user_id: user.id.clone(), server };
    assert_eq!(fixture.all().await, kept);
    let request = DeleteUserRequest { user_id: user.id.clone(), ..Default::default() };
    fixture.users.delete_user(request).await.unwrap();
    assert_eq!(problem(fixture.get(&home.id).await).kind(), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test]
async fn an_update_sets_what_is_present_or_what_its_mask_names() {
    let mut fixture = fixture().await;
    let home = fixture.add(full(AddressKind::Shipping)).await;
    // Without a mask what is empty is left alone; a whole address that was read can be sent back.
    let moved = Address { city: "Bath".into(), postal_code: "BA1 1LN".into(), ..Address::default() };
    let request = fixture.update_request(&home.id, moved);
    let expected = Address { city: "Bath".into(), postal_code: "BA1 1LN".into(), ..home.clone() };
    assert_eq!(fixture.after(&home, request).await, expected);
    let read = fixture.get(&home.id).await.unwrap();
    let request = fixture.update_request(&home.id, Address { label: "Old home".into(), ..read });
    let expected = Address { label: "Old home".into(), ..expected };
    assert_eq!(fixture.after(&home, request).await, expected);

    // With one, what is named and empty is cleared, and what is not named is not looked at.
    let named = Address { line2: "3rd floor".into(), city: "ignored\0".into(), kind: 77, ..Address::default() };
    let update_mask = mask(&["line2", "phone", "recipient"]);
    let request = UpdateAddressRequest { update_mask, ..fixture.update_request(&home.id, named) };
    let expected = Address { line2: "3rd floor".into(), phone: String::new(), recipient: String::new(), ..expected };
    assert_eq!(fixture.after(&home, request).await, expected);

    let star =
        |address| UpdateAddressRequest { update_mask: mask(&["*"]), ..fixture.update_request(&home.id, address) };
    let (whole, without_line1) =
        (star(bare(AddressKind::Shipping)), star(Address { line1: String::new(), ..bare(AddressKind::Shipping) }));
    let Address { id, user_id, is_default, created_at, updated_at, etag, .. } = home.clone();
    let expected = Address {
        country: "US".into(),
        ..Address { id, user_id, is_default, created_at, updated_at, etag, ..bare(AddressKind::Shipping) }
    };
    assert_eq!(fixture.after(&home, whole).await, expected);
    assert_eq!(fixture.refused(without_line1).await.fields(), ["address.line1"]);

    // What must be there cannot be cleared; what cannot change is named.
    for path in ["line1", "city", "country"] {
        let update_mask = mask(&[path]);
        let request = UpdateAddressRequest { update_mask, ..fixture.update_request(&home.id, Address::default()) };
        assert_eq!(fixture.refused(request).await.fields(), [format!("address.{path}")]);
    }
    let other_kind = Address { kind: AddressKind::Billing.into(), city: "Bonn".into(), ..Address::default() };
    let request = fixture.update_request(&home.id, other_kind);
    let refused = fixture.refused(request).await;
    assert_eq!(
        (refused.kind(), refused.fields()),
        ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["address.kind"])
    );
}

#[tokio::test]
async fn what_changes_no_address_leaves_no_mark() {
    let mut fixture = fixture().await;
    let home = fixture.add(full(AddressKind::Shipping)).await;
    let same = UpdateAddressRequest { etag: home.etag.clone(), ..fixture.update_request(&home.id, home.clone()) };
    let nothing = fixture.update_request(&home.id, Address::default());
    for request in [same, nothing] {
        assert_eq!(fixture.users.update_address(request).await.unwrap().into_inner(), home);
    }
    let bern = Address { city: "Bern".into(), ..Address::default() };
    let rehearsal = UpdateAddressRequest { validate_only: true, ..fixture.update_request(&home.id, bern) };
    let answer = fixture.users.update_address(rehearsal).await.unwrap().into_inner();
    assert_eq!((answer.city.as_str(), answer.id.as_str()), ("Bern", home.id.as_str()));
    let add = fixture.add_request(bare(AddressKind::Billing));
    let rehearsal = AddAddressRequest { validate_only: true, make_default: true, ..add };
    assert!(fixture.users.add_address(rehearsal).await.unwrap().into_inner().is_default);
    assert_eq!(fixture.all().await, [home]);
}

#[tokio::test]
async fn a_stale_etag_of_an_address_aborts() {
    let mut fixture = fixture().await;
    let home = fixture.add(full(AddressKind::Shipping)).await;
    let to = |city: &str, etag: &str| UpdateAddressRequest {
        etag: etag.into(),
        ..fixture.update_request(&home.id, Address { city: city.into(), ..Address::default() })
    };
    let (first, second) = (to("Bath", &home.etag), to("Bonn", &home.etag));
    fixture.users.update_address(first).await.unwrap();
    // The slower of two that read the same.
    let refused = fixture.refused(second).await;
    assert_eq!(refused.kind(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(refused.resource, Some(("user.v1.Address".into(), home.id.clone())));
    let refused = problem(fixture.delete(&home.id, &home.etag).await);
    assert_eq!(refused.kind(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(fixture.all().await.len(), 1);
}

#[tokio::test]
async fn an_absent_address_and_that_of_another_get_the_same_answer() {
    let mut fixture = fixture().await;
    let bea = create_all(&mut fixture.users, &["bea"]).await.remove(0).id;
    let ada = std::mem::replace(&mut fixture.user_id, bea);
    let foreign = fixture.add(full(AddressKind::Shipping)).await;
    fixture.user_id = ada;
    let absent = "01890a5d-ac96-774b-bcce-b302099a8057";
    for id in [foreign.id.as_str(), absent] {
        let get = problem(fixture.get(id).await);
        let request = fixture.update_request(id, Address { city: "Bern".into(), ..Address::default() });
        let update = problem(fixture.users.update_address(request).await);
        let delete = problem(fixture.delete(id, "").await);
        let request = SetDefaultAddressRequest { user_id: fixture.user_id.clone(), address_id: id.into() };
        let set_default = problem(fixture.users.set_default_address(request).await);
        for refused in [get, update, delete, set_default] {
            assert_eq!(refused.kind(), (Code::NotFound, "ADDRESS_NOT_FOUND"));
            assert_eq!(refused.resource, Some(("user.v1.Address".into(), id.into())));
            assert_eq!(refused.message, format!("no user.v1.Address has the id {id}"));
        }
    }
    fixture.user_id = "nobody".into();
    let request = fixture.add_request(bare(AddressKind::Shipping));
    let add = problem(fixture.users.add_address(request).await);
    let list = ListAddressesRequest { user_id: "nobody".into(), ..Default::default() };
    let list = problem(fixture.users.list_addresses(list).await);
    for refused in [add, list, problem(fixture.get(&foreign.id).await), problem(fixture.delete(absent, "").await)] {
        assert_eq!(refused.kind(), (Code::NotFound, "USER_NOT_FOUND"));
        assert_eq!(refused.resource, Some(("user.v1.User".into(), "nobody".into())));
    }
}

#[tokio::test]
pub(super) async fn fifty_of_60_addresses_added_at_once_fit() {
    let mut fixture = fixture().await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..60 {
        let kind = if number % 2 == 0 { AddressKind::Shipping } else { AddressKind::Billing };
        let request = AddAddressRequest { make_default: number % 3 == 0, ..fixture.add_request(bare(kind)) };
        let mut users = fixture.users.clone();
        calls.spawn(async move { users.add_address(request).await });
    }
    let outcomes = calls.join_all().await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).map(|status| Problem::of(&status)).collect();
    assert_eq!(refused.len(), 60 - ADDRESSES_MAX);
    for refused in refused {
        assert_eq!(refused.kind(), (Code::FailedPrecondition, "ADDRESS_LIMIT_REACHED"));
        assert!(refused.message.contains("50"), "{}", refused.message);
    }
    let all = fixture.all().await;
    assert_eq!(all.len(), ADDRESSES_MAX);
    for kind in [AddressKind::Shipping, AddressKind::Billing] {
        let default = fixture.list(kind).await.into_iter().filter(|address| address.is_default);
        assert_eq!(default.count(), 1);
    }
    assert!(all.is_sorted_by_key(|address| address.created_at.map(|at| (at.seconds, at.nanos))));
}

#[tokio::test]
async fn all_that_is_wrong_with_an_address_is_told_at_once() {
    let mut fixture = fixture().await;
    let request =
        fixture.add_request(Address { kind: 9, label: "\u{202e}".into(), phone: "1".into(), ..Address::default() });
    let refused = problem(fixture.users.add_address(AddAddressRequest { user_id: "~".into(), ..request }).await);
    let fields = [
        "user_id",
        "address.kind",
        "address.label",
        "address.line1",
        "address.city",
        "address.country",
        "address.phone",
    ];
    assert_eq!((refused.code, refused.fields()), (Code::InvalidArgument, fields.to_vec()));
    let request = UpdateAddressRequest {
        user_id: fixture.user_id.clone(),
        address_id: "7".into(),
        address: None,
        update_mask: mask(&["kind", "city"]),
        ..Default::default()
    };
    let refused = problem(fixture.users.update_address(request).await);
    assert_eq!(refused.fields(), ["address_id", "address", "update_mask", "address.city"]);
    assert!(refused.violations[2].1.contains("kind is immutable"), "{refused:?}");
}
