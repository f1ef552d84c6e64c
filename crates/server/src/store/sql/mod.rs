//! Filters, orders and cursors in SQL, for the table `users` under the alias `u`; and [filters of audit
//! events](audit), for the table `changes` under the alias `c`.
//!
//! Every value is bound; the SQL itself is made of constants. The answers are those of
//! [`Filter::matches`](crate::model::filter::Filter::matches) and
//! [`Order::compare`](crate::model::order::Order::compare) if the columns hold this:
//!
//! | column | holds |
//! | --- | --- |
//! | `id` | what sorts as ids compare: in SQLite a blob of 16 bytes, or text, which sorts before blobs; in PostgreSQL bytes with a tag before them |
//! | `email_key` | the unique key, never null |
//! | `username_key` | the unique key; null, never empty, if there is no username |
//! | `name`, `phone`, `locale` | text, empty if there is none, never null |
//! | `name_key` | the folded name, never null |
//! | `role`, `status` | the API's number |
//! | `age` | a number or null |
//! | `email_verified` | a truth; 0 or 1 in SQLite |
//! | `created_at`, `updated_at` | microseconds |
//! | `attributes` | a JSON object of strings |
//! | `search_text` | [`search_text`](crate::model::filter::search_text) |
//!
//! Text is compared by its bytes: PostgreSQL has to be told so for each column (`COLLATE "C"`).

mod audit;
mod builder;
mod filter;
mod order;
#[cfg(test)]
mod tests;

pub use audit::where_audit_filter;
pub use builder::{Dialect, SqlBuilder, Value};
pub use filter::where_filter;
pub use order::{after_cursor, order_by};
