//! `roster import`.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, Read, Write as _, stderr},
    mem,
    path::{Path, PathBuf},
};

use roster_api::{
    Error, Import as Stream,
    user::v1::{ExistingUserAction, ImportOptions, ImportOutcome, ImportRow, ImportSummary, ImportVerdict},
};
use roster_server::telemetry::escape;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    FileFormat,
    failed::{FailedFile, FailedRows},
    is_dash,
    retry::Retry,
    source::{Item, Layout, Raw, Source},
    target::Place,
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

/// Import users from a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster import users.csv
  roster import people.csv --map 'E-Mail=email' --map 'Team=attributes.team' --map 'Notes=' --update
  roster import users.jsonl --validate-only

Rows that fail are written to FILE.failed.csv with the reason. Mend them and import that file. A run that
was cut off goes on where it stood when it is started again. docs/import.md tells what files can have.")]
pub struct Import {
    /// CSV with a header or JSON lines; - for stdin
    file: PathBuf,
    /// How the file is written [default: by its name; else CSV]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// What stands between the fields of CSV
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// The field of a column that is called otherwise, such as 'E-Mail=email'; with nothing after = the column is left out
    #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = map)]
    maps: Vec<(String, String)>,
    /// Set what the rows have on users who exist; otherwise they are left as they are
    #[arg(long)]
    update: bool,
    /// Check every row, change nothing
    #[arg(long)]
    validate_only: bool,
    /// The name of the run: started again under it, no row is done twice [default: made of what is in the file]
    #[arg(long, value_name = "KEY", conflicts_with = "fresh")]
    import_key: Option<String>,
    /// Do all rows, even if an earlier run has done them
    #[arg(long)]
    fresh: bool,
    /// Where rows that fail are written to [default: FILE.failed.csv or FILE.failed.jsonl; nowhere for stdin]
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        b"\\t" | b"tab" => Ok(b'\t'),
        _ => Err("it takes one ASCII character, or tab".to_owned()),
    }
}

fn map(text: &str) -> Result<(String, String), String> {
    // Columns can have = in their names; fields cannot.
    let (column, field) = text.rsplit_once('=').ok_or("it takes COLUMN=FIELD")?;
    if field.is_empty() {
        return Ok((column.to_owned(), String::new()));
    }
    super::fields::target(field, &[]).map(|_| (column.to_owned(), field.to_owned()))
}

impl Import {
    /// Imports the file, and tells what became of it.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let layout = Layout {
            format: FileFormat::choose(self.format, &self.file, FileFormat::Csv),
            delimiter: self.delimiter,
            maps: self.maps.clone(),
        };
        let options = ImportOptions {
            import_key: self.key(&layout)?,
            existing_user_action: match self.update {
                true => ExistingUserAction::Update.into(),
                false => ExistingUserAction::Skip.into(),
            },
            validate_only: self.validate_only,
        };
        let (input, size) = self.open(context)?;
        let name = if is_dash(&self.file) { "stdin".to_owned() } else { self.file.display().to_string() };
        let source = Source::start(&name, input, layout.clone())?;
        let failed = FailedRows::new(self.failed_path(layout.format)?, &layout, source.header.clone());
        let mut run = Run {
            options,
            size,
            items: Some(source.items),
            waiting: VecDeque::new(),
            sent: 0,
            offset: 0,
            last_row_before: None,
            done_before: 0,
            ended_early: None,
            summary: ImportSummary::default(),
            failed,
            progress: Progress::start(),
        };
        let result = run.drive(context).await;
        run.progress.clear();
        run.finish(context, result)
    }

    fn open(&self, context: &mut Context) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
        if is_dash(&self.file) {
            let input: Box<dyn BufRead + Send> = mem::replace(&mut context.input, Box::new(io::empty()));
            return Ok((input, None));
        }
        let file = File::open(&self.file).map_err(|error| self.cannot_read(&error))?;
        let size = file.metadata().ok().filter(|data| data.is_file()).map(|data| data.len());
        Ok((Box::new(file), size))
    }

    fn cannot_read(&self, error: &io::Error) -> CliError {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Io };
        CliError::new(exit, format!("cannot read {}: {error}", self.file.display()))
    }

    /// The name of the run. What is in the file makes it, so that the same file is the same run; none for a rehearsal.
    fn key(&self, layout: &Layout) -> Result<String, CliError> {
        if self.validate_only {
            return Ok(String::new());
        }
        if let Some(key) = &self.import_key {
            return Ok(key.clone());
        }
        let mut hash = Sha256::new();
        let once = self.fresh || is_dash(&self.file) || !self.file.is_file();
        if once {
            // Good for this process, whose connection may break.
            let now = jiff::Timestamp::now().as_nanosecond();
            hash.update(format!("{now} {}", std::process::id()));
        } else {
            let mut file = File::open(&self.file).map_err(|error| self.cannot_read(&error))?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                match file.read(&mut buffer).map_err(|error| self.cannot_read(&error))? {
                    0 => break,
                    count => hash.update(&buffer[..count]),
                }
            }
            hash.update(format!("{:?} {:?}", self.update, layout));
        }
        let digest = hash.finalize();
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{}:{hex}", if once { "once" } else { "file" }))
    }

    fn failed_path(&self, format: FileFormat) -> Result<Option<PathBuf>, CliError> {
        let path = match &self.failed {
            Some(path) => path.clone(),
            None if is_dash(&self.file) => return Ok(None),
            None => {
                let mut name = self.file.clone().into_os_string();
                name.push(if format == FileFormat::Csv { ".failed.csv" } else { ".failed.jsonl" });
                name.into()
            }
        };
        let same = |path: &Path| path.canonicalize().ok();
        if same(&path).is_some_and(|path| Some(path) == same(&self.file)) {
            let message = format!("{} is the file that is imported", path.display());
            return Err(CliError::new(Exit::Usage, message).hint("name another for the rows that fail"));
        }
        // Before anything is imported.
        Place::find(&path)?;
        Ok(Some(path))
    }
}

/// A row that was read and has no verdict yet.
struct Waiting {
    row: ImportRow,
    raw: Raw,
    offset: u64,
}

/// An import, over as many connections as it takes.
struct Run {
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
    progress: Progress,
}

impl Run {
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
            context.out.note("run it again to go on")?;
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
