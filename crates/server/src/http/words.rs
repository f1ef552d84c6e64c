//! What the pages say, in every language.

use crate::model::Language;

/// A page that only says something.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// Whether it is good news.
    pub(super) good: bool,
}

/// The words of one language.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) tag: &'static str,
    pub(super) verify_title: &'static str,
    pub(super) verify_text: &'static str,
    pub(super) verify_button: &'static str,
    pub(super) verified: Notice,
    pub(super) reset_title: &'static str,
    pub(super) reset_text: &'static str,
    pub(super) new_password: &'static str,
    pub(super) repeated: &'static str,
    pub(super) reset_button: &'static str,
    pub(super) password_set: Notice,
    pub(super) password_refused: &'static str,
    pub(super) passwords_differ: &'static str,
    pub(super) invalid_link: Notice,
    pub(super) try_later: Notice,
}

impl Words {
    /// The words of a language.
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
        }
    }
}

static ENGLISH: Words = Words {
    tag: "en",
    verify_title: "Verify your email address",
    verify_text: "One more click, and your address is verified.",
    verify_button: "Verify address",
    verified: Notice { title: "Your address is verified", text: "Thank you. You can close this page.", good: true },
    reset_title: "Choose a new password",
    reset_text: "At least 8 characters. Longer is better; anything goes but the most common ones. You will be signed \
                 out on all devices.",
    new_password: "New password",
    repeated: "The same once more",
    reset_button: "Set password",
    password_set: Notice {
        title: "Your new password is set",
        text: "You are signed out on all devices. Sign in with the new password now.",
        good: true,
    },
    password_refused: "This password cannot be used. It needs 8 characters or more, at most 1024 bytes, and must not be \
                       one of the most common ones.",
    passwords_differ: "The two passwords differ. Please type them again.",
    invalid_link: Notice {
        title: "This link is not valid any more",
        text: "It was used already, has expired, or is incomplete. Please ask for a new mail.",
        good: false,
    },
    try_later: Notice {
        title: "That did not work just now",
        text: "Nothing was changed, and your link is as good as before. Please try again in a moment.",
        good: false,
    },
};

static GERMAN: Words = Words {
    tag: "de",
    verify_title: "E-Mail-Adresse bestätigen",
    verify_text: "Noch ein Klick, und Ihre Adresse ist bestätigt.",
    verify_button: "Adresse bestätigen",
    verified: Notice {
        title: "Ihre Adresse ist bestätigt",
        text: "Vielen Dank. Sie können diese Seite schließen.",
        good: true,
    },
    reset_title: "Neues Passwort wählen",
    reset_text: "Mindestens 8 Zeichen. Länger ist besser; alles ist erlaubt, nur nicht die häufigsten. Sie werden auf \
                 allen Geräten abgemeldet.",
    new_password: "Neues Passwort",
    repeated: "Noch einmal dasselbe",
    reset_button: "Passwort setzen",
    password_set: Notice {
        title: "Ihr neues Passwort gilt",
        text: "Sie sind auf allen Geräten abgemeldet. Melden Sie sich jetzt mit dem neuen Passwort an.",
        good: true,
    },
    password_refused: "Dieses Passwort geht nicht. Es braucht 8 Zeichen oder mehr, höchstens 1024 Bytes, und darf keines \
                       der häufigsten sein.",
    passwords_differ: "Die beiden Passwörter sind verschieden. Bitte geben Sie sie noch einmal ein.",
    invalid_link: Notice {
        title: "Dieser Link gilt nicht mehr",
        text: "Er wurde schon benutzt, ist abgelaufen oder unvollständig. Bitte fordern Sie eine neue Mail an.",
        good: false,
    },
    try_later: Notice {
        title: "Das ging gerade nicht",
        text: "Es wurde nichts geändert, und Ihr Link gilt weiter. Bitte versuchen Sie es gleich noch einmal.",
        good: false,
    },
};
