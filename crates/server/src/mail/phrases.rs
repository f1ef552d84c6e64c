//! What mails say, in every language: `{platform}` and `{recipient}` are filled in.
//!
//! Nothing that a user wrote but the address is in a mail: whoever signs others up could have it carry a message.

use crate::model::{Language, MailKind};

/// The parts of a mail, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phrases {
    pub(super) subject: &'static str,
    pub(super) greeting: &'static str,
    /// Why it came, and what the link does.
    pub(super) lead: &'static str,
    /// What the button of the HTML says.
    pub(super) button: &'static str,
    /// Above the link itself, where there is a button too.
    pub(super) or_link: &'static str,
    /// How long the link is good.
    pub(super) until: &'static str,
    /// For whoever did not ask for it.
    pub(super) ignore: &'static str,
}

/// The phrases of a mail.
pub(super) fn phrases(language: Language, kind: MailKind) -> &'static Phrases {
    match (language, kind) {
        (Language::English, MailKind::Verification) => &ENGLISH_VERIFICATION,
        (Language::English, MailKind::PasswordReset) => &ENGLISH_PASSWORD_RESET,
        (Language::German, MailKind::Verification) => &GERMAN_VERIFICATION,
        (Language::German, MailKind::PasswordReset) => &GERMAN_PASSWORD_RESET,
    }
}

const ENGLISH_VERIFICATION: Phrases = Phrases {
    subject: "Verify your email address for {platform}",
    greeting: "Hello,",
    lead: "this address, {recipient}, was given for an account at {platform}. To confirm that it is yours, open this \
           link:",
    button: "Verify address",
    or_link: "If the button does not work, copy this link into your browser:",
    until: "The link works once, and for 24 hours.",
    ignore: "If this was not you, you need not do anything. The address is not verified without the link.",
};

const ENGLISH_PASSWORD_RESET: Phrases = Phrases {
    subject: "Reset your password for {platform}",
    greeting: "Hello,",
    lead: "a new password was asked for, for the account of {recipient} at {platform}. To choose one, open this link:",
    button: "Choose a new password",
    or_link: "If the button does not work, copy this link into your browser:",
    until: "The link works once, and for 10 minutes. A new password signs you out on all devices.",
    ignore: "If this was not you, you need not do anything. Your password stays as it is.",
};

const GERMAN_VERIFICATION: Phrases = Phrases {
    subject: "Bestätigen Sie Ihre E-Mail-Adresse für {platform}",
    greeting: "Guten Tag,",
    lead: "diese Adresse, {recipient}, wurde für ein Konto bei {platform} angegeben. Um zu bestätigen, dass sie Ihnen \
           gehört, öffnen Sie diesen Link:",
    button: "Adresse bestätigen",
    or_link: "Falls der Knopf nicht funktioniert, kopieren Sie diesen Link in Ihren Browser:",
    until: "Der Link gilt einmal und 24 Stunden lang.",
    ignore: "Wenn Sie das nicht waren, müssen Sie nichts tun. Ohne den Link wird die Adresse nicht bestätigt.",
};

const GERMAN_PASSWORD_RESET: Phrases = Phrases {
    subject: "Setzen Sie Ihr Passwort für {platform} zurück",
    greeting: "Guten Tag,",
    lead: "für das Konto von {recipient} bei {platform} wurde ein neues Passwort angefordert. Um eines zu wählen, öffnen \
           Sie diesen Link:",
    button: "Neues Passwort wählen",
    or_link: "Falls der Knopf nicht funktioniert, kopieren Sie diesen Link in Ihren Browser:",
    until: "Der Link gilt einmal und 10 Minuten lang. Ein neues Passwort meldet Sie auf allen Geräten ab.",
    ignore: "Wenn Sie das nicht waren, müssen Sie nichts tun. Ihr Passwort bleibt, wie es ist.",
};
