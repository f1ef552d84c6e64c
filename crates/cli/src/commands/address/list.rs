//! `roster address list`.

use roster_api::user::v1::{AddressKind, ListAddressesRequest};

use super::fields::Kind;
use crate::{context::Context, error::Failure};

/// List the addresses of a user, oldest first
#[derive(Debug, clap::Args)]
pub struct List {
    /// The user's id
    user: String,
    /// Only those of this kind
    #[arg(long)]
    kind: Option<Kind>,
}

impl List {
    /// Reads the addresses and shows them.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let kind = self.kind.map_or(AddressKind::Unspecified, AddressKind::from).into();
        let request = context.request(ListAddressesRequest { user_id: self.user.clone(), kind });
        let addresses = context.users.list_addresses(request).await?.into_inner().addresses;
        context.out.addresses(&addresses)?;
        if addresses.is_empty() { context.out.note("no addresses") } else { Ok(()) }
    }
}
