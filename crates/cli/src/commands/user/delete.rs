//! `roster user delete`.

use std::io::{BufRead, Write as _};

use roster_api::user::v1::DeleteUserRequest;

use crate::{
    args::Format,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
};

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
        if !self.yes && !confirm(&self.ids, context)? {
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

    fn report(id: &str, context: &mut Context) -> Result<(), Failure> {
        match context.out.format {
            Format::Table => context.out.note(&format!("deleted {id}")),
            Format::Json => context.out.text(&serde_json::json!({ "deleted": id }).to_string()),
        }
    }
}

fn confirm(ids: &[String], context: &mut Context) -> Result<bool, Failure> {
    if !context.interactive {
        return Err(CliError::new(Exit::Usage, "deleting is for good, and there is no terminal to ask on")
            .hint("add --yes if you mean it; `roster user deactivate` can be undone")
            .into());
    }
    let what = if let [id] = ids { format!("user {id}") } else { format!("{} users", ids.len()) };
    write!(std::io::stderr(), "Delete {what} for good? [y/N] ")?;
    let mut answer = String::new();
    context.input.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
