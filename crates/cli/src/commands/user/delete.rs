//! `roster user delete`.

use roster_api::user::v1::DeleteUserRequest;

use crate::{
    args::Format,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
};

/// What to do where there is no person to ask.
const HINT: &str = "add --yes if you mean it; `roster user deactivate` can be undone";

/// Delete users for good
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The users' ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Only if the user still has this etag; for a single user
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Delete {
    /// Asks, then deletes one after the other. All are tried; the first failure decides the exit code.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        if !self.etag.is_empty() && self.ids.len() > 1 {
            return Err(CliError::new(Exit::Usage, "--etag is for a single user").into());
        }
        if !self.yes && !context.confirm_deletion(&self.what(), HINT)? {
            return context.out.note("nothing was deleted");
        }
        let mut first_failure = None;
        for id in &self.ids {
            let request = context.request(DeleteUserRequest { user_id: id.clone(), etag: self.etag.clone() });
            match context.users.delete_user(request).await {
                Ok(_) => Self::report(id, context)?,
                Err(status) if self.ids.len() == 1 => return Err(status.into()),
                Err(status) => {
                    let mut error = CliError::from(status);
                    error.message = format!("{id}: {}", error.message);
                    // What was deleted before it is shown before it.
                    context.out.flush()?;
                    error.print(context.stderr);
                    first_failure.get_or_insert(error.exit);
                }
            }
        }
        first_failure.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
    }

    fn what(&self) -> String {
        if let [id] = self.ids.as_slice() { format!("user {id}") } else { format!("{} users", self.ids.len()) }
    }

    fn report(id: &str, context: &mut Context) -> Result<(), Failure> {
        match context.out.format {
            Format::Table => context.out.note(&format!("deleted {id}")),
            Format::Json => context.out.text(&serde_json::json!({ "deleted": id }).to_string()),
        }
    }
}
