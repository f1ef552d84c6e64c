//! Hostile values for the address methods.

use prost_types::FieldMask;
use roster_api::user::v1::{
    AddAddressRequest, Address, AddressKind, DeleteAddressRequest, GetAddressRequest, ListAddressesRequest,
    SetDefaultAddressRequest, UpdateAddressRequest,
};

use super::{Case, Cases, bad_ids, bad_phones, hidden_in};

const BAD_KINDS: [i32; 4] = [-1, 3, i32::MIN, i32::MAX];

fn bad_address_ids() -> Vec<String> {
    let plain = ["", "1", "home", "01890a5d-ac96-774b-bcce-b302099a805", "01890a5dac96774bbcceb302099a8057", " "];
    let long = ["{01890a5d-ac96-774b-bcce-b302099a8057}".to_owned(), "0".repeat(1 << 20)];
    plain
        .into_iter()
        .map(str::to_owned)
        .chain(long)
        .chain(hidden_in("01890a5d", "-ac96-774b-bcce-b302099a8057"))
        .collect()
}

/// One line of text that is too long, or hides something.
fn bad_lines(max_chars: usize) -> Vec<String> {
    [hidden_in("Main ", "Street"), vec!["é".repeat(max_chars + 1), "l".repeat(1 << 20)]].concat()
}

/// An address that is well, with these values at a field, one at a time.
fn with(set: fn(&mut Address) -> &mut String, values: Vec<String>) -> Vec<Address> {
    let with = |value| {
        let mut address = Address {
            kind: AddressKind::Shipping.into(),
            line1: "1 Main St".into(),
            city: "Reno".into(),
            country: "US".into(),
            ..Address::default()
        };
        *set(&mut address) = value;
        address
    };
    values.into_iter().map(with).collect()
}

/// Addresses that are wrong in the field that is named.
fn bad_addresses() -> Vec<(&'static str, Vec<Address>)> {
    let blank = [String::new(), " ".into(), "\u{3000}".into()];
    let required = |max_chars| [bad_lines(max_chars), blank.to_vec()].concat();
    let countries = ["", "D", "DEU", "Germany", "XK", "ZZ", "UK", "276", "dé", " DE"].map(str::to_owned).to_vec();
    let countries = [countries, hidden_in("D", ""), vec!["DE".repeat(1 << 19)]].concat();
    vec![
        ("address.label", with(|address| &mut address.label, bad_lines(64))),
        ("address.recipient", with(|address| &mut address.recipient, bad_lines(200))),
        ("address.organization", with(|address| &mut address.organization, bad_lines(200))),
        ("address.line1", with(|address| &mut address.line1, required(200))),
        ("address.line2", with(|address| &mut address.line2, bad_lines(200))),
        ("address.city", with(|address| &mut address.city, required(100))),
        ("address.region", with(|address| &mut address.region, bad_lines(100))),
        ("address.postal_code", with(|address| &mut address.postal_code, bad_lines(20))),
        ("address.country", with(|address| &mut address.country, countries)),
        ("address.phone", with(|address| &mut address.phone, bad_phones())),
    ]
}

/// Cases of all six methods, on a user that there is and an address of that user.
pub fn cases(all: &mut Vec<Case>, user_id: &str, address_id: &str) {
    let user = || user_id.to_owned();
    let well = || with(|address| &mut address.label, vec!["Home".into()]).remove(0);
    let mut add = Cases { method: "AddAddress", all };
    let request = |address| AddAddressRequest { user_id: user(), address: Some(address), ..Default::default() };
    for (violation, addresses) in bad_addresses() {
        addresses.into_iter().for_each(|address| add.named("address", violation, &request(address)));
    }
    for kind in BAD_KINDS.into_iter().chain([0]) {
        add.named("address", "address.kind", &request(Address { kind, ..well() }));
    }
    add.add("address", &AddAddressRequest { user_id: user(), ..Default::default() });

    let mut update = Cases { method: "UpdateAddress", all };
    let whole = || Some(FieldMask { paths: vec!["*".into()] });
    let request = |address| UpdateAddressRequest {
        user_id: user(),
        address_id: address_id.into(),
        address: Some(address),
        update_mask: whole(),
        ..Default::default()
    };
    for (violation, addresses) in bad_addresses() {
        addresses.into_iter().for_each(|address| update.named("address", violation, &request(address)));
    }
    for kind in BAD_KINDS.into_iter().chain([AddressKind::Billing.into()]) {
        update.named("address", "address.kind", &request(Address { kind, ..well() }));
    }
    let absent = UpdateAddressRequest { address: None, update_mask: None, ..request(well()) };
    update.add("address", &absent);
    for id in bad_address_ids() {
        update.add("address_id", &UpdateAddressRequest { address_id: id, ..request(well()) });
    }
    let paths = ["unknown", "", "City", "address.city", "city.", "kind", "id", "user_id", "is_default", "created_at"];
    let singles = paths.iter().chain(&["updated_at", "etag", "ci\0ty"]).map(|path| vec![(*path).to_owned()]);
    for paths in singles.chain([vec!["city".into(); 257], vec!["*".into(), "city".into()]]) {
        let update_mask = Some(FieldMask { paths });
        update.add("update_mask", &UpdateAddressRequest { update_mask, ..request(well()) });
    }

    for address_id in bad_address_ids() {
        let id = || address_id.clone();
        let message = GetAddressRequest { user_id: user(), address_id: id() };
        Cases { method: "GetAddress", all }.add("address_id", &message);
        let message = DeleteAddressRequest { user_id: user(), address_id: id(), ..Default::default() };
        Cases { method: "DeleteAddress", all }.add("address_id", &message);
        let message = SetDefaultAddressRequest { user_id: user(), address_id: id() };
        Cases { method: "SetDefaultAddress", all }.add("address_id", &message);
    }
    for kind in BAD_KINDS {
        Cases { method: "ListAddresses", all }.add("kind", &ListAddressesRequest { user_id: user(), kind });
    }
    for user_id in bad_ids().into_iter().chain([String::new()]) {
        let (user, address_id) = (|| user_id.clone(), || address_id.to_owned());
        let message = AddAddressRequest { user_id: user(), address: Some(well()), ..Default::default() };
        Cases { method: "AddAddress", all }.add("user_id", &message);
        let message = GetAddressRequest { user_id: user(), address_id: address_id() };
        Cases { method: "GetAddress", all }.add("user_id", &message);
        let message = UpdateAddressRequest {
            user_id: user(),
            address_id: address_id(),
            address: Some(well()),
            ..Default::default()
        };
        Cases { method: "UpdateAddress", all }.add("user_id", &message);
        let message = DeleteAddressRequest { user_id: user(), address_id: address_id(), ..Default::default() };
        Cases { method: "DeleteAddress", all }.add("user_id", &message);
        let message = ListAddressesRequest { user_id: user(), ..Default::default() };
        Cases { method: "ListAddresses", all }.add("user_id", &message);
        let message = SetDefaultAddressRequest { user_id: user(), address_id: address_id() };
        Cases { method: "SetDefaultAddress", all }.add("user_id", &message);
    }
}
