//! Addresses: messages to inputs of the use cases, and back.

use roster_api::user::v1 as api;

use crate::rpc::time::timestamp;
use crate::{
    model::{Address, AddressLines},
    ops::{AddAddressInput, AddressInput, UpdateAddressInput},
};

pub(super) fn address_message(address: Address) -> api::Address {
    let etag = address.etag();
    let lines = address.lines;
    api::Address {
        id: address.id.to_string(),
        user_id: address.user_id.to_text(),
        kind: address.kind as i32,
        label: lines.label,
        recipient: lines.recipient,
        organization: lines.organization,
        line1: lines.line1,
        line2: lines.line2,
        city: lines.city,
        region: lines.region,
        postal_code: lines.postal_code,
        country: lines.country,
        phone: lines.phone,
        is_default: address.is_default,
        created_at: Some(timestamp(address.created_at)),
        updated_at: Some(timestamp(address.updated_at)),
        etag,
    }
}

pub(super) fn list_response(addresses: Vec<Address>) -> api::ListAddressesResponse {
    api::ListAddressesResponse { addresses: addresses.into_iter().map(address_message).collect() }
}

/// What is output only is left behind.
impl From<api::Address> for AddressInput {
    fn from(address: api::Address) -> Self {
        let lines = AddressLines {
            label: address.label,
            recipient: address.recipient,
            organization: address.organization,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
            phone: address.phone,
        };
        Self { kind: address.kind, lines }
    }
}

impl From<api::AddAddressRequest> for AddAddressInput {
    fn from(request: api::AddAddressRequest) -> Self {
        Self {
            user_id: request.user_id,
            address: request.address.map(Into::into),
            make_default: request.make_default,
            validate_only: request.validate_only,
        }
    }
}

impl From<api::UpdateAddressRequest> for UpdateAddressInput {
    fn from(request: api::UpdateAddressRequest) -> Self {
        Self {
            user_id: request.user_id,
            address_id: request.address_id,
            address: request.address.map(Into::into),
            update_mask: request.update_mask.map(|mask| mask.paths).unwrap_or_default(),
            etag: request.etag,
            validate_only: request.validate_only,
        }
    }
}
