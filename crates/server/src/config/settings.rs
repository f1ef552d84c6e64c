//! The table of settings.

use super::{Config, kind::Kind};

/// What the environment name of every setting starts with.
pub const ENV_PREFIX: &str = "ROSTER_";

/// One thing that can be set.
#[derive(Debug)]
pub struct Setting {
    /// Its name in `roster.toml`. `ROSTER_` and the name in upper case is its environment variable.
    pub key: &'static str,
    /// Further environment variables, the weakest first.
    pub also_env: &'static [&'static str],
    /// Its flag of `roster serve`, without the dashes.
    pub flag: Option<&'static str>,
    pub(super) kind: Kind,
    /// Said of the default where it depends on the machine.
    pub(super) default: Option<&'static str>,
    /// What it is for: the first sentence is the flag's help.
    pub doc: &'static str,
}

impl Setting {
    /// The setting of this name.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// `ROSTER_<KEY>`.
    #[must_use]
    pub fn env_name(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.to_ascii_uppercase())
    }

    /// Whether it is on or off, so that its flag needs no value.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch(_))
    }

    /// What would be valid, to end the sentence "it takes …".
    #[must_use]
    pub fn takes(&self) -> String {
        self.kind.takes()
    }

    /// Its value in `config`, as text. Holds no secret.
    #[must_use]
    pub fn show(&self, config: &Config) -> String {
        self.kind.show(config)
    }

    /// The default, with or without `--dev`.
    #[must_use]
    pub fn default_text(&self, dev: bool) -> String {
        self.default.map_or_else(|| self.show(&Config::defaults(dev)), str::to_owned)
    }
}

/// Variables that start with `ROSTER_` but are no settings of the server, and what they are.
pub const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("ROSTER_CONFIG", "the configuration file, as `--config`"),
    ("ROSTER_SERVER", "the server that `roster user …` and `roster doctor` call, as `--server`"),
];

