//! `roster presence watch`.

use roster_api::notification::v1::{
    ClientPresence, ClientStatus, WatchClientStatusRequest, watch_client_status_response::Event,
};
use tonic::{Code, Status};

use super::CLIENT;
use crate::{args::Format, context::Context, error::Failure, output::time};

/// Show clients as they come and go
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster presence watch
  roster presence watch ada/phone bea
  roster presence watch --prefix USER_ID/ --output json")]
pub struct Watch {
    /// Only these clients, or those of --prefix
    #[arg(value_name = "CLIENT")]
    client_ids: Vec<String>,
    /// Only clients whose id starts with this, or those that are named
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
}

impl Watch {
    /// Shows what is, and then each change at once, until the server ends it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        loop {
            let mut was_told = false;
            let ended = self.follow(context, &mut was_told).await?;
            match ended {
                Ok(()) => return Ok(()),
                // A token that ends within the life of a watch is renewed; one that is refused at once is not.
                Err(status) if status.code() == Code::Unauthenticated && was_told => context.identify().await?,
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// The same over one call; how that ended.
    async fn follow(&self, context: &mut Context, was_told: &mut bool) -> Result<Result<(), Status>, Failure> {
        let request =
            WatchClientStatusRequest { client_ids: self.client_ids.clone(), client_id_prefix: self.prefix.clone() };
        let mut notifications = context.notifications.clone();
        let beginning = notifications.watch_client_status(context.endless_request(request));
        let mut events = match context.in_time(beginning).await? {
            Ok(response) => response.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        loop {
            let event = match events.message().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Ok(())),
                Err(status) => return Ok(Err(status)),
            };
            *was_told = true;
            match event.event {
                Some(Event::Client(client)) => show(context, &client)?,
                Some(Event::PresentStateComplete(complete)) => {
                    context.out.note(&format!("{} known; now what changes", complete.client_count))?;
                    context.out.flush()?;
                }
                // So that a reader who is gone is noticed though nothing happens, and for what is yet to be invented.
                Some(Event::Heartbeat(_)) | None => context.out.flush()?,
            }
        }
    }
}

fn show(context: &mut Context, client: &ClientPresence) -> Result<(), Failure> {
    match context.out.format {
        Format::Json => context.out.json(client, CLIENT)?,
        Format::Table => {
            let style = context.out.style;
            let id = roster_server::telemetry::escape(&client.client_id).to_string();
            let (mark, word) = match client.status() {
                ClientStatus::Connected => (style.green("+"), "connected"),
                _ => (style.dim("-"), "disconnected"),
            };
            let seen = style.dim(&time(client.last_seen_at.as_ref(), 0));
            context.out.text(&format!("{mark} {id}  {word}  {seen}"))?;
        }
    }
    // Somebody watches.
    context.out.flush()
}

#[cfg(test)]
mod tests {
    use super::super::{Presence, parse};

    #[test]
    fn all_some_or_those_of_a_user() {
        let Ok(Presence::Watch(watch)) = parse(&["watch", "ada", "bea", "--prefix", "eve/"]) else { panic!("watch") };
        assert_eq!((watch.client_ids, watch.prefix.as_str()), (vec!["ada".to_owned(), "bea".to_owned()], "eve/"));
        assert!(parse(&["watch"]).is_ok());
    }
}
