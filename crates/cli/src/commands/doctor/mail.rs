//! Mail: whether there is a server for it, and whether it answers.

use std::time::Duration;

use roster_server::config::{Config, SmtpTls, SmtpUrl};
use tokio::{net::TcpStream, time::timeout};

use super::check::Check;

const NAME: &str = "mail";
/// A mail server that takes longer to take up a connection is too slow.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The mail server of this configuration. Nothing is sent.
pub async fn server(config: &Config) -> Check {
    match &config.smtp_url {
        Some(url) => reach(url).await,
        None if config.dev => Check::ok(NAME, "kept in the outbox, to be read there"),
        None => Check::warn(
            NAME,
            "no mail server: mails wait in the outbox until their links end",
            "set smtp_url, mail_from and public_url",
        ),
    }
}

async fn reach(url: &SmtpUrl) -> Check {
    let (host, port) = (url.host(), url.port());
    match timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) if url.tls() == SmtpTls::Never && !url.password().is_empty() => Check::warn(
            NAME,
            format!("{host}:{port} answers, and would get the password in plain text"),
            "use smtps://, or add ?tls=required",
        ),
        Ok(Ok(_)) => Check::ok(NAME, format!("{host}:{port} answers")),
        Ok(Err(error)) => Check::warn(NAME, format!("{host}:{port}: {error}"), "mend smtp_url, or start that server"),
        Err(_) => Check::warn(NAME, format!("{host}:{port} does not answer"), "mend smtp_url, or look at the network"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[tokio::test]
    async fn a_mail_server_answers_or_is_missing_or_would_see_the_password() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let check = async |url: String| server(&Config { smtp_url: url.parse().ok(), ..Config::default() }).await;
        assert_eq!(check(format!("smtp://{here}")).await, Check::ok(NAME, format!("{here} answers")));
        let plain = check(format!("smtp://ada:hunter2@{here}")).await;
        assert!(plain.state == State::Warn && !format!("{plain:?}").contains("hunter2"), "{plain:?}");
        drop(listener);
        assert_eq!(check(format!("smtp://{here}")).await.state, State::Warn);
        assert!(check(String::new()).await.found.starts_with("no mail server"));
        assert_eq!(server(&Config::defaults(true)).await.state, State::Ok);
    }
}
