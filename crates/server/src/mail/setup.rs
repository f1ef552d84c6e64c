//! From the settings to what sends mails and what writes them.

use std::{fs, net::SocketAddr};

use super::{Delivery, Links, Mailer, Smtp};
use crate::config::{Config, MailFrom, PublicUrl};

/// What the platform is called if nobody has said so.
const NAMELESS: &str = "Roster";

/// The mail server and who mails are from, if mails are to be sent.
///
/// # Errors
/// The setting that is wrong, and what is wrong with it, without secrets.
pub fn server(config: &Config) -> Result<Option<(Smtp, MailFrom)>, (&'static str, String)> {
    let (Some(url), Some(from)) = (&config.smtp_url, &config.mail_from) else { return Ok(None) };
    let authorities = config.smtp_ca_file.as_ref().map(fs::read).transpose();
    let authorities = authorities.map_err(|error| ("smtp_ca_file", error.to_string()))?;
    let greeting = config.public_url.as_ref().and_then(PublicUrl::domain);
    let smtp = Smtp::new(url, authorities.as_deref(), greeting.as_deref());
    Ok(Some((smtp.map_err(|detail| ("smtp_url or smtp_ca_file", detail))?, from.clone())))
}

impl Mailer {
    /// As the settings have it. For development, links lead to this very server, which serves HTTP at `http`, if nothing
    /// else is set.
    #[must_use]
    pub fn of(config: &Config, http: Option<SocketAddr>) -> Self {
        let scheme = if config.tls_certificate.is_some() { "https" } else { "http" };
        let here = http.filter(|_| config.dev).and_then(|addr| format!("{scheme}://{addr}").parse().ok());
        let public_url = config.public_url.clone().or(here);
        let links = Links::of(public_url.as_ref(), config.verify_email_url.clone(), config.reset_password_url.clone());
        let delivery = match (&config.smtp_url, config.dev) {
            (Some(_), _) => Delivery::Server,
            (None, true) => Delivery::Kept,
            (None, false) => Delivery::Waiting,
        };
        let name = config.mail_from.as_ref().map(|from| from.name.clone()).filter(|name| !name.is_empty());
        let platform = name.or_else(|| public_url.as_ref().and_then(PublicUrl::domain));
        Self::new(delivery, config.dev, platform.unwrap_or_else(|| NAMELESS.to_owned()), links)
    }
}
