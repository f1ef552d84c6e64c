//! Traces, as a collector gets them: whose parts they are, what they are called, and what is not in them.

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use roster_api::{
    auth::v1::SignInRequest,
    client::Transport,
    user::v1::{CreateUserRequest, GetUserRequest, ListUsersRequest, user_service_client::UserServiceClient},
};
use roster_server::config::Config;
use tokio::net::TcpListener;
use tonic::{Code, Request};

use super::{mail::sending_to, metrics::Scraped};
use crate::{
    catcher::Catcher,
    collector::{Collector, Seen, tree},
    harness::{Server, list, with_email},
    pki::{Pki, Says},
};

/// The trace and the span of a caller.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PASSWORD: &str = "zq-correct-horse-zq";

/// A request of a caller that traces it, or says that it does not.
fn traced<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CALLER}-{flags}").parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=1".parse().unwrap());
    request
}

fn get(user_id: &str) -> GetUserRequest {
    GetUserRequest { user_id: user_id.into() }
}

fn tracing_to(collector: &Collector) -> impl FnOnce(&mut Config) {
    let url = format!("http://{}", collector.addr()).parse().unwrap();
    move |config| config.otlp_endpoint = Some(url)
}

/// The one call of this method.
fn call<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let mut calls = spans.iter().filter(|span| span.is_call() && span.name() == name);
    let call = calls.next().unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(calls.next().is_none(), "two of {name}");
    call
}

#[tokio::test]
async fn a_call_is_a_trace_with_all_its_parts_and_no_secret() {
    let collector = Collector::start().await;
    let server = Server::start(tracing_to(&collector));
    let mut users = server.users().await;
    let create = CreateUserRequest { password: PASSWORD.into(), ..with_email("ada@example.com") };
    // A service that is called itself, and calls Roster for that.
    let mut incoming = traced((), "01");
    incoming.metadata_mut().insert("x-request-id", "trace-1".parse().unwrap());
    let passing_on = server.client().await.passing_on(incoming.metadata());
    passing_on.users().create_user(create).await.unwrap();
    assert_eq!(users.get_user(get("nobody")).await.unwrap_err().code(), Code::NotFound);
    list(&mut users, ListUsersRequest::default()).await.unwrap();
    let wrong = SignInRequest { login: "ada@example.com".into(), password: "zq-guess-zq".into(), ..Default::default() };
    assert_eq!(server.auth().await.sign_in(wrong).await.unwrap_err().code(), Code::Unauthenticated);
    let _ = server.stop().await;

    let spans = collector.spans();
    let create = call(&spans, "user.v1.UserService/CreateUser");
    assert_eq!((create.trace().as_str(), create.parent().as_str()), (TRACE, CALLER));
    assert_eq!(create.0.trace_state, "vendor=1");
    assert_eq!(create.attribute("rpc.system.name"), "grpc");
    assert_eq!(create.attribute("rpc.method"), "user.v1.UserService/CreateUser");
    assert_eq!(create.attribute("rpc.response.status_code"), "OK");
    assert_eq!(
        (create.attribute("roster.request_id"), create.attribute("roster.caller")),
        ("trace-1".into(), "developer".into())
    );
    assert!(!create.has_failed());
    let root = "user.v1.UserService/CreateUser";
    assert_eq!(
        tree(&spans, create),
        [
            root.to_owned(),
            format!("{root} > create_user"),
            format!("{root} > create_user > store find_user_by_email"),
            format!("{root} > create_user > hash_password"),
            format!("{root} > create_user > hash_password > wait"),
            format!("{root} > create_user > hash_password > run"),
            format!("{root} > create_user > store CreateUser"),
            format!("{root} > create_user > store CreateUser > wait"),
            format!("{root} > create_user > store CreateUser > run"),
            format!("{root} > create_user > store CreateUser > commit"),
        ]
    );
    // The parts are within the whole; they are timed by another clock, which may differ a little.
    const SLACK: u64 = 50_000_000;
    for Seen(part) in spans.iter().filter(|span| span.trace() == TRACE) {
        assert!(part.start_time_unix_nano <= part.end_time_unix_nano, "{part:?}");
        assert!(part.start_time_unix_nano + SLACK >= create.0.start_time_unix_nano, "{part:?}");
        assert!(part.end_time_unix_nano <= create.0.end_time_unix_nano + SLACK, "{part:?}");
    }

    // A refusal is the caller's affair, and says which.
    let get = call(&spans, "user.v1.UserService/GetUser");
    assert_ne!(get.trace(), TRACE);
    assert_eq!((get.parent().as_str(), get.attribute("rpc.response.status_code").as_str()), ("", "NOT_FOUND"));
    let use_case = spans.iter().find(|span| span.parent() == get.id()).unwrap();
    assert_eq!((use_case.name(), use_case.attribute("error.type").as_str()), ("get_user", "USER_NOT_FOUND"));
    assert!(!get.has_failed() && !use_case.has_failed());
    let read = spans.iter().find(|span| span.parent() == use_case.id()).unwrap();
    assert_eq!((read.name(), read.attribute("db.system.name").as_str()), ("store find_user", "sqlite"));

    // What a stream reads belongs to its call, and a sign-in is a check of a password.
    let listed = tree(&spans, call(&spans, "user.v1.UserService/ListUsers"));
    assert!(listed.iter().any(|path| path.ends_with("list_users > store list_users > run")), "{listed:#?}");
    let sign_in = tree(&spans, call(&spans, "auth.v1.AuthService/SignIn"));
    assert!(sign_in.iter().any(|path| path.ends_with("sign_in > verify_password > run")), "{sign_in:#?}");

    let text = collector.text();
    for secret in ["correct-horse", "zq-guess", "ada@example.com", "argon2"] {
        assert!(!text.contains(secret), "a span has {secret}");
    }
}

