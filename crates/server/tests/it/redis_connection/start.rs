//! What a start finds: a server that will do, one that is not there yet, and all that will never do.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use roster_server::redis::{OpenError, RedisOptions, inspect};

use super::{connected, count, options, start, up};
use crate::{
    pki::{Pki, Says},
    redis_server::RedisServer,
};

/// The error of a start that must fail, which the doctor meets as well. It tells no password.
async fn refused(options: RedisOptions) -> OpenError {
    let error = start(options.clone()).await.err().unwrap();
    assert!(error.is_lasting(), "{error}");
    let inspected = inspect(options.clone()).await.unwrap_err();
    assert_eq!(std::mem::discriminant(&inspected), std::mem::discriminant(&error), "{inspected}");
    let text = format!("{error}; {} {error:?}", error.mend());
    assert!(!text.contains("hunter") && !text.contains('\n'), "{text}");
    assert!(text.contains(&options.url.server()), "{text}");
    error
}

#[tokio::test]
async fn a_server_that_will_do_is_used_and_keys_have_our_prefix() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    assert_eq!(count(&redis, "a").await, Ok(1));
    assert_eq!(count(&redis, "a").await, Ok(2));
    assert_eq!(server.keys(), ["test:a", "test:check"]);
    let found = inspect(options(&server.url())).await.unwrap();
    assert!(found.version.as_deref().is_some_and(|version| version.contains('.')), "{found:?}");
}

#[tokio::test]
async fn passwords_and_users_open_or_do_not() {
    let server = RedisServer::with(&[
        "--requirepass",
        "hunter2",
        "--user",
        "ada",
        "on",
        ">hunter3",
        "~test:*",
        "&test:*",
        "+@connection",
        "+@read",
        "+@write",
        "+@scripting",
        "+@pubsub",
        "+time",
        "+info",
        "+cluster",
    ]);
    let at = |who: &str| options(&format!("redis://{who}{}", server.addr));
    for who in [":hunter2@", "default:hunter2@", "ada:hunter3@"] {
        let redis = up(start(at(who)).await.unwrap()).await;
        count(&redis, "a").await.unwrap();
    }
    for who in [":hunter3@", "ada:hunter2@", "bea:hunter2@", ""] {
        let error = refused(at(who)).await;
        assert!(matches!(error, OpenError::Refused { .. }), "{who}: {error}");
        assert!(error.mend().contains("redis_url"));
    }
    let error = refused(RedisOptions { prefix: "other".into(), ..at("ada:hunter3@") }).await;
    assert!(matches!(error, OpenError::NotAllowed { .. }), "{error}");
    let error = refused(options(&format!("redis://:hunter2@{}/99", server.addr))).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_redis_is_told() {
    for (speaks_first, says) in [(false, "HTTP/1.1 400 Bad Request\r\n\r\n"), (true, "220 mail.example.com ESMTP\r\n")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if !speaks_first {
                    let _ = stream.read(&mut [0; 64]);
                }
                let _ = stream.write_all(says.as_bytes());
            }
        });
        let error = refused(options(&format!("redis://{here}"))).await;
        assert!(matches!(error, OpenError::NotRedis { .. }), "{error}");
        let error = refused(options(&format!("rediss://{here}"))).await;
        assert!(matches!(error, OpenError::Tls { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_replica_and_a_node_of_a_cluster_are_told() {
    let server = RedisServer::start();
    server.ask::<()>("REPLICAOF 127.0.0.1 1");
    let error = refused(options(&server.url())).await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");

    let error = refused(RedisOptions { is_cluster: true, ..options(&RedisServer::start().url()) }).await;
    assert!(matches!(error, OpenError::Unreachable { .. } | OpenError::NoCluster { .. }), "{error}");
}

#[tokio::test]
async fn tls_is_spoken_with_whom_the_authority_vouches_for() {
    let (pki, stranger) = (Pki::new(), Pki::named("another CA"));
    let sign = |pki: &Pki, ip| {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        pki.sign(Says { common: "redis", names: vec![SanType::IpAddress(ip)], usage, until: 4000 })
    };
    let mut plain = RedisServer::start();
    let pair = sign(&pki, plain.addr.ip());
    let (certificate, key) = (pki.file("redis.pem", &pair.certificate), pki.file("redis-key.pem", &pair.key));
    let ca = pki.file("ca.pem", &pki.ca);
    let [certificate, key, trusted] = [&certificate, &key, &ca].map(|path| path.to_str().unwrap().to_owned());
    let server = RedisServer::with(&[
        "--tls-port",
        "PORT",
        "--port",
        "0",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &trusted,
        "--tls-auth-clients",
        "no",
    ]);
    let secure = |ca_file| RedisOptions { ca_file, ..options(&format!("rediss://{}", server.addr)) };
    let redis = up(start(secure(Some(ca.clone()))).await.unwrap()).await;
    assert_eq!(count(&redis, "a").await, Ok(1));

    for ca_file in [
        None,
        Some(pki.file("other.pem", &stranger.ca)),
        Some(pki.file("text.pem", "Dear diary")),
        Some("/nowhere".into()),
    ] {
        let error = refused(secure(ca_file)).await;
        assert!(matches!(error, OpenError::Tls { .. }), "{error}");
    }
    // TLS where plain text is spoken, and the other way round.
    let error = refused(RedisOptions { ca_file: Some(ca), ..options(&format!("rediss://{}", plain.addr)) }).await;
    assert!(matches!(error, OpenError::Tls { .. }), "{error}");
    let error = start(options(&format!("redis://{}", server.addr))).await.err();
    assert!(error.as_ref().is_none_or(|error| matches!(error, OpenError::NotRedis { .. })), "{error:?}");
    plain.kill();
}
