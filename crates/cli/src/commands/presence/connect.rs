//! `roster presence connect`.

use tonic::Status;

use crate::{context::Context, error::Failure};

/// Keep a client connected until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster presence connect ada/laptop
Breaks of the connection and restarts of the server are mended.")]
pub struct Connect {
    /// The client's id: yours, alone or followed by / and a device, unless you may speak for others
    #[arg(value_name = "CLIENT")]
    client_id: String,
}

impl Connect {
    /// Stays until a signal, or until the server takes the client no more.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        // Before the start, so that no signal is missed.
        let mut stop = context.stop()?;
        let stay = context.presence()?;
        let mut presence = tokio::select! {
            present = stay.stay(&self.client_id) => present.map_err(|error| Status::clone(error.status()))?,
            () = stop.asked() => return Ok(()),
        };
        context.out.note(&format!("{} is connected; Ctrl-C ends it", self.client_id))?;
        context.out.flush()?;
        tokio::select! {
            refused = presence.refused() => match refused {
                Some(error) => return Err(Status::clone(error.status()).into()),
                None => return Ok(()),
            },
            () = stop.asked() => {}
        }
        presence.leave().await;
        context.out.note(&format!("{} is disconnected", self.client_id))
    }
}
