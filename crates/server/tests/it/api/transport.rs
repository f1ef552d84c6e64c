//! What surrounds a call: health, reflection, request ids, deadlines, paths, and the HTTP port.

use std::time::{Duration, Instant};

use http::HeaderValue;
use prost::Message as _;
use prost_types::FileDescriptorProto;
use roster_api::user::v1::{HealthCheckResponse, ListUsersRequest, UpdateUserRequest, User};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use super::USERS;
use crate::harness::{Problem, Server, create_all, framed, grpc, problem};

const SERVICES: [&str; 9] = [
    "NotificationService",
    "auth.v1.AuthService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "notification.v1.NotificationService",
    "roster.admin.v1.AdminService",
    "user.UserService",
    "user.v1.UserService",
];

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[tokio::test]
async fn health_answers_for_the_whole_and_for_each_service() {
    let server = Server::dev();
    let mut health = HealthClient::new(server.channel().await);
    let served = ["user.v1.UserService", "auth.v1.AuthService", "roster.admin.v1.AdminService", "user.UserService"];
    for service in served.into_iter().chain(["", "NotificationService", "notification.v1.NotificationService"]) {
        let answer = health.check(about(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
        let mut watch = health.watch(about(service)).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    }
    for service in ["user.v1.NoService", "user.User"] {
        assert_eq!(problem(health.check(about(service)).await).kind(), (Code::NotFound, "NAME_UNKNOWN"));
        // The protocol has a watch of what is not there stay open: it might come to be.
        let mut watch = health.watch(about(service)).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_gives_their_files() {
    use v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let server = Server::dev();
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let mut ask = async |question: MessageRequest| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
        Ok(answers.message().await?.unwrap().message_response.unwrap())
    };

    let listed = ask(MessageRequest::ListServices(String::new())).await.unwrap();
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
    let mut names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, SERVICES);

    let symbols = ["user.v1.UserService", "user.v1.UserService.CreateUser", "grpc.health.v1.Health"];
    let questions = symbols.map(|symbol| MessageRequest::FileContainingSymbol(symbol.into()));
    let by_name = MessageRequest::FileByFilename("user/v1/user_service.proto".into());
    for question in questions.into_iter().chain([by_name]) {
        let answer = ask(question.clone()).await.unwrap();
        let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
        let file = FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
        assert!(file.service.iter().any(|service| ["UserService", "Health"].contains(&service.name())), "{question:?}");
    }
    let unknown: Result<MessageResponse, tonic::Status> =
        ask(MessageRequest::FileContainingSymbol("user.v1.Nothing".into())).await;
    assert_eq!(Problem::in_trailers(&unknown.unwrap_err()).kind(), (Code::NotFound, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn reflection_v1alpha_does_the_same_for_older_clients() {
    use v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let server = Server::dev();
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let questions = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("user.v1.UserService".into()),
    ];
    let requests =
        questions.map(|question| ServerReflectionRequest { host: String::new(), message_request: Some(question) });
    let mut answers = reflection.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(listed, MessageResponse::ListServicesResponse(listed) if listed.service.len() == SERVICES.len()));
    let files = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(files, MessageResponse::FileDescriptorResponse(files) if !files.file_descriptor_proto.is_empty()));
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_always_echoed() {
    let server = Server::dev();
    let wire = server.wire().await;
    let answered = async |method: &str, id: Option<&[u8]>| {
        let mut request = grpc(&format!("{USERS}/{method}"), b"");
        if let Some(id) = id {
            request.headers_mut().insert("x-request-id", HeaderValue::from_bytes(id).unwrap());
        }
        let answer = wire.send(request).await;
        let ids: Vec<_> = answer.headers.get_all("x-request-id").iter().cloned().collect();
        let [id] = ids.as_slice() else { panic!("{method}: {ids:?}") };
        id.to_str().unwrap().to_owned()
    };
    let longest = "x".repeat(128);
    // Answers, errors of the use case, of a stream, of the way there, and of what does not exist.
    for method in ["HealthCheck", "GetUser", "ListUsers", "Nothing"] {
        for id in ["a", "0af7651916cd43dd8448eb211c80319c", "order/7:retry=2", &longest] {
            assert_eq!(answered(method, Some(id.as_bytes())).await, id);
        }
        let too_long = "x".repeat(129);
        let hostile: [&[u8]; 6] = [b"", b"two words", b"tab\there", "é".as_bytes(), b"\xff", too_long.as_bytes()];
        let mut made = vec![answered(method, None).await];
        for id in hostile {
            made.push(answered(method, Some(id)).await);
        }
        assert!(made.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{made:?}");
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), 7, "each call has its own");
    }
}

#[tokio::test]
async fn deadlines_end_unary_calls_and_streams() {
    let server = Server::dev();
    let wire = server.wire().await;
    let with_timeout = |path: &str, timeout: &str| {
        let mut request = grpc(path, b"");
        request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        request
    };
    // Over before it began.
    for path in ["/user.v1.UserService/HealthCheck", "/grpc.health.v1.Health/Check"] {
        let answer = wire.send(with_timeout(path, "0n")).await;
        assert_eq!(Problem::of(&answer.status()).kind(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{path}");
    }
    let list = wire.send(with_timeout("/user.v1.UserService/ListUsers", "0n")).await;
    assert_eq!(Problem::of(&list.status()).code, Code::DeadlineExceeded);

    // A stream that would go on for ever gives what it has, and then ends with the deadline.
    let started = Instant::now();
    let watch = wire.send(with_timeout("/grpc.health.v1.Health/Watch", "500m")).await;
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(watch.body, framed(0, &[8, 1]));
    assert!(!watch.headers.contains_key("grpc-status"));
    assert_eq!(Problem::in_trailers(&watch.status()).kind(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(watch.headers.contains_key("x-request-id"));

    // Far away is fine, and what is no timeout is refused.
    for timeout in ["99999999H", "1H", "10S", "8000m"] {
        let answer = wire.send(with_timeout("/user.v1.UserService/HealthCheck", timeout)).await;
        assert_eq!(answer.status().code(), Code::Ok, "{timeout}");
    }
    for timeout in ["", "5", "S", "-1S", "1.5S", "123456789S", "5s", "5 S", "soon"] {
        let answer = wire.send(with_timeout("/user.v1.UserService/HealthCheck", timeout)).await;
        let problem = Problem::of(&answer.status());
        assert_eq!(problem.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"), "{timeout:?}");
        assert_eq!(problem.fields(), ["grpc-timeout"]);
    }
}

#[tokio::test]
async fn paths_are_exact() {
    let server = Server::dev();
    let wire = server.wire().await;
    for (path, code, reason) in [
        ("/user.v1.UserService/HealthCheck?x=1", Code::InvalidArgument, "PATH_INVALID"),
        ("/user.v1.UserService/HealthCheck?", Code::InvalidArgument, "PATH_INVALID"),
        ("/grpc.health.v1.Health/Check?x=1", Code::InvalidArgument, "PATH_INVALID"),
        ("/", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v1.UserService", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v1.UserService/", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v1.UserService/Nothing", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v1.UserService/healthcheck", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v1.UserService/HealthCheck/", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("//user.v1.UserService/HealthCheck", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v1.UserService/%48ealthCheck", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/user.v2.UserService/HealthCheck", Code::Unimplemented, "METHOD_UNKNOWN"),
        ("/grpc.health.v1.Health/Nothing", Code::Unimplemented, "METHOD_UNKNOWN"),
    ] {
        let answer = wire.call(path, b"").await;
        assert_eq!(Problem::of(&answer.status()).kind(), (code, reason), "{path}");
    }
}

#[tokio::test]
async fn frames_that_are_no_messages_are_the_callers_mistake() {
    let server = Server::dev();
    let wire = server.wire().await;
    let short = framed(0, b"12345").slice(..7);
    for path in ["/user.v1.UserService/GetUser", "/user.v1.UserService/ListUsers", "/grpc.health.v1.Health/Check"] {
        let frames = [
            short.clone(),
            framed(7, b""),
            framed(1, b"x"),
            framed(0, b"\xff\xff"),
            b"\0\0".as_slice().into(),
            Default::default(),
        ];
        for frame in frames {
            let mut request = grpc(path, b"");
            *request.body_mut() = frame.clone();
            let problem = Problem::of(&wire.send(request).await.status());
            assert_eq!(problem.kind(), (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{path} {frame:?}");
        }
    }
}

#[tokio::test]
async fn the_order_of_headers_and_messages_is_that_of_grpc() {
    let server = Server::dev();
    let user = create_all(&mut server.users().await, &["ada"]).await.remove(0);
    let wire = server.wire().await;
    let unary = wire.call("/user.v1.UserService/HealthCheck", b"").await;
    assert_eq!(unary.headers["content-type"], "application/grpc");
    assert_eq!(unary.message::<HealthCheckResponse>().version, env!("CARGO_PKG_VERSION"));
    let page = ListUsersRequest { page_size: 1, ..Default::default() }.encode_to_vec();
    let stream = wire.call("/user.v1.UserService/ListUsers", &page).await;
    assert_eq!(stream.message::<User>(), user);
    assert!(!stream.trailers.contains_key("next-page-token"));
    // A request without its promised content is no update.
    let nothing = UpdateUserRequest::default().encode_to_vec();
    let refused = wire.call("/user.v1.UserService/UpdateUser", &nothing).await;
    assert_eq!(Problem::of(&refused.status()).fields(), ["user_id"]);
}

#[tokio::test]
async fn the_http_port_tells_of_life_and_readiness() {
    let server = Server::dev();
    for (request, status, body) in [
        ("GET /livez", "200 OK", "ok\n"),
        ("GET /readyz", "200 OK", "ok\n"),
        ("GET /readyz?full", "200 OK", "ok\n"),
        ("HEAD /livez", "200 OK", ""),
        ("GET /", "404 Not Found", "here are /livez, /readyz, /metrics and /.well-known/jwks.json\n"),
        ("POST /livez", "405 Method Not Allowed", "only GET and HEAD\n"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.http_addr()).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: roster\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{request}: {answer}");
    }
}
