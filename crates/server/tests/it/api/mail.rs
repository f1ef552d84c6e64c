//! Mails and what their links are good for: a real server, a mail server that catches, and people who click.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use roster_api::{
    admin::v1::{
        GetMailRequest, ListMailsRequest, Mail, MailKind, MailState, admin_service_client::AdminServiceClient,
    },
    auth::v1::RefreshTokenRequest,
    user::v1::{
        CreateUserRequest, DeactivateUserRequest, GetUserRequest, HealthCheckRequest, HealthStatus,
        RequestPasswordResetRequest, ResetPasswordRequest, SendVerificationEmailRequest, UpdateUserRequest,
        VerifyEmailRequest,
    },
};
use roster_server::{
    auth::{Hasher, HasherOptions, Password},
    config::Config,
    model::UserId,
    store::Store as _,
};
use tempfile::TempDir;
use tonic::{Code, transport::Channel};

use super::{
    pages,
    sign_in::{PASSWORD, guess, looked_at, sign_in, sign_up},
};
use crate::{
    catcher::{Catcher, Security, certificate},
    harness::{Problem, Server, create_all, problem, signed_in, store_in, with_email},
};

/// Where links lead: not where the server listens.
pub(super) const PUBLIC_URL: &str = "https://accounts.example.com/base";

/// Settings of a server that sends to `smtp`, soon again if it fails.
pub(super) fn sending_to(smtp: SocketAddr) -> impl FnOnce(&mut Config) {
    move |config| {
        config.smtp_url = Some(format!("smtp://{smtp}").parse().unwrap());
        config.mail_from = Some("Zoë's Shop <shop@example.com>".parse().unwrap());
        config.public_url = Some(PUBLIC_URL.parse().unwrap());
        config.mail_retry = Duration::from_millis(50);
    }
}

/// A server without `--dev` that sends to the catcher.
async fn public_server() -> (Server, Catcher) {
    let catcher = Catcher::start().await;
    let set = sending_to(catcher.addr());
    let server = Server::start(|config| {
        config.dev = false;
        set(config);
    });
    (server, catcher)
}

async fn ask_to_verify(server: &Server, email: &str) {
    let request = SendVerificationEmailRequest { email: email.into() };
    server.users().await.send_verification_email(request).await.unwrap();
}

async fn ask_to_reset(server: &Server, email: &str) {
    let request = RequestPasswordResetRequest { email: email.into() };
    server.users().await.request_password_reset(request).await.unwrap();
}

fn verify(token: impl Into<String>) -> VerifyEmailRequest {
    VerifyEmailRequest { token: token.into() }
}

fn reset(token: impl Into<String>, new_password: &str) -> ResetPasswordRequest {
    ResetPasswordRequest { token: token.into(), new_password: new_password.into() }
}

async fn admin(server: &Server) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(server.channel().await)
}

async fn outbox(server: &Server) -> Vec<Mail> {
    admin(server).await.list_mails(ListMailsRequest::default()).await.unwrap().into_inner().mails
}