async fn call_thrice(mut users: UserServiceClient<Transport>) {
    for request in [Request::new(get("a")), traced(get("b"), "01"), traced(get("c"), "00")] {
        users.get_user(request).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_share_of_calls_is_traced_and_callers_decide_for_their_own() {
    // The share, whether callers decide; and how many of three calls are traced, and how many of them in the caller's trace.
    for (ratio, follow, traced, in_trace) in
        [("1", true, 2, 1), ("0", true, 1, 1), ("1", false, 3, 2), ("0", false, 0, 0)]
    {
        let collector = Collector::start().await;
        let set = tracing_to(&collector);
        let server = Server::start(|config| {
            set(config);
            config.trace_ratio = ratio.parse().unwrap();
            config.trace_follow_caller = follow;
        });
        call_thrice(server.users().await).await;
        let _ = server.stop().await;
        let calls: Vec<_> = collector.spans().into_iter().filter(Seen::is_call).collect();
        let ours = calls.iter().filter(|call| call.trace() == TRACE).count();
        assert_eq!((calls.len(), ours), (traced, in_trace), "{ratio} {follow}");
    }
}

/// Ids of traces that a sampler which goes by them would take always, and never, at any share between all and none.
const ALWAYS: &str = "4bf92f3577b34da60000000000000001";
const NEVER: &str = "4bf92f3577b34da6ffffffffffffffff";

#[tokio::test]
async fn nobody_has_their_calls_traced_or_not_by_choosing_ids() {
    const CALLS: usize = 64;
    let collector = Collector::start().await;
    let set = tracing_to(&collector);
    let server = Server::start(|config| {
        set(config);
        config.trace_ratio = "0.5".parse().unwrap();
    });
    let mut users = server.users().await;
    for _ in 0..CALLS {
        for (id, flags) in [(ALWAYS, "01"), (NEVER, "00")] {
            let mut request = Request::new(get("a"));
            request.metadata_mut().insert("traceparent", format!("00-{id}-{CALLER}-{flags}").parse().unwrap());
            users.get_user(request).await.unwrap_err();
        }
    }
    let _ = server.stop().await;
    let spans = collector.spans();
    let traced = |id| spans.iter().filter(|span| span.is_call() && span.trace() == id).count();
    for id in [ALWAYS, NEVER] {
        assert!((1..CALLS).contains(&traced(id)), "{} of {CALLS} with {id}", traced(id));
    }
    // Each with its parts.
    let parts = |name| spans.iter().filter(|span| span.name() == name).count();
    assert_eq!(parts("get_user"), traced(ALWAYS) + traced(NEVER));
}

#[tokio::test]
async fn a_collector_with_a_certificate_of_a_ca_of_ones_own() {
    let pki = Pki::new();
    let names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let collector =
        Collector::with_certificate(&pki.sign(Says { common: "collector", names, usage, until: 4000 })).await;
    let server = Server::start(|config| {
        config.otlp_endpoint = Some(format!("https://{}", collector.addr()).parse().unwrap());
        config.otlp_ca_file = Some(pki.file("collector-ca.pem", &pki.ca));
    });
    server.users().await.get_user(get("nobody")).await.unwrap_err();
    let _ = server.stop().await;
    call(&collector.spans(), "user.v1.UserService/GetUser");
}

#[tokio::test]
async fn a_mail_is_in_the_trace_of_the_call_that_caused_it() {
    let (collector, mut catcher) = (Collector::start().await, Catcher::start().await);
    let (traces, mails) = (tracing_to(&collector), sending_to(catcher.addr()));
    let server = Server::start(|config| {
        traces(config);
        mails(config);
    });
    let mut users = server.users().await;
    users.create_user(with_email("ada@example.com")).await.unwrap();
    let ask = roster_api::user::v1::SendVerificationEmailRequest { email: "ada@example.com".into() };
    users.send_verification_email(traced(ask, "01")).await.unwrap();
    let token = catcher.next_taken().await.token();
    let _ = server.stop().await;
    let spans = collector.spans();
    let cause = spans.iter().find(|span| span.name() == "send_verification_email").unwrap();
    let mail = spans.iter().find(|span| span.name() == "send_mail").unwrap();
    assert_eq!((mail.trace().as_str(), mail.parent()), (TRACE, cause.id()));
    assert_eq!(
        (mail.attribute("roster.mail.outcome"), mail.attribute("roster.mail.kind")),
        ("sent".into(), "verification".into())
    );
    assert!(!mail.has_failed() && !collector.text().contains(&token) && !collector.text().contains("example.com"));
}

#[tokio::test]
async fn a_collector_that_hangs_costs_spans_and_no_call() {
    // Connections are taken, by the kernel, and nothing is ever answered.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let server = Server::start(|config| config.otlp_endpoint = Some(url.parse().unwrap()));
    let mut users = server.users().await;
    // Three spans each: more than the queue and the batches under way hold.
    for _ in 0..3_500 {
        assert_eq!(users.get_user(get("nobody")).await.unwrap_err().code(), Code::NotFound);
    }
    let page = Scraped::of(&server).await;
    assert_eq!(page.get("roster_trace_spans_total{outcome=\"exported\"}"), 0.0);
    assert!(page.get("roster_trace_spans_total{outcome=\"dropped\"}") >= 500.0);
    assert!(page.get("roster_trace_queue_length") <= 8_192.0);
}