/// Variables that users of earlier systems have set, and why nothing is done with them.
pub(super) const NOT_USED_YET: &[(&str, &str)] =
    &[("REDIS_URL", "this version runs as a single node and keeps no state in Redis")];

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// Every setting. Within one layer they apply in this order.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "dev",
        also_env: &[],
        flag: Some("dev"),
        kind: Kind::Switch(|c| &mut c.dev),
        default: None,
        doc: "Treat every caller as an administrator. For trying things out: listens on loopback alone and refuses \
              any other address.",
    },
    Setting {
        key: "grpc_addr",
        also_env: &[],
        flag: Some("grpc-addr"),
        kind: Kind::Address(|c| &mut c.grpc_addr),
        default: None,
        doc: "Where gRPC and gRPC-Web listen.",
    },
    Setting {
        key: "grpc_port",
        also_env: &["GRPC_PORT"],
        flag: Some("port"),
        kind: Kind::Port(|c| &mut c.grpc_addr),
        default: None,
        doc: "The port of grpc_addr. Changes the port alone; in the same place (file, environment or flags) it wins \
              over the port of grpc_addr.",
    },
    Setting {
        key: "http_addr",
        also_env: &[],
        flag: Some("http-addr"),
        kind: Kind::AddressOrOff(|c| &mut c.http_addr),
        default: None,
        doc: "Where plain HTTP (health, and the pages of mailed links) listens, or off.",
    },
    Setting {
        key: "database_url",
        also_env: &["DB_CONNECTION_STRING", "DATABASE_URL"],
        flag: Some("database-url"),
        kind: Kind::Database(|c| &mut c.database_url),
        default: None,
        doc: "Where users are kept. A relative path starts in the working directory; in memory, all is gone when the \
              server stops.",
    },
    Setting {
        key: "workers",
        also_env: &["GRPC_MAX_WORKERS"],
        flag: Some("workers"),
        kind: Kind::Count(1..=1024, |c| &mut c.workers),
        default: Some("one for each core"),
        doc: "Threads that serve connections. More than cores gains nothing: each serves any number of calls at once.",
    },
    Setting {
        key: "log_level",
        also_env: &["LOG_LEVEL"],
        flag: Some("log-level"),
        kind: Kind::LogLevel(|c| &mut c.log_level),
        default: None,
        doc: "What is logged. Case does not matter, and Python's names (WARNING, CRITICAL) work. The line of each call \
              has the target roster::call.",
    },
    Setting {
        key: "log_format",
        also_env: &[],
        flag: Some("log-format"),
        kind: Kind::LogFormat(|c| &mut c.log_format),
        default: None,
        doc: "How log lines look. With auto, for people on a terminal and one JSON object a line otherwise.",
    },
    Setting {
        key: "drain_grace_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(0..=HOUR_MS, |c| &mut c.drain_grace),
        default: None,
        doc: "How long calls in flight may take to finish after SIGTERM. What is left then is cut off.",
    },
    Setting {
        key: "hash_threads",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1024, |c| &mut c.hash_threads),
        default: Some("one for each core"),
        doc: "Threads that hash passwords. They run at a low priority, so that reads stay fast; each takes 19 MiB \
              while it hashes.",
    },
    Setting {
        key: "hash_queue_max",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=100_000, |c| &mut c.hash_queue_max),
        default: None,
        doc: "Passwords that may wait to be hashed. Further ones are refused with RESOURCE_EXHAUSTED.",
    },
    Setting {
        key: "write_queue_max",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1_000_000, |c| &mut c.write_queue_max),
        default: None,
        doc: "Writes that may wait for the database. Further ones are refused with RESOURCE_EXHAUSTED.",
    },
    Setting {
        key: "cache_bytes",
        also_env: &[],
        flag: None,
        kind: Kind::Bytes(0..=1 << 40, |c| &mut c.cache_bytes),
        default: None,
        doc: "Memory for users that were read lately; 0 keeps none.",
    },
    Setting {
        key: "max_connections",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1_000_000, |c| &mut c.max_connections),
        default: None,
        doc: "Open connections. Further ones are closed at once. The limit of open files must be higher: see \
              `roster doctor`.",
    },
    Setting {
        key: "max_streams_per_connection",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=100_000, |c| &mut c.max_streams_per_connection),
        default: None,
        doc: "Concurrent calls on one connection. A client that wants more waits or opens another connection.",
    },
    Setting {
        key: "keepalive_interval_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(1000..=24 * HOUR_MS, |c| &mut c.keepalive_interval),
        default: None,
        doc: "Silence after which a connection is asked whether its client is still there.",
    },
    Setting {
        key: "keepalive_timeout_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(100..=HOUR_MS, |c| &mut c.keepalive_timeout),
        default: None,
        doc: "How long the answer to that may take before the connection is closed.",
    },
    Setting {
        key: "preface_timeout_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(10..=HOUR_MS, |c| &mut c.preface_timeout),
        default: None,
        doc: "How long a new connection may take to say its first bytes.",
    },
    Setting {
        key: "max_message_bytes",
        also_env: &[],
        flag: None,
        kind: Kind::Bytes(64 << 10..=1 << 30, |c| &mut c.max_message_bytes),
        default: None,
        doc: "Size of one request or response message. A larger one is refused with RESOURCE_EXHAUSTED.",
    },
    Setting {
        key: "grpc_web_allowed_origins",
        also_env: &[],
        flag: None,
        kind: Kind::Origins(|c| &mut c.grpc_web_allowed_origins),
        default: None,
        doc: "Web pages, by origin, whose scripts may call with gRPC-Web. With none, browsers let no page of another \
              origin call.",
    },
    Setting {
        key: "public_url",
        also_env: &[],
        flag: Some("public-url"),
        kind: Kind::PublicUrl(|c| &mut c.public_url),
        default: Some("none, with `--dev` `http://` and http_addr"),
        doc: "Where people reach the HTTP port of this server with a browser. Mailed links start with it, whatever a \
              request says of its host. Needed to send mail.",
    },
    Setting {
        key: "verify_email_url",
        also_env: &[],
        flag: None,
        kind: Kind::Link(|c| &mut c.verify_email_url),
        default: Some("the page `/verify-email` below public_url"),
        doc: "The mailed link that verifies an address, for platforms with a page of their own that calls VerifyEmail.",
    },
    Setting {
        key: "reset_password_url",
        also_env: &[],
        flag: None,
        kind: Kind::Link(|c| &mut c.reset_password_url),
        default: Some("the page `/reset-password` below public_url"),
        doc: "The mailed link that resets a password, for platforms with a page of their own that calls ResetPassword.",
    },
    Setting {
        key: "smtp_url",
        also_env: &[],
        flag: None,
        kind: Kind::Smtp(|c| &mut c.smtp_url),
        default: None,
        doc: "The server that sends mails. Without one they wait in the outbox until their links end. A path is the \
              name to greet it with, such as smtps://USER:PASSWORD@mail.example.com/accounts.example.com; else the \
              host of public_url is. The environment is a better place for the password than the file.",
    },
    Setting {
        key: "smtp_ca_file",
        also_env: &[],
        flag: None,
        kind: Kind::File(|c| &mut c.smtp_ca_file),
        default: None,
        doc: "Certificates, in PEM, of authorities that vouch for the mail server, besides the system's.",
    },
    Setting {
        key: "mail_from",
        also_env: &[],
        flag: None,
        kind: Kind::Sender(|c| &mut c.mail_from),
        default: None,
        doc: "Who mails are from. The name is what mails and pages call the platform.",
    },
    Setting {
        key: "mail_retry_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(10..=HOUR_MS, |c| &mut c.mail_retry),
        default: None,
        doc: "How long after a first failure a mail is tried again. Each further time takes about twice as long, up to \
              15 minutes, and never past the end of the link.",
    },
];
