//! Wiring: from a configuration to a running server, and from a running server to a clean end.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    os::unix::net::UnixListener,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime, sync::watch};

use crate::{
    auth::{AttemptLimits, Authenticator, Hasher, HasherOptions, TokenOptions},
    config::{Config, DatabaseUrl, OperatorSocket, SignUp},
    http,
    limits::Limits,
    mail::{self, Mailer, Sender},
    metrics::{
        self,
        names::{CERTIFICATE_EXPIRES, CONNECTIONS, CONNECTIONS_ACCEPTED},
    },
    model::{Clock, Staleness, SystemClock},
    net::{
        self, DrainReport, DrainSwitch, Listeners, Net, NetOptions, Peer,
        operator_socket::{self, SocketError, SocketFile},
    },
    ops::{FeedOptions, HealthState, LogRetention, Ops, SessionOptions},
    overload::Overload,
    presence::PresenceOptions,
    redis::{self, Redis},
    rpc::{Admission, CallStats, GrpcWeb, Pipeline, Services, Tokenless},
    store::{
        Store,
        postgres::{self, PostgresOptions, PostgresStore, PostgresUrl},
        sqlite::{Location, OpenError, SqliteOptions, SqliteStore},
    },
    tls::{self, Certificates, LoadError},
    trace::{TraceOptions, TraceStats, Tracing},
};

/// Why a server could not start. The text says what and how to mend it, in one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error("{addr} is in use; stop what listens there or choose another {key}")]
    PortInUse {
        /// The address.
        addr: SocketAddr,
        /// The setting that names it.
        key: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {error}; choose another {key}")]
    CannotListen {
        /// The address.
        addr: SocketAddr,
        /// The setting that names it.
        key: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A certificate or key is of no use.
    #[error(transparent)]
    Tls(#[from] LoadError),
    /// The operator's socket cannot be listened on.
    #[error("cannot listen on {}: {error}; choose another operator_socket, or off", path.display())]
    OperatorSocket {
        /// The socket.
        path: PathBuf,
        /// What is in the way.
        error: SocketError,
    },
    /// The database file or one beside it cannot be made or written.
    #[error("cannot write {}: {error}; make its folder and let this user write there, or choose another database_url", path.display())]
    CannotCreate {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process serves the database.
    #[error("{} is in use by process {pid}; stop that process first, or use another database_url", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
        /// The holder.
        pid: String,
    },
    /// The database is damaged.
    #[error("{} is damaged ({detail}); keep the file and put your last backup in its place: roster restore BACKUP --force", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The database is a copy of another that is not finished.
    #[error("{} is an unfinished copy of another database; let the same roster copy run to its end, or remove the file", path.display())]
    HalfCopied {
        /// The database file.
        path: PathBuf,
    },
    /// The database was migrated by a newer Roster.
    #[error("{} has schema {found}, and this Roster knows {known}; start the newer Roster that wrote it", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// The file is something else.
    #[error("{} is not a Roster database ({detail}); choose another database_url", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The PostgreSQL database cannot be served.
    #[error("{error}; {}", error.mend())]
    Postgres {
        /// Why not.
        #[from]
        error: postgres::OpenError,
    },
    /// Redis cannot be used as the settings have it.
    #[error("{error}; {}", error.mend())]
    Redis {
        /// Why not.
        #[from]
        error: redis::OpenError,
    },
    /// Mails could not be sent as the settings have it.
    #[error("cannot send mail: {detail}; mend {key}")]
    Mail {
        /// The setting that is wrong.
        key: &'static str,
        /// What is wrong with it, without secrets.
        detail: String,
    },
    /// Traces could not be sent as the settings have it.
    #[error("cannot send traces: {0}; mend otlp_endpoint or otlp_ca_file, or set otlp_endpoint to off")]
    Tracing(String),
    /// Anything else, such as no threads left.
    #[error("cannot start: {0}")]
    Failed(String),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked { path, pid } => Self::Locked { path, pid },
            OpenError::CannotCreate { path, error } => Self::CannotCreate { path, error },
            OpenError::NotADatabase { path, detail } => Self::NotADatabase { path, detail },
            OpenError::Damaged { path, detail } => Self::Damaged { path, detail },
            OpenError::HalfCopied { path } => Self::HalfCopied { path },
            OpenError::NewerSchema { path, found, known } => Self::NewerSchema { path, found, known },
            OpenError::Failed { .. } => Self::Failed(error.to_string()),
        }
    }
}

