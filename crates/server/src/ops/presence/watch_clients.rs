//! Watches clients come and go.

use std::{pin::pin, sync::Arc};

use tokio::time::{Instant, sleep_until};

use super::{
    ClientPresence, check_own_or,
    get_client_status::PERMISSION,
    outbox::{End, Outbox, Outputs},
};
use crate::{
    model::{Timestamp, Violations, inputs},
    ops::{Ctx, Error, Ops, Reason},
    presence::{Changes, Filter, Lagged, Watch},
};

/// Clients that one watch may name.
const IDS_MAX: usize = 1_000;

/// A `WatchClientStatusRequest`.
#[derive(Clone, Debug, Default)]
pub struct WatchClientsInput {
    /// Only these.
    pub client_ids: Vec<String>,
    /// Only those that start with it; empty for no such condition.
    pub client_id_prefix: String,
}

/// An event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// A client as it is.
    Client(ClientPresence),
    /// All that were known have been told, so many.
    PresentStateComplete(u64),
    /// Nothing happened for a while.
    Heartbeat(Timestamp),
}

impl Ops {
    /// Tells of the clients as they are, and then of each that comes or goes.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Refused`]; [`Error::Plain`] if too much is watched. The stream ends with the last of
    /// these when the server drains, or was read too slowly.
    pub fn watch_clients<E: Send + 'static>(
        self: &Arc<Self>,
        ctx: &Ctx,
        input: WatchClientsInput,
    ) -> Result<Outputs<WatchEvent, E>, Error> {
        let filter = check(ctx, input)?;
        let watch = self.desk.presence.watch(filter)?;
        let (outbox, outputs) = Outbox::new();
        let ops = Arc::clone(self);
        tokio::spawn(async move {
            let mut draining = pin!(ops.draining());
            let result = tokio::select! {
                biased;
                () = &mut draining => Err(Error::Plain(Reason::ShuttingDown)),
                () = outbox.unread() => Ok(()),
                result = ops.tell_changes(watch, &outbox) => result,
            };
            outbox.end(result.map_err(End::Error));
        });
        Ok(outputs)
    }

    /// Goes on until nobody reads any more or too slowly.
    async fn tell_changes<E>(&self, mut watch: Watch, outbox: &Outbox<WatchEvent, E>) -> Result<(), Error> {
        let mut at_start: Option<u64> = Some(0);
        let mut quiet_since = Instant::now();
        loop {
            let event = if let Some(told) = at_start.take_if(|_| watch.has_told_all()) {
                WatchEvent::PresentStateComplete(told)
            } else {
                match watch.read() {
                    Err(Lagged) => return Err(Error::Plain(Reason::WatchLagged)),
                    Ok(Changes::Clients(clients)) => {
                        at_start = at_start.map(|told| told + clients.len() as u64);
                        for client in clients {
                            if !outbox.send(WatchEvent::Client(self.desk.shown(client))).await {
                                return Ok(());
                            }
                            quiet_since = Instant::now();
                        }
                        // A long part of the table may have had nothing to tell, and others have calls on this thread.
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Ok(Changes::UpToDate) => tokio::select! {
                        () = watch.changed() => continue,
                        () = sleep_until(quiet_since + self.desk.options.watch_heartbeat) => {
                            WatchEvent::Heartbeat(self.clock.now())
                        }
                    },
                }
            };
            if !outbox.send(event).await {
                return Ok(());
            }
            quiet_since = Instant::now();
        }
    }
}

fn check(ctx: &Ctx, input: WatchClientsInput) -> Result<Filter, Error> {
    let WatchClientsInput { client_ids, client_id_prefix: prefix } = input;
    let mut violations = Violations::new();
    if client_ids.len() > IDS_MAX {
        violations.add("client_ids", format!("has {}; at most {IDS_MAX} are allowed", client_ids.len()));
        return Err(violations.into());
    }
    for (index, id) in client_ids.iter().enumerate() {
        violations.check(&format!("client_ids[{index}]"), inputs::parse_client_id(id));
    }
    violations.check("client_id_prefix", inputs::check_client_id(&prefix));
    // A prefix without its slash would have the clients of others too.
    let own_prefix = prefix.is_empty() || (prefix.contains('/') && super::is_own(&ctx.caller, &prefix));
    if client_ids.is_empty() && prefix.is_empty() || !own_prefix {
        ctx.caller.check(PERMISSION)?;
    }
    for id in &client_ids {
        check_own_or(&ctx.caller, id, PERMISSION)?;
    }
    violations.into_result()?;
    let ids = client_ids.into_iter().map(String::into_boxed_str).collect();
    Ok(Filter { ids, prefix: (!prefix.is_empty()).then(|| prefix.into()) })
}