/// The newest mail, once it is as wanted. Each look is a call, so that the loop takes no more than it needs.
async fn newest_when(server: &Server, wanted: impl Fn(&Mail) -> bool) -> Mail {
    let look = async {
        loop {
            let newest = outbox(server).await.into_iter().next();
            if let Some(mail) = newest.filter(|mail| wanted(mail)) {
                return mail;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.unwrap_or_else(|_| panic!("the mail is never so"))
}

#[tokio::test]
pub(super) async fn who_signs_up_is_mailed_a_link_that_a_page_verifies_the_address_with() {
    let (server, mut catcher) = public_server().await;
    let sign_up = CreateUserRequest {
        name: "<b>Visit evil.example</b>".into(),
        locale: "de-CH".into(),
        ..with_email("ada@example.com")
    };
    let user = server.users().await.create_user(sign_up).await.unwrap().into_inner();
    let mail = catcher.next().await;
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("shop@example.com", &["ada@example.com".to_owned()][..]));
    assert_eq!(mail.helo, "accounts.example.com");
    assert_eq!(mail.header("To"), "ada@example.com");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Message-ID").ends_with("@example.com>"), "{}", mail.header("Message-ID"));
    assert!(mail.header("From").contains("<shop@example.com>") && mail.data.is_ascii(), "{}", mail.data);
    assert!(mail.text().contains("Zoë's Shop") && mail.text().contains("Um zu bestätigen"), "{}", mail.text());
    assert!(!mail.text().contains("evil") && !mail.html().contains("evil"), "whoever signs up writes no mail");
    let token = mail.link().strip_prefix(&format!("{PUBLIC_URL}/verify-email?token=")).unwrap().to_owned();
    assert_eq!(token.len(), 43);

    // Whatever looks at the page, even often, uses nothing up.
    for method in ["GET", "HEAD", "GET"] {
        let page = pages::ask(&server, method, &format!("/verify-email?token={token}"), &[], "").await;
        assert_eq!(page.status, 200);
        assert!(method == "HEAD" || page.body.contains("Verify address"), "{page:?}");
    }
    let done = pages::post(&server, "/verify-email", &[("token", &token)]).await;
    assert!(done.status == 200 && done.body.contains("Your address is verified"), "{done:?}");
    let again = pages::post(&server, "/verify-email", &[("token", &token)]).await;
    assert!(again.status == 400 && again.body.contains("not valid any more"), "{again:?}");
    // Nothing is left to verify: no further mail.
    ask_to_verify(&server, "ada@example.com").await;
    let (_, home) = server.stop().await;
    assert!(catcher.is_empty());
    let store = home.store();
    let stored = store.find_user(&UserId::parse(&user.id).unwrap()).await.unwrap().unwrap();
    assert!(stored.user().unwrap().email_verified);
    store.close().await;
}

#[tokio::test]
async fn a_forgotten_password_is_reset_once_by_call_or_page() {
    let (server, mut catcher) = public_server().await;
    let mut users = server.users().await;
    let sign_up = CreateUserRequest { password: "securepass123".into(), ..with_email("ada@example.com") };
    let user = users.create_user(sign_up).await.unwrap().into_inner();
    let verification = catcher.next().await.token();
    ask_to_reset(&server, "ADA@example.com").await;
    let mail = catcher.next().await;
    assert!(mail.text().contains("Hello,") && mail.text().contains("10 minutes"), "{}", mail.text());
    assert!(mail.link().starts_with(&format!("{PUBLIC_URL}/reset-password?token=")), "{}", mail.link());
    let token = mail.token();

    // A password that is refused leaves the token as it is.
    let refused = problem(users.reset_password(reset(token.clone(), "hunter2")).await);
    assert_eq!(
        (refused.kind(), refused.fields()),
        ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["new_password"])
    );
    let bad = [
        String::new(),
        "x".into(),
        token[..42].to_owned(),
        format!("{token}A"),
        token.to_lowercase(),
        format!(" {token}"),
        verification.clone(),
        "\u{202e}\0'; DROP TABLE users;--".into(),
        "x".repeat(100_000),
    ];
    let mut answers = Vec::new();
    for token in &bad {
        answers.push(problem(users.reset_password(reset(token.clone(), PASSWORD)).await));
    }
    users.reset_password(reset(token.clone(), PASSWORD)).await.unwrap();
    answers.push(problem(users.reset_password(reset(token.clone(), PASSWORD)).await));
    for token in bad.iter().filter(|token| **token != verification) {
        answers.push(problem(users.verify_email(verify(token.clone())).await));
    }
    for answer in &answers {
        assert_eq!(answer.kind(), (Code::InvalidArgument, "TOKEN_INVALID"));
        let facts = |problem: &Problem| (problem.message.clone(), problem.violations.clone(), problem.metadata.clone());
        assert_eq!(facts(answer), facts(&answers[0]), "one answer for whatever is wrong");
    }
    // The mail came there: the address is verified by it too, and says so again if asked.
    let verified = users.verify_email(verify(verification)).await.unwrap().into_inner();
    assert_eq!((verified.user_id.as_str(), verified.email.as_str()), (user.id.as_str(), "ada@example.com"));

    // By the page, with a newer mail that ends an older one.
    ask_to_reset(&server, "ada@example.com").await;
    let older = catcher.next().await.token();
    ask_to_reset(&server, "ada@example.com").await;
    let token = catcher.next().await.token();
    let post = async |token: &str, one: &str, two: &str| {
        let fields = [("token", token), ("new_password", one), ("repeated", two)];
        pages::post(&server, "/reset-password", &fields).await
    };
    let page = pages::ask(&server, "GET", &format!("/reset-password?token={token}"), &[], "").await;
    assert!(page.status == 200 && page.body.contains("new-password") && page.body.contains(&token), "{page:?}");
    let differ = post(&token, "another good one", "another good two").await;
    assert!(differ.status == 400 && differ.body.contains("differ") && differ.body.contains(&token), "{differ:?}");
    let short = post(&token, "short", "short").await;
    assert!(
        short.status == 400 && short.body.contains("cannot be used") && !short.body.contains("\"short\""),
        "{short:?}"
    );
    assert_eq!(post(&older, "another good one", "another good one").await.status, 400);
    let done = post(&token, "another & gööd = one", "another & gööd = one").await;
    assert!(done.status == 200 && done.body.contains("new password is set"), "{done:?}");

    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let hash = store.find_password_hash(&UserId::parse(&user.id).unwrap()).await.unwrap().unwrap();
    let hasher = Hasher::new(HasherOptions::default()).unwrap();
    assert!(hasher.verify(Password::parse("another & gööd = one".into()).unwrap(), Some(hash)).await.unwrap().matches);
    store.close().await;
}

#[tokio::test]
async fn a_reset_ends_every_session_and_the_lockout() {
    let (server, mut catcher) = public_server().await;
    let ada = sign_up(&server, "ada").await;
    catcher.next().await;
    let mut auth = server.auth().await;
    let tokens = sign_in(&mut auth, "ada", PASSWORD).await.unwrap().tokens.unwrap();
    let read = async || {
        let get = GetUserRequest { user_id: ada.id.clone() };
        server.users().await.get_user(signed_in(get, &tokens.access_token)).await
    };
    read().await.unwrap();
    // Somebody guesses until nobody is let in, not even with the right password.
    looked_at(5, (0..8).map(|_| guess(&auth, "ada"))).await;
    assert_eq!(problem(sign_in(&mut auth, "ada", PASSWORD).await).reason, "ACCOUNT_LOCKED");

    ask_to_reset(&server, "ada@example.com").await;
    let token = catcher.next().await.token();
    server.users().await.reset_password(reset(token, "a new one of mine")).await.unwrap();
    assert_eq!(problem(read().await).reason, "CREDENTIALS_INVALID");
    let refresh = RefreshTokenRequest { refresh_token: tokens.refresh_token };
    assert_eq!(problem(auth.refresh_token(refresh).await).reason, "REFRESH_TOKEN_INVALID");
    sign_in(&mut auth, "ada", "a new one of mine").await.unwrap();
}

#[tokio::test]
async fn an_address_that_changed_voids_its_tokens() {
    let mut catcher = Catcher::start().await;
    let server = Server::start(sending_to(catcher.addr()));
    let mut users = server.users().await;
    let ada = create_all(&mut users, &["ada"]).await.remove(0);
    ask_to_verify(&server, "ada@example.com").await;
    let verification = catcher.next().await.token();
    ask_to_reset(&server, "ada@example.com").await;
    let token = catcher.next().await.token();
    let moved = UpdateUserRequest { user_id: ada.id, email: Some("new@example.com".into()), ..Default::default() };
    users.update_user(moved).await.unwrap();
    assert_eq!(problem(users.verify_email(verify(verification)).await).reason, "TOKEN_INVALID");
    assert_eq!(problem(users.reset_password(reset(token, PASSWORD)).await).reason, "TOKEN_INVALID");
    assert!(catcher.is_empty(), "administrators' users get no mail by themselves");
}

#[tokio::test]
async fn whoever_asks_for_a_mail_learns_nothing() {
    let mut catcher = Catcher::start().await;
    let server = Server::start(sending_to(catcher.addr()));
    let mut users = server.users().await;
    let inactive = create_all(&mut users, &["known", "inactive"]).await.remove(1);
    let verified = CreateUserRequest { email_verified: true, ..with_email("verified@example.com") };
    users.create_user(verified).await.unwrap();
    users.deactivate_user(DeactivateUserRequest { user_id: inactive.id, etag: String::new() }).await.unwrap();

    for name in ["nobody", "inactive", "verified", "known"] {
        ask_to_verify(&server, &format!("{name}@example.com")).await;
    }
    assert_eq!(catcher.next().await.to, ["known@example.com"]);
    for email in ["", "no address", "a@b\r\nBcc: c@d"] {
        let refused =
            problem(users.send_verification_email(SendVerificationEmailRequest { email: email.into() }).await);
        assert_eq!((refused.reason.as_str(), refused.fields()), ("VALIDATION_FAILED", vec!["email"]));
        let refused = problem(users.request_password_reset(RequestPasswordResetRequest { email: email.into() }).await);
        assert_eq!((refused.reason.as_str(), refused.fields()), ("VALIDATION_FAILED", vec!["email"]));
    }
    for name in ["nobody", "inactive", "verified"] {
        ask_to_reset(&server, &format!("{name}@example.com")).await;
    }
    assert_eq!(catcher.next().await.to, ["verified@example.com"]);
    assert_eq!(outbox(&server).await.len(), 2);
}

/// Known and unknown addresses in pairs. If neither takes longer, each is the slower one of about half of the pairs,
/// however busy the machine is; out of a hundred, a share beyond these bounds is less likely than one in a million.
#[tokio::test]
async fn asking_for_a_mail_takes_as_long_whoever_has_the_address() {
    const PAIRS: usize = 100;
    const KNOWN_SLOWER: RangeInclusive<usize> = 25..=75;
    let server = Server::start(|config| config.dev = false);
    let mut users = server.users().await;
    users.create_user(with_email("known@example.com")).await.unwrap();
    let mut known_slower = 0;
    for pair in 0..PAIRS {
        let mut took = [Duration::ZERO; 2];
        // Which comes first changes, so that neither has the better place.
        for turn in [pair % 2, 1 - pair % 2] {
            let email = ["known@example.com", "nobody@example.com"][turn].to_owned();
            let started = Instant::now();
            users.request_password_reset(RequestPasswordResetRequest { email }).await.unwrap();
            took[turn] = started.elapsed();
        }
        known_slower += usize::from(took[0] > took[1]);
    }
    assert!(KNOWN_SLOWER.contains(&known_slower), "the known address was slower {known_slower} times of {PAIRS}");
}

#[tokio::test]
pub(super) async fn a_mail_that_is_not_taken_is_tried_again_and_stays_the_same_mail() {
    let mut catcher = Catcher::start().await;
    let addr = catcher.addr();
    catcher.reply(451);
    let server = Server::start(sending_to(addr));
    create_all(&mut server.users().await, &["ada"]).await;
    ask_to_verify(&server, "ada@example.com").await;
    let first = catcher.next().await;
    let second = catcher.next().await;
    assert!(!first.taken && first.header("Message-ID") == second.header("Message-ID"));
    assert_eq!((first.header("Date"), first.link()), (second.header("Date"), second.link()));
    let waiting = newest_when(&server, |mail| mail.attempts > 1 && !mail.last_error.is_empty()).await;
    assert_eq!(waiting.state(), MailState::Waiting);
    assert!(waiting.last_error.contains("451"), "{waiting:?}");

    // The process goes, and so does the mail server; another process takes up where it was.
    let (_, folder) = server.stop().await;
    drop(catcher);
    let server = Server::start_in(folder, sending_to(addr));
    let mut users = server.users().await;
    newest_when(&server, |mail| mail.attempts > waiting.attempts && mail.last_error.contains("onnect")).await;
    let health = users.health_check(HealthCheckRequest {}).await.unwrap().into_inner();
    assert_eq!(health.status(), HealthStatus::Degraded);
    assert!(health.dependencies[1].message.contains("mail server does not take mails"), "{health:?}");
    assert_eq!(pages::ask(&server, "GET", "/readyz", &[], "").await.status, 200, "all else goes on");

    let mut catcher = Catcher::start_at(addr, Security::Plain).await;
    let last = catcher.next_taken().await;
    assert_eq!((last.header("Message-ID"), last.link()), (first.header("Message-ID"), first.link()));
    let sent = newest_when(&server, |mail| mail.state() == MailState::Sent).await;
    assert!(sent.sent_at.is_some() && sent.next_attempt_at.is_none(), "{sent:?}");
    let health = users.health_check(HealthCheckRequest {}).await.unwrap().into_inner();
    assert_eq!(health.status(), HealthStatus::Healthy);
    users.verify_email(verify(last.token())).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_given_up() {
    let mut catcher = Catcher::start().await;
    catcher.reply(550);
    let server = Server::start(sending_to(catcher.addr()));
    create_all(&mut server.users().await, &["ada"]).await;
    ask_to_verify(&server, "ada@example.com").await;
    let token = catcher.next().await.token();
    let mail = newest_when(&server, |mail| mail.state() == MailState::GivenUp).await;
    assert_eq!((mail.attempts, mail.kind()), (1, MailKind::Verification));
    assert!(mail.last_error.contains("550") && !mail.last_error.contains(&token), "{mail:?}");
    // The next one is another mail.
    catcher.reply(250);
    ask_to_verify(&server, "ada@example.com").await;
    assert_eq!(catcher.next().await.to, ["ada@example.com"]);
    assert!(catcher.is_empty());
}

#[tokio::test]
async fn mails_go_over_tls_with_a_password_that_nobody_sees() {
    let folder = TempDir::new().unwrap();
    let (pem, acceptor) = certificate();
    let trusted = folder.path().join("ca.pem");
    std::fs::write(&trusted, pem).unwrap();
    let (other, _) = certificate();
    let stranger = folder.path().join("other.pem");
    std::fs::write(&stranger, other).unwrap();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    for (security, url) in [
        (Security::StartTls(acceptor.clone()), "smtp://shop:hunter2%40@ADDR?tls=required"),
        (Security::Tls(acceptor), "smtps://shop:hunter2%40@ADDR/shop.example.com"),
    ] {
        let mut catcher = Catcher::start_at(any_port, security).await;
        let addr = catcher.addr();
        let start = |ca: &std::path::Path| {
            let ca = ca.to_owned();
            Server::start(move |config| {
                sending_to(addr)(config);
                config.smtp_url = Some(url.replace("ADDR", &addr.to_string()).parse().unwrap());
                config.smtp_ca_file = Some(ca);
                let shown = format!("{config:?}");
                assert!(!shown.contains("hunter2") && shown.contains("shop:redacted@"), "{shown}");
            })
        };
        // A certificate that nobody vouches for gets no password and no mail.
        let server = start(&stranger);
        create_all(&mut server.users().await, &["ada"]).await;
        ask_to_verify(&server, "ada@example.com").await;
        let failed = newest_when(&server, |mail| !mail.last_error.is_empty()).await;
        assert!(failed.last_error.contains("ertificate") && !failed.last_error.contains("hunter2"), "{failed:?}");
        assert!(catcher.is_empty());

        let server = start(&trusted);
        create_all(&mut server.users().await, &["ada"]).await;
        ask_to_verify(&server, "ada@example.com").await;
        let mail = catcher.next().await;
        assert!(mail.tls && mail.taken);
        assert_eq!(mail.login, Some(("shop".to_owned(), "hunter2@".to_owned())));
        assert!(mail.helo == "accounts.example.com" || url.starts_with("smtps"), "{}", mail.helo);
    }
}

#[tokio::test]
async fn without_a_mail_server_mails_are_kept_to_be_read_in_development() {
    let server = Server::dev();
    let mut users = server.users().await;
    create_all(&mut users, &["ada", "bea", "cleo"]).await;
    for name in ["ada", "bea", "cleo"] {
        ask_to_reset(&server, &format!("{name}@example.com")).await;
    }
    let mut admin = admin(&server).await;
    let mut listed = Vec::new();
    let mut request = ListMailsRequest { page_size: 2, page_token: String::new() };
    loop {
        let page = admin.list_mails(request.clone()).await.unwrap().into_inner();
        listed.extend(page.mails);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let recipients: Vec<_> = listed.iter().map(|mail| mail.recipient.as_str()).collect();
    assert_eq!(recipients, ["cleo@example.com", "bea@example.com", "ada@example.com"]);
    assert!(listed.iter().all(|mail| mail.text.is_empty() && mail.state() == MailState::Waiting));
    let read = admin.get_mail(GetMailRequest { mail_id: listed[2].id.clone() }).await.unwrap().into_inner();
    let mail = read.mail.unwrap();
    assert_eq!(mail.subject, "Reset your password for Roster");
    let link = mail.text.lines().find(|line| line.starts_with("http")).unwrap();
    let token = link.strip_prefix(&format!("http://{}/reset-password?token=", server.http_addr())).unwrap();
    users.reset_password(reset(token, PASSWORD)).await.unwrap();

    for mail_id in ["00000000-0000-7000-8000-000000000000", "none", &"x".repeat(9_000)] {
        let missing = problem(admin.get_mail(GetMailRequest { mail_id: mail_id.into() }).await);
        assert_eq!(missing.kind(), (Code::NotFound, "MAIL_NOT_FOUND"));
    }
    let none = problem(admin.get_mail(GetMailRequest::default()).await);
    assert_eq!((none.reason.as_str(), none.fields()), ("VALIDATION_FAILED", vec!["mail_id"]));
    let garbage = ListMailsRequest { page_size: -1, page_token: "garbage".into() };
    assert_eq!(problem(admin.list_mails(garbage).await).fields(), ["page_size", "page_token"]);
}

#[tokio::test]
async fn without_a_mail_server_and_without_dev_mails_wait_and_health_says_so() {
    let server = Server::start(|config| config.dev = false);
    let mut users = server.users().await;
    users.create_user(with_email("ada@example.com")).await.unwrap();
    let health = users.health_check(HealthCheckRequest {}).await.unwrap().into_inner();
    assert_eq!(health.status(), HealthStatus::Degraded);
    let mail = &health.dependencies[1];
    assert_eq!((mail.name.as_str(), mail.status()), ("mail", HealthStatus::Degraded));
    assert!(mail.message.contains("smtp_url"), "{mail:?}");
    assert_eq!(pages::ask(&server, "GET", "/readyz", &[], "").await.status, 200);

    // With a server the same mail goes out.
    let (_, folder) = server.stop().await;
    let mut catcher = Catcher::start().await;
    let server = Server::start_in(folder, sending_to(catcher.addr()));
    let mail = catcher.next().await;
    server.users().await.verify_email(verify(mail.token())).await.unwrap();
}
