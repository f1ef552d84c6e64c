//! Tables that fit the terminal. Every cell is escaped: what users call themselves must not move the cursor.

use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Table};
use roster_api::user::v1::{Role, User, UserStatus};
use roster_server::telemetry::escape;

use super::Style;

/// A line under the header and nothing else, in comfy-table's notation.
const UNDERLINED_HEADER: &str = "     ──            ";

/// What only the line under a header has, in all that stands above the first row.
pub(super) const HEADER_END: char = '─';

/// A cell, and what it wants to say with its colour.
pub enum Cell {
    /// Nothing.
    Plain(String),
    /// All is well.
    Good(String),
    /// To be noticed.
    Warning(String),
    /// Wrong.
    Bad(String),
    /// A heading.
    Heading(String),
}

impl Cell {
    fn styled(self, style: Style) -> comfy_table::Cell {
        let cell = |text: &str| comfy_table::Cell::new(escape(text));
        match self {
            Self::Good(text) if style.on => cell(&text).fg(Color::DarkGreen),
            Self::Warning(text) if style.on => cell(&text).fg(Color::DarkYellow),
            Self::Bad(text) if style.on => cell(&text).fg(Color::DarkRed),
            Self::Heading(text) if style.on => cell(&text).add_attribute(Attribute::Bold),
            Self::Plain(text) | Self::Good(text) | Self::Warning(text) | Self::Bad(text) | Self::Heading(text) => {
                cell(&text)
            }
        }
    }
}

/// The width of the terminal that stdout is; `None` if it is none.
pub fn terminal_width() -> Option<u16> {
    Table::new().width()
}

/// Rows under a header; the first column is never broken.
pub fn grid(header: &[&str], rows: Vec<Vec<Cell>>, style: Style, width: Option<u16>) -> String {
    arranged(header, rows, style, width).trim_fmt()
}

pub(super) fn arranged(header: &[&str], rows: Vec<Vec<Cell>>, style: Style, width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_preset(UNDERLINED_HEADER).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    if style.on {
        table.enforce_styling().style_text_only();
    } else {
        table.force_no_tty();
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(|text| Cell::Heading((*text).to_owned()).styled(style)));
    }
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|cell| cell.styled(style)).collect::<Vec<_>>()));
    // Two blanks between columns, none before the first.
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 1));
    });
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// Columns of a terminal below which users are shown in fewer of their own.
const ROOMY_COLUMNS: u16 = 130;

/// Many users, a line each. A narrow terminal gets fewer columns rather than broken ones, and what is
/// still too long is cut with `…`; `--output json` has all of it.
pub fn users(users: &[User], style: Style, width: Option<u16>) -> String {
    let roomy = width.is_none_or(|width| width >= ROOMY_COLUMNS);
    let rows = users.iter().map(|user| {
        let mut row =
            vec![Cell::Plain(user.id.clone()), Cell::Plain(user.email.clone()), Cell::Plain(user.name.clone())];
        if roomy {
            row.push(Cell::Plain(user.username.clone()));
        }
        row.extend([Cell::Plain(role(user.role)), status(user.status)]);
        if roomy {
            row.push(Cell::Plain(time(user.created_at.as_ref(), 0)));
        }
        row
    });
    let header: &[&str] = match roomy {
        true => &["ID", "EMAIL", "NAME", "USERNAME", "ROLE", "STATUS", "CREATED"],
        false => &["ID", "EMAIL", "NAME", "ROLE", "STATUS"],
    };
    listing(&Columns { header, flexible: &[1, 2] }, rows.collect(), style, width)
}

/// What the columns of a list are called, and which of them are cut where there is not enough room.
pub struct Columns<'a> {
    /// From the first to the last.
    pub header: &'a [&'a str],
    /// Those that share what the others leave.
    pub flexible: &'a [usize],
}

