//! `roster session`: where a user is signed in.

use clap::Subcommand;
use roster_api::auth::v1::{ListSessionsRequest, RevokeAllSessionsRequest, RevokeSessionRequest, Session as Message};

use crate::{
    args::Format,
    context::Context,
    error::Failure,
    output::{Cell, time},
};

/// See and end sessions
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List a user's sessions, the last used first
    List {
        /// The user's id [default: you]
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        user: String,
    },
    /// End a session at once
    Revoke {
        /// The session's id
        id: String,
        /// The user's id [default: you]
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        user: String,
    },
    /// End all sessions of a user at once
    RevokeAll {
        /// The user's id [default: you]
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        user: String,
        /// All but the one of this call
        #[arg(long)]
        keep_current: bool,
    },
}

impl Session {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List { user } => list(context, user).await,
            Self::Revoke { id, user } => {
                let request = RevokeSessionRequest { user_id: user.clone(), session_id: id.clone() };
                context.auth.revoke_session(context.request(request)).await?;
                context.out.note(&format!("ended session {id}"))
            }
            Self::RevokeAll { user, keep_current } => {
                let request = RevokeAllSessionsRequest { user_id: user.clone(), keep_current: *keep_current };
                let ended = context.auth.revoke_all_sessions(context.request(request)).await?.into_inner();
                context.out.note(&format!("ended {} sessions", ended.revoked_count))
            }
        }
    }
}

async fn list(context: &mut Context, user: &str) -> Result<(), Failure> {
    let mut page_token = String::new();
    loop {
        let request = ListSessionsRequest { user_id: user.to_owned(), page_size: 0, page_token };
        let page = context.auth.list_sessions(context.request(request)).await?.into_inner();
        match context.out.format {
            Format::Json => page.sessions.iter().try_for_each(|one| context.out.json(one, "auth.v1.Session"))?,
            Format::Table => context.out.table(
                &["ID", "DEVICE", "ADDRESS", "LAST USED", "SIGNED IN", ""],
                page.sessions.iter().map(row).collect(),
            )?,
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}

fn row(session: &Message) -> Vec<Cell> {
    vec![
        Cell::Plain(session.id.clone()),
        Cell::Plain(session.device.clone()),
        Cell::Plain(session.remote_address.clone()),
        Cell::Plain(time(session.last_used_at.as_ref(), 0)),
        Cell::Plain(time(session.created_at.as_ref(), 0)),
        Cell::Good(if session.current { "this one".into() } else { String::new() }),
    ]
}