/// How often the store is looked at for `grpc.health.v1.Health`.
const HEALTH_EVERY: Duration = Duration::from_secs(2);

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Finish what is in flight, within the grace period.
    Drain,
    /// Cut everything.
    Now,
}

/// Ends a server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Stop>);

impl Stopper {
    /// Begins the drain; a second call cuts it short. What was acknowledged is safe either way.
    pub fn stop(&self) {
        self.0.send_modify(|stop| *stop = if *stop == Stop::No { Stop::Drain } else { Stop::Now });
    }
}

/// A server that is up. Dropping it and its stoppers drains it.
#[derive(Debug)]
pub struct Running {
    grpc_addr: SocketAddr,
    http_addr: Option<SocketAddr>,
    stopper: Stopper,
    supervisor: JoinHandle<DrainReport>,
}

impl Running {
    /// Where gRPC is served.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where HTTP is served, if it is.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// What ends the server; see [`Stopper::stop`].
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Begins the drain.
    pub fn shutdown(&self) {
        self.stopper.stop();
    }

    /// Blocks until the server has stopped.
    ///
    /// # Errors
    /// The thread that watches over the server has panicked: a mistake of ours.
    pub fn wait(self) -> io::Result<DrainReport> {
        self.supervisor.join().map_err(|_| io::Error::other("the supervisor thread panicked"))
    }
}

