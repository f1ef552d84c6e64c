//! Mail: whether there is a server for it, and whether it would take our mails.

use std::time::Duration;

use roster_server::{
    config::{Config, SmtpTls, SmtpUrl},
    mail::{self, Smtp},
};
use tokio::time::timeout;

use super::check::Check;
use crate::exit::Exit;

const NAME: &str = "mail";
/// A mail server that takes longer to greet us and take our password is too slow.
const TALK_TIMEOUT: Duration = Duration::from_secs(5);

/// The mail server of this configuration. Nothing is sent.
pub async fn server(config: &Config) -> Check {
    let Some(url) = &config.smtp_url else {
        return match config.dev {
            true => Check::ok(NAME, "kept in the outbox, to be read there"),
            false => Check::warn(
                NAME,
                "no mail server: mails wait in the outbox until their links end",
                "set smtp_url, mail_from and public_url",
            ),
        };
    };
    match mail::server(config) {
        Ok(Some((smtp, _))) => talk(url, &smtp).await,
        Ok(None) => Check::fail(Exit::Config, NAME, "nobody to send as", "set mail_from"),
        Err((key, detail)) => Check::fail(Exit::Config, NAME, format!("{key}: {detail}"), format!("mend {key}")),
    }
}

/// Greets it, speaks TLS and signs in, as the sender would.
async fn talk(url: &SmtpUrl, smtp: &Smtp) -> Check {
    let (host, port) = (url.host(), url.port());
    let has_password = !url.password().is_empty();
    match timeout(TALK_TIMEOUT, smtp.check()).await {
        Ok(Ok(())) if url.tls() == SmtpTls::Never && has_password => Check::warn(
            NAME,
            format!("{host}:{port} answers, and gets the password in plain text"),
            "use smtps://, or add ?tls=required",
        ),
        Ok(Ok(())) => {
            let signed_in = if has_password { ", and takes the password" } else { "" };
            Check::ok(NAME, format!("{host}:{port} answers{signed_in}"))
        }
        Ok(Err(error)) => Check::warn(
            NAME,
            format!("{host}:{port}: {error}"),
            "mend smtp_url (host, port, TLS, user, password), or start that server; mails wait until then",
        ),
        Err(_) => Check::warn(
            NAME,
            format!("{host}:{port} does not answer"),
            "mend smtp_url (smtps:// where a server waits for plain text hangs, too), or look at the network",
        ),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        net::{TcpListener, TcpStream},
    };

    use super::{super::check::State, *};

    /// Speaks as much SMTP as a sign-in needs, and takes one password.
    async fn answer(stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 here\r\n").await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
            // \0ada\0hunter2
            let reply: &[u8] = match line.trim() {
                "QUIT" => b"221 bye\r\n",
                "AUTH PLAIN AGFkYQBodW50ZXIy" => b"235 welcome\r\n",
                text if text.starts_with("AUTH") => b"535 no\r\n",
                text if text.starts_with("EHLO") => b"250-here\r\n250 AUTH PLAIN\r\n",
                _ => b"250 fine\r\n",
            };
            stream.write_all(reply).await.unwrap();
            line.clear();
        }
    }

    #[tokio::test]
    async fn a_mail_server_takes_the_password_or_not_or_is_missing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                tokio::spawn(answer(listener.accept().await.unwrap().0));
            }
        });
        let check = async |url: String| {
            let mail_from = "shop@example.com".parse().ok();
            server(&Config { smtp_url: url.parse().ok(), mail_from, ..Config::default() }).await
        };
        assert_eq!(check(format!("smtp://{here}")).await, Check::ok(NAME, format!("{here} answers")));
        let plain = check(format!("smtp://ada:hunter2@{here}")).await;
        assert!(plain.state == State::Warn && plain.found.contains("in plain text"), "{plain:?}");
        let wrong = check(format!("smtp://ada:hunter3@{here}")).await;
        assert!(wrong.state == State::Warn && wrong.found.contains("535"), "{wrong:?}");
        assert!(!format!("{plain:?}{wrong:?}").contains("hunter"), "{plain:?} {wrong:?}");
        serving.abort();
        assert!(serving.await.is_err());
        assert_eq!(check(format!("smtp://{here}")).await.state, State::Warn);
        assert!(check(String::new()).await.found.starts_with("no mail server"));
        assert_eq!(server(&Config::defaults(true)).await.state, State::Ok);
    }
}
