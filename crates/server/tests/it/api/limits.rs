//! Sizes and compression: what is too large, and who gets what compressed.

use http::{HeaderValue, StatusCode};
use prost::Message as _;
use roster_api::user::v1::{
    CreateUserRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest, user_service_client::UserServiceClient,
};
use tonic::{
    Code, Response,
    codec::CompressionEncoding::{Gzip, Zstd},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{Answer, Problem, Server, Wire, create_all, everything, framed, grpc, problem, with_email};

const MIB: usize = 1 << 20;

fn named(bytes: usize) -> CreateUserRequest {
    CreateUserRequest { name: "n".repeat(bytes), ..with_email("ada@example.com") }
}

#[tokio::test]
async fn messages_have_up_to_50_mib() {
    let server = Server::dev();
    let mut users = server.users().await.max_encoding_message_size(usize::MAX);
    let read = problem(users.create_user(named(49 * MIB)).await);
    assert_eq!((read.kind(), read.fields()), ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["name"]));
    let refused = problem(users.create_user(named(51 * MIB)).await);
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    // The connection goes on.
    assert_eq!(everything(&mut users).await, []);
}

#[tokio::test]
async fn the_limit_is_that_of_the_configuration_and_holds_for_what_was_compressed() {
    let server = Server::start(|config| config.max_message_bytes = 64 << 10);
    let mut users = server.users().await;
    assert_eq!(problem(users.create_user(named(60 << 10)).await).code, Code::InvalidArgument);
    assert_eq!(problem(users.create_user(named(65 << 10)).await).reason, "MESSAGE_TOO_LARGE");
    // A few kilobytes on the wire that would fill the memory.
    for encoding in [Gzip, Zstd] {
        let mut users = users.clone().send_compressed(encoding);
        let bomb = problem(users.create_user(named(20 * MIB)).await);
        assert_eq!(bomb.kind(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"), "{encoding:?}");
    }
}

fn encoding_of<T>(response: &Response<T>) -> Option<&str> {
    response.metadata().get("grpc-encoding").map(|encoding| encoding.to_str().unwrap())
}

#[tokio::test]
async fn responses_are_compressed_for_those_who_compress() {
    let server = Server::dev();
    let user = create_all(&mut server.users().await, &["ada"]).await.remove(0);
    let get = || GetUserRequest { user_id: user.id.clone() };
    let stub = UserServiceClient::new(server.channel().await);

    for (encoding, name) in [(Gzip, "gzip"), (Zstd, "zstd")] {
        // As every Python client: able to read it, and sending plain.
        let response = stub.clone().accept_compressed(encoding).get_user(get()).await.unwrap();
        assert_eq!((encoding_of(&response), response.get_ref()), (None, &user));
        let mut compresses = stub.clone().send_compressed(encoding).accept_compressed(encoding);
        let response = compresses.get_user(get()).await.unwrap();
        assert_eq!((encoding_of(&response), response.get_ref()), (Some(name), &user));
        let mut listed = compresses.list_users(ListUsersRequest::default()).await.unwrap();
        assert_eq!(encoding_of(&listed), Some(name));
        assert_eq!(listed.get_mut().message().await.unwrap(), Some(user.clone()));
        // Compresses what it sends, and cannot read the like.
        let response = stub.clone().send_compressed(encoding).get_user(get()).await.unwrap();
        assert_eq!((encoding_of(&response), response.get_ref()), (None, &user));
        // An error is as readable.
        let absent = GetUserRequest { user_id: "absent".into() };
        assert_eq!(problem(compresses.get_user(absent).await).reason, "USER_NOT_FOUND");
        // A client that compresses does so when it asks for health, too.
        let mut health = HealthClient::new(server.channel().await).send_compressed(encoding);
        health.check(HealthCheckRequest::default()).await.unwrap();
    }
}

async fn encoded(wire: &Wire, encoding: &str) -> Answer {
    let mut request = grpc("/user.v1.UserService/HealthCheck", b"");
    request.headers_mut().insert("grpc-encoding", HeaderValue::from_str(encoding).unwrap());
    wire.send(request).await
}

#[tokio::test]
async fn a_compression_that_nobody_knows_is_named_with_those_that_are_known() {
    let server = Server::dev();
    let wire = server.wire().await;
    for encoding in ["deflate", "br", "GZIP", "gzip,zstd", ""] {
        let answer = encoded(&wire, encoding).await;
        let problem = Problem::of(&answer.status());
        assert_eq!(problem.kind(), (Code::Unimplemented, "ENCODING_UNSUPPORTED"), "{encoding}");
        assert_eq!(answer.headers["grpc-accept-encoding"], "identity,gzip,zstd");
    }
    assert_eq!(encoded(&wire, "identity").await.status().code(), Code::Ok);
    // Says that it is compressed, and is not.
    let mut request = grpc("/user.v1.UserService/HealthCheck", b"");
    request.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    *request.body_mut() = framed(1, b"not gzip");
    assert_eq!(Problem::of(&wire.send(request).await.status()).reason, "MALFORMED_MESSAGE");
}

#[tokio::test]
async fn a_user_as_large_as_it_may_be_goes_both_ways() {
    let server = Server::dev();
    let mut users = server.users().await;
    let mut user = create_all(&mut users, &["ada"]).await.remove(0);
    user.attributes = (0..16).map(|n| (format!("key{n:02}"), "v".repeat(1_019))).collect();
    let request =
        UpdateUserRequest { user_id: user.id.clone(), attributes: user.attributes.clone(), ..Default::default() };
    let updated = users.update_user(request).await.unwrap().into_inner();
    assert_eq!(updated.attributes, user.attributes);
    let message = GetUserRequest { user_id: user.id }.encode_to_vec();
    let answer = server.wire().await.call("/user.v1.UserService/GetUser", &message).await;
    assert_eq!(answer.message::<roster_api::user::v1::User>(), updated);
}

#[tokio::test]
async fn headers_beyond_16_kib_end_no_connection() {
    let server = Server::dev();
    let wire = server.wire().await;
    let mut request = grpc("/user.v1.UserService/HealthCheck", b"");
    request.headers_mut().insert("x-large", HeaderValue::from_str(&"x".repeat(15 << 10)).unwrap());
    assert_eq!(wire.send(request.clone()).await.status().code(), Code::Ok);
    for (kib, path) in
        [(17, "/user.v1.UserService/HealthCheck"), (60, "/user.v1.UserService/HealthCheck"), (17, "/no/such")]
    {
        let mut large = grpc(path, b"");
        large.headers_mut().insert("x-large", HeaderValue::from_str(&"x".repeat(kib << 10)).unwrap());
        let refused = Problem::of(&wire.send(large).await.status());
        assert_eq!(refused.kind(), (Code::ResourceExhausted, "HEADERS_TOO_LARGE"), "{kib} {path}");
    }
    // What is not even read HTTP/2 answers by itself.
    request.headers_mut().insert("x-large", HeaderValue::from_str(&"x".repeat(65 << 10)).unwrap());
    assert_eq!(wire.send(request).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = wire.call("/user.v1.UserService/HealthCheck", b"").await;
    assert_eq!(answer.status().code(), Code::Ok);
}

#[tokio::test]
async fn more_writes_than_can_wait_are_shed_and_the_others_are_kept() {
    let server = Server::start(|config| config.write_queue_max = 1);
    let users = server.users().await;
    let (mut created, mut shed) = (0, 0);
    // A burst meets an idle writer or a busy one; the first that is shed shows how.
    for burst in 0.. {
        let mut writes = tokio::task::JoinSet::new();
        for number in 0..64 {
            let mut users = users.clone();
            writes.spawn(async move { users.create_user(with_email(&format!("u{burst}-{number}@example.com"))).await });
        }
        for result in writes.join_all().await {
            if result.is_ok() {
                created += 1;
                continue;
            }
            let refused = problem(result);
            assert_eq!(refused.kind(), (Code::ResourceExhausted, "QUEUE_FULL"));
            assert!(refused.retry_after.is_some_and(|delay| !delay.is_zero()), "{refused:?}");
            shed += 1;
        }
        if shed > 0 || created > 900 {
            break;
        }
    }
    assert!(shed > 0, "none of {created} was shed");
    assert_eq!(everything(&mut server.users().await).await.len(), created);
}
