//! `roster import`.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    mem,
    path::{Path, PathBuf},
};

use roster_api::user::v1::{ExistingUserAction, ImportOptions};
use sha2::{Digest as _, Sha256};

use super::{
    FileFormat,
    failed::FailedRows,
    is_dash,
    run::Run,
    source::{Layout, Source},
    target::Place,
};
use crate::{
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
};

/// Import users from a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For example:
  roster import users.csv
  roster import people.csv --map 'E-Mail=email' --map 'Team=attributes.team' --map 'Notes=' --update
  roster import users.jsonl --validate-only

Rows that fail are written to FILE.failed.csv with the reason. Mend them and import that file. A run that
was cut off goes on where it stood when it is started again; one from stdin, if --import-key names it and
the same rows come again. docs/import.md tells what files can have.")]
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
        Run::new(options, size, source.items, failed, self.again()).run(context).await
    }

    /// What to do with a run that broke off.
    fn again(&self) -> &'static str {
        match (self.is_read_once(), &self.import_key) {
            (true, Some(_)) => "give it the same rows again, under the same --import-key, to go on",
            (true, None) if self.update => {
                "give it the same rows again, and all are done again; under an --import-key it would go on"
            }
            (true, None) => {
                "give it the same rows again, and users who are there by now are skipped; under an --import-key it would go on"
            }
            (false, _) if self.fresh => "run it again to do all rows once more: with --fresh it does not go on",
            (false, _) => "run it again to go on",
        }
    }

    /// Whether what is in it is gone once it was read, as on stdin and in a FIFO: then it makes no name for the run.
    fn is_read_once(&self) -> bool {
        is_dash(&self.file) || !self.file.is_file()
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
        let once = self.fresh || self.is_read_once();
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
