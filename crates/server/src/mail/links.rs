//! Where mailed links lead. Made from settings alone: what a request says of its host decides nothing.

use crate::{
    auth::OneTimeToken,
    config::{LinkTemplate, PublicUrl},
    model::MailKind,
};

/// The page of ours that verifies an address, below the public URL.
pub const VERIFY_EMAIL: &str = "/verify-email";
/// The page of ours that resets a password, below the public URL.
pub const RESET_PASSWORD: &str = "/reset-password";

/// A template for each kind of mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    verify_email: LinkTemplate,
    reset_password: LinkTemplate,
}

impl Links {
    /// The templates that were set, or else those of our own pages; `None` if there is neither.
    #[must_use]
    pub fn of(
        public_url: Option<&PublicUrl>,
        verify_email: Option<LinkTemplate>,
        reset_password: Option<LinkTemplate>,
    ) -> Option<Self> {
        let own = |page: &str| format!("{}{page}?token={{token}}", public_url?.as_str()).parse().ok();
        Some(Self {
            verify_email: verify_email.or_else(|| own(VERIFY_EMAIL))?,
            reset_password: reset_password.or_else(|| own(RESET_PASSWORD))?,
        })
    }

    /// The link for a mail.
    #[must_use]
    pub fn link(&self, kind: MailKind, token: &OneTimeToken) -> String {
        let template = match kind {
            MailKind::Verification => &self.verify_email,
            MailKind::PasswordReset => &self.reset_password,
        };
        template.with(token.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_our_pages_unless_others_are_set() {
        let url: PublicUrl = "https://example.com/accounts/".parse().unwrap();
        let token = OneTimeToken::shown("T".into());
        let own = Links::of(Some(&url), None, None).unwrap();
        assert_eq!(own.link(MailKind::Verification, &token), "https://example.com/accounts/verify-email?token=T");
        assert_eq!(own.link(MailKind::PasswordReset, &token), "https://example.com/accounts/reset-password?token=T");
        let other: LinkTemplate = "https://app.example.com/r/{token}".parse().unwrap();
        let mixed = Links::of(Some(&url), None, Some(other.clone())).unwrap();
        assert_eq!(mixed.link(MailKind::PasswordReset, &token), "https://app.example.com/r/T");
        assert_eq!(Links::of(None, None, Some(other.clone())), None);
        assert!(Links::of(None, Some(other.clone()), Some(other)).is_some());
    }
}
