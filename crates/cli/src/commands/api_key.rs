//! `roster api-key`: keys by which services call.

use clap::Subcommand;
use roster_api::auth::v1::{ApiKey as Message, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest};

use crate::{
    args::Format,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::{Cell, time},
};

/// Create, see and revoke API keys
#[derive(Debug, Subcommand)]
pub enum ApiKey {
    /// Create a key and show it, this once
    Create {
        /// What it is for, such as 'billing, production'
        name: String,
        /// What it may do, such as users.read; can be given several times, or several with commas between
        #[arg(long = "scope", value_name = "PERMISSION", required = true, value_delimiter = ',')]
        scopes: Vec<String>,
        /// When it ends, such as 2027-01-01T00:00:00Z, or after a time, such as 90d [default: never]
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        expires: Option<jiff::Timestamp>,
        /// Check everything, create nothing
        #[arg(long)]
        validate_only: bool,
    },
    /// List the keys, the newest first
    List,
    /// Revoke a key for good, at once
    Revoke {
        /// The key's id
        id: String,
    },
}

impl ApiKey {
    /// Does it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Create { name, scopes, expires, validate_only } => {
                let expires_at = expires.map(|at| prost_types::Timestamp { seconds: at.as_second(), nanos: 0 });
                let (name, scopes) = (name.clone(), scopes.clone());
                let api_key = Some(Message { name, scopes, expires_at, ..Message::default() });
                create(context, CreateApiKeyRequest { api_key, validate_only: *validate_only }).await
            }
            Self::List => list(context).await,
            Self::Revoke { id } => {
                context.auth.revoke_api_key(context.request(RevokeApiKeyRequest { api_key_id: id.clone() })).await?;
                context.out.note(&format!("revoked API key {id}"))
            }
        }
    }
}

async fn create(context: &mut Context, request: CreateApiKeyRequest) -> Result<(), Failure> {
    let validate_only = request.validate_only;
    let created = context.auth.create_api_key(context.request(request)).await?.into_inner();
    let lacking = || CliError::new(Exit::Internal, "the server created a key without showing it");
    let key = created.api_key.as_ref().ok_or_else(lacking)?;
    match context.out.format {
        Format::Json => context.out.json(&created, "auth.v1.CreateApiKeyResponse")?,
        Format::Table => {
            context.out.table(&HEADER, vec![row(key)])?;
            if !validate_only {
                context.out.text(&format!("\n{}\n", created.secret))?;
            }
        }
    }
    context.out.note(match validate_only {
        true => "valid; nothing was created",
        false => "keep the key now: it is not shown again. Services send it as `authorization: Bearer KEY`",
    })
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let mut page_token = String::new();
    loop {
        let request = ListApiKeysRequest { page_size: 0, page_token };
        let page = context.auth.list_api_keys(context.request(request)).await?.into_inner();
        match context.out.format {
            Format::Json => page.api_keys.iter().try_for_each(|key| context.out.json(key, "auth.v1.ApiKey"))?,
            Format::Table => context.out.table(&HEADER, page.api_keys.iter().map(row).collect())?,
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}

const HEADER: [&str; 6] = ["ID", "NAME", "STARTS WITH", "SCOPES", "ENDS", "LAST USED"];

fn row(key: &Message) -> Vec<Cell> {
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    vec![
        Cell::Plain(key.id.clone()),
        Cell::Plain(key.name.clone()),
        Cell::Plain(key.prefix.clone()),
        Cell::Plain(key.scopes.join(" ")),
        Cell::Plain(or(time(key.expires_at.as_ref(), 0), "never")),
        Cell::Plain(or(time(key.last_used_at.as_ref(), 0), "never")),
    ]
}

/// A moment, or a time from now in whole days or hours.
fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    let wrong = || "it takes a time such as 2027-01-01T00:00:00Z, 90d or 12h".to_owned();
    let hours = |number: &str, each: i64| number.parse::<u32>().ok().and_then(|n| i64::from(n).checked_mul(each));
    let from_now = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => hours(days, 24),
        (_, Some(number)) => hours(number, 1),
        _ => return text.parse().map_err(|_| wrong()),
    };
    let seconds = from_now.and_then(|hours| hours.checked_mul(3_600)).ok_or_else(wrong)?;
    jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_moment_or_a_time_from_now() {
        assert_eq!(moment("2027-01-01T00:00:00Z").unwrap().to_string(), "2027-01-01T00:00:00Z");
        let in_a_day = moment("1d").unwrap().as_second() - jiff::Timestamp::now().as_second();
        assert!((86_390..=86_410).contains(&in_a_day), "{in_a_day}");
        for bad in ["", "d", "-1d", "soon", "99999999999d", "4294967295d", "1w"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
