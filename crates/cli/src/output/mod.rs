//! How results are printed: tables for people, JSON lines for programs.

mod address;
mod audit;
mod json;
mod preferences;
mod shell;
mod style;
mod table;
mod watch;

use std::io::{self, Write};

use roster_api::user::v1::{Address, AuditEvent, Preferences, User, WatchUsersResponse};
use roster_server::telemetry::escape;

use crate::{
    args::{Format, Global},
    error::{CliError, Failure},
    exit::Exit,
};

pub use json::canonical;
pub use shell::quoted as shell_quoted;
pub use style::Style;
pub use table::{Cell, grid, short, terminal_width, time};

/// Which part of a list is shown: only the first has a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// With what the columns are called.
    First,
    /// What comes after another part.
    Further,
}

/// Where results go, and how they look there.
pub struct Output {
    /// Table or JSON.
    pub format: Format,
    /// Colours, or none.
    pub style: Style,
    /// Columns to fit, if there is such a limit.
    pub width: Option<u16>,
    out: Box<dyn Write + Send>,
}

impl Output {
    /// As the flags say, on stdout.
    pub fn stdout(global: &Global) -> Self {
        Self {
            format: global.output,
            style: Style::for_stdout(global.color),
            width: table::terminal_width(),
            // Buffered, so that a list costs a few writes and not one a line.
            out: Box::new(io::BufWriter::new(io::stdout())),
        }
    }

    /// Tables into `out`, for the demo.
    pub fn tables_into(out: Box<dyn Write + Send>, style: Style, width: Option<u16>) -> Self {
        Self { format: Format::Table, style, width, out }
    }

    /// One user, in full.
    pub fn user(&mut self, user: &User) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&table::user(user, self.style, self.width)),
            Format::Json => self.json(user, "user.v1.User"),
        }
    }

    /// Many users, one a line.
    pub fn users(&mut self, users: &[User], part: Part) -> Result<(), Failure> {
        match self.format {
            Format::Table if users.is_empty() => Ok(()),
            Format::Table => self.part(&table::users(users, self.style, self.width), part),
            Format::Json => users.iter().try_for_each(|user| self.json(user, "user.v1.User")),
        }
    }

    /// One address, in full.
    pub fn address(&mut self, address: &Address) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&address::address(address, self.style, self.width)),
            Format::Json => self.json(address, "user.v1.Address"),
        }
    }

    /// Many addresses, one a line.
    pub fn addresses(&mut self, addresses: &[Address]) -> Result<(), Failure> {
        match self.format {
            Format::Table if addresses.is_empty() => Ok(()),
            Format::Table => self.text(&address::addresses(addresses, self.style, self.width)),
            Format::Json => addresses.iter().try_for_each(|address| self.json(address, "user.v1.Address")),
        }
    }

    /// A user's preferences.
    pub fn preferences(&mut self, preferences: &Preferences) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&preferences::preferences(preferences, self.style, self.width)),
            Format::Json => self.json(preferences, "user.v1.Preferences"),
        }
    }

    /// Rows under a header.
    pub fn table(&mut self, header: &[&str], rows: Vec<Vec<Cell>>) -> Result<(), Failure> {
        self.text(&grid(header, rows, self.style, self.width))
    }

    /// Events of the audit log, one a line.
    pub fn events(&mut self, events: &[AuditEvent], part: Part) -> Result<(), Failure> {
        match self.format {
            Format::Table if events.is_empty() => Ok(()),
            Format::Table => self.part(&audit::events(events, self.style, self.width), part),
            Format::Json => events.iter().try_for_each(|event| self.json(event, "user.v1.AuditEvent")),
        }
    }

    /// A table, without its header if one of the same list has been shown. It is arranged with it all the same, so that
    /// its columns are as wide.
    fn part(&mut self, table: &str, part: Part) -> Result<(), Failure> {
        match (part, table.split_once(table::HEADER_END)) {
            (Part::Further, Some((_, below))) => self.text(below.split_once('\n').map_or("", |(_, rows)| rows)),
            _ => self.text(table),
        }
    }

    /// What a watch tells: for people a line for each change and each user of a snapshot, in JSON every event.
    pub fn watched(&mut self, told: &WatchUsersResponse) -> Result<(), Failure> {
        match self.format {
            Format::Table => match watch::line(told, self.style) {
                Some(line) => self.text(&line),
                None => Ok(()),
            },
            Format::Json => self.json(told, "user.v1.WatchUsersResponse"),
        }
    }

    /// A message in canonical JSON.
    pub fn json(&mut self, message: &impl prost::Message, name: &str) -> Result<(), Failure> {
        let text = json::canonical(message, name)
            .map_err(|error| CliError::new(Exit::Internal, format!("cannot show {name} as JSON: {error}")))?;
        self.text(&text)
    }

    /// Text as it is, and a line feed.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// A remark beside the results: part of them for people, on stderr where a program reads.
    pub fn note(&mut self, text: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                let text = self.style.dim(&escape(text));
                self.text(&text)
            }
            Format::Json => {
                // Without stderr there is nobody to tell, and the results are whole.
                let _ = writeln!(io::stderr(), "{}", escape(text));
                Ok(())
            }
        }
    }

    /// Sends what is buffered; what cannot be written is heard of here.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}
