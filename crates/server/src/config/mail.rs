//! The settings of mails and their links: where links lead, who sends, and through which server.

use std::{fmt, str::FromStr};

use url::Url;

use crate::model::{
    inputs::parse_email,
    text::{Lines, check_text},
};

/// Characters of the sender's name.
const NAME_MAX_CHARS: usize = 100;

/// Where people reach this server with a browser: `https://accounts.example.com`, or a path below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// What the setting takes.
    pub(super) const TAKES: &str =
        "an http or https URL without user, query or fragment, such as https://accounts.example.com";

    /// Without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, if that is a name and no address.
    #[must_use]
    pub fn domain(&self) -> Option<String> {
        Url::parse(&self.0).ok()?.domain().map(str::to_owned)
    }
}

impl FromStr for PublicUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = web_url(text).ok_or(())?;
        let plain = url.query().is_none() && url.fragment().is_none();
        if plain { Ok(Self(url.as_str().trim_end_matches('/').to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A link with a place for the token: `https://app.example.com/verify?token={token}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate(String);

/// Where the token goes.
const PLACE: &str = "{token}";

impl LinkTemplate {
    /// What the setting takes.
    pub(super) const TAKES: &str =
        "an http or https URL with {token} in it once, such as https://app.example.com/verify?token={token}";

    /// The link with this token, which is made of characters that need no escaping.
    #[must_use]
    pub fn with(&self, token: &str) -> String {
        self.0.replace(PLACE, token)
    }
}

impl FromStr for LinkTemplate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let once = text.matches(PLACE).count() == 1;
        // What is left out cannot be in the host: a place there would lead wherever the token says.
        let (before, after) = text.split_once(PLACE).filter(|_| once).ok_or(())?;
        let with = |token: &str| web_url(&format!("{before}{token}{after}"));
        let (one, two) = (with("a").ok_or(())?, with("b").ok_or(())?);
        // As the URL's own grammar writes it, so that nothing in it can break a line or a tag.
        let marked = with("TOKEN-GOES-HERE").ok_or(())?;
        let text = marked.as_str().replacen("TOKEN-GOES-HERE", PLACE, 1);
        if one.origin() == two.origin() && text.contains(PLACE) { Ok(Self(text)) } else { Err(()) }
    }
}

impl fmt::Display for LinkTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_web = ["http", "https"].contains(&url.scheme()) && url.has_host();
    (is_web && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// The mail server: `smtps://user:password@host`, or `smtp://…?tls=required`.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl(Url);

/// How the connection to the mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte.
    Always,
    /// STARTTLS, or no mail.
    Required,
    /// STARTTLS if the server has it.
    Opportunistic,
    /// None.
    Never,
}

impl SmtpUrl {
    /// What the setting takes.
    pub(super) const TAKES: &str = "smtps://USER:PASSWORD@HOST:PORT (TLS), or smtp://… with ?tls=required (STARTTLS), ?tls=opportunistic, or \
         neither (plain text); user and password, percent-encoded, and port may be left out";

    /// The user, percent-encoded; empty if there is none.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.username()
    }

    /// The password, percent-encoded; empty if there is none.
    #[must_use]
    pub fn password(&self) -> &str {
        self.0.password().unwrap_or_default()
    }

    /// The mail server's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port: its own, or the usual one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(match self.tls() {
            SmtpTls::Always => 465,
            SmtpTls::Required | SmtpTls::Opportunistic => 587,
            SmtpTls::Never => 25,
        })
    }

    /// The name to greet the server with, if it says one: its path.
    #[must_use]
    pub fn greeting(&self) -> Option<&str> {
        Some(self.0.path().trim_matches('/')).filter(|name| !name.is_empty())
    }

    /// How it is secured.
    #[must_use]
    pub fn tls(&self) -> SmtpTls {
        match (self.0.scheme(), self.0.query()) {
            ("smtps", _) => SmtpTls::Always,
            (_, Some("tls=required")) => SmtpTls::Required,
            (_, Some(_)) => SmtpTls::Opportunistic,
            (_, None) => SmtpTls::Never,
        }
    }

    /// `text` without what may be a password.
    pub(super) fn redacted(text: &str) -> String {
        match text.split_once("://") {
            Some((scheme @ ("smtp" | "smtps"), _)) => format!("\"{scheme}://…\""),
            _ => "a text that does not start with smtp:// or smtps://".to_owned(),
        }
    }
}

impl FromStr for SmtpUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text.trim()).map_err(|_| ())?;
        let query = match url.scheme() {
            "smtps" => url.query().is_none(),
            "smtp" => matches!(url.query(), None | Some("tls=required" | "tls=opportunistic")),
            _ => false,
        };
        let named = url.host_str().is_some_and(|host| !host.is_empty());
        // One without the other is a mistake: the transport would not sign in at all.
        let whole = url.username().is_empty() == url.password().is_none();
        let path_is_a_name =
            url.path().trim_matches('/').bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if query && named && whole && path_is_a_name && url.fragment().is_none() { Ok(Self(url)) } else { Err(()) }
    }
}

