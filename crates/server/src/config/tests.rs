//! Every layer, each kind of error, and the page that the table writes.

use std::{fs, path::Path};

use super::{settings::SETTINGS, *};

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Names or keys, and values.
type Pairs = &'static [(&'static str, &'static str)];

/// Where it does not matter, plain text is allowed.
fn load(file: &str, vars: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, String> {
    let plain = [("ROSTER_INSECURE_PLAINTEXT", "true")];
    load_exactly(file, &[&plain, vars].concat(), flags)
}

fn load_exactly(file: &str, vars: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, String> {
    let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned()));
    Config::load(Some(("roster.toml", file)), env(vars), flags).map_err(|error| error.to_string())
}

#[test]
fn nothing_given_is_the_defaults() {
    let plain = Config { insecure_plaintext: true, ..Config::default() };
    assert_eq!(Config::load(None, [], [("insecure_plaintext", "true".into())]), Ok(plain));
    let dev = Config::load(None, [], [("dev", "true".into())]).unwrap();
    assert_eq!(dev.grpc_addr.to_string(), "127.0.0.1:50051");
    assert_eq!(dev.http_addr.unwrap().to_string(), "127.0.0.1:8000");
}

#[test]
fn later_layers_win() {
    let file =
        "workers = 2\nwrite_queue_max = 7\nlog_level = \"debug\"\ngrpc_web_allowed_origins = [\"https://A.example\"]";
    let vars = [("ROSTER_WORKERS", "3"), ("LOG_LEVEL", "WARNING"), ("ROSTER_CACHE_BYTES", "1 MiB")];
    let config = load(file, &vars, &[("workers", "4")]).unwrap();
    assert_eq!((config.workers, config.write_queue_max, config.cache_bytes), (4, 7, 1 << 20));
    assert_eq!(config.log_level.as_str(), "warn");
    assert_eq!(config.grpc_web_allowed_origins, ["https://a.example"]);
}

#[test]
fn the_defaults_are_valid_values_of_their_settings() {
    for dev in [false, true] {
        let mut config = Config::defaults(dev);
        for setting in SETTINGS {
            let text = setting.show(&config);
            assert_eq!(setting.kind.set(&mut config, &text), Ok(()), "{} = {text}", setting.key);
        }
        assert_eq!(config, Config::defaults(dev));
    }
}

#[test]
fn the_names_of_earlier_systems_work_and_ours_win() {
    let config = load("", &[("GRPC_PORT", "6000"), ("GRPC_MAX_WORKERS", "10"), ("REDIS_URL", "redis://:pw@r")], &[]);
    let config = config.unwrap();
    assert_eq!((config.grpc_addr.to_string().as_str(), config.workers), ("0.0.0.0:6000", 10));
    assert_eq!(config.redis_url.as_ref().map(ToString::to_string).as_deref(), Some("redis://:redacted@r:6379/0"));
    // A file is one server's own.
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("redis_url") && !config.warnings[0].contains("pw"), "{}", config.warnings[0]);

    let path = |vars: &[(&str, &str)]| load("", vars, &[]).unwrap().database_url.to_string();
    let fallback = ("DB_CONNECTION_STRING", "sqlite:c.db");
    assert_eq!(path(&[fallback]), "sqlite:c.db");
    assert_eq!(path(&[fallback, ("DATABASE_URL", "sqlite:d.db")]), "sqlite:d.db");
    assert_eq!(path(&[("DATABASE_URL", "sqlite:d.db"), ("ROSTER_DATABASE_URL", "sqlite::memory:")]), "sqlite::memory:");
    assert_eq!(path(&[fallback, ("DATABASE_URL", "")]), "sqlite:c.db", "empty is not set");
}

