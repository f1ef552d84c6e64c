//! A mail server that keeps what it is given, so that tests can read it: SMTP as RFC 5321 has it, as far as it goes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

/// Longer than any mail takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail that came.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Of the envelope.
    pub from: String,
    /// Of the envelope.
    pub to: Vec<String>,
    /// How the client called itself.
    pub helo: String,
    /// User and password, if it signed in.
    pub login: Option<(String, String)>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether we took it.
    pub taken: bool,
    /// Headers and body.
    pub data: String,
}

impl Caught {
    /// The value of a header, unfolded but not decoded.
    pub fn header(&self, name: &str) -> String {
        let (head, _) = self.data.split_once("\r\n\r\n").unwrap();
        let unfolded = head.replace("\r\n ", " ");
        let mut values = unfolded.lines().filter_map(|line| line.split_once(": ")).filter(|(key, _)| *key == name);
        let (_, value) = values.next().unwrap_or_else(|| panic!("no {name} in {head}"));
        assert!(values.next().is_none(), "{name} twice in {head}");
        value.to_owned()
    }

    /// The plain text.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The HTML.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    fn part(&self, kind: &str) -> String {
        // The whole delimiter: a line of a part may begin with two hyphens too, where a token was folded.
        let kind_of_all = self.header("Content-Type");
        let boundary = kind_of_all.split_once("boundary=\"").unwrap().1.split('"').next().unwrap();
        let at = self.data.find(&format!("Content-Type: {kind}")).unwrap();
        let (head, rest) = self.data[at..].split_once("\r\n\r\n").unwrap();
        let body = rest.split(&format!("\r\n--{boundary}")).next().unwrap();
        match head.lines().find_map(|line| line.strip_prefix("Content-Transfer-Encoding: ")) {
            Some("quoted-printable") => quoted_printable(body),
            Some("base64") => String::from_utf8(BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap(),
            _ => body.to_owned(),
        }
    }

    /// The one link in the text.
    pub fn link(&self) -> String {
        let text = self.text();
        let mut links = text.lines().filter(|line| line.starts_with("http"));
        let link = links.next().unwrap_or_else(|| panic!("no link in {text}")).to_owned();
        assert!(links.next().is_none(), "{text}");
        assert!(self.html().contains(&format!("href=\"{link}\"")), "{}", self.html());
        link
    }

    /// The token in it.
    pub fn token(&self) -> String {
        self.link().split_once("token=").unwrap().1.to_owned()
    }
}

fn quoted_printable(body: &str) -> String {
    let joined = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'=' {
            let digits = str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// How the server secures connections.
#[derive(Clone)]
pub enum Security {
    Plain,
    StartTls(TlsAcceptor),
    Tls(TlsAcceptor),
}

/// A certificate for 127.0.0.1: as PEM to trust, and ready to serve.
pub fn certificate() -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// The server. Dropping it closes its port.
pub struct Catcher {
    addr: SocketAddr,
    mails: mpsc::UnboundedReceiver<Caught>,
    /// The reply to a mail: 250 takes it.
    reply: Arc<AtomicU16>,
    task: JoinHandle<()>,
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Catcher {
    /// One in plain text, on a free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Security::Plain).await
    }

    /// One on this port.
    pub async fn start_at(addr: SocketAddr, security: Security) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, mails) = mpsc::unbounded_channel();
        let reply = Arc::new(AtomicU16::new(250));
        let replies = Arc::clone(&reply);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (sender, replies, security) = (sender.clone(), Arc::clone(&replies), security.clone());
                tokio::spawn(async move {
                    let mut session = Session::new(sender, replies);
                    match security {
                        Security::Plain => drop(session.serve(stream, true, false).await),
                        Security::Tls(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            session.mail.tls = true;
                            session.serve(stream, true, false).await;
                        }
                        Security::StartTls(acceptor) => {
                            let Some(stream) = session.serve(stream, true, true).await else { return };
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            session.mail.tls = true;
                            session.serve(stream, false, false).await;
                        }
                    }
                });
            }
        });
        Self { addr, mails, reply, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers mails with this from now on.
    pub fn reply(&self, code: u16) {
        self.reply.store(code, Ordering::SeqCst);
    }

    /// The next mail that comes, taken or not.
    pub async fn next(&mut self) -> Caught {
        timeout(PATIENCE, self.mails.recv()).await.unwrap_or_else(|_| panic!("no mail came")).unwrap()
    }

    /// The next mail that we take.
    pub async fn next_taken(&mut self) -> Caught {
        loop {
            let mail = self.next().await;
            if mail.taken {
                return mail;
            }
        }
    }

    /// Whether nothing has come that was not read.
    pub fn is_empty(&mut self) -> bool {
        self.mails.try_recv().is_err()
    }
}

