//! gRPC-Web and HTTP/1.1, byte by byte: browsers, proxies, and those who came to the wrong port.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost::Message as _;
use roster_api::user::v1::{GetUserRequest, ListUsersRequest, User};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Server, create_all, everything, framed, with_email};

const PAGE: &str = "https://app.example.com";
/// The frame of gRPC-Web that carries trailers.
const TRAILERS: u8 = 0x80;

/// An answer of HTTP/1.1.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What came after the last chunk.
    trailers: Vec<(String, String)>,
}

fn value_of<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        value_of(&self.headers, name)
    }

    /// The frames of the body, with their flags.
    fn frames(&self) -> Vec<(u8, Vec<u8>)> {
        let (mut frames, mut rest) = (Vec::new(), self.body.as_slice());
        while let [flags, a, b, c, d, after @ ..] = rest {
            let (frame, more) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            frames.push((*flags, frame.to_vec()));
            rest = more;
        }
        assert!(rest.is_empty(), "{self:?}");
        frames
    }
}

/// Sends one request over HTTP/1.1.
async fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut lines = str::from_utf8(&bytes[..end]).unwrap().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = fields(lines);
    let rest = &bytes[end + 4..];
    let chunked = value_of(&headers, "transfer-encoding") == Some("chunked");
    let (body, trailers) = if chunked { unchunked(rest) } else { (rest.to_vec(), Vec::new()) };
    Answer { status, headers, body, trailers }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pairs = lines.map(|line| line.split_once(": ").unwrap());
    pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, Vec<(String, String)>) {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            let lines = str::from_utf8(rest).unwrap().split("\r\n");
            return (body, fields(lines.filter(|line| !line.is_empty())));
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// A server for one page.
fn for_page() -> Server {
    Server::start(|config| config.grpc_web_allowed_origins = vec![PAGE.into()])
}

#[tokio::test]
async fn grpc_web_calls_go_over_http_1() {
    let server = for_page();
    let user = create_all(&mut server.users().await, &["ada"]).await.remove(0);
    let message = framed(0, &GetUserRequest { user_id: user.id.clone() }.encode_to_vec());
    let path = "/user.v1.UserService/GetUser";

    for kind in ["application/grpc-web", "application/grpc-web+proto"] {
        let headers = [("content-type", kind), ("x-grpc-web", "1"), ("origin", PAGE), ("x-request-id", "web-1")];
        let answer = ask(&server, "POST", path, &headers, &message).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").unwrap().starts_with("application/grpc-web"), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert_eq!(answer.header("vary"), Some("origin"));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("grpc-status-details-bin"));
        assert_eq!(answer.header("x-request-id"), Some("web-1"));
        // They are in the body.
        assert_eq!((answer.header("trailer"), answer.trailers.len()), (None, 0));
        let frames = answer.frames();
        let [(0, body), (TRAILERS, trailers)] = frames.as_slice() else { panic!("{answer:?}") };
        assert_eq!(User::decode(body.as_slice()).unwrap(), user);
        assert_eq!(trailers.as_slice(), b"grpc-status:0\r\n");
    }

    // As text, for browsers that cannot read bytes as they come.
    let text = BASE64_STANDARD.encode(&message);
    let headers = [("content-type", "application/grpc-web-text"), ("accept", "application/grpc-web-text")];
    let answer = ask(&server, "POST", path, &headers, text.as_bytes()).await;
    assert!(answer.header("content-type").unwrap().starts_with("application/grpc-web-text"), "{answer:?}");
    let body = BASE64_STANDARD.decode(&answer.body[..4 * (5 + user.encoded_len()).div_ceil(3)]).unwrap();
    assert_eq!(User::decode(&body[5..5 + user.encoded_len()]).unwrap(), user);

    // An error has its status and details where the page can read them.
    let absent = framed(0, &GetUserRequest { user_id: "absent".into() }.encode_to_vec());
    let headers = [("content-type", "application/grpc-web"), ("origin", PAGE)];
    let answer = ask(&server, "POST", path, &headers, &absent).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("5")), "{answer:?}");
    assert!(answer.header("grpc-status-details-bin").is_some() && answer.header("x-request-id").is_some());

    // A stream.
    let answer = ask(&server, "POST", "/user.v1.UserService/ListUsers", &headers, &framed(0, b"")).await;
    let frames = answer.frames();
    let [(0, listed), (TRAILERS, _)] = frames.as_slice() else { panic!("{answer:?}") };
    assert_eq!(User::decode(listed.as_slice()).unwrap(), user);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_before_anything_happens() {
    let server = for_page();
    let message = framed(0, &with_email("ada@example.com").encode_to_vec());
    let path = "/user.v1.UserService/CreateUser";
    let origins = ["https://evil.example", "http://app.example.com", "https://app.example.com:444", "null", "*", ""];
    // Plain gRPC too: a page that has rebound its name is of the same origin to its browser, which asks for nothing.
    for kind in ["application/grpc-web", "application/grpc-web-text", "application/grpc"] {
        for origin in origins {
            let answer = ask(&server, "POST", path, &[("content-type", kind), ("origin", origin)], &message).await;
            assert_eq!(answer.status, 403, "{kind} {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert!(str::from_utf8(&answer.body).unwrap().contains("grpc_web_allowed_origins"));
        }
    }
    assert_eq!(everything(&mut server.users().await).await, []);
    // Whatever has no origin is no page.
    let answer = ask(&server, "POST", path, &[("content-type", "application/grpc-web")], &message).await;
    assert_eq!(answer.frames().len(), 2, "{answer:?}");
    assert_eq!(everything(&mut server.users().await).await.len(), 1);
}

#[tokio::test]
async fn browsers_that_ask_first_are_told() {
    let server = for_page();
    let path = "/user.v1.UserService/GetUser";
    let preflight = |origin| {
        let wanted = "content-type,x-grpc-web,authorization";
        [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", wanted)]
    };
    let allowed = ask(&server, "OPTIONS", path, &preflight(PAGE), b"").await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some(PAGE)));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("POST"));
    let headers = allowed.header("access-control-allow-headers").unwrap();
    for name in [
        "content-type",
        "x-grpc-web",
        "authorization",
        "x-request-id",
        "idempotency-key",
        "grpc-timeout",
        "x-max-staleness-ms",
    ] {
        assert!(headers.split(", ").any(|allowed| allowed == name), "{name}");
    }
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let refused = ask(&server, "OPTIONS", path, &preflight("https://evil.example"), b"").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));

    // Unless told otherwise, no page may call.
    let server = Server::dev();
    assert_eq!(ask(&server, "OPTIONS", path, &preflight(PAGE), b"").await.status, 403);
}

