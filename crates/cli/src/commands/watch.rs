//! `roster watch`: the changes of users as they happen, across servers and connections that end.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use roster_api::{
    user::v1::{WatchUsersRequest, watch_users_request::Start},
    watch::{Step, Watch as Feed},
};
use tonic::Code;

use super::token_file::TokenFile;
use crate::{context::Context, error::Failure};

/// Follow the changes of users as they happen, until Ctrl-C
///
/// A line for each change; with --output json a user.v1.WatchUsersResponse for each event, heartbeats included, with the
/// token to go on from. When the connection breaks or the server stops, it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster watch --filter 'role = ADMIN'
  roster watch --snapshot --token-file users.token --output json >> users.jsonl")]
pub struct Watch {
    /// Only users that match, as in `roster user list`
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    /// All users first, as they are now
    #[arg(long, conflicts_with = "resume_token")]
    snapshot: bool,
    /// Start after the event that had this token
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    resume_token: Option<String>,
    /// Keep the token of the latest event in this file, and start after it if the file is there; for one watch at a time,
    /// by a lock on FILE.watch-lock
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Watch {
    /// Watches until it is told to stop.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let mut stop = context.stop()?;
        let file = self.token_file.as_deref().map(TokenFile::take).transpose()?;
        let start = self.start(file.as_ref())?;
        let request = WatchUsersRequest { start, filter: self.filter.clone(), ..Default::default() };
        let mut feed = Feed::new(context.users.clone(), request);
        feed.authorize(context.authorization());
        tokio::select! {
            () = stop.asked() => {}
            ended = self.follow(&mut feed, file.as_ref(), context) => return ended,
        }
        context.out.flush()
    }

    fn start(&self, file: Option<&TokenFile>) -> Result<Option<Start>, Failure> {
        let kept = file.map(TokenFile::read).transpose()?.flatten();
        let token = self.resume_token.clone().or(kept);
        Ok(token.map(Start::ResumeToken).or(self.snapshot.then_some(Start::Snapshot(true))))
    }

    async fn follow(&self, feed: &mut Feed, file: Option<&TokenFile>, context: &mut Context) -> Result<(), Failure> {
        // A token that ends within the life of a watch is renewed; one that is refused at once is not.
        let mut was_told = false;
        loop {
            match feed.step().await {
                Ok(Step::Told(told)) => {
                    was_told = true;
                    context.out.watched(&told)?;
                    // Whoever reads along sees it now, and the token must not be kept before that.
                    context.out.flush()?;
                    if let Some(file) = file {
                        file.keep(&told.resume_token)?;
                    }
                }
                Ok(Step::Cut(error, wait)) => {
                    // Nobody is there to read it if this fails, and the watch goes on.
                    let note = format!("{}; going on in {:.1} s", error.message(), wait.as_secs_f64());
                    let _ = writeln!(io::stderr(), "{}", roster_server::telemetry::escape(&note));
                }
                Err(error) if error.code() == Code::Unauthenticated && was_told => {
                    was_told = false;
                    context.identify().await?;
                    feed.authorize(context.authorization());
                }
                Err(error) => return Err(error.status().clone().into()),
            }
        }
    }
}