struct Session {
    mails: mpsc::UnboundedSender<Caught>,
    reply: Arc<AtomicU16>,
    mail: Caught,
}

impl Session {
    fn new(mails: mpsc::UnboundedSender<Caught>, reply: Arc<AtomicU16>) -> Self {
        let mail = Caught {
            from: String::new(),
            to: Vec::new(),
            helo: String::new(),
            login: None,
            tls: false,
            taken: false,
            data: String::new(),
        };
        Self { mails, reply, mail }
    }

    /// Serves to the end; gives the stream back for STARTTLS.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S, greet: bool, starttls: bool) -> Option<S> {
        let mut stream = BufReader::new(stream);
        if greet {
            stream.write_all(b"220 catcher ready\r\n").await.ok()?;
        }
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let command = line.trim_end();
            let upper = command.to_ascii_uppercase();
            let reply = if let Some(name) = upper.strip_prefix("EHLO ") {
                self.mail.helo = name.to_ascii_lowercase();
                let offer = if starttls { "STARTTLS" } else { "AUTH PLAIN" };
                format!("250-catcher\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 {offer}\r\n")
            } else if upper == "STARTTLS" && starttls {
                stream.write_all(b"220 go on\r\n").await.ok()?;
                return Some(stream.into_inner());
            } else if upper.starts_with("AUTH PLAIN ") {
                let decoded = String::from_utf8(BASE64_STANDARD.decode(&command[11..]).unwrap()).unwrap();
                let parts: Vec<&str> = decoded.split('\0').collect();
                self.mail.login = Some((parts[1].to_owned(), parts[2].to_owned()));
                "235 welcome\r\n".to_owned()
            } else if upper.starts_with("MAIL FROM:") {
                (self.mail.from, self.mail.to) = (in_brackets(command), Vec::new());
                "250 ok\r\n".to_owned()
            } else if upper.starts_with("RCPT TO:") {
                self.mail.to.push(in_brackets(command));
                "250 ok\r\n".to_owned()
            } else if upper == "DATA" {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                self.mail.data = read_data(&mut stream).await?;
                let code = self.reply.load(Ordering::SeqCst);
                self.mail.taken = code == 250;
                // Repeats what it was given, as servers that dislike a mail do.
                let private = if self.mail.taken { "" } else { self.mail.data.lines().last().unwrap_or_default() };
                let reply = format!("{code} so be it {private}\r\n");
                stream.write_all(reply.as_bytes()).await.ok()?;
                self.mails.send(self.mail.clone()).ok()?;
                continue;
            } else if upper == "QUIT" {
                stream.write_all(b"221 bye\r\n").await.ok()?;
                return None;
            } else {
                "250 ok\r\n".to_owned()
            };
            stream.write_all(reply.as_bytes()).await.ok()?;
        }
    }
}

fn in_brackets(command: &str) -> String {
    let inner = command.split_once('<').unwrap().1;
    inner.split_once('>').unwrap().0.to_owned()
}

async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        assert!(line.ends_with("\r\n") && line.len() <= 1_000, "{line:?}");
        match line.as_str() {
            ".\r\n" => return Some(data),
            line => data.push_str(line.strip_prefix('.').unwrap_or(line)),
        }
    }
}
