//! What a mail says: subject, plain text and HTML.

use std::fmt;

use askama::Template;

use super::phrases::phrases;
use crate::model::{Language, MailKind};

/// A mail's text. It has the link in it, and so does not show itself.
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({:?}, redacted)", self.subject)
    }
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    greeting: &'a str,
    lead: &'a str,
    link: &'a str,
    until: &'a str,
    ignore: &'a str,
    platform: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    language: &'a str,
    subject: &'a str,
    greeting: &'a str,
    lead: &'a str,
    button: &'a str,
    or_link: &'a str,
    link: &'a str,
    until: &'a str,
    ignore: &'a str,
    platform: &'a str,
}

impl Letter {
    /// The mail of this kind. `None` only if memory ends while it is written.
    pub(super) fn write(
        language: Language,
        kind: MailKind,
        platform: &str,
        recipient: &str,
        link: &str,
    ) -> Option<Self> {
        let phrases = phrases(language, kind);
        // The address comes last: it may have braces in it.
        let fill = |phrase: &str| phrase.replace("{platform}", platform).replace("{recipient}", recipient);
        let (subject, lead) = (phrases.subject.replace("{platform}", platform), fill(phrases.lead));
        let text = Text {
            greeting: phrases.greeting,
            lead: &lead,
            link,
            until: phrases.until,
            ignore: phrases.ignore,
            platform,
        };
        let html = Html {
            language: language.tag(),
            subject: &subject,
            greeting: phrases.greeting,
            lead: &lead,
            button: phrases.button,
            or_link: phrases.or_link,
            link,
            until: phrases.until,
            ignore: phrases.ignore,
            platform,
        };
        let (text, html) = (text.render().ok()?, html.render().ok()?);
        Some(Self { subject, text, html })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://example.com/verify-email?token=T&x=\"<b>";

    #[test]
    fn every_letter_has_its_link_its_address_and_its_platform_in_both_forms() {
        for (language, _) in Language::ALL {
            for (kind, _) in MailKind::ALL {
                let letter = Letter::write(*language, *kind, "Example", "ada@example.com", "https://e.x/?t=T").unwrap();
                for text in [&letter.text, &letter.html] {
                    assert!(text.contains("https://e.x/?t=T"), "{text}");
                    assert!(text.contains("ada@example.com") && text.contains("Example"), "{text}");
                    assert!(!text.contains('{'), "{text}");
                }
                assert!(letter.subject.contains("Example") && !letter.subject.contains(['{', '\n']));
                assert!(letter.html.contains(&format!("lang=\"{}\"", language.tag())));
                assert!(!format!("{letter:?}").contains("https"));
            }
        }
    }

    #[test]
    fn html_is_escaped_and_plain_text_is_not() {
        let letter =
            Letter::write(Language::English, MailKind::Verification, "A<script>&B", "{platform}'&@x.y", LINK).unwrap();
        assert!(
            letter.text.contains("A<script>&B")
                && letter.text.contains(LINK)
                && letter.text.contains("{platform}'&@x.y")
        );
        assert!(!letter.html.contains("<script>") && !letter.html.contains("\"<b>"), "{}", letter.html);
    }
}
