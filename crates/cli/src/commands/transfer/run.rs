//! The rows of a file on their way to a server, and their verdicts on the way back.

use std::{
    collections::VecDeque,
    io::{Write as _, stderr},
    path::Path,
};

use roster_api::{
    Error, Import as Stream,
    user::v1::{ImportOptions, ImportOutcome, ImportRow, ImportSummary, ImportVerdict},
};
use roster_server::telemetry::escape;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    failed::{FailedFile, FailedRows},
    retry::Retry,
    source::{Item, Raw},
};
use crate::{
    commands::progress::{Progress, grouped},
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::shell_quoted,
};

/// Rows without a verdict that are kept, to be sent again should the connection break.
const WAITING_ROWS_MAX: usize = 4_096;
/// Bytes of the file that they may stand for, about.
const WAITING_BYTES_MAX: u64 = 16 << 20;
/// Rows that wait for the connection.
const OUTGOING_ROWS: usize = 256;
/// Failed rows that are told one by one.
const TOLD_MAX: u64 = 10;

/// A row that was read and has no verdict yet.
struct Waiting {
    row: ImportRow,
    raw: Raw,
    offset: u64,
}

/// An import, over as many connections as it takes.
pub struct Run {
    options: ImportOptions,
    /// Bytes of the file, if that is known.
    size: Option<u64>,
    /// `None` after the last row.
    items: Option<mpsc::Receiver<Result<Item, CliError>>>,
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    /// How many of them this connection has been given.
    sent: usize,
    /// Bytes of the file up to the last verdict.
    offset: u64,
    /// The last row that was done before this run, as its first connection was told.
    last_row_before: Option<i64>,
    /// Verdicts on rows up to there.
    done_before: u64,
    /// Why no more rows are sent. Those that were have been done, and are counted before this is told.
    ended_early: Option<Failure>,
    summary: ImportSummary,
    failed: FailedRows,
    /// What to do should it break off.
    again: &'static str,
    progress: Progress,
}

impl Run {
    /// One of these rows, of a file of `size` bytes if that is known; `again` says what to do should it break off.
    pub fn new(
        options: ImportOptions,
        size: Option<u64>,
        items: mpsc::Receiver<Result<Item, CliError>>,
        failed: FailedRows,
        again: &'static str,
    ) -> Self {
        Self {
            options,
            size,
            items: Some(items),
            waiting: VecDeque::new(),
            sent: 0,
            offset: 0,
            last_row_before: None,
            done_before: 0,
            ended_early: None,
            summary: ImportSummary::default(),
            failed,
            again,
            progress: Progress::start(),
        }
    }

    /// Does it, and tells what became of it.
    pub async fn run(mut self, context: &mut Context) -> Result<(), Failure> {
        let result = self.drive(context).await;
        self.progress.clear();
        self.finish(context, result)
    }

    async fn drive(&mut self, context: &mut Context) -> Result<(), Failure> {
        let mut retry = Retry::default();
        loop {
            let error = match self.connection(context, &mut retry).await? {
                None => return Ok(()),
                Some(error) => error,
            };
            if self.options.import_key.is_empty() {
                // A rehearsal starts anew on each connection.
                return Err(error.status().clone().into());
            }
            retry.pause(error).await.map_err(|error| Failure::from(error.status().clone()))?;
            // The token may have ended meanwhile.
            context.identify().await?;
        }
    }

