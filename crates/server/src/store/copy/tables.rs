//! What a copy takes along: the tables as both backends have them, and what it leaves behind.

/// A table that both backends have.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// So many of the first columns tell its rows apart; rows are copied and compared in their order.
    pub(in crate::store) key: usize,
    /// What a row has.
    pub columns: &'static [Column],
    /// Which of its rows are copied; empty for all.
    pub(in crate::store) only: &'static str,
}

/// A column that both backends have, if by different types.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub(in crate::store) kind: Kind,
}

/// What a column holds. Any may be NULL where the schema lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// 64 bits, with a sign.
    Int,
    /// 16 bits in PostgreSQL.
    Small,
    /// 0 or 1 in SQLite.
    Bool,
    Text,
    Bytes,
    /// 16 bytes.
    Uuid,
    /// The id of a user: in SQLite text or 16 bytes, in PostgreSQL bytes with a tag before them.
    Id,
    /// A JSON object of strings.
    Json,
}

impl Table {
    /// The columns that tell rows apart.
    pub(in crate::store) fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }
}

/// Names of columns, by commas.
pub(in crate::store) fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

macro_rules! table {
    ($name:literal by $key:literal $(only $only:literal)?: $($kind:ident $($column:ident)+),+ $(,)?) => {
        Table {
            name: $name,
            key: $key,
            columns: &[$($(Column { name: stringify!($column), kind: Kind::$kind }),+),+],
            only: concat!($($only)?),
        }
    };
}

/// All tables, each after those that its rows refer to.
pub const TABLES: &[Table] = &[
    table!("users" by 1: Int pk, Id id, Text email email_key username username_key name name_key, Small role status age,
        Text phone locale, Json attributes, Bool email_verified, Int created_at updated_at revision, Text search_text,
        Bytes message),
    table!("credentials" by 1: Int user_pk, Text password_hash),
    // The position is what resume tokens name.
    table!("changes" by 1: Int position at, Text actor action, Id user_id, Int revision, Text request_id fields,
        Bytes before after, Text remote_address target reason, Bool by_another),
    // What resume tokens, page tokens, refresh tokens and kept answers are made with.
    table!("secrets" by 1 only "name <> 'database'": Text name, Bytes value),
    table!("sessions" by 1: Uuid id, Int user_pk, Text device remote_address,
        Int created_at last_used_at expires_at generation, Bytes refresh_hash),
    table!("api_keys" by 1: Uuid id, Text name prefix, Bytes hash, Text scopes,
        Int expires_at created_at last_used_at, Id created_by),
    table!("signing_keys" by 1: Text id, Bytes private_key public_key, Int created_at retired_at),
    table!("addresses" by 2: Int user_pk, Uuid id, Small kind,
        Text label recipient organization line1 line2 city region postal_code country phone, Bool is_default,
        Int created_at updated_at revision),
    table!("preferences" by 1: Int user_pk, Text language time_zone,
        Bool notify_email notify_sms notify_push notify_marketing, Text custom, Int updated_at revision),
    table!("one_time_tokens" by 2: Int user_pk, Small kind, Bytes hash, Text email_key, Int expires_at),
    table!("mails" by 1: Uuid id, Int user_pk, Small kind, Text recipient language token, Small state, Int attempts,
        Text last_error message_id, Int created_at next_attempt_at finished_at expires_at),
    table!("imports" by 1: Int pk, Text owner name, Int last_row used_at),
    table!("import_verdicts" by 2: Int import_pk first_row, Bytes verdicts),
    table!("answers" by 1: Bytes id request answer, Id user_id, Int expires_at),
];

/// What one of the backends has and a copy leaves behind.
#[derive(Debug)]
pub struct Left {
    /// The table.
    pub table: &'static str,
    /// The column; empty for the whole table.
    pub column: &'static str,
    /// Why nothing is lost with it.
    pub why: &'static str,
}

/// All of that, and the row of `secrets` that [`TABLES`] leaves out: it tells one database from another for what is
/// kept beside it, and a copy is another.
pub const LEFT: &[Left] = &[
    Left {
        table: "changes",
        column: "user_pk",
        why: "found by user_id; the search index, which reads it, is made anew",
    },
    Left {
        table: "changes",
        column: "seq",
        why: "the order in which positions were given; a copy has it from the position",
    },
    Left { table: "positions", column: "", why: "it is the column position of changes" },
    Left { table: "unnumbered", column: "", why: "it is emptied before a copy begins" },
    Left { table: "courses", column: "", why: "a copy takes a course of its own, from its first position on" },
    Left { table: "erasures", column: "", why: "they are brought to their end before a copy begins" },
    Left { table: "import_verdicts", column: "pk", why: "nothing refers to it" },
    Left { table: "roster_schema", column: "", why: "it is of the schema, which the destination has itself" },
];
