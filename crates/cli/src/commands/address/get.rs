//! `roster address get`.

use roster_api::user::v1::GetAddressRequest;

use crate::{context::Context, error::Failure};

/// Show an address
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The user's id
    user: String,
    /// The address's id
    #[arg(value_name = "ADDRESS")]
    id: String,
}

impl Get {
    /// Reads the address and shows it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let request = context.request(GetAddressRequest { user_id: self.user.clone(), address_id: self.id.clone() });
        let address = context.users.get_address(request).await?.into_inner();
        context.out.address(&address)
    }
}