/// Starts a server: when this returns, it answers. Blocks, so it must not be called from a future.
///
/// # Errors
/// What is in the way, and how to mend it.
pub fn start(config: Config) -> Result<Running, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Failed(error.to_string());
    metrics::process::note_start();
    tls::install_provider();
    let certificates = config.tls_files().map(Certificates::open).transpose()?;
    // Listening comes before the store: it is the cheapest thing that can fail, and changes nothing.
    let grpc = listen(config.grpc_addr, "grpc_addr (or --port)")?;
    let http = config.http_addr.map(|addr| listen(addr, "http_addr")).transpose()?;
    let at_http = http.as_ref().and_then(|listener| listener.local_addr().ok());
    let mail_server = mail::server(&config).map_err(|(key, detail)| StartError::Mail { key, detail })?;
    let mailer = Arc::new(Mailer::of(&config, at_http));
    let traces = trace_options(&config)?;
    let redis = config.redis().map(Redis::start).transpose()?;
    let store = open_store(&config)?;
    // The lock of the database is ours now, so a socket that is left there is nobody's.
    let (operator, operator_socket) = listen_for_operator(&config)?.unzip();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let hasher = Hasher::new(hasher_options(&config)).map_err(|error| failed(&error))?;

    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let known_max = config.verified_tokens_max;
    let authenticator = Authenticator::new(Arc::clone(&store), Arc::clone(&clock), token_options(&config), known_max);
    let authenticator = Arc::new(runtime.block_on(authenticator).map_err(|error| failed(&error))?);
    let shared = (Arc::clone(&store), Arc::clone(&clock), Arc::clone(&mailer));
    let tracing = traces.map(|options| Tracing::start(&options, runtime.handle())).transpose();
    let tracing = tracing.map_err(StartError::Tracing)?;
    let tracer = tracing.as_ref().map(|tracing| tracing.tracer.clone());
    let sender = Sender::new(shared, mail_server, config.mail_retry).with_tracer(tracer.clone());
    let limits_key = runtime.block_on(store.secret("limits")).map_err(|error| failed(&error))?;
    let ops = runtime.block_on(Ops::new(store, hasher, clock, authenticator, mailer, session_options(&config)));
    let drain = DrainSwitch::new();
    let ops = ops.map_err(|error| failed(&error))?.with_sign_up(config.sign_up == SignUp::Open);
    let ops = ops.with_feed(feed_options(&config)).with_retention(log_retention(&config));
    let ops = ops.with_staleness_default(Staleness::of(config.max_staleness_default));
    let ops = match redis.clone() {
        Some(redis) => runtime.block_on(ops.with_redis(redis)).map_err(|error| failed(&error))?,
        None => ops,
    };
    let ops = Arc::new(ops.with_drain(drain.signal()).with_presence(presence_options(&config)));
    let services = Services::new(Arc::clone(&ops), config.max_message_bytes).map_err(|error| failed(&error))?;
    services.set_serving(true);

    let web = GrpcWeb::new(config.grpc_web_allowed_origins.clone());
    let tokenless = Tokenless::new(config.dev, &config.service_permissions);
    let limits = match redis {
        Some(redis) => Limits::shared(&config.rates, redis, &limits_key),
        None => Limits::new(&config.rates),
    };
    let limits = Arc::new(limits);
    let overload = Arc::new(Overload::new(config.queue_wait_max));
    let admission = Admission::new(Arc::clone(&overload));
    let pipeline = Pipeline::new(services, tokenless, (Arc::clone(&limits), admission), web, drain.signal());
    let pipeline = Arc::new(pipeline.with_tracer(tracer));
    let handler = || {
        let pipeline = Arc::new(pipeline.for_worker());
        move |peer: Arc<Peer>, request| pipeline.handle(&peer, request)
    };
    let tls = certificates.as_ref().map(|certificates| certificates.grpc.clone());
    let grpc = Listeners { network: grpc, tls, operator };
    let grpc =
        net::serve(grpc, net_options(&config, config.workers), drain, handler).map_err(|error| failed(&error))?;
    let tls = certificates.as_ref().map(|certificates| certificates.http.clone());
    let http = http.map(|network| Listeners { network, tls, operator: None });
    let connections = Arc::new(OnceLock::new());
    let spans = tracing.as_ref().map(|tracing| tracing.stats.clone()).unwrap_or_default();
    let expires = certificates.as_ref().map(|certificates| Arc::clone(&certificates.expires));
    let numbers = Numbers { calls: pipeline.stats(), overload, spans, expires, connections: Arc::clone(&connections) };
    let report = report(Arc::clone(&ops), numbers);
    let port = http::Port { ops: Arc::clone(&ops), limits: Arc::clone(&limits), report };
    let http = http.map(|listeners| http::serve(listeners, net_options(&config, 1), port));
    let http = http.transpose().map_err(|error| failed(&error))?;

    // Nobody but us sets it.
    let _ = connections.set((grpc.stats(), http.as_ref().map(Net::stats)));
    let (grpc_addr, http_addr) = (grpc.local_addr(), http.as_ref().map(Net::local_addr));
    let (stop, stopping) = watch::channel(Stop::No);
    let end = End { pipeline, limits, grpc, http, certificates, operator_socket, tracing, config };
    let run = move || runtime.block_on(end.supervise(sender, stopping));
    let supervisor = thread::Builder::new().name("supervisor".into()).spawn(run).map_err(|error| failed(&error))?;
    Ok(Running { grpc_addr, http_addr, stopper: Stopper(stop), supervisor })
}

/// Connections of the gRPC port and, if there is one, the HTTP port.
type Connections = OnceLock<(net::Stats, Option<net::Stats>)>;

/// What `/metrics` has beside the numbers of the use cases.
struct Numbers {
    calls: Arc<CallStats>,
    overload: Arc<Overload>,
    spans: TraceStats,
    /// When the certificate ends, if there is one.
    expires: Option<Arc<AtomicI64>>,
    connections: Arc<Connections>,
}

/// What `/metrics` has.
fn report(ops: Arc<Ops>, numbers: Numbers) -> http::Report {
    let Numbers { calls, overload, spans, expires, connections } = numbers;
    Arc::new(move |page| {
        metrics::process::report(page);
        if let Some(expires) = &expires {
            page.value(&CERTIFICATE_EXPIRES, &[], expires.load(Relaxed).max(0).unsigned_abs());
        }
        calls.report(page);
        spans.report(page);
        overload.report(page);
        if let Some((grpc, http)) = connections.get() {
            let ports = || [("grpc", Some(grpc)), ("http", http.as_ref())].into_iter();
            for (port, stats) in ports().filter_map(|(port, stats)| Some((port, stats?))) {
                page.value(&CONNECTIONS, &[port], stats.connections());
            }
            for (port, stats) in ports().filter_map(|(port, stats)| Some((port, stats?))) {
                page.value(&CONNECTIONS_ACCEPTED, &[port], stats.accepted());
            }
        }
        ops.report(page);
    })
}