/// Without the password.
impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if shown.password().is_some() {
            // A URL with a host takes one.
            let _ = shown.set_password(Some("redacted"));
        }
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpUrl({self})")
    }
}

/// Who mails are from: `Example <accounts@example.com>`, or the address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    /// What the platform is called, in mails and on pages; empty if that is not said.
    pub name: String,
    /// The address.
    pub email: String,
}

impl MailFrom {
    /// What the setting takes.
    pub(super) const TAKES: &str = "an address, such as accounts@example.com, or Example <accounts@example.com>";

    /// The part of the address after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.email.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for MailFrom {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let (name, email) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, email)) => (name.trim().trim_matches('"'), email),
            None => ("", text),
        };
        check_text(name, Lines::One).map_err(|_| ())?;
        if name.chars().count() > NAME_MAX_CHARS || name.contains(['"', '\\', '<', '>']) {
            return Err(());
        }
        Ok(Self { name: name.to_owned(), email: parse_email(email).map_err(|_| ())? })
    }
}

impl fmt::Display for MailFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() { f.write_str(&self.email) } else { write!(f, "{} <{}>", self.name, self.email) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_place_on_the_web() {
        for (text, url) in [
            ("https://Accounts.example.com", "https://accounts.example.com"),
            ("https://example.com/accounts/", "https://example.com/accounts"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ] {
            assert_eq!(text.parse::<PublicUrl>().unwrap().as_str(), url);
        }
        for text in [
            "",
            "example.com",
            "/accounts",
            "ftp://example.com",
            "javascript:alert(1)",
            "https://",
            "https://u:p@example.com",
            "https://example.com?x=1",
            "https://example.com#x",
        ] {
            assert_eq!(text.parse::<PublicUrl>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_link_has_one_place_for_the_token_and_not_in_its_host() {
        let link: LinkTemplate = "https://app.example.com/#/verify?t={token}".parse().unwrap();
        assert_eq!(link.with("abc"), "https://app.example.com/#/verify?t=abc");
        assert_eq!(link.to_string(), "https://app.example.com/#/verify?t={token}");
        let odd: LinkTemplate = "https://app.example.com/\"\r\n<b>/{token}".parse().unwrap();
        assert!(!odd.with("abc").contains(['"', '\r', '\n', '<']), "{odd}");
        for text in [
            "https://app.example.com/verify",
            "https://app.example.com/{token}/{token}",
            "https://{token}.example.com/",
            "https://example.com:{token}/",
            "https://u:{token}@example.com/",
            "mailto:{token}@example.com",
            "{token}",
        ] {
            assert_eq!(text.parse::<LinkTemplate>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_mail_server_is_told_apart_by_its_url_and_keeps_its_password() {
        for (text, tls, port) in [
            ("smtps://u:p@mail.example.com", SmtpTls::Always, 465),
            ("smtp://u:p@mail.example.com?tls=required", SmtpTls::Required, 587),
            ("smtp://mail.example.com/ehlo.example.com?tls=opportunistic", SmtpTls::Opportunistic, 587),
            ("smtp://127.0.0.1:2525", SmtpTls::Never, 2525),
            ("smtp://[::1]", SmtpTls::Never, 25),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!((url.tls(), url.port()), (tls, port), "{text}");
        }
        let url: SmtpUrl = "smtp://user:hunter2%40@mail.example.com:587?tls=required".parse().unwrap();
        assert_eq!((url.user(), url.password()), ("user", "hunter2%40"));
        for shown in [
            format!("{url}"),
            format!("{url:?}"),
            SmtpUrl::redacted("smtp://user:hunter2"),
            SmtpUrl::redacted("hunter2"),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        for text in [
            "",
            "mail.example.com:587",
            "smtp://",
            "smtp://u@mail.example.com",
            "http://mail.example.com",
            "smtp://mail.example.com?tls=requird",
            "smtps://mail.example.com?tls=none",
            "smtp://mail.example.com/a b",
            "smtp://mail.example.com/x%0d%0aHELO",
        ] {
            assert_eq!(text.parse::<SmtpUrl>().map(|url| url.to_string()), Err(()), "{text}");
        }
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        let from = |text: &str| text.parse::<MailFrom>().map(|from| (from.name, from.email));
        assert_eq!(from("a@example.com"), Ok(("".into(), "a@example.com".into())));
        assert_eq!(from("Zoë & Co. <a@example.com>"), Ok(("Zoë & Co.".into(), "a@example.com".into())));
        assert_eq!(from("\"Example, Inc.\" <a@example.com>"), Ok(("Example, Inc.".into(), "a@example.com".into())));
        for text in ["", "Example", "a@b@c", "Example <a@example.com", "A\r\nBcc: b@c.d <a@example.com>", "<x> <a@b.c>"]
        {
            assert_eq!(from(text), Err(()), "{text:?}");
        }
    }
}
