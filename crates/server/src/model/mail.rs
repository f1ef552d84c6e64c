//! Mails with a link: what they are for, in which language, and where they are on their way.

use std::fmt;

use super::{Timestamp, UserId, uuid_id::uuid_id};

uuid_id! {
    /// Names a mail in the outbox: a UUIDv7.
    MailId
}

/// What a mail is for. Numbers are those of the API's `MailKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// To verify an address.
    Verification = 1,
    /// To reset a password.
    PasswordReset = 2,
}

impl MailKind {
    /// All kinds with their names.
    pub const ALL: &[(Self, &str)] = &[(Self::Verification, "verification"), (Self::PasswordReset, "password_reset")];

    /// How long the link is good, in microseconds: a day, and ten minutes.
    #[must_use]
    pub fn lifetime_us(self) -> i64 {
        const MINUTE_US: i64 = 60_000_000;
        match self {
            Self::Verification => 24 * 60 * MINUTE_US,
            Self::PasswordReset => 10 * MINUTE_US,
        }
    }
}

impl fmt::Display for MailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// Where a mail is on its way. Numbers are those of the API's `MailState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailState {
    /// Waits to be sent, the first time or again.
    Waiting = 1,
    /// The mail server has taken it.
    Sent = 2,
    /// Will never be sent.
    GivenUp = 3,
}

impl MailState {
    /// All states.
    pub const ALL: &[Self] = &[Self::Waiting, Self::Sent, Self::GivenUp];
}

/// A language that mails and pages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// Also for whoever speaks none of the others.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// All languages with their BCP 47 tags.
    pub const ALL: &[(Self, &str)] = &[(Self::English, "en"), (Self::German, "de")];

    /// The language of a BCP 47 tag such as `de-CH`, if it is one of ours.
    #[must_use]
    pub fn find(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(primary)).map(|(language, _)| *language)
    }

    /// Its tag.
    #[must_use]
    pub fn tag(self) -> &'static str {
        Self::ALL.iter().find(|(language, _)| *language == self).map_or("", |(_, tag)| tag)
    }
}

/// A mail in the outbox, without its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Unique.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// Who gets it.
    pub user_id: UserId,
    /// The address that it goes to.
    pub recipient: String,
    /// The language that it is written in.
    pub language: Language,
    /// Where it is on its way.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last; empty if nothing did.
    pub last_error: String,
    /// When what caused it happened.
    pub created_at: Timestamp,
    /// When it is tried next; `None` if it is not.
    pub next_attempt_at: Option<Timestamp>,
    /// When the mail server took it.
    pub sent_at: Option<Timestamp>,
    /// When its link ends.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_by_their_first_subtag() {
        for (tag, language) in [
            ("de", Some(Language::German)),
            ("DE-ch", Some(Language::German)),
            ("en-US", Some(Language::English)),
            ("den", None),
            ("fr", None),
            ("", None),
        ] {
            assert_eq!(Language::find(tag), language, "{tag}");
        }
    }
}