    /// Sends over one connection, until all have a verdict or it breaks: then what broke it.
    async fn connection(&mut self, context: &Context, retry: &mut Retry) -> Result<Option<Error>, Failure> {
        let (rows, outgoing) = mpsc::channel(OUTGOING_ROWS);
        let mut rows = Some(rows);
        self.sent = 0;
        let request = context.endless_request(ReceiverStream::new(outgoing));
        let beginning = Stream::begin(context.users.clone(), self.options.clone(), request);
        let mut stream = match context.in_time(beginning).await? {
            Ok(stream) => stream,
            Err(error) => return Ok(Some(error)),
        };
        // What later connections are told of is the work of this run too.
        self.last_row_before.get_or_insert(stream.last_row_done());
        loop {
            let has_unsent = self.sent < self.waiting.len();
            if self.items.is_none() && !has_unsent {
                rows = None;
            }
            let wants_more = self.items.is_some() && !has_unsent && self.has_room();
            tokio::select! {
                biased;
                verdict = stream.next() => match verdict {
                    Ok(Some(verdict)) => {
                        retry.progressed();
                        self.take(&verdict)?;
                    }
                    Ok(None) => return Ok(None),
                    Err(error) => return Ok(Some(error)),
                },
                place = reserve(rows.as_ref()), if has_unsent => {
                    if let (Some(place), Some(waiting)) = (place, self.waiting.get(self.sent)) {
                        place.send(waiting.row.clone());
                        self.sent += 1;
                    } else {
                        // The call has ended; the next verdict says why.
                        self.sent = self.waiting.len();
                    }
                }
                item = receive(&mut self.items), if wants_more => match item {
                    None => self.items = None,
                    Some(Ok(item)) => self.read(item),
                    Some(Err(error)) => self.end_early(error.into()),
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        let bytes = self.waiting.back().map_or(0, |last| last.offset.saturating_sub(self.offset));
        self.waiting.len() < WAITING_ROWS_MAX && bytes < WAITING_BYTES_MAX
    }

    fn read(&mut self, item: Item) {
        match item.row {
            Ok(row) => self.waiting.push_back(Waiting { row, raw: item.raw, offset: item.offset }),
            Err(problem) => self.fail(item.number, &item.raw, &problem),
        }
    }

    /// Sends no more rows; those that were sent get their verdicts.
    fn end_early(&mut self, why: Failure) {
        self.items = None;
        self.waiting.truncate(self.sent);
        self.ended_early.get_or_insert(why);
    }

    fn take(&mut self, verdict: &ImportVerdict) -> Result<(), Failure> {
        let waiting = self.waiting.pop_front().filter(|waiting| waiting.row.number == verdict.number);
        let Some(waiting) = waiting else {
            let message = format!("the server gave a verdict on row {}, which was not its turn", verdict.number);
            return Err(CliError::new(Exit::Internal, message).into());
        };
        self.sent = self.sent.saturating_sub(1);
        self.offset = waiting.offset;
        let was_done = self.last_row_before.is_some_and(|last| verdict.done_before && verdict.number <= last);
        self.done_before += u64::from(was_done);
        match verdict.outcome() {
            ImportOutcome::Created => self.summary.created_count += 1,
            ImportOutcome::Updated => self.summary.updated_count += 1,
            ImportOutcome::Skipped => self.summary.skipped_count += 1,
            ImportOutcome::Failed | ImportOutcome::Unspecified => {
                self.fail(verdict.number, &waiting.raw, &reason(verdict));
            }
        }
        let part = self.size.map(|size| self.offset as f64 / size.max(1) as f64);
        self.progress.show(self.count(), "rows", part);
        Ok(())
    }

    fn fail(&mut self, number: i64, raw: &Raw, reason: &str) {
        self.summary.failed_count += 1;
        if self.ended_early.is_none()
            && let Err(error) = self.failed.add(raw, reason)
        {
            self.end_early(error);
        }
        let told = self.summary.failed_count.unsigned_abs();
        if told <= TOLD_MAX {
            self.progress.clear();
            // Without stderr there is nobody to tell.
            let _ = writeln!(stderr(), "line {number}: {}", escape(reason));
        }
        if told == TOLD_MAX + 1 {
            let _ = writeln!(stderr(), "… and more");
        }
    }

    fn count(&self) -> u64 {
        let ImportSummary { created_count, updated_count, skipped_count, failed_count } = self.summary;
        (created_count + updated_count + skipped_count + failed_count).unsigned_abs()
    }

    /// Tells what was done, and what is left to do.
    fn finish(self, context: &mut Context, result: Result<(), Failure>) -> Result<(), Failure> {
        let (count, elapsed) = (self.count(), self.progress.elapsed());
        let (failed_rows, written) = self.failed.finish();
        let result = result.and(self.ended_early.map_or(written, Err));
        match context.out.format {
            crate::args::Format::Json => context.out.json(&self.summary, "user.v1.ImportSummary")?,
            crate::args::Format::Table => {
                let ImportSummary { created_count, updated_count, skipped_count, failed_count } = self.summary;
                let what = if self.options.validate_only { "would be created" } else { "created" };
                context.out.text(&format!(
                    "{created_count} {what}, {updated_count} updated, {skipped_count} skipped, {failed_count} failed"
                ))?;
            }
        }
        let seconds = elapsed.as_secs_f64().max(0.001);
        let mut notes = vec![format!("{} rows in {seconds:.1} s", grouped(count))];
        if self.done_before > 0 {
            notes.push(format!(
                "{} of them were done by an earlier run, and not again; --fresh does all",
                grouped(self.done_before)
            ));
        }
        let quoted = |path: &Path| shell_quoted(&path.to_string_lossy());
        match failed_rows {
            FailedFile::Written { path, older } => {
                let path = quoted(&path);
                notes.push(format!("mend what failed in {path}, and then: roster import {path}"));
                let older = older.as_deref().map(quoted);
                notes.extend(older.map(|older| format!("{path} was there already, and is now {older}")));
            }
            FailedFile::Older(path) if result.is_ok() => {
                notes.push(format!("{} is of an earlier run: no row of this one failed", quoted(&path)));
            }
            FailedFile::Older(_) | FailedFile::None => {}
        }
        if self.options.validate_only {
            notes.push("nothing was changed".to_owned());
        }
        for note in notes {
            context.out.note(&note)?;
        }
        if result.is_err() && count > 0 && !self.options.import_key.is_empty() {
            context.out.note(self.again)?;
        }
        result?;
        if self.summary.failed_count > 0 { Err(Failure::Told(Exit::Data)) } else { Ok(()) }
    }
}

/// A place for a row; `None` when the call takes no more.
async fn reserve(rows: Option<&mpsc::Sender<ImportRow>>) -> Option<mpsc::Permit<'_, ImportRow>> {
    match rows {
        Some(rows) => rows.reserve().await.ok(),
        None => std::future::pending().await,
    }
}

async fn receive(items: &mut Option<mpsc::Receiver<Result<Item, CliError>>>) -> Option<Result<Item, CliError>> {
    match items {
        Some(items) => items.recv().await,
        None => None,
    }
}

/// Why a row failed, in a line.
fn reason(verdict: &ImportVerdict) -> String {
    if verdict.violations.is_empty() {
        return format!("{} ({})", verdict.message, verdict.reason);
    }
    let field = |field: &str| field.strip_prefix("user.").unwrap_or(field).to_owned();
    let all = verdict.violations.iter().map(|one| format!("{}: {}", field(&one.field), one.description));
    all.collect::<Vec<_>>().join("; ")
}
