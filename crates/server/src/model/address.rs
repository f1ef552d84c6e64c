//! Postal addresses of a user.

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserId, etag::etag, uuid_id::uuid_id};

/// Addresses that a user may have.
pub const ADDRESSES_MAX: usize = 50;

uuid_id! {
    /// Names an address: a UUIDv7.
    AddressId
}

/// What an address is for. Numbers are those of the API's `AddressKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressKind {
    /// Where goods go.
    Shipping = 1,
    /// Where invoices go.
    Billing = 2,
}

impl AddressKind {
    /// All kinds with their names.
    pub const ALL: &[(Self, &str)] = &[(Self::Shipping, "SHIPPING"), (Self::Billing, "BILLING")];

    /// The kind with this number of the API's `AddressKind`.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().map(|(kind, _)| *kind).find(|kind| *kind as i32 == number)
    }
}

/// What is written on an address: as it is stored, or as a caller gave it. Empty text is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressLines {
    /// A name that the user knows it by.
    pub label: String,
    /// Who receives what is sent.
    pub recipient: String,
    /// The company or institution.
    pub organization: String,
    /// Street and number, or post office box. Never empty.
    pub line1: String,
    /// Flat, floor, building.
    pub line2: String,
    /// City or town. Never empty.
    pub city: String,
    /// State, province or county.
    pub region: String,
    /// Some countries have none.
    pub postal_code: String,
    /// An ISO 3166-1 alpha-2 code in upper case. Never empty.
    pub country: String,
    /// E.164.
    pub phone: String,
}

impl AddressLines {
    /// The names of the fields, in the order of the API.
    pub const FIELDS: [&str; 10] =
        ["label", "recipient", "organization", "line1", "line2", "city", "region", "postal_code", "country", "phone"];

    /// Each field with its name.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &String); 10] {
        [
            ("label", &self.label),
            ("recipient", &self.recipient),
            ("organization", &self.organization),
            ("line1", &self.line1),
            ("line2", &self.line2),
            ("city", &self.city),
            ("region", &self.region),
            ("postal_code", &self.postal_code),
            ("country", &self.country),
            ("phone", &self.phone),
        ]
    }

    /// Each field with its name, to be changed.
    pub fn fields_mut(&mut self) -> [(&'static str, &mut String); 10] {
        [
            ("label", &mut self.label),
            ("recipient", &mut self.recipient),
            ("organization", &mut self.organization),
            ("line1", &mut self.line1),
            ("line2", &mut self.line2),
            ("city", &mut self.city),
            ("region", &mut self.region),
            ("postal_code", &mut self.postal_code),
            ("country", &mut self.country),
            ("phone", &mut self.phone),
        ]
    }
}

/// A postal address of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Unique.
    pub id: AddressId,
    /// Whose it is.
    pub user_id: UserId,
    /// Immutable.
    pub kind: AddressKind,
    /// What is written on it.
    pub lines: AddressLines,
    /// Whether it is the user's default of its kind.
    pub is_default: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed; that it became or ceased to be the default counts.
    pub updated_at: Timestamp,
    /// 1 when it was added, one more with each change.
    pub revision: i64,
}

impl Address {
    /// The etag: changes with every change.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.created_at, self.revision)
    }
}

impl Address {
    /// Notes a change at this time.
    pub fn touch(&mut self, at: Timestamp) {
        self.revision += 1;
        // A clock that was set back must not make an address look older than its last change.
        self.updated_at = at.max(self.updated_at);
    }
}

/// New values for some fields of an address. Empty text clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPatch {
    /// The kind that the caller takes the address to be of, which no patch changes; `None` for whatever it is.
    pub kind: Option<AddressKind>,
    /// The values.
    pub lines: AddressLines,
    /// Those of `lines` that are set; the others stay as they are.
    pub fields: Vec<&'static str>,
}

impl AddressPatch {
    /// The address after this patch and the names of the fields that really changed. With none changed the address is
    /// the one that went in; otherwise its revision is one higher.
    #[must_use]
    pub fn apply(&self, before: &Address, at: Timestamp) -> (Address, Vec<&'static str>) {
        let mut address = before.clone();
        let mut changed = Vec::new();
        for ((name, field), (_, value)) in address.lines.fields_mut().into_iter().zip(self.lines.fields()) {
            if self.fields.contains(&name) && field != value {
                field.clone_from(value);
                changed.push(name);
            }
        }
        if !changed.is_empty() {
            address.touch(at);
        }
        (address, changed)
    }
}
