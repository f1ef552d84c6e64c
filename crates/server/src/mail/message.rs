//! A mail as it goes over the wire: headers, plain text and HTML.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use super::Letter;
use crate::{
    config::MailFrom,
    model::{Timestamp, inputs::parse_email},
    store::ClaimedMail,
};

/// The message for a mail. The same on every attempt but for the MIME boundary.
///
/// # Errors
/// Why there can be none, such as an address that mail does not know.
pub(super) fn message(from: &MailFrom, claimed: &ClaimedMail, letter: Letter) -> Result<Message, String> {
    // lettre panics at a control character in a name; the settings let none through, and this makes it certain.
    let name: String = from.name.chars().filter(|c| !c.is_control()).collect();
    let name = (!name.is_empty()).then_some(name);
    let (sender, recipient) = (address(&from.email)?, address(&claimed.mail.recipient)?);
    let envelope = Envelope::new(Some(sender.clone()), vec![recipient.clone()]).map_err(|error| error.to_string())?;
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    Message::builder()
        .envelope(envelope)
        .from(Mailbox::new(name, sender))
        // Without the user's name, which anybody who signs up chooses.
        .to(Mailbox::new(None, recipient))
        .subject(letter.subject)
        .date(UNIX_EPOCH + since_epoch(claimed.mail.created_at))
        .message_id(Some(format!("<{}>", claimed.message_id)))
        // RFC 3834: no vacation notices, please.
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
        .map_err(|error| error.to_string())
}

/// The address with its domain as the DNS has it.
fn address(email: &str) -> Result<Address, String> {
    let email = parse_email(email).map_err(|error| format!("the address {error}"))?;
    let (local, domain) = email.rsplit_once('@').ok_or("an address without @")?;
    // Checked above, and more strictly; lettre's own check refuses letters that are written with marks upon them.
    Ok(Address::new_dangerous(local, ascii_domain(domain)?))
}

/// The domain in ASCII ([RFC 5891](https://www.rfc-editor.org/rfc/rfc5891)).
pub(super) fn ascii_domain(domain: &str) -> Result<String, String> {
    if domain.is_ascii() {
        return Ok(domain.to_owned());
    }
    url::Host::parse(domain).map(|host| host.to_string()).map_err(|error| error.to_string())
}

fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(time.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::OneTimeToken,
        model::{Language, Mail, MailId, MailKind, MailState, UserId},
    };

    fn claimed(recipient: &str) -> ClaimedMail {
        let created_at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        let mail = Mail {
            id: MailId::generate(created_at),
            kind: MailKind::Verification,
            user_id: UserId::generate(created_at),
            recipient: recipient.into(),
            language: Language::German,
            state: MailState::Waiting,
            attempts: 1,
            last_error: String::new(),
            created_at,
            next_attempt_at: None,
            sent_at: None,
            expires_at: created_at,
        };
        ClaimedMail { mail, token: OneTimeToken::shown("T".into()), message_id: "one@example.com".into() }
    }

    fn formatted(from: &MailFrom, recipient: &str, subject: &str) -> Result<String, String> {
        let letter =
            Letter { subject: subject.into(), text: "Grüße\r\n.\r\nEnde".into(), html: "<p>Grüße</p>".into() };
        message(from, &claimed(recipient), letter).map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn headers_say_who_when_and_that_nobody_typed_it() {
        let from: MailFrom = "Zoë & Co. <accounts@example.com>".parse().unwrap();
        let mail = formatted(&from, "ada@example.com", "Bestätigen Sie").unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        for line in [
            "To: ada@example.com",
            "Date: Fri, 02 Jan 2026 03:04:05 +0000",
            "Message-ID: <one@example.com>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(head.lines().any(|have| have == line), "{line} in {head}");
        }
        assert!(head.contains("From: ") && head.contains("<accounts@example.com>"), "{head}");
        assert!(head.contains("Content-Type: multipart/alternative"), "{head}");
        assert!(mail.is_ascii() && mail.lines().all(|line| line.len() <= 998), "{mail}");
        let (plain, html) = (body.find("text/plain").unwrap(), body.find("text/html").unwrap());
        assert!(plain < html, "the best form comes last");
    }

    #[test]
    fn nothing_breaks_out_of_a_header() {
        let hostile = "x\r\nBcc: evil@example.com\r\n\r\nboo";
        let from = MailFrom { name: hostile.into(), email: "accounts@example.com".into() };
        let mail = formatted(&from, "ada@example.com", hostile).unwrap();
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
        assert!(!mail.contains("\r\nboo"), "{mail}");
        for recipient in [
            "ada@example.com\r\nBcc: evil@example.com",
            "ada\r\n@example.com",
            "ada@example.com, evil@example.com",
            "<evil@example.com> ada@example.com",
            "",
        ] {
            let refused = formatted(&MailFrom { name: String::new(), email: "a@b.c".into() }, recipient, "x");
            assert!(refused.is_err(), "{recipient:?}");
        }
    }

    #[test]
    fn every_address_that_a_user_may_have_can_be_written_to() {
        let from: MailFrom = "accounts@example.com".parse().unwrap();
        for (email, domain) in [
            ("o'brien/x=y@mail-1.example", "mail-1.example"),
            ("root@localhost", "localhost"),
            ("a@b", "b"),
            ("josé@bücher.de", "xn--bcher-kva.de"),
            ("संपर्क@डाटामेल.भारत", "xn--c2bd4bq1db8d.xn--h2brj9c"),
            (&format!("{}@example.com", "a".repeat(64)), "example.com"),
        ] {
            let letter = Letter { subject: "x".into(), text: "x".into(), html: "x".into() };
            let message = message(&from, &claimed(email), letter).unwrap_or_else(|error| panic!("{email}: {error}"));
            assert_eq!(message.envelope().to()[0].domain(), domain);
        }
    }
}
