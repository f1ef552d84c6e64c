//! Plain types. What comes from outside is parsed here once, into types that cannot hold a bad value.
//!
//! Nothing here does I/O, reads the clock, or knows who calls.

pub mod access;
pub mod change;
pub mod clock;
pub mod filter;
pub mod inputs;
pub mod mail;
pub mod order;
pub mod patch;
pub mod permission;
pub mod syntax;
pub mod text;
pub mod user;
pub mod user_id;
pub mod violation;

pub use access::{ApiKey, ApiKeyId, Grant, Session, SessionId};
pub use change::{Action, Actor, Change, ChangeMeta};
pub use clock::{Clock, SystemClock, Timestamp};
pub use mail::{Language, Mail, MailId, MailKind, MailState};
pub use patch::{AttributesPatch, UserPatch};
pub use permission::{Permission, PermissionSet};
pub use syntax::SyntaxError;
pub use user::{Role, User, UserStatus};
pub use user_id::UserId;
pub use violation::{Violation, Violations};
