//! `roster address set-default`.

use roster_api::user::v1::SetDefaultAddressRequest;

use crate::{context::Context, error::Failure};

/// Make an address the default of its kind. Doing it twice changes nothing
#[derive(Debug, clap::Args)]
pub struct SetDefault {
    /// The user's id
    user: String,
    /// The address's id
    #[arg(value_name = "ADDRESS")]
    id: String,
}

impl SetDefault {
    /// Does it and shows the address.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let (user_id, address_id) = (self.user.clone(), self.id.clone());
        let request = context.request(SetDefaultAddressRequest { user_id, address_id });
        let address = context.users.set_default_address(request).await?.into_inner();
        context.out.address(&address)
    }
}
