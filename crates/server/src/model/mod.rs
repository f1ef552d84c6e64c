//! Plain types. What comes from outside is parsed here once, into types that cannot hold a bad value.
//!
//! Nothing here does I/O, reads the clock, or knows who calls.

pub mod access;
pub mod address;
pub mod audit;
pub mod change;
pub mod clock;
mod etag;
pub mod filter;
pub mod idempotency;
pub mod inputs;
pub mod mail;
pub mod order;
pub mod patch;
pub mod permission;
pub mod preferences;
pub mod rate;
pub mod staleness;
pub mod syntax;
pub mod text;
pub mod user;
pub mod user_id;
mod uuid_id;
pub mod violation;

pub use access::{ApiKey, ApiKeyId, Grant, Session, SessionId};
pub use address::{Address, AddressId, AddressKind, AddressLines, AddressPatch};
pub use audit::{AuditEvent, AuditOutcome};
pub use change::{Action, Actor, ActorKind, ChangeMeta};
pub use clock::{Clock, SystemClock, Timestamp};
pub use idempotency::{Idempotency, IdempotencyKey, IdempotencyKeys};
pub use mail::{Language, Mail, MailId, MailKind, MailState};
pub use patch::{AttributesPatch, UserPatch};
pub use permission::{Permission, PermissionSet};
pub use preferences::{NotificationSwitches, Preferences, PreferencesPatch};
pub use rate::{Rate, Rates};
pub use staleness::Staleness;
pub use syntax::SyntaxError;
pub use user::{Role, User, UserStatus};
pub use user_id::{USER_ID_MAX_BYTES, UserId};
pub use violation::{Violation, Violations};
