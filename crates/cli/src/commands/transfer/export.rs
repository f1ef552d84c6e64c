//! `roster export`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use roster_api::{
    Error, Export as Stream,
    user::v1::{ExportUsersRequest, User},
};

use super::{
    FileFormat, csv, fields,
    retry::Retry,
    target::{Place, create_private, open_stream},
};
use crate::{
    commands::progress::{Progress, grouped},
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
    output::canonical,
};

/// Export users into a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster export users.csv
  roster export active.jsonl --filter 'status = ACTIVE'
  roster export - --format csv | gzip > users.csv.gz

All users are as they were at one moment. `roster import` takes what this writes; passwords are not in it.")]
pub struct Export {
    /// The file to write; - for stdout
    file: PathBuf,
    /// Replace the file if it is there; a database never is
    #[arg(long)]
    force: bool,
    /// How to write it [default: by its name; else JSON lines]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Only users that match, such as 'status = ACTIVE AND role = ADMIN'
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
}

impl Export {
    /// Writes all users, into a file that is there only when it is whole.
    pub async fn run(&self, context: &mut Context) -> Result<(), Failure> {
        let format = FileFormat::choose(self.format, &self.file, FileFormat::Jsonl);
        let mut target = Target::open(&self.file, self.force)?;
        let mut run =
            Run { format, filter: &self.filter, last_id: String::new(), count: 0, progress: Progress::start() };
        let result = run.drive(context, &mut target.out).await;
        run.progress.clear();
        result?;
        target.finish()?;
        let seconds = run.progress.elapsed().as_secs_f64();
        // The results may be on stdout.
        let _ = writeln!(io::stderr(), "{} users in {seconds:.1} s", grouped(run.count));
        Ok(())
    }
}

/// Where users are written to: beside the file, until all are there.
struct Target {
    out: Box<dyn Write + Send>,
    /// The file that is written, and the one that it becomes.
    files: Option<(PathBuf, PathBuf)>,
    replace: bool,
}

impl Target {
    fn open(path: &Path, replace: bool) -> Result<Self, CliError> {
        let failed = |path: &Path, error| {
            CliError::new(Exit::CannotCreate, format!("cannot create {}: {error}", path.display()))
        };
        let (file, files) = match Place::find(path)? {
            Place::Stdout => {
                return Ok(Self { out: Box::new(BufWriter::new(io::stdout())), files: None, replace });
            }
            Place::Stream(path) => (open_stream(&path).map_err(|error| failed(&path, error))?, None),
            Place::File(path) => {
                check_free(&path, replace)?;
                let mut part = path.clone().into_os_string();
                part.push(format!(".part-{}", std::process::id()));
                let part = PathBuf::from(part);
                (create_private(&part).map_err(|error| failed(&part, error))?, Some((part, path)))
            }
        };
        Ok(Self { out: Box::new(BufWriter::with_capacity(1 << 16, file)), files, replace })
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        if let Some((part, path)) = &self.files {
            // Somebody may have been faster.
            Place::find(path)?;
            check_free(path, self.replace)?;
            let moved = File::open(part).and_then(|file| file.sync_all()).and_then(|()| fs::rename(part, path));
            moved.map_err(|error| CliError::new(Exit::Io, format!("cannot write {}: {error}", path.display())))?;
            self.files = None;
        }
        Ok(())
    }
}

fn check_free(path: &Path, replace: bool) -> Result<(), CliError> {
    if replace || fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let error = CliError::new(Exit::CannotCreate, format!("{} is there already", path.display()));
    Err(error.hint("choose another name, say --force, or write to stdout with -"))
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.files {
            // What is not whole is of no use; if it cannot be removed, its name says what it is.
            let _ = fs::remove_file(part);
        }
    }
}

/// An export, over as many connections as it takes.
struct Run<'a> {
    format: FileFormat,
    filter: &'a str,
    last_id: String,
    count: u64,
    progress: Progress,
}

impl Run<'_> {
    async fn drive(&mut self, context: &mut Context, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
        if self.format == FileFormat::Csv {
            csv::write_record(out, b',', fields::exported())?;
        }
        let mut retry = Retry::default();
        loop {
            let Some(error) = self.connection(context, out, &mut retry).await? else { return Ok(()) };
            retry.pause(error).await.map_err(|error| Failure::from(error.status().clone()))?;
            self.progress.clear();
            if !self.last_id.is_empty() {
                let note = "the connection broke; the users that are left come as they are now";
                let _ = writeln!(io::stderr(), "{note}");
            }
            // The token may have ended meanwhile.
            context.identify().await?;
        }
    }

    /// Reads over one connection, to the end or until it breaks: then what broke it.
    async fn connection(
        &mut self,
        context: &Context,
        out: &mut (dyn Write + Send),
        retry: &mut Retry,
    ) -> Result<Option<Error>, Failure> {
        let request = ExportUsersRequest { filter: self.filter.to_owned(), after_user_id: self.last_id.clone() };
        let beginning = Stream::begin(context.users.clone(), context.endless_request(request));
        let mut stream = match context.in_time(beginning).await? {
            Ok(stream) => stream,
            Err(error) => return Ok(Some(error)),
        };
        let total = self.count + stream.total_size().unsigned_abs();
        loop {
            match stream.next().await {
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
                Ok(Some(user)) => {
                    retry.progressed();
                    self.write(out, &user)?;
                    self.last_id = user.id;
                    self.count += 1;
                    self.progress.show(self.count, "users", Some(self.count as f64 / total.max(1) as f64));
                }
            }
        }
    }

    fn write(&self, out: &mut (dyn Write + Send), user: &User) -> Result<(), Failure> {
        let cannot = |error: String| CliError::new(Exit::Internal, format!("cannot write a user: {error}"));
        match self.format {
            FileFormat::Jsonl => {
                let line = canonical(user, "user.v1.User").map_err(|error| cannot(error.to_string()))?;
                writeln!(out, "{line}")?;
            }
            FileFormat::Csv => {
                let cells: Result<Vec<_>, _> = fields::exported().map(|column| fields::cell(user, column)).collect();
                csv::write_record(out, b',', cells.map_err(cannot)?.iter().map(|cell| &**cell))?;
            }
        }
        Ok(())
    }
}
