//! `roster presence watch`.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use roster_api::notification::v1::{
    ClientPresence, ClientStatus, WatchClientStatusRequest, watch_client_status_response::Event,
};
use tonic::{Code, Status};

use super::CLIENT;
use crate::{
    args::Format,
    context::Context,
    error::{Failure, is_broken},
    output::time,
};

/// The wait before a watch that broke is begun again, and how often it doubles while that fails.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_DOUBLINGS: u32 = 4;

/// Show clients as they come and go
///
/// All that are known first, then each change. When the connection breaks or the server stops, it begins again, as soon as a
/// server answers.
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
    /// Shows what is, and then each change at once, until it is stopped.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let mut stop = context.stop()?;
        tokio::select! {
            () = stop.asked() => {}
            ended = self.go_on(context) => return ended,
        }
        context.out.flush()
    }

    /// The same until it is refused.
    async fn go_on(&self, context: &mut Context) -> Result<(), Failure> {
        // What is refused at once is not tried again.
        let (mut has_begun, mut attempts) = (false, 0);
        loop {
            let mut was_told = false;
            let Err(status) = self.follow(context, &mut was_told).await? else { return Ok(()) };
            has_begun |= was_told;
            attempts = if was_told { 0 } else { attempts + 1 };
            match status.code() {
                // A token that ends within the life of a watch is renewed.
                Code::Unauthenticated if was_told => context.identify().await?,
                code if has_begun && (code == Code::Unavailable || is_broken(&status)) => {
                    let wait = RETRY_FIRST * (1 << attempts.min(RETRY_DOUBLINGS));
                    // Nobody is there to read it if this fails, and the watch goes on.
                    let note = format!("the connection broke; showing all again in {:.1} s", wait.as_secs_f64());
                    let _ = writeln!(io::stderr(), "{note}");
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(status.into()),
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
