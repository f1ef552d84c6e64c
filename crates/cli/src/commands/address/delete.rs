//! `roster address delete`.

use roster_api::user::v1::DeleteAddressRequest;

use crate::{
    args::Format,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
};

/// Delete an address. If it is the default, the oldest left of its kind becomes it
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The user's id
    user: String,
    /// The address's id
    #[arg(value_name = "ADDRESS")]
    id: String,
    /// Only if the address still has this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Delete {
    /// Asks, then deletes.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        if !self.yes && !context.confirm_deletion(&format!("address {}", self.id), "add --yes if you mean it")? {
            return Err(CliError::new(Exit::Usage, "nothing was deleted").into());
        }
        let (user_id, address_id) = (self.user.clone(), self.id.clone());
        let request = context.request(DeleteAddressRequest { user_id, address_id, etag: self.etag.clone() });
        context.users.delete_address(request).await?;
        match context.out.format {
            Format::Table => context.out.note(&format!("deleted {}", self.id)),
            Format::Json => context.out.text(&serde_json::json!({ "deleted": self.id }).to_string()),
        }
    }
}