/// What has to be brought to an end, in order.
struct End {
    pipeline: Arc<Pipeline>,
    limits: Arc<Limits>,
    grpc: Net,
    http: Option<Net>,
    certificates: Option<Certificates>,
    operator_socket: Option<SocketFile>,
    tracing: Option<Tracing>,
    config: Config,
}

impl End {
    async fn supervise(mut self, sender: Sender, mut stopping: watch::Receiver<Stop>) -> DrainReport {
        let ops = Arc::clone(self.pipeline.services().ops());
        let presence = tokio::spawn({
            let ops = Arc::clone(&ops);
            async move { ops.keep_presence().await }
        });
        let limits = Arc::clone(&self.limits);
        let in_step = tokio::spawn(async move { tokio::join!(ops.keep_in_step(), limits.keep_in_step()) });
        let (stop_mail, mail_stopping) = watch::channel(false);
        let mut mail = tokio::spawn(sender.run(mail_stopping));
        let certificates = self.certificates.take();
        let reload = async {
            match certificates {
                Some(certificates) => certificates.watch().await,
                None => std::future::pending().await,
            }
        };
        let stopping_too = stopping.clone();
        let stopped = async {
            tokio::select! {
                // An error says that `Running` was dropped: drain as well.
                _ = stopping.wait_for(|stop| *stop != Stop::No) => {}
                () = self.watch_health() => {}
                () = reload => {}
            }
        };
        tokio::join!(self.keep_house(stopping_too), stopped);
        tracing::info!(grace = ?self.config.drain_grace, "draining: health is NOT_SERVING, calls in flight go on");
        self.pipeline.services().set_serving(false);
        // Before the database is given up: a socket there is then a successor's.
        drop(self.operator_socket);
        let report = self.grpc.drain(self.config.drain_grace, cut_short(stopping.clone())).await;
        if let Some(http) = self.http {
            http.drain(Duration::ZERO, std::future::pending()).await;
        }
        // After the last call, whose mail it may be. What is not sent by then waits for the next start.
        stop_mail.send_replace(true);
        tokio::select! {
            _ = &mut mail => {}
            () = cut_short(stopping.clone()) => mail.abort(),
        }
        presence.abort();
        in_step.abort();
        self.pipeline.services().ops().close().await;
        if let Some(tracing) = self.tracing {
            tokio::select! {
                () = tracing.flush() => {}
                () = cut_short(stopping) => {}
            }
        }
        tracing::info!(
            took = ?report.took,
            closed = report.connections_closed_gracefully,
            cut = report.connections_cut,
            "stopped"
        );
        report
    }
}

/// Waits until everything is to be cut.
async fn cut_short(mut stopping: watch::Receiver<Stop>) {
    if stopping.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl End {
    /// Does what is to be done now and then. A round that has begun is finished: it may hold what nobody else knows.
    async fn keep_house(&self, mut stopping: watch::Receiver<Stop>) {
        let stopped = stopping.wait_for(|stop| *stop != Stop::No);
        let mut stopped = std::pin::pin!(stopped);
        loop {
            tokio::select! {
                _ = stopped.as_mut() => return,
                () = tokio::time::sleep(self.config.housekeeping_every) => {}
            }
            self.pipeline.services().ops().keep_house().await;
        }
    }

    /// Keeps `grpc.health.v1.Health` true to the store, for ever.
    async fn watch_health(&self) {
        let services = self.pipeline.services();
        loop {
            tokio::time::sleep(HEALTH_EVERY).await;
            services.set_serving(services.ops().health_check().await.state != HealthState::Unhealthy);
        }
    }
}

fn listen(addr: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { addr, key },
        _ => StartError::CannotListen { addr, key, error },
    })
}

