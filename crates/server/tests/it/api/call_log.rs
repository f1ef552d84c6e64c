//! One line a call, and never a secret, at the finest level of every crate.

use std::{
    io,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use http::HeaderValue;
use prost::Message as _;
use roster_api::{
    admin::v1::{GetMailRequest, ListMailsRequest, MailKind, admin_service_client::AdminServiceClient},
    auth::v1::{RefreshTokenRequest, RevokeApiKeyRequest, RevokeSessionRequest},
    user::v1::{
        ChangePasswordRequest, CreateUserRequest, GetUserRequest, ListUsersRequest, RequestPasswordResetRequest,
        ResetPasswordRequest, SearchUsersRequest, SendVerificationEmailRequest, UpdateUserRequest, VerifyEmailRequest,
        WatchUsersRequest, watch_users_request,
    },
};
use roster_server::model::Permission;
use serde_json::Value;
use tonic::Code;
use tracing_subscriber::{filter::dynamic_filter_fn, fmt, prelude::*};

use super::{
    USERS,
    api_keys::create_key,
    pages,
    sign_in::{request, sign_in},
    tokens::AUTH,
};
use crate::harness::{Answer, Problem, Server, as_bearer, grpc, with_email};

const PASSWORD: &str = "zq-correct-horse-zq";
const HASH: &str = "zqYzJWtZWRzYWxzq";
const TOKEN: &str = "zq-bearer-token-zq";
/// What must not come out anywhere: the secrets, or what a cut would leave of them. The API key of the calls is another.
const SECRETS: [&str; 3] = ["correct-horse", "JWtZWRz", "bearer-token"];

/// Everything that the process logs while it is switched on. Threads of servers log where the
/// whole process does, so it is one for all tests.
struct Capture {
    on: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

static CAPTURE: Capture = Capture { on: AtomicBool::new(false), bytes: Mutex::new(Vec::new()) };
static SUBSCRIBED: LazyLock<()> = LazyLock::new(|| {
    let filter = dynamic_filter_fn(|_, _| CAPTURE.on.load(Relaxed));
    let layer = fmt::layer().json().with_writer(|| &CAPTURE).with_filter(filter);
    tracing_subscriber::registry().with(layer).init();
});

impl Capture {
    fn switch(&self, on: bool) {
        LazyLock::force(&SUBSCRIBED);
        self.on.store(on, Relaxed);
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }

    /// The lines of calls whose request id starts so.
    fn calls(&self, prefix: &str) -> Vec<Value> {
        let lines = self.text();
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let calls = events.filter(|event| event["target"] == "roster::call").map(|mut event| event["fields"].take());
        calls.filter(|call| call["request_id"].as_str().unwrap().starts_with(prefix)).collect()
    }
}

impl io::Write for &Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Paths and requests with a secret in every place that could have one, and the status that each gets.
fn requests() -> Vec<(String, Vec<u8>, Code)> {
    let create = |request: CreateUserRequest| ("CreateUser", request.encode_to_vec());
    let password = |password: String, email: &str| create(CreateUserRequest { password, ..with_email(email) });
    let hash = |hash: String, email: &str| create(CreateUserRequest { password_hash: hash, ..with_email(email) });
    let phc = format!("$argon2id$v=19$m=19456,t=2,p=1${HASH}$RdescudvJCsgt3ub+b4dWRWJTmaaJObG");
    let both = CreateUserRequest { password: PASSWORD.into(), password_hash: phc.clone(), ..with_email("a@b.c") };
    let malformed = [&[0x1a, 0xff, 0x7f][..], PASSWORD.as_bytes()].concat();
    let not_utf8 = [&[0x1a, 21, 0xff, 0xfe][..], PASSWORD.as_bytes()].concat();
    let get = GetUserRequest { user_id: "absent".into() }.encode_to_vec();
    let start = Some(watch_users_request::Start::ResumeToken(PASSWORD.into()));
    let watch = WatchUsersRequest { start, ..Default::default() };
    let rows = [
        (password(PASSWORD.into(), "ada@example.com"), Code::Ok),
        (password(PASSWORD.into(), "ADA@example.com"), Code::AlreadyExists),
        (password(PASSWORD.into(), "no address"), Code::InvalidArgument),
        (password(format!("{PASSWORD}\0"), "x@example.com"), Code::InvalidArgument),
        (password(PASSWORD.repeat(60), "x@example.com"), Code::InvalidArgument),
        (hash(phc, "bea@example.com"), Code::Ok),
        (hash(format!("$argon2id${HASH}"), "x@example.com"), Code::InvalidArgument),
        (hash(format!("$md5${HASH}"), "x@example.com"), Code::InvalidArgument),
        (create(both), Code::InvalidArgument),
        (("CreateUser", malformed), Code::InvalidArgument),
        (("CreateUser", not_utf8), Code::InvalidArgument),
        (("GetUser", get), Code::NotFound),
        (("ListUsers", ListUsersRequest::default().encode_to_vec()), Code::Ok),
        (("SearchUsers", SearchUsersRequest::default().encode_to_vec()), Code::Ok),
        (("WatchUsers", watch.encode_to_vec()), Code::InvalidArgument),
        (("Nothing", Vec::new()), Code::Unimplemented),
    ];
    let rows = rows.into_iter().map(|((method, message), code)| (format!("{USERS}/{method}"), message, code));
    rows.chain(sign_ins()).collect()
}

/// The same of passwords and tokens that are given to be looked at.
fn sign_ins() -> impl Iterator<Item = (String, Vec<u8>, Code)> {
    let sign_in = |login: &str, password: &str| (format!("{AUTH}/SignIn"), request(login, password).encode_to_vec());
    let refresh =
        |refresh_token: String| (format!("{AUTH}/RefreshToken"), RefreshTokenRequest { refresh_token }.encode_to_vec());
    let change = |new: &str| {
        let (user_id, current_password) = ("absent".into(), PASSWORD.into());
        let request = ChangePasswordRequest { user_id, current_password, new_password: new.into() };
        (format!("{USERS}/ChangePassword"), request.encode_to_vec())
    };
    let rows = [
        (sign_in("bea@example.com", PASSWORD), Code::Unauthenticated),
        (sign_in("nobody@example.com", PASSWORD), Code::Unauthenticated),
        // Typed into the wrong field.
        (sign_in(PASSWORD, "x"), Code::Unauthenticated),
        (sign_in(&PASSWORD.repeat(20), &PASSWORD.repeat(60)), Code::InvalidArgument),
        (refresh(format!("rr_{TOKEN}")), Code::Unauthenticated),
        (change(PASSWORD), Code::NotFound),
        (change(&format!("{PASSWORD}\0")), Code::InvalidArgument),
    ];
    rows.into_iter().map(|((path, message), code)| (path, message, code)).chain(tokens())
}

/// The same of mailed tokens, and of secrets in the place of ids.
fn tokens() -> impl Iterator<Item = (String, Vec<u8>, Code)> {
    let verify = |token: String| ("VerifyEmail", VerifyEmailRequest { token }.encode_to_vec());
    let reset = |new: &str| {
        let request = ResetPasswordRequest { token: TOKEN.into(), new_password: new.into() };
        ("ResetPassword", request.encode_to_vec())
    };
    let update = |password: String| {
        let email = Some("new@example.com".into());
        let request = UpdateUserRequest { email, current_password: Some(password), ..Default::default() };
        ("UpdateUser", UpdateUserRequest { user_id: "absent".into(), ..request }.encode_to_vec())
    };
    let of_users = [
        (verify(TOKEN.into()), Code::InvalidArgument),
        (verify(TOKEN.repeat(100)), Code::InvalidArgument),
        (reset(PASSWORD), Code::InvalidArgument),
        (reset(&format!("{PASSWORD}\0")), Code::InvalidArgument),
        (update(PASSWORD.into()), Code::NotFound),
        (update(PASSWORD.repeat(100)), Code::NotFound),
    ];
    let of_users = of_users.map(|((method, message), code)| (format!("{USERS}/{method}"), message, code));
    let key = RevokeApiKeyRequest { api_key_id: format!("rk_{TOKEN}") }.encode_to_vec();
    let session = RevokeSessionRequest { user_id: "absent".into(), session_id: format!("rr_{TOKEN}") }.encode_to_vec();
    let of_auth = [("RevokeApiKey", key), ("RevokeSession", session)];
    let of_auth = of_auth.map(|(method, message)| (format!("{AUTH}/{method}"), message, Code::InvalidArgument));
    of_users.into_iter().chain(of_auth)
}

/// Has links mailed to Ada, uses them up, by a call and by a page, and gives their tokens.
async fn use_links(server: &Server) -> Vec<String> {
    let (mut users, email) = (server.users().await, String::from("ada@example.com"));
    users.send_verification_email(SendVerificationEmailRequest { email: email.clone() }).await.unwrap();
    users.request_password_reset(RequestPasswordResetRequest { email }).await.unwrap();
    let mut admin = AdminServiceClient::new(server.channel().await);
    let mails = admin.list_mails(ListMailsRequest::default()).await.unwrap().into_inner().mails;
    let mut tokens = Vec::new();
    for mail in mails {
        let shown = admin.get_mail(GetMailRequest { mail_id: mail.id.clone() }).await.unwrap();
        let shown = shown.into_inner().mail.unwrap();
        let (_, token) = shown.text.split_once("token=").unwrap();
        let token: String = token.chars().take_while(|c| !c.is_whitespace()).collect();
        if mail.kind() == MailKind::PasswordReset {
            let path = format!("/reset-password?token={token}");
            assert_eq!(pages::ask(server, "GET", &path, &[], "").await.status, 200);
            let fields = [("token", token.as_str()), ("new_password", PASSWORD), ("repeated", PASSWORD)];
            assert_eq!(pages::post(server, "/reset-password", &fields).await.status, 200);
        } else {
            users.verify_email(VerifyEmailRequest { token: token.clone() }).await.unwrap();
        }
        tokens.push(token);
    }
    tokens
}

fn assert_clean(place: &str, text: &str, key: &str) {
    for secret in SECRETS.into_iter().chain([&key[30..]]) {
        if let Some(at) = text.find(secret) {
            let around: String = text[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("{place} has {secret:?} after: {around}");
        }
    }
}

/// Everything in an answer, with the details of its error decoded.
fn shown(answer: &Answer) -> String {
    let problem = (answer.status().code() != Code::Ok).then(|| Problem::of(&answer.status()));
    format!("{:?} {:?} {} {problem:?}", answer.headers, answer.trailers, answer.body.escape_ascii())
}

#[tokio::test]
async fn every_call_has_one_line_and_no_secret_is_in_any() {
    CAPTURE.switch(true);
    let server = Server::dev();
    let wire = server.wire().await;
    let (id, key) = create_key(&server, &Permission::ALL.iter().map(|one| one.name()).collect::<Vec<_>>()).await;
    let requests = requests();
    for (number, (method, message, code)) in requests.iter().enumerate() {
        let mut request = grpc(method, message);
        let headers = request.headers_mut();
        headers.insert("x-request-id", HeaderValue::from_str(&format!("log-{number:02}")).unwrap());
        let answer = wire.send(as_bearer(request, &key)).await;
        assert_eq!(answer.status().code(), *code, "{number} {method}");
        assert_clean("an answer", &shown(&answer), &key);
    }
    let answer = wire.call_as(TOKEN, "/grpc.health.v1.Health/Check", b"").await;
    assert_eq!(answer.status().code(), Code::Unauthenticated);
    assert_clean("an answer", &shown(&answer), &key);
    // Those who sign in get secrets of their own.
    let mut auth = server.auth().await;
    let response = sign_in(&mut auth, "ada@example.com", PASSWORD).await.unwrap();
    let (signed_in_user, one) = (response.user_id, response.tokens.unwrap());
    let refresh = RefreshTokenRequest { refresh_token: one.refresh_token.clone() };
    let two = auth.refresh_token(refresh).await.unwrap().into_inner().tokens.unwrap();
    let own = UpdateUserRequest {
        user_id: signed_in_user,
        email: Some("new@example.com".into()),
        current_password: Some(PASSWORD.to_uppercase()),
        ..Default::default()
    };
    let answer = wire.call_as(&two.access_token, &format!("{USERS}/UpdateUser"), &own.encode_to_vec()).await;
    assert_eq!(Problem::of(&answer.status()).reason, "PASSWORD_WRONG");
    assert!(!shown(&answer).contains(&PASSWORD.to_uppercase()));
    let links = use_links(&server).await;
    assert_eq!(links.len(), 2);
    // A client that goes away in the middle has a line, too.
    let mut request = grpc("/grpc.health.v1.Health/Watch", b"");
    request.headers_mut().insert("x-request-id", HeaderValue::from_static("log-gone"));
    let parent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    request.headers_mut().insert("traceparent", parent);
    let (response, mut upload) = wire.client().await.unwrap().send_request(request.clone().map(|_| ()), false).unwrap();
    upload.send_data(request.into_body(), true).unwrap();
    let body = response.await.unwrap().into_body();
    drop((body, upload));
    while CAPTURE.calls("log-gone").is_empty() {
        tokio::task::yield_now().await;
    }
    let _ = server.stop().await;
    CAPTURE.switch(false);

    let calls = CAPTURE.calls("log-");
    assert_eq!(calls.len(), requests.len() + 1, "{calls:#?}");
    for (number, (method, _, code)) in requests.iter().enumerate() {
        let call = &calls[number];
        assert_eq!(call["request_id"], format!("log-{number:02}"));
        assert_eq!(call["method"], *method);
        assert_eq!(call["status"], format!("{code:?}"));
        // Whose credentials it has does not matter where there is nothing to call.
        let caller = if method.ends_with("/Nothing") { "developer".into() } else { format!("api_key:{id}") };
        assert_eq!(call["caller"], caller);
        assert!(call["duration_us"].as_u64().is_some_and(|us| us < 60_000_000), "{call}");
        assert!(call["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{call}");
    }
    assert_eq!(calls[requests.len()]["status"], "Cancelled");
    // Its caller knows the call by that id, whether or not anybody keeps the trace.
    assert_eq!(calls[requests.len()]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(calls[0]["trace_id"], Value::Null);

    let text = CAPTURE.text();
    // The finest lines are there.
    assert!(text.contains("\"level\":\"TRACE\""));
    assert_clean("the log", &text, &key);
    assert!(!text.contains(&PASSWORD.to_uppercase()), "the log has a password");
    let tokens = [one.access_token, one.refresh_token, two.access_token, two.refresh_token];
    for token in tokens.into_iter().chain(links) {
        assert!(!text.contains(&token[token.len() - 40..]), "the log has a token");
    }
}
