//! What the columns of a file mean: the fields of a user, by the names that the API has for them.

use std::{borrow::Cow, collections::BTreeMap};

use roster_api::user::v1::{CreateUserRequest, ImportRow, Role, User, UserStatus};
use serde_json::Value;

use super::members::{Member, Members};
use crate::output::time;

/// Who has a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Both,
    /// Only files to import.
    Import,
    /// Only exported files, which an import takes without it.
    Export,
}

/// The columns that a file can have, in the order of exports.
const COLUMNS: [(&str, Has); 15] = [
    ("id", Has::Both),
    ("email", Has::Both),
    ("name", Has::Both),
    ("username", Has::Both),
    ("status", Has::Both),
    ("role", Has::Both),
    ("age", Has::Both),
    ("phone", Has::Both),
    ("locale", Has::Both),
    ("email_verified", Has::Both),
    ("password", Has::Import),
    ("password_hash", Has::Import),
    ("created_at", Has::Both),
    ("updated_at", Has::Export),
    ("attributes", Has::Both),
];

fn columns(not: Has) -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().filter(move |(_, has)| *has != not).map(|(name, _)| *name)
}

/// The columns that an export has.
pub fn exported() -> impl Iterator<Item = &'static str> {
    columns(Has::Import)
}

/// What a user has in a column of [`exported`].
///
/// # Errors
/// There is no such column.
pub fn cell<'u>(user: &'u User, column: &str) -> Result<Cow<'u, str>, String> {
    let word = |name: &'static str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).into();
    Ok(match column {
        "id" => user.id.as_str().into(),
        "email" => user.email.as_str().into(),
        "name" => user.name.as_str().into(),
        "username" => user.username.as_str().into(),
        "status" => word(UserStatus::try_from(user.status).unwrap_or_default().as_str_name(), "USER_STATUS_"),
        "role" => word(Role::try_from(user.role).unwrap_or_default().as_str_name(), "ROLE_"),
        "age" => user.age.map_or_else(String::new, |age| age.to_string()).into(),
        "phone" => user.phone.as_str().into(),
        "locale" => user.locale.as_str().into(),
        "email_verified" => user.email_verified.to_string().into(),
        "created_at" => time(user.created_at.as_ref(), 6).into(),
        "updated_at" => time(user.updated_at.as_ref(), 6).into(),
        "attributes" if user.attributes.is_empty() => "".into(),
        "attributes" => serde_json::to_string(&user.attributes).map_err(|error| error.to_string())?.into(),
        other => return Err(format!("there is no column {other:?}")),
    })
}

/// Where a column goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A field, by its name in [`COLUMNS`].
    Field(&'static str),
    /// One attribute.
    Attribute(String),
    /// Nowhere.
    Ignored,
}

/// What a file of ours may have beside the columns.
const IGNORED: &[&str] = &["etag", REASON];
/// The column that says why a row failed.
pub const REASON: &str = "reason";

/// What is wrong with attributes that are not written so.
const NO_ATTRIBUTES: &str = "is no JSON object of strings";

