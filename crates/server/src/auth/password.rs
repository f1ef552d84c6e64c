//! Passwords and their hashes. Neither ever shows itself in a log or a message.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{common_passwords, phc};

/// Characters that a new password must have at least.
pub const PASSWORD_MIN_CHARS: usize = 8;

/// Bytes that a password may have. Nothing is cut off below that.
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// Bytes that one byte of UTF-8 becomes at most in NFC
/// ([UAX 15](https://www.unicode.org/reports/tr15/), "expansion factors").
const NFC_GROWTH: usize = 3;

/// A password in clear, normalised. Wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Parses a new password: at least 8 characters, at most 1024 bytes, anything but NUL, and none of the most common
    /// ones, in whatever case.
    ///
    /// # Errors
    /// What a password may look like. Never holds the password.
    pub fn parse(text: String) -> Result<Self, String> {
        let password = Self::given(text)?;
        if password.0.chars().nth(PASSWORD_MIN_CHARS - 1).is_none() {
            return Err(format!("must have at least {PASSWORD_MIN_CHARS} characters"));
        }
        if common_passwords::contains(&password.0) {
            return Err("is one of the most common passwords, which are the first that anybody tries".to_owned());
        }
        Ok(password)
    }

    /// A password that somebody gives to be compared. It may have been set elsewhere, by other rules, so it may be
    /// short or common; only its size is bounded.
    ///
    /// It is prepared as [RFC 8265](https://www.rfc-editor.org/rfc/rfc8265#section-4.2) has it
    /// (`OpaqueString`), so that another keyboard types the same password: every space beyond ASCII
    /// becomes a plain one, and the rest NFC. Unlike there, control characters other than NUL are
    /// kept: they do no harm in what is only hashed.
    ///
    /// # Errors
    /// It is empty, has more than 1024 bytes, or a NUL. Never holds the password.
    pub fn given(text: String) -> Result<Self, String> {
        let text = Zeroizing::new(text);
        check_length(&text)?;
        if text.contains('\0') {
            return Err("must not have the character U+0000".to_owned());
        }
        if text.is_ascii() {
            return Ok(Self(text));
        }
        // The room is taken at once, for growing would leave a copy behind that nobody wipes.
        let mut prepared = Zeroizing::new(String::with_capacity(text.len() * NFC_GROWTH));
        prepared.extend(text.chars().map(plain_space).nfc());
        check_length(&prepared)?;
        Ok(Self(prepared))
    }

    /// What is hashed.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

fn check_length(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is required".to_owned());
    }
    if text.len() > PASSWORD_MAX_BYTES {
        return Err(format!("has {} bytes; at most {PASSWORD_MAX_BYTES} are allowed", text.len()));
    }
    Ok(())
}

/// Any space separator (category Zs) as U+0020.
fn plain_space(c: char) -> char {
    match c {
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        _ => c,
    }
}

/// The hash of a password as a string of the
/// [PHC format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md), or of one of
/// the older formats that [`PasswordHash::parse_phc`] takes. Two are equal if they are the same string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash as the store holds it, unchecked: it was checked when it went in.
    #[must_use]
    pub fn from_store(text: String) -> Self {
        Self(text)
    }

    /// Parses a hash that an administrator brings along from another system: Argon2 (`$argon2id$`,
    /// `$argon2i$`, `$argon2d$`), bcrypt (`$2a$`, `$2b$`, `$2y$`), scrypt (`$scrypt$`), or PBKDF2
    /// (`$pbkdf2-sha256$`, `$pbkdf2-sha512$`).
    ///
    /// # Errors
    /// A hash of another kind, one that is cut or malformed, and one that would take more memory
    /// or time to verify than a sign-in may. Never holds the hash.
    pub fn parse_phc(text: &str) -> Result<Self, String> {
        phc::check(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The string for the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn parsed(text: &str) -> String {
        Password::parse(text.to_owned()).unwrap().0.to_string()
    }

    #[test]
    fn passwords_are_kept_whole() {
        let longest = "x".repeat(1024);
        for password in
            ["password123", "securepass123", "hunter22!", "with\ttab and\nline", "🔑🔑🔑🔑🔑🔑🔑🔑", &longest]
        {
            assert_eq!(parsed(password), password);
        }
    }

    #[test]
    fn another_keyboard_types_the_same_password() {
        assert_eq!(parsed("cafe\u{301} au lait"), "café au lait");
        assert_eq!(parsed("pass\u{A0}wörd\u{3000}1"), "pass wörd 1");
        assert_eq!(parsed("Passwort eins"), "Passwort eins");
    }

    #[test]
    fn short_and_endless_passwords_are_refused_without_being_told() {
        for (password, reason) in [
            ("", "is required"),
            ("hunter2", "at least 8 characters"),
            ("éééé", "at least 8 characters"),
            ("e\u{301}e\u{301}e\u{301}e\u{301}", "at least 8 characters"),
            ("hunter2\0hunter2", "U+0000"),
            (&"x".repeat(1025), "has 1025 bytes; at most 1024"),
            (&"\u{FB2C}".repeat(341), "bytes; at most 1024"),
        ] {
            let refused = Password::parse(password.to_owned()).unwrap_err();
            assert!(refused.contains(reason), "{password:?}: {refused}");
            assert!(!refused.contains("hunter"));
        }
    }

    #[test]
    fn what_was_set_elsewhere_may_be_short_or_common() {
        for password in ["x", "letmein", "password"] {
            assert!(Password::parse(password.to_owned()).is_err());
            assert_eq!(*Password::given(password.to_owned()).unwrap().0, password);
        }
        for nothing in [String::new(), "\0".to_owned(), "x".repeat(1025)] {
            assert!(Password::given(nothing).is_err());
        }
    }

    #[test]
    fn debug_prints_hold_no_secret() {
        let password = Password::parse("correct horse".to_owned());
        let hash = PasswordHash::from_store("$argon2id$v=19$secret".to_owned());
        assert_eq!(format!("{password:?} {hash:?}"), "Ok(Password(redacted)) PasswordHash(redacted)");
        assert_eq!(format!("{:#?}", Some(&hash)), "Some(\n    PasswordHash(redacted),\n)");
        assert_eq!(hash.as_str(), "$argon2id$v=19$secret");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(4), ..ProptestConfig::default() })]

        #[test]
        fn preparing_twice_is_preparing_once(chars in prop::collection::vec(any::<char>(), 0..400)) {
            let text = String::from_iter(chars);
            if let Ok(password) = Password::parse(text.clone()) {
                prop_assert!(password.as_bytes().len() <= PASSWORD_MAX_BYTES);
                prop_assert_eq!(parsed(&password.0), password.0.to_string());
                // Growing would have left a copy behind.
                prop_assert!(password.0.capacity() <= text.len() * NFC_GROWTH);
            }
        }
    }
}