#[test]
fn a_port_changes_the_port_alone() {
    let addr = |file: &str, vars: &[(&str, &str)], flags: &[(&'static str, &str)]| {
        load(file, vars, flags).unwrap().grpc_addr.to_string()
    };
    assert_eq!(addr("grpc_addr = \"[::1]:1\"", &[("GRPC_PORT", "2")], &[]), "[::1]:2");
    assert_eq!(addr("grpc_port = 1\ngrpc_addr = \"10.0.0.1:9\"", &[], &[]), "10.0.0.1:1");
    assert_eq!(addr("", &[("GRPC_PORT", "2")], &[("grpc_addr", "localhost:3")]), "127.0.0.1:3");
    assert_eq!(addr("", &[], &[("grpc_port", "4"), ("dev", "true")]), "127.0.0.1:4");
}

#[test]
fn bad_values_name_the_key_where_it_came_from_what_came_and_what_it_takes() {
    let cases: &[(&str, Pairs, Pairs, &str)] = &[
        ("workers = 0", &[], &[], r#"workers cannot be "0" (in roster.toml); it takes a whole number from 1 to 1024"#),
        (
            "",
            &[("GRPC_MAX_WORKERS", "many")],
            &[],
            r#"workers cannot be "many" (environment variable GRPC_MAX_WORKERS)"#,
        ),
        ("", &[], &[("grpc_port", "65536")], r#"grpc_port cannot be "65536" (--port); it takes a port from 0"#),
        ("http_addr = 8000", &[], &[], r#"http_addr cannot be "8000" (in roster.toml); it takes IP:PORT"#),
        ("cache_bytes = \"2 TiB\"", &[], &[], "it takes bytes, or a number with KiB, MiB or GiB, from 0 to 1024 GiB"),
        ("workers = [1]", &[], &[], r#"workers cannot be "[1]""#),
        ("dev = \"maybe\"", &[], &[], "it takes true or false"),
        ("log_format = \"xml\"", &[], &[], "it takes auto, human, json"),
        ("", &[("LOG_LEVEL", "verbose")], &[], "it takes error, warn, info"),
        ("", &[("ROSTER_LOG_LEVEL", "info,roster=loud")], &[], "it takes error, warn, info"),
        ("grpc_web_allowed_origins = [\"example.com\"]", &[], &[], "it takes origins such as https://"),
        ("workers = 0", &[("ROSTER_WORKERS", "2")], &[], "in roster.toml"),
        ("dev = true\ngrpc_addr = \"0.0.0.0:1\"", &[], &[], "grpc_addr cannot be 0.0.0.0:1 (in roster.toml) with dev"),
        ("", &[("ROSTER_HTTP_ADDR", "10.0.0.1:80")], &[("dev", "true")], "environment variable ROSTER_HTTP_ADDR"),
        ("", &[], &[("grpc_port", "8000")], "grpc_addr and http_addr cannot both be 0.0.0.0:8000 (--port)"),
    ];
    for (file, vars, flags, expected) in cases {
        let error = load(file, vars, flags).unwrap_err();
        assert!(error.contains(expected), "{error}\n  lacks: {expected}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn plain_text_stays_on_loopback_unless_told() {
    let lacks = "in plain text, which everybody on the way can read: set tls_certificate and tls_key";
    for (flags, refused) in [
        (&[][..], "grpc_addr cannot be 0.0.0.0:50051 (the default)"),
        (&[("grpc_addr", "127.0.0.1:1")], "http_addr cannot be 0.0.0.0:8000 (the default)"),
        (&[("grpc_addr", "[::]:1"), ("http_addr", "off")], "grpc_addr cannot be [::]:1 (--grpc-addr)"),
        (&[("grpc_addr", "[::ffff:10.0.0.1]:1"), ("http_addr", "off")], "grpc_addr cannot be [::ffff:10.0.0.1]:1"),
    ] {
        let error = load_exactly("", &[], flags).unwrap_err();
        assert!(error.contains(refused) && error.contains(lacks) && error.contains("--insecure-plaintext"), "{error}");
    }
    for flags in [
        &[("grpc_addr", "127.0.0.2:1"), ("http_addr", "[::1]:2")][..],
        &[("grpc_addr", "[::ffff:127.0.0.1]:1"), ("http_addr", "off")],
        &[("tls_certificate", "a.pem"), ("tls_key", "b.pem")],
        &[("insecure_plaintext", "true")],
        &[("dev", "true")],
    ] {
        load_exactly("", &[], flags).unwrap();
    }
}

#[test]
fn tls_is_whole_and_services_are_named_with_what_they_may_do() {
    let tls = "tls_certificate = 'a.pem'\ntls_key = 'b.pem'\n";
    let clients = "tls_client_ca = 'c.pem'\nclient_certificates = 'required'\n";
    let services = "service_permissions = ['spiffe://example.org/a: users.list users.read', 'b c: mail.read']";
    let config = load(&[tls, clients, services].concat(), &[], &[]).unwrap();
    assert!(config.tls_files().unwrap().clients.unwrap().required);
    let shown: Vec<String> = config.service_permissions.iter().map(|(name, may)| format!("{name} {may:?}")).collect();
    assert_eq!(shown, [r#"b c {"mail.read"}"#, r#"spiffe://example.org/a {"users.read", "users.list"}"#]);

    for (file, expected) in [
        ("tls_certificate = 'a.pem'", "tls_certificate (in roster.toml) needs tls_key too"),
        ("tls_key = 'b.pem'", "tls_key (in roster.toml) needs tls_certificate too"),
        (clients, "tls_client_ca (in roster.toml) needs tls_certificate too"),
        (&[tls, "tls_client_ca = 'c.pem'"].concat(), "needs client_certificates"),
        (&[tls, "client_certificates = 'optional'"].concat(), "needs tls_client_ca too"),
        (services, "service_permissions (in roster.toml) needs client_certificates too"),
        ("client_certificates = 'maybe'", "it takes off, optional, required"),
        ("service_permissions = ['a']", "it takes NAME: PERMISSION"),
        ("service_permissions = ['a: users.fly']", "users.list"),
        ("service_permissions = ['a: users.list', 'a: users.read']", "it takes NAME"),
        ("service_permissions = ['a:']", "it takes NAME"),
    ] {
        let error = load(file, &[], &[]).unwrap_err();
        assert!(error.contains(expected), "{error}\n  lacks: {expected}");
    }
}

#[test]
fn the_operators_socket_is_beside_the_database() {
    let path = |file: &str| load(file, &[], &[]).unwrap().operator_socket_path();
    assert_eq!(path("database_url = 'sqlite:/a/b.db'").unwrap().to_str(), Some("/a/b.db.sock"));
    assert_eq!(path("operator_socket = '/run/roster.sock'").unwrap().to_str(), Some("/run/roster.sock"));
    assert_eq!(path("operator_socket = 'off'"), None);
    assert_eq!(path("database_url = 'sqlite::memory:'"), None);
}

#[test]
fn unknown_names_suggest_the_nearest() {
    let error = load("grcp_addr = \"x\"", &[], &[]).unwrap_err();
    assert_eq!(error, "unknown setting \"grcp_addr\" (in roster.toml); did you mean grpc_addr?");
    let error = load("", &[("ROSTER_WORKER", "2")], &[]).unwrap_err();
    assert!(error.ends_with("did you mean ROSTER_WORKERS?"), "{error}");
    let error = load("[zzz]\nx = 1", &[], &[]).unwrap_err();
    assert_eq!(error, "unknown setting \"zzz\" (in roster.toml)");
    assert!(load("", &[("ROSTER_SERVER", "http://h:1")], &[]).is_ok());
}

#[test]
fn what_kubernetes_says_of_a_service_called_roster_is_not_ours() {
    let vars = [
        ("ROSTER_SERVICE_HOST", "10.0.0.7"),
        ("ROSTER_SERVICE_PORT_GRPC", "50051"),
        ("ROSTER_PORT", "tcp://10.0.0.7:50051"),
        ("ROSTER_PORT_50051_TCP_ADDR", "10.0.0.7"),
        ("ROSTER_GRPC_PORT", "tcp://10.0.0.7:50051"),
    ];
    assert_eq!(load("", &vars, &[]), Ok(Config { insecure_plaintext: true, ..Config::default() }));
}

#[test]
fn replicas_are_those_of_a_database_that_can_have_some() {
    const DATABASE: &str = "database_url = 'postgres://app@db/roster'\n";
    let replicas = |text: &str| load(&format!("{DATABASE}database_replica_url = '{text}'"), &[], &[]);
    let config = replicas("postgres://app:s3cret@one:1,two/roster").unwrap();
    assert_eq!(config.database_replica_url.as_ref().unwrap().to_string(), "postgres://app@one:1,two:5432/roster");
    assert!(!format!("{config:?}").contains("s3cret"));
    assert_eq!(replicas("off").unwrap().database_replica_url, None);
    for bad in ["postgres://app:s3cret@one", "sqlite:x.db?key=s3cret", "s3cret"] {
        let error = replicas(bad).unwrap_err();
        assert!(error.contains("database_replica_url") && error.contains("it takes postgres://USER"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let error = load("database_replica_url = 'postgres://app@one/roster'", &[], &[]).unwrap_err();
    assert!(error.contains("database_replica_url") && error.contains("starts with postgres://"), "{error}");
    let error = load("max_staleness_default_ms = 3600001", &[], &[]).unwrap_err();
    assert!(error.contains("milliseconds from 0 to 3600000"), "{error}");
}

#[test]
fn redis_is_off_or_a_server_or_a_cluster_and_keeps_its_password() {
    let redis = |file: &str| load(file, &[], &[]).unwrap().redis();
    assert!(redis("").is_none() && redis("redis_url = 'off'").is_none() && redis("redis_url = ''").is_none());
    assert!(!redis("redis_url = 'redis://a'").unwrap().is_cluster);
    assert!(redis("redis_url = 'redis://a'\nredis_cluster = true").unwrap().is_cluster);
    assert!(redis("redis_url = 'redis://a,b'").unwrap().is_cluster);
    for (file, expected) in [
        (
            "redis_url = 'redis://:s3cret@a/x'",
            r#"redis_url cannot be "redis://…" (in roster.toml); it takes redis://USER"#,
        ),
        ("redis_url = 'redis://a,b/1'", "redis_url cannot name the database 1 (in roster.toml)"),
        ("redis_prefix = 'a{b}'", "it takes 1 to 50 letters, digits and - _ . : of ASCII"),
        ("redis_prefix = ''", "it takes 1 to 50 letters"),
        ("redis_wait_max_ms = 0", "it takes a whole number of milliseconds from 1 to 1000"),
    ] {
        let error = load(file, &[], &[]).unwrap_err();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}\n  lacks: {expected}");
    }
    let config = load("redis_url = 'redis://:s3cret@a'\ndatabase_url = 'postgres://app@db/roster'", &[], &[]).unwrap();
    assert!(config.warnings.is_empty() && !format!("{config:?}").contains("s3cret"), "{config:?}");
}

#[test]
fn a_database_password_is_never_repeated() {
    for url in [
        "postgres://app:s3cret@db/roster?sslmode=maybe",
        "postgresql://app:s3cret@db",
        "sqlite://app:s3cret@db",
        "Server=db;Password=s3cret:1",
        "sqlite:x.db?key=s3cret",
        "s3cret",
    ] {
        for error in [
            load("", &[("DATABASE_URL", url)], &[]).unwrap_err(),
            load(&format!("database_url = '{url}'"), &[], &[]).unwrap_err(),
        ] {
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("it takes sqlite:PATH, sqlite::memory: or postgres://"), "{error}");
        }
    }
    let config = load("database_url = 'postgres://app:s3cret@db:1,other/roster'", &[], &[]).unwrap();
    assert_eq!(config.database_url.to_string(), "postgres://app@db:1,other:5432/roster");
    assert!(!format!("{config:?}").contains("s3cret"));
    let error = load("workers = 1\ndatabase_url = \"s3cret\" x", &[], &[]).unwrap_err();
    assert!(error.starts_with("roster.toml, line 2: not valid TOML") && !error.contains("s3cret"), "{error}");
}

#[test]
fn mail_needs_a_sender_and_a_place_for_its_links_to_lead() {
    let smtp = "smtp_url = \"smtp://127.0.0.1:25\"\n";
    let with = |rest: &str| load(&format!("{smtp}{rest}"), &[], &[]);
    let error = with("mail_from = \"a@b.c\"").unwrap_err();
    assert!(error.starts_with("smtp_url is set (in roster.toml), but public_url is not"), "{error}");
    let error = with("public_url = \"https://example.com\"").unwrap_err();
    assert!(error.contains("but mail_from is not"), "{error}");
    let (from, url) = ("mail_from = \"Example <a@b.c>\"\n", "public_url = \"https://example.com/\"\n");
    assert_eq!(with(&format!("{from}{url}")).unwrap().public_url.unwrap().as_str(), "https://example.com");
    let pages = "verify_email_url = \"https://x.y/{token}\"\nreset_password_url = \"https://x.y/r/{token}\"\n";
    assert!(with(&format!("{from}{pages}")).is_ok());
    // For development links lead to the server itself.
    assert!(load(smtp, &[], &[("dev", "true")]).is_ok());
    let error = load("verify_email_url = \"https://x.y/\"", &[], &[]).unwrap_err();
    assert!(error.contains("it takes an http or https URL with {token} in it once"), "{error}");
}

#[test]
fn a_mail_servers_password_is_never_repeated() {
    for url in
        ["smtp://app:s3cret@", "smtp://s3cret", "smtps://app:s3cret@mail?tls=required", "app:s3cret@mail", "s3cret"]
    {
        let error = load("", &[("ROSTER_SMTP_URL", url)], &[]).map(|config| format!("{:?}", config.smtp_url));
        // The second is a host, which is no secret; it lacks a sender.
        let error = error.unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
    let vars = [
        ("ROSTER_SMTP_URL", "smtps://app:s3cret@mail"),
        ("ROSTER_PUBLIC_URL", "https://example.com"),
        ("ROSTER_MAIL_FROM", "a@b.c"),
    ];
    let config = load("", &vars, &[]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let shown = Setting::find("smtp_url").unwrap().show(&config);
    assert_eq!(shown, "smtps://app:redacted@mail");
}

#[test]
fn log_levels_in_every_spelling() {
    for (text, expected) in
        [("INFO", "info"), ("Critical", "error"), ("info, roster::call=OFF", "info,roster::call=off"), ("off", "off")]
    {
        assert_eq!(text.parse::<LogLevel>().unwrap().as_str(), expected);
    }
}

#[test]
fn the_reference_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/configuration.md is out of date: UPDATE_DOCS=1 cargo test -p roster-server config");
}