#[tokio::test]
async fn who_came_to_the_wrong_port_is_told_so() {
    let server = Server::dev();
    for (method, path, headers) in [
        ("GET", "/", &[][..]),
        ("GET", "/livez", &[("accept", "text/html")]),
        ("POST", "/user.v1.UserService/HealthCheck", &[("content-type", "application/json")]),
        ("OPTIONS", "/", &[]),
        // What only looks like a call.
        ("GET", "/user.v1.UserService/HealthCheck", &[("content-type", "application/grpc-web")]),
        ("GET", "/user.v1.UserService/HealthCheck", &[("content-type", "application/grpc")]),
    ] {
        let answer = ask(&server, method, path, headers, b"").await;
        assert_eq!(answer.status, 415, "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(str::from_utf8(&answer.body).unwrap().contains("speaks gRPC"), "{answer:?}");
    }
}

/// Some proxies speak no HTTP/2 to what is behind them.
#[tokio::test]
async fn plain_grpc_over_http_1_has_its_trailers() {
    let server = Server::dev();
    let [first, second] = create_all(&mut server.users().await, &["ada", "bea"]).await.try_into().unwrap();
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let page = ListUsersRequest { page_size: 1, ..Default::default() }.encode_to_vec();
    let answer = ask(&server, "POST", "/user.v1.UserService/ListUsers", &headers, &framed(0, &page)).await;
    let [(0, listed)] = &answer.frames()[..] else { panic!("{answer:?}") };
    assert_eq!((answer.status, User::decode(listed.as_slice()).unwrap()), (200, first));
    assert_eq!(value_of(&answer.trailers, "grpc-status"), Some("0"));

    let page_token = value_of(&answer.trailers, "next-page-token").unwrap().to_owned();
    let page = ListUsersRequest { page_size: 1, page_token, ..Default::default() }.encode_to_vec();
    let answer = ask(&server, "POST", "/user.v1.UserService/ListUsers", &headers, &framed(0, &page)).await;
    assert_eq!(User::decode(answer.frames()[0].1.as_slice()).unwrap(), second);
    assert_eq!(value_of(&answer.trailers, "next-page-token"), None);

    let answer = ask(&server, "POST", "/user.v1.UserService/GetUser", &headers, &framed(0, b"")).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("3")));
}