/// Many things, a line each. What is too long for its column is cut with `…`.
pub fn listing(columns: &Columns<'_>, rows: Vec<Vec<Cell>>, style: Style, width: Option<u16>) -> String {
    let mut table = arranged(columns.header, rows, style, width);
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
    // What has few letters keeps them all; the rest shares what is left.
    for index in (0..columns.header.len()).filter(|index| !columns.flexible.contains(index)) {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.set_truncation_indicator("…").trim_fmt()
}

/// One user, a line for each field that is set.
pub fn user(user: &User, style: Style, width: Option<u16>) -> String {
    let verified = if user.email_verified { "yes" } else { "no" };
    let mut rows: Vec<(String, Cell)> = vec![
        ("id".into(), Cell::Plain(user.id.clone())),
        ("email".into(), Cell::Plain(user.email.clone())),
        ("email verified".into(), Cell::Plain(verified.into())),
        ("name".into(), Cell::Plain(user.name.clone())),
        ("username".into(), Cell::Plain(user.username.clone())),
        ("role".into(), Cell::Plain(role(user.role))),
        ("status".into(), status(user.status)),
        ("age".into(), Cell::Plain(user.age.map_or(String::new(), |age| age.to_string()))),
        ("phone".into(), Cell::Plain(user.phone.clone())),
        ("locale".into(), Cell::Plain(user.locale.clone())),
    ];
    let mut attributes: Vec<_> = user.attributes.iter().collect();
    attributes.sort();
    rows.extend(attributes.into_iter().map(|(key, value)| (format!("attribute {key}"), Cell::Plain(value.clone()))));
    rows.extend([
        ("created".into(), Cell::Plain(time(user.created_at.as_ref(), 6))),
        ("updated".into(), Cell::Plain(time(user.updated_at.as_ref(), 6))),
        ("etag".into(), Cell::Plain(user.etag.clone())),
    ]);
    fields(rows, style, width)
}

/// One thing, a line for each field that is set.
pub fn fields(rows: Vec<(String, Cell)>, style: Style, width: Option<u16>) -> String {
    let set = rows.into_iter().filter(|(_, cell)| !matches!(cell, Cell::Plain(text) if text.is_empty()));
    grid(&[], set.map(|(name, cell)| vec![Cell::Heading(name), cell]).collect(), style, width)
}

fn role(number: i32) -> String {
    Role::try_from(number).map_or_else(|_| number.to_string(), |role| short(role.as_str_name(), "ROLE_"))
}

fn status(number: i32) -> Cell {
    match UserStatus::try_from(number) {
        Ok(UserStatus::Active) => Cell::Good("active".into()),
        Ok(UserStatus::Inactive) => Cell::Warning("inactive".into()),
        Ok(other) => Cell::Plain(short(other.as_str_name(), "USER_STATUS_")),
        Err(_) => Cell::Plain(number.to_string()),
    }
}

/// `ROLE_ADMIN` as `admin`, without the prefix `ROLE_`.
pub fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// A time in RFC 3339 with this many decimals of a second; empty if there is none.
pub fn time(time: Option<&prost_types::Timestamp>, decimals: usize) -> String {
    let parsed = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    parsed.map_or_else(String::new, |time| format!("{time:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User {
            id: "0197c0de-0000-7000-8000-000000000001".into(),
            email: "ada@example.com".into(),
            name: "Ada \x1b[31mLovelace\nline two".into(),
            role: 2,
            status: 1,
            created_at: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            etag: "1-0".into(),
            ..User::default()
        }
    }

    #[test]
    fn a_list_is_aligned_escaped_and_plain_without_a_terminal() {
        let text = users(&[ada()], Style::PLAIN, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("ID "), "{text}");
        assert!(lines[2].contains("Ada \\u{1b}[31mLovelace\\nline two"), "{text}");
        assert!(lines[2].ends_with("admin  active  1970-01-01T00:00:00Z"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_list_fits_the_terminal_and_keeps_ids_whole() {
        let text = users(&[ada()], Style { on: true }, Some(80));
        assert!(text.contains(&ada().id) && text.contains("\x1b[1m"), "{text}");
        let plain = users(&[ada()], Style::PLAIN, Some(100));
        assert!(plain.lines().all(|line| line.chars().count() <= 100), "{plain}");
    }

    #[test]
    fn one_user_shows_what_is_set() {
        let text = user(&ada(), Style::PLAIN, None);
        assert!(text.contains("etag") && text.contains("1-0") && !text.contains("phone"), "{text}");
    }
}