/// The operator's socket. One that nobody asked for by name is done without if it cannot be.
fn listen_for_operator(config: &Config) -> Result<Option<(UnixListener, SocketFile)>, StartError> {
    let Some(path) = config.operator_socket_path() else { return Ok(None) };
    match operator_socket::open(&path) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if config.operator_socket == OperatorSocket::BesideDatabase => {
            tracing::warn!(path = %path.display(), %error, "no socket for this machine's operator; see operator_socket");
            Ok(None)
        }
        Err(error) => Err(StartError::OperatorSocket { path, error }),
    }
}

fn open_store(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    Ok(match &config.database_url {
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteStore::open(sqlite_options(config, Location::File(path.clone())))?),
        DatabaseUrl::Memory => Arc::new(SqliteStore::open(sqlite_options(config, Location::Memory))?),
        DatabaseUrl::Postgres(url) => Arc::new(PostgresStore::open(postgres_options(config, url))?),
    })
}

fn postgres_options(config: &Config, url: &PostgresUrl) -> PostgresOptions {
    PostgresOptions {
        url: url.clone(),
        connections_max: config.database_connections,
        waiting_max: config.write_queue_max,
        cache_bytes: config.cache_bytes as u64,
        replicas: config.database_replica_url.clone(),
    }
}

fn sqlite_options(config: &Config, location: Location) -> SqliteOptions {
    SqliteOptions {
        location,
        cache_bytes: config.cache_bytes as u64,
        write_queue_max: config.write_queue_max,
        reader_threads: config.workers,
    }
}

fn hasher_options(config: &Config) -> HasherOptions {
    let at_least_one = |number| NonZero::new(number).unwrap_or(NonZero::<usize>::MIN);
    HasherOptions {
        threads: at_least_one(config.hash_threads),
        queue: at_least_one(config.hash_queue_max),
        wait_max: config.queue_wait_max,
        ..HasherOptions::default()
    }
}

fn token_options(config: &Config) -> TokenOptions {
    TokenOptions {
        issuer: config.token_issuer.clone(),
        audience: config.token_audience.clone(),
        lifetime: config.access_token_lifetime,
    }
}

fn session_options(config: &Config) -> SessionOptions {
    let at_least_one = |number| u32::try_from(number).ok().and_then(NonZero::new).unwrap_or(NonZero::<u32>::MIN);
    let attempts = AttemptLimits {
        per_account: at_least_one(config.sign_in_free_failures),
        per_address: at_least_one(config.sign_in_free_failures_per_address),
    };
    SessionOptions { idle: config.session_idle, attempts }
}

/// Where traces go, if they go anywhere.
fn trace_options(config: &Config) -> Result<Option<TraceOptions>, StartError> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    let authority = |path: &PathBuf| -> Result<Vec<u8>, StartError> {
        // Says what is wrong with it; the library would take a file without certificates.
        tls::validities(path, "otlp_ca_file")?;
        fs::read(path).map_err(|error| StartError::Tracing(format!("{}: {error}", path.display())))
    };
    Ok(Some(TraceOptions {
        endpoint: endpoint.as_str().to_owned(),
        authority: config.otlp_ca_file.as_ref().map(authority).transpose()?,
        ratio: config.trace_ratio.ratio(),
        follow_caller: config.trace_follow_caller,
    }))
}

fn presence_options(config: &Config) -> PresenceOptions {
    PresenceOptions {
        timeout: config.presence_timeout,
        forget_after: config.presence_forget_after,
        clients_max: config.presence_clients_max,
        ..PresenceOptions::default()
    }
}

fn feed_options(config: &Config) -> FeedOptions {
    FeedOptions { watchers_max: config.watchers_max, ..FeedOptions::default() }
}

fn log_retention(config: &Config) -> LogRetention {
    LogRetention { max_age: config.change_log_max_age, max_rows: config.change_log_max_rows as u64 }
}

fn net_options(config: &Config, workers: usize) -> NetOptions {
    NetOptions {
        workers,
        max_connections: config.max_connections,
        preface_timeout: config.preface_timeout,
        max_concurrent_streams: u32::try_from(config.max_streams_per_connection).unwrap_or(u32::MAX),
        keep_alive_interval: config.keepalive_interval,
        keep_alive_timeout: config.keepalive_timeout,
        ..NetOptions::default()
    }
}
