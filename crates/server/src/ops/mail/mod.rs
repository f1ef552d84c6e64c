//! Use cases that live on mailed links, and the outbox as operators see it.
//!
//! Whoever asks for a mail learns nothing: the same answer, after the same work, whoever has the address. Whoever shows
//! a token that does not stand learns nothing either: one answer for all that can be wrong with it.

mod outbox;
mod request;
mod use_token;

pub use self::outbox::{MailPage, MailView};
