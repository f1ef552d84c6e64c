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
    ("ROSTER_CA_CERT", "the CAs that a server's certificate may come from, as `--ca-cert`"),
    ("ROSTER_CLIENT_CERT", "the certificate that a client shows, as `--client-cert`"),
    ("ROSTER_CLIENT_KEY", "its private key, as `--client-key`"),
    ("ROSTER_SERVER_NAME", "the name in the server's certificate, as `--server-name`"),
    ("ROSTER_TOKEN", "the access token or API key that a client shows; there is no flag, because others see flags"),
];

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
        doc: "Where plain HTTP (health, the public keys of access tokens, and the pages of mailed links) listens, or off.",
    },
    Setting {
        key: "tls_certificate",
        also_env: &[],
        flag: Some("tls-certificate"),
        kind: Kind::FileOrOff(|c| &mut c.tls_certificate),
        default: None,
        doc: "The server's certificate, with those between it and its CA. With it, both ports speak TLS 1.2 and 1.3 and \
              nothing else. When the file changes it is read again within seconds; so are tls_key and tls_client_ca.",
    },
    Setting {
        key: "tls_key",
        also_env: &[],
        flag: Some("tls-key"),
        kind: Kind::FileOrOff(|c| &mut c.tls_key),
        default: None,
        doc: "The private key of tls_certificate.",
    },
    Setting {
        key: "tls_client_ca",
        also_env: &[],
        flag: Some("tls-client-ca"),
        kind: Kind::FileOrOff(|c| &mut c.tls_client_ca),
        default: None,
        doc: "The CAs whose certificates clients may show on the gRPC port.",
    },
    Setting {
        key: "client_certificates",
        also_env: &[],
        flag: Some("client-certificates"),
        kind: Kind::ClientCertificates(|c| &mut c.client_certificates),
        default: None,
        doc: "Whether clients show a certificate on the gRPC port. A good one makes its caller a service, known by the \
              first URI in the certificate's subject alternative names, else the first DNS name in them, else the \
              common name of its subject; service_permissions says what it may do. A token in a call comes before the \
              certificate. With required, who shows none is refused in the handshake.",
    },
    Setting {
        key: "service_permissions",
        also_env: &[],
        flag: None,
        kind: Kind::Services(|c| &mut c.service_permissions),
        default: None,
        doc: "What services may do, by the name in their client certificate. One that is not named may call what \
              everybody may who is signed in, and nothing else.",
    },
    Setting {
        key: "insecure_plaintext",
        also_env: &[],
        flag: Some("insecure-plaintext"),
        kind: Kind::Switch(|c| &mut c.insecure_plaintext),
        default: None,
        doc: "Allow plain text beyond loopback. Without it and without tls_certificate, the server refuses to listen on \
              any other address, with gRPC as with HTTP, whose pages take passwords too. For a server behind a proxy or \
              in a mesh that speaks TLS for it.",
    },
    Setting {
        key: "operator_socket",
        also_env: &[],
        flag: Some("operator-socket"),
        kind: Kind::Socket(|c| &mut c.operator_socket),
        default: None,
        doc: "A Unix socket on which the user that runs the server, and root, may do everything. With auto it is beside \
              the database file, with .sock after its name; there is none for a database in memory or PostgreSQL.",
    },
    Setting {
        key: "database_url",
        also_env: &["DB_CONNECTION_STRING", "DATABASE_URL"],
        flag: Some("database-url"),
        kind: Kind::Database(|c| &mut c.database_url),
        default: None,
        doc: "Where users are kept. A relative path starts in the working directory; in memory, all is gone when the \
              server stops. Any number of servers may share a PostgreSQL database (release 14 or newer); of several \
              hosts the one that takes writes is used. docs/postgresql.md says more.",
    },
    Setting {
        key: "database_replica_url",
        also_env: &[],
        flag: None,
        kind: Kind::Replicas(|c| &mut c.database_replica_url),
        default: None,
        doc: "Standbys of the PostgreSQL database that lists and searches may be read from, each host of the URL one. They \
              are used for calls with x-max-staleness-ms (or max_staleness_default_ms) alone, and only while they have what \
              the call allows; otherwise the database itself is. docs/postgresql.md says more.",
    },
    Setting {
        key: "max_staleness_default_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(0..=HOUR_MS, |c| &mut c.max_staleness_default),
        default: None,
        doc: "How old what a call reads may be that has no x-max-staleness-ms. With 0 a read shows all that was done before \
              it began, on whichever server. Above that it may miss what its own caller has done just before. On SQLite \
              reads are never old.",
    },
    Setting {
        key: "database_connections",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1000, |c| &mut c.database_connections),
        default: None,
        doc: "Connections to PostgreSQL for writes, lists and searches, and as many to each replica. Five more read single rows and follow the \
              change log. All servers together must stay below the database's max_connections.",
    },
    Setting {
        key: "redis_url",
        also_env: &["REDIS_URL"],
        flag: Some("redis-url"),
        kind: Kind::Redis(|c| &mut c.redis_url),
        default: None,
        doc: "What servers that share a database share beside it: rate limits, lockouts after wrong passwords, and \
              messages that wake them sooner. Without it, limits and lockouts are each server's own. Servers go on when \
              it goes away. docs/redis.md says more.",
    },
    Setting {
        key: "redis_cluster",
        also_env: &[],
        flag: None,
        kind: Kind::Switch(|c| &mut c.redis_cluster),
        default: None,
        doc: "Whether redis_url names nodes of a cluster. It does if it names several.",
    },
    Setting {
        key: "redis_prefix",
        also_env: &[],
        flag: None,
        kind: Kind::Prefix(|c| &mut c.redis_prefix),
        default: None,
        doc: "What all keys and channels in Redis begin with. Servers that share a database have the same; others that use \
              the same Redis have another.",
    },
    Setting {
        key: "redis_ca_file",
        also_env: &[],
        flag: None,
        kind: Kind::FileOrOff(|c| &mut c.redis_ca_file),
        default: None,
        doc: "Certificates, in PEM, of authorities that vouch for a rediss:// server, instead of the system's.",
    },
    Setting {
        key: "redis_wait_max_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(1..=1000, |c| &mut c.redis_wait_max),
        default: None,
        doc: "How long a call waits for Redis at most. After an answer that did not come by then no call waits until \
              Redis has answered in time again.",
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
        key: "otlp_endpoint",
        also_env: &["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
        flag: Some("otlp-endpoint"),
        kind: Kind::Collector(|c| &mut c.otlp_endpoint),
        default: None,
        doc: "The OpenTelemetry collector that traces go to, by OTLP over gRPC. Metadata that it wants, such as a token, is \
              in OTEL_EXPORTER_OTLP_HEADERS.",
    },
    Setting {
        key: "otlp_ca_file",
        also_env: &["OTEL_EXPORTER_OTLP_CERTIFICATE"],
        flag: None,
        kind: Kind::FileOrOff(|c| &mut c.otlp_ca_file),
        default: None,
        doc: "Certificates, in PEM, of authorities that vouch for the collector, instead of the system's.",
    },
    Setting {
        key: "trace_ratio",
        also_env: &[],
        flag: None,
        kind: Kind::Share(|c| &mut c.trace_ratio),
        default: None,
        doc: "The share of calls that are traced, of those whose caller has not decided it. What the collector takes in is \
              bounded too: spans beyond that are dropped, and counted.",
    },
    Setting {
        key: "trace_follow_caller",
        also_env: &[],
        flag: None,
        kind: Kind::Switch(|c| &mut c.trace_follow_caller),
        default: None,
        doc: "Whether a caller that traces its own call (traceparent), or says that it does not, decides that for ours. Turn \
              it on where only services of yours call. Otherwise trace_ratio counts for all calls, and chance decides: \
              neither what a caller says nor the trace id that it chooses makes any difference.",
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
        key: "queue_wait_max_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(1..=HOUR_MS, |c| &mut c.queue_wait_max),
        default: None,
        doc: "How long a call may have to wait for the database or for a password to be hashed. One that would wait \
              longer, or past its deadline, is refused at once with RESOURCE_EXHAUSTED and the time after which to try again. \
              Where so much has come for so long that the queue never became short, six turns or a tenth of a second are the most, whichever is longer.",
    },
    Setting {
        key: "cache_bytes",
        also_env: &[],
        flag: None,
        kind: Kind::Bytes(0..=1 << 40, |c| &mut c.cache_bytes),
        default: None,
        doc: "Memory for users that were read lately; 0 keeps none. On PostgreSQL only calls with x-max-staleness-ms are \
              answered from it.",
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
        key: "token_issuer",
        also_env: &[],
        flag: None,
        kind: Kind::Word(|c| &mut c.token_issuer),
        default: None,
        doc: "Who issues access tokens, as they say in iss. A change ends the tokens that there are.",
    },
    Setting {
        key: "token_audience",
        also_env: &[],
        flag: None,
        kind: Kind::Word(|c| &mut c.token_audience),
        default: None,
        doc: "For whom access tokens are, as they say in aud. A change ends the tokens that there are.",
    },
    Setting {
        key: "access_token_lifetime_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(1000..=24 * HOUR_MS, |c| &mut c.access_token_lifetime),
        default: None,
        doc: "How long an access token is good, in whole seconds. Roster ends access at once in any case; services that \
              verify tokens by themselves may take one until its end.",
    },
    Setting {
        key: "verified_tokens_max",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=10_000_000, |c| &mut c.verified_tokens_max),
        default: None,
        doc: "Access tokens and API keys that each worker remembers as verified. A call with another one costs a \
              signature check and a read. Each takes about 1 KiB.",
    },
    Setting {
        key: "session_idle_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(1000..=400 * 24 * HOUR_MS, |c| &mut c.session_idle),
        default: None,
        doc: "How long a session lasts whose refresh token is not used.",
    },
    Setting {
        key: "sign_in_free_failures",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1_000_000, |c| &mut c.sign_in_free_failures),
        default: None,
        doc: "Wrong passwords of one account without delay; sign-ins under way count. The next has to wait for a second, \
              the one after it for two, and so on up to 15 minutes. The right password ends it, and one failure is \
              forgotten every hour.",
    },
    Setting {
        key: "sign_in_free_failures_per_address",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1_000_000, |c| &mut c.sign_in_free_failures_per_address),
        default: None,
        doc: "The same from one IPv4 address, or one /64 network of IPv6, whichever accounts they were of. One failure is \
              forgotten every minute. Behind a proxy, all clients have its address.",
    },
    Setting {
        key: "presence_timeout_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(200..=HOUR_MS, |c| &mut c.presence_timeout),
        default: None,
        doc: "Silence after which a client counts as disconnected, in steps of 100 ms. Clients are told to send a heartbeat \
              every third of it.",
    },
    Setting {
        key: "presence_forget_after_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(0..=24 * HOUR_MS, |c| &mut c.presence_forget_after),
        default: None,
        doc: "How long a client that is disconnected is known as such. After that, nobody knows of it. Where nearly as many \
              clients are known as may be, those that are disconnected are forgotten sooner.",
    },
    Setting {
        key: "presence_clients_max",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=100_000_000, |c| &mut c.presence_clients_max),
        default: None,
        doc: "Clients that may be known, connected or not; with Redis, those of all servers. Further ones are refused with \
              CLIENT_LIMIT_REACHED. A client takes about 128 bytes.",
    },
    Setting {
        key: "watchers_max",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1_000_000, |c| &mut c.watchers_max),
        default: None,
        doc: "Clients that may follow the changes of users (WatchUsers) at once. Further ones are refused with \
              RESOURCE_EXHAUSTED.",
    },
    Setting {
        key: "change_log_max_age_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(HOUR_MS..=36_500 * 24 * HOUR_MS, |c| &mut c.change_log_max_age),
        default: None,
        doc: "How long the change log keeps what was done. It is the audit log too. A client of WatchUsers that was away \
              for longer starts again with a snapshot.",
    },
    Setting {
        key: "change_log_max_rows",
        also_env: &[],
        flag: None,
        kind: Kind::Count(1..=1_000_000_000_000, |c| &mut c.change_log_max_rows),
        default: None,
        doc: "How many rows the change log keeps, if they are not too old. Each takes about 1 KiB on the disk.",
    },
    Setting {
        key: "housekeeping_every_ms",
        also_env: &[],
        flag: None,
        kind: Kind::Millis(100..=240_000, |c| &mut c.housekeeping_every),
        default: None,
        doc: "How often the server removes what has ended (sessions, kept answers, old rows of the change log), notes when \
              sessions and API keys were last used, and looks for signing keys that another node has rotated.",
    },
    Setting {
        key: "sign_up",
        also_env: &[],
        flag: None,
        kind: Kind::SignUp(|c| &mut c.sign_up),
        default: None,
        doc: "Who may create an account: with open anybody, as a plain user; with closed nobody but who has the \
              permission users.create.",
    },
    per_minute(
        "rate_sign_in_per_minute",
        |c| &mut c.rates.sign_in.per_minute,
        "Calls a minute that take a password or a token from a mail (SignIn, ChangePassword, ResetPassword, \
         VerifyEmail, and the pages behind mailed links), in the long run and of one caller, or of one address where \
         nobody is signed in; 0 for any number. An IPv6 address counts by its /64. Further calls are refused with \
         RATE_LIMITED. Behind a proxy, or a gateway that signs people in for them, all of them have its address: set this \
         and the next ones to what all of them do together.",
    ),
    burst("rate_sign_in_burst", |c| &mut c.rates.sign_in.burst),
    per_minute(
        "rate_sign_up_per_minute",
        |c| &mut c.rates.sign_up.per_minute,
        "The same for CreateUser by callers without the permission `users.create`; those with it count as writing.",
    ),
    burst("rate_sign_up_burst", |c| &mut c.rates.sign_up.burst),
    per_minute(
        "rate_mail_per_minute",
        |c| &mut c.rates.mail.per_minute,
        "The same for calls that send a mail (SendVerificationEmail, RequestPasswordReset).",
    ),
    burst("rate_mail_burst", |c| &mut c.rates.mail.burst),
    per_minute(
        "rate_read_per_minute",
        |c| &mut c.rates.read.per_minute,
        "The same for all other calls that change nothing. A service with one API key, or a gateway with one address, \
         makes the calls of many people, so this and the next are high.",
    ),
    burst("rate_read_burst", |c| &mut c.rates.read.burst),
    per_minute(
        "rate_write_per_minute",
        |c| &mut c.rates.write.per_minute,
        "The same for all other calls that change something.",
    ),
    burst("rate_write_burst", |c| &mut c.rates.write.burst),
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
        kind: Kind::FileOrOff(|c| &mut c.smtp_ca_file),
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

/// What a rate may be.
const RATE_MAX: u64 = 1_000_000_000;

const fn per_minute(key: &'static str, field: fn(&mut Config) -> &mut usize, doc: &'static str) -> Setting {
    Setting { key, also_env: &[], flag: None, kind: Kind::Count(0..=RATE_MAX, field), default: None, doc }
}

const fn burst(key: &'static str, field: fn(&mut Config) -> &mut usize) -> Setting {
    let doc = "How many of these may come at once, after a time without any.";
    Setting { key, also_env: &[], flag: None, kind: Kind::Count(1..=RATE_MAX, field), default: None, doc }
}