/// Where the column with this name goes, if it is said in `maps` or by its name; `Err` says what there is.
pub fn target(column: &str, maps: &[(String, String)]) -> Result<Target, String> {
    let mapped = maps.iter().find(|(from, _)| from == column).map(|(_, to)| to.as_str());
    if mapped == Some("") {
        return Ok(Target::Ignored);
    }
    let wanted = mapped.unwrap_or(column).trim();
    // `createdAt` and `Created_At` are `created_at`.
    let mut name = String::new();
    for (index, letter) in wanted.char_indices() {
        let is_hump = letter.is_ascii_uppercase() && wanted[..index].ends_with(|c: char| c.is_ascii_lowercase());
        if is_hump {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    if let Some(key) = wanted.strip_prefix("attributes.") {
        return Ok(Target::Attribute(key.to_owned()));
    }
    // What a request to create the user calls it.
    let name = if name == "user_id" { "id" } else { name.as_str() };
    if let Some(field) = columns(Has::Export).find(|field| *field == name) {
        return Ok(Target::Field(field));
    }
    if IGNORED.contains(&name) || exported().any(|column| column == name) {
        return Ok(Target::Ignored);
    }
    let fields = columns(Has::Export).collect::<Vec<_>>().join(", ");
    Err(format!("there is no field {wanted:?}; there are {fields}, attributes.KEY"))
}

/// A user as a file has it, put together field by field. What is wrong is gathered.
#[derive(Debug, Default)]
pub struct Draft {
    user: CreateUserRequest,
    status: i32,
    created_at: Option<prost_types::Timestamp>,
    problems: Vec<String>,
}

impl Draft {
    /// Sets what the text of a column says. Empty text says nothing.
    pub fn set_text(&mut self, target: &Target, column: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let set = match target {
            Target::Ignored => Ok(()),
            Target::Attribute(key) => {
                self.user.attributes.insert(key.clone(), text.to_owned());
                Ok(())
            }
            Target::Field("attributes") => match serde_json::from_str(text) {
                Ok(members) => self.set_attributes(members),
                Err(_) => Err(NO_ATTRIBUTES.to_owned()),
            },
            Target::Field(field) => self.set_field(field, text),
        };
        if let Err(problem) = set {
            self.problems.push(format!("column {column:?}: {problem}"));
        }
    }

    /// Sets what a value of a JSON object says. Null says nothing.
    pub fn set_value(&mut self, target: &Target, key: &str, value: Member) {
        match (target, value) {
            (_, Member::Other(Value::Null)) => {}
            (Target::Field("attributes"), Member::Object(members)) => {
                if let Err(problem) = self.set_attributes(members) {
                    self.problems.push(format!("{key:?}: {problem}"));
                }
            }
            (Target::Field("attributes"), _) => self.problems.push(format!("{key:?}: {NO_ATTRIBUTES}")),
            (target, Member::Other(Value::String(text))) => self.set_text(target, key, &text),
            (target, Member::Other(value @ (Value::Number(_) | Value::Bool(_)))) => {
                self.set_text(target, key, &value.to_string());
            }
            (Target::Ignored, _) => {}
            _ => self.problems.push(format!("{key:?}: is neither text nor a number")),
        }
    }

    /// Notes something that is wrong.
    pub fn complain(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn set_attributes(&mut self, members: Members) -> Result<(), String> {
        let mut attributes = BTreeMap::new();
        for (key, value) in members.0 {
            let Member::Other(Value::String(value)) = value else { return Err(NO_ATTRIBUTES.to_owned()) };
            if attributes.contains_key(&key) {
                return Err(format!("has the key {key:?} twice; leave one of them"));
            }
            attributes.insert(key, value);
        }
        self.user.attributes.extend(attributes);
        Ok(())
    }

    fn set_field(&mut self, field: &str, text: &str) -> Result<(), String> {
        let user = &mut self.user;
        let owned = || text.to_owned();
        match field {
            "id" => user.user_id = owned(),
            "email" => user.email = owned(),
            "name" => user.name = owned(),
            "username" => user.username = owned(),
            "phone" => user.phone = owned(),
            "locale" => user.locale = owned(),
            "password" => user.password = owned(),
            "password_hash" => user.password_hash = owned(),
            "age" => user.age = Some(text.trim().parse().map_err(|_| format!("{text:?} is no number of years"))?),
            "role" => {
                let role = Role::from_str_name(&constant("ROLE_", text)).filter(|role| *role != Role::Unspecified);
                user.role = role.ok_or_else(|| format!("{text:?} is no role; use USER, MODERATOR or ADMIN"))?.into();
            }
            "email_verified" => {
                user.email_verified = match text.trim().to_ascii_lowercase().as_str() {
                    "true" | "yes" | "1" => true,
                    "false" | "no" | "0" => false,
                    _ => return Err(format!("{text:?} is neither true nor false")),
                };
            }
            "status" => {
                let status = UserStatus::from_str_name(&constant("USER_STATUS_", text));
                let status = status.filter(|status| *status != UserStatus::Unspecified);
                self.status = status.ok_or_else(|| format!("{text:?} is no status; use ACTIVE or INACTIVE"))?.into();
            }
            "created_at" => {
                let time: jiff::Timestamp =
                    text.trim().parse().map_err(|_| format!("{text:?} is no time such as 2026-01-31T12:00:00Z"))?;
                let nanos = time.subsec_nanosecond();
                let (seconds, nanos) =
                    if nanos < 0 { (time.as_second() - 1, nanos + 1_000_000_000) } else { (time.as_second(), nanos) };
                self.created_at = Some(prost_types::Timestamp { seconds, nanos });
            }
            other => return Err(format!("there is no field {other:?}")),
        }
        Ok(())
    }

    /// The row with this number; or everything that is wrong.
    pub fn finish(self, number: i64) -> Result<ImportRow, String> {
        if !self.problems.is_empty() {
            return Err(self.problems.join("; "));
        }
        Ok(ImportRow { number, user: Some(self.user), status: self.status, created_at: self.created_at })
    }
}

fn constant(prefix: &str, text: &str) -> String {
    let upper = text.trim().to_ascii_uppercase();
    if upper.starts_with(prefix) { upper } else { format!("{prefix}{upper}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_their_names_in_any_case_and_by_maps() {
        let maps = [("E-Mail".to_owned(), "email".to_owned()), ("Notes".to_owned(), String::new())];
        for (column, expected) in [
            ("email", Target::Field("email")),
            ("E-Mail", Target::Field("email")),
            ("createdAt", Target::Field("created_at")),
            ("Created_At", Target::Field("created_at")),
            ("id", Target::Field("id")),
            ("userId", Target::Field("id")),
            ("updated_at", Target::Ignored),
            ("attributes.Team", Target::Attribute("Team".into())),
            ("Notes", Target::Ignored),
            ("reason", Target::Ignored),
        ] {
            assert_eq!(target(column, &maps), Ok(expected), "{column}");
        }
        assert!(target("emial", &maps).unwrap_err().contains("there are id, email, "));
    }

    #[test]
    fn what_an_export_writes_into_a_column_an_import_reads_from_it() {
        let user = User {
            id: "u".into(),
            status: UserStatus::Inactive.into(),
            role: Role::Moderator.into(),
            age: Some(36),
            created_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            attributes: [("team".to_owned(), "a, b".to_owned())].into(),
            ..User::default()
        };
        let mut draft = Draft::default();
        for column in exported() {
            draft.set_text(&target(column, &[]).unwrap(), column, &cell(&user, column).unwrap());
        }
        let row = draft.finish(1).unwrap();
        let (fields, wanted) = (row.user.unwrap(), user.clone());
        assert_eq!((fields.user_id, fields.role, fields.age), (wanted.id, wanted.role, wanted.age));
        assert_eq!(
            (row.status, row.created_at, fields.attributes),
            (wanted.status, wanted.created_at, wanted.attributes)
        );
        assert!(cell(&user, "password").is_err());
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let mut draft = Draft::default();
        for (field, text) in
            [("age", "old"), ("role", "boss"), ("status", "gone"), ("created_at", "today"), ("email", "x")]
        {
            draft.set_text(&Target::Field(field), field, text);
        }
        draft.set_text(&Target::Field("attributes"), "attributes", "[1]");
        let problems = draft.finish(1).unwrap_err();
        assert_eq!(problems.matches("; column").count(), 4, "{problems}");
        assert!(problems.starts_with("column \"age\": \"old\" is no number of years; "), "{problems}");
    }

    #[test]
    fn times_before_the_epoch_keep_their_fraction() {
        let mut draft = Draft::default();
        draft.set_text(&Target::Field("created_at"), "created_at", "1969-12-31T23:59:59.75Z");
        let time = draft.finish(1).unwrap().created_at.unwrap();
        assert_eq!((time.seconds, time.nanos), (-1, 750_000_000));
    }
}
