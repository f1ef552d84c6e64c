//! Sessions from their beginning to their end, which comes at once.

use roster_api::{
    auth::v1::{
        ListSessionsRequest, RefreshTokenRequest, RevokeAllSessionsRequest, RevokeSessionRequest, Session,
        SignInRequest, SignInResponse, SignOutRequest, Tokens, auth_service_client::AuthServiceClient,
    },
    user::v1::{
        ChangePasswordRequest, CreateUserRequest, DeactivateUserRequest, DeleteUserRequest, GetUserRequest, Role, User,
    },
};
use rusqlite::Connection;
use tokio::task::JoinSet;
use tonic::{Code, Status, transport::Channel};

use super::sign_in::{PASSWORD, guess, looked_at, request, sign_in, sign_up};
use crate::harness::{Server, database_in, problem, signed_in, with_email};

/// A signed-in user.
struct Device {
    session: String,
    tokens: Tokens,
}

impl From<SignInResponse> for Device {
    fn from(response: SignInResponse) -> Self {
        Self { session: response.session_id, tokens: response.tokens.unwrap() }
    }
}

async fn device(auth: &mut AuthServiceClient<Channel>, login: &str) -> Device {
    sign_in(auth, login, PASSWORD).await.unwrap().into()
}

/// The reason of a call by this token, or an empty text if it goes through.
async fn refusal(server: &Server, token: &str, user: &User) -> String {
    let get = signed_in(GetUserRequest { user_id: user.id.clone() }, token);
    match server.users().await.get_user(get).await {
        Ok(_) => String::new(),
        refused => problem(refused).reason,
    }
}

async fn refresh(auth: &mut AuthServiceClient<Channel>, token: &str) -> Result<Tokens, Status> {
    let request = RefreshTokenRequest { refresh_token: token.into() };
    Ok(auth.refresh_token(request).await?.into_inner().tokens.unwrap())
}

async fn list(auth: &mut AuthServiceClient<Channel>, token: &str) -> Vec<Session> {
    let request = signed_in(ListSessionsRequest::default(), token);
    auth.list_sessions(request).await.unwrap().into_inner().sessions
}

#[tokio::test]
async fn a_user_sees_their_sessions_and_ends_them_one_by_one() {
    let server = Server::start(|config| config.dev = false);
    let ada = sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    let phone: Device = auth
        .sign_in(SignInRequest { device: "Ada's phone 📱".into(), ..request("ada", PASSWORD) })
        .await
        .unwrap()
        .into_inner()
        .into();
    let laptop = device(&mut auth, "ada").await;

    let sessions = list(&mut auth, &phone.tokens.access_token).await;
    let shown = |session: &Session| (session.id.clone(), session.device.clone(), session.current);
    assert_eq!(sessions.len(), 2);
    assert_eq!(shown(&sessions[1]), (phone.session.clone(), "Ada's phone 📱".into(), true));
    assert!(!sessions[0].current && sessions[0].device.starts_with("tonic/"), "{sessions:?}");
    for session in &sessions {
        assert_eq!((session.user_id.as_str(), session.remote_address.as_str()), (ada.id.as_str(), "127.0.0.1"));
        assert_eq!(session.expires_at.unwrap().seconds - session.last_used_at.unwrap().seconds, 30 * 24 * 3_600);
    }

    let revoke = |id: &str, token: &str| {
        signed_in(RevokeSessionRequest { user_id: String::new(), session_id: id.into() }, token)
    };
    auth.revoke_session(revoke(&laptop.session, &phone.tokens.access_token)).await.unwrap();
    assert_eq!(refusal(&server, &laptop.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");
    assert_eq!(problem(refresh(&mut auth, &laptop.tokens.refresh_token).await).reason, "REFRESH_TOKEN_INVALID");
    let again = problem(auth.revoke_session(revoke(&laptop.session, &phone.tokens.access_token)).await);
    assert_eq!(again.kind(), (Code::NotFound, "SESSION_NOT_FOUND"));
    assert_eq!(again.resource, Some(("auth.v1.Session".into(), laptop.session)));
    for garbage in ["", "x", "0198"] {
        let refused = problem(auth.revoke_session(revoke(garbage, &phone.tokens.access_token)).await);
        assert_eq!((refused.code, refused.fields()), (Code::InvalidArgument, vec!["session_id"]));
    }

    let (tablet, watch) = (device(&mut auth, "ada").await, device(&mut auth, "ada").await);
    let all = RevokeAllSessionsRequest { user_id: ada.id.clone(), keep_current: true };
    let ended =
        auth.revoke_all_sessions(signed_in(all.clone(), &tablet.tokens.access_token)).await.unwrap().into_inner();
    assert_eq!(ended.revoked_count, 2);
    for gone in [&phone, &watch] {
        assert_eq!(refusal(&server, &gone.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");
    }
    assert_eq!(list(&mut auth, &tablet.tokens.access_token).await.len(), 1);
    auth.sign_out(signed_in(SignOutRequest {}, &tablet.tokens.access_token)).await.unwrap();
    assert_eq!(refusal(&server, &tablet.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");

    let last = device(&mut auth, "ada").await;
    let all = RevokeAllSessionsRequest { keep_current: false, ..all };
    assert_eq!(
        auth.revoke_all_sessions(signed_in(all, &last.tokens.access_token)).await.unwrap().into_inner().revoked_count,
        1
    );
    assert_eq!(refusal(&server, &last.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");
}

#[tokio::test]
async fn a_used_refresh_token_that_comes_again_ends_its_session_alone() {
    let server = Server::start(|config| config.dev = false);
    let ada = sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    let (copied, other) = (device(&mut auth, "ada").await, device(&mut auth, "ada").await);
    let mut tokens = copied.tokens.clone();
    for _ in 0..3 {
        let next = refresh(&mut auth, &tokens.refresh_token).await.unwrap();
        assert!(next.refresh_token != tokens.refresh_token && next.refresh_token_expires_at.is_some());
        assert_eq!(refusal(&server, &next.access_token, &ada).await, "");
        tokens = next;
    }
    // Garbage, another's part and a changed character do nothing, and get the same answer.
    let mut answers = Vec::new();
    let changed =
        format!("{}{}", &tokens.refresh_token[..93], if tokens.refresh_token.ends_with('A') { 'E' } else { 'A' });
    for garbage in ["", "rr_", &tokens.access_token, &tokens.refresh_token[..93], &changed, &"x".repeat(100_000)] {
        let refused = problem(refresh(&mut auth, garbage).await);
        assert_eq!(refused.kind(), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID"));
        answers.push((refused.message, refused.metadata));
    }
    assert_eq!(refusal(&server, &tokens.access_token, &ada).await, "");

    let reused = problem(refresh(&mut auth, &copied.tokens.refresh_token).await);
    answers.push((reused.message, reused.metadata));
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for access in [&copied.tokens.access_token, &tokens.access_token] {
        assert_eq!(refusal(&server, access, &ada).await, "CREDENTIALS_INVALID");
    }
    assert!(refresh(&mut auth, &tokens.refresh_token).await.is_err());
    assert_eq!(refusal(&server, &other.tokens.access_token, &ada).await, "");
    refresh(&mut auth, &other.tokens.refresh_token).await.unwrap();
}

#[tokio::test]
pub(super) async fn of_parallel_refreshes_one_wins_and_the_session_ends() {
    let server = Server::start(|config| config.dev = false);
    let ada = sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    let device = device(&mut auth, "ada").await;
    let mut refreshes = JoinSet::new();
    for _ in 0..16 {
        let (mut auth, token) = (auth.clone(), device.tokens.refresh_token.clone());
        refreshes.spawn(async move { refresh(&mut auth, &token).await });
    }
    let won: Vec<Tokens> = refreshes.join_all().await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(refusal(&server, &won[0].access_token, &ada).await, "CREDENTIALS_INVALID");
    assert!(refresh(&mut auth, &won[0].refresh_token).await.is_err());
}

#[tokio::test]
pub(super) async fn a_new_password_and_the_end_of_a_user_end_every_session_at_once() {
    let server = Server::dev();
    let (ada, mut users, mut auth) = (sign_up(&server, "ada").await, server.users().await, server.auth().await);
    let change = |current: &str, new: &str| ChangePasswordRequest {
        user_id: ada.id.clone(),
        current_password: current.into(),
        new_password: new.into(),
    };
    let (one, two) = (device(&mut auth, "ada").await, device(&mut auth, "ada").await);
    let own = |request| signed_in(request, &one.tokens.access_token);
    let wrong = problem(users.change_password(own(change("wrong password", "another horse battery"))).await);
    assert_eq!((wrong.kind(), wrong.fields()), ((Code::InvalidArgument, "PASSWORD_WRONG"), vec!["current_password"]));
    for (request, fields) in [
        (change("", "short"), vec!["current_password", "new_password"]),
        (change(PASSWORD, "Password1"), vec!["new_password"]),
        (change(PASSWORD, "12345678"), vec!["new_password"]),
    ] {
        let refused = problem(users.change_password(own(request)).await);
        assert_eq!((refused.kind(), refused.fields()), ((Code::InvalidArgument, "VALIDATION_FAILED"), fields));
    }
    assert_eq!(refusal(&server, &two.tokens.access_token, &ada).await, "");
    users.change_password(own(change(PASSWORD, "another horse battery"))).await.unwrap();
    for gone in [&one, &two] {
        assert_eq!(refusal(&server, &gone.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");
        assert!(refresh(&mut auth, &gone.tokens.refresh_token).await.is_err());
    }
    assert!(sign_in(&mut auth, "ada", PASSWORD).await.is_err());
    let again = sign_in(&mut auth, "ada", "another horse battery").await.unwrap().tokens.unwrap();
    // Who may set the passwords of others need not know them.
    users.change_password(change("", PASSWORD)).await.unwrap();
    assert_eq!(refusal(&server, &again.access_token, &ada).await, "CREDENTIALS_INVALID");
    let absent = ChangePasswordRequest { user_id: "absent".into(), ..change("", "another horse battery") };
    assert_eq!(problem(users.change_password(absent).await).kind(), (Code::NotFound, "USER_NOT_FOUND"));

    let third = device(&mut auth, "ada").await;
    users.deactivate_user(DeactivateUserRequest { user_id: ada.id.clone(), etag: String::new() }).await.unwrap();
    assert_eq!(refusal(&server, &third.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");
    let bea = sign_up(&server, "bea").await;
    let fourth = device(&mut auth, "bea").await;
    users.delete_user(DeleteUserRequest { user_id: bea.id.clone(), etag: String::new() }).await.unwrap();
    assert_eq!(refusal(&server, &fourth.tokens.access_token, &bea).await, "CREDENTIALS_INVALID");
    for gone in [&third, &fourth] {
        assert!(refresh(&mut auth, &gone.tokens.refresh_token).await.is_err());
    }
}

#[tokio::test]
async fn guesses_at_the_current_password_are_counted_with_those_at_sign_in() {
    let server = Server::start(|config| config.dev = false);
    let (ada, users, mut auth) = (sign_up(&server, "ada").await, server.users().await, server.auth().await);
    let device = device(&mut auth, "ada").await;
    let guess = |number: usize| {
        let (ada, mut users, mut auth) = (ada.id.clone(), users.clone(), auth.clone());
        let token = device.tokens.access_token.clone();
        async move {
            if number.is_multiple_of(2) {
                return sign_in(&mut auth, "ada", "wrong password").await.map(drop);
            }
            let request = ChangePasswordRequest {
                user_id: ada,
                current_password: "wrong password".into(),
                new_password: "another horse battery".into(),
            };
            users.change_password(signed_in(request, &token)).await.map(drop)
        }
    };
    looked_at(5, (0..12).map(guess)).await;
}

#[tokio::test]
async fn sessions_of_others_are_for_those_who_may() {
    let server = Server::dev();
    let (ada, bea) = (sign_up(&server, "ada").await, sign_up(&server, "bea").await);
    let moderator = CreateUserRequest {
        username: "mona".into(),
        password: PASSWORD.into(),
        role: Role::Moderator as i32,
        ..with_email("mona@example.com")
    };
    server.users().await.create_user(moderator).await.unwrap();
    let mut auth = server.auth().await;
    let (of_ada, of_bea, of_mona) =
        (device(&mut auth, "ada").await, device(&mut auth, "bea").await, device(&mut auth, "mona").await);
    let list = |user_id: &str, token: &str| {
        signed_in(ListSessionsRequest { user_id: user_id.into(), ..Default::default() }, token)
    };
    let revoke = |user_id: &str, token: &str| {
        signed_in(RevokeSessionRequest { user_id: user_id.into(), session_id: of_ada.session.clone() }, token)
    };
    let all = |user_id: &str, token: &str| {
        signed_in(RevokeAllSessionsRequest { user_id: user_id.into(), keep_current: true }, token)
    };
    let token = &of_bea.tokens.access_token;
    for id in [&ada.id, "absent"] {
        let refusals = [
            problem(auth.list_sessions(list(id, token)).await),
            problem(auth.revoke_session(revoke(id, token)).await),
            problem(auth.revoke_all_sessions(all(id, token)).await),
        ];
        assert!(refusals.iter().all(|refused| refused.kind() == (Code::PermissionDenied, "PERMISSION_DENIED")));
    }
    // One's own id does not make another's session one's own.
    assert_eq!(problem(auth.revoke_session(revoke(&bea.id, token)).await).reason, "SESSION_NOT_FOUND");
    assert_eq!(refusal(&server, &of_ada.tokens.access_token, &ada).await, "");

    let token = &of_mona.tokens.access_token;
    let sessions = auth.list_sessions(list(&ada.id, token)).await.unwrap().into_inner().sessions;
    assert_eq!(
        sessions.iter().map(|session| (session.id.as_str(), session.current)).collect::<Vec<_>>(),
        [(of_ada.session.as_str(), false)]
    );
    for refused in [
        problem(auth.list_sessions(list("absent", token)).await),
        problem(auth.revoke_session(revoke("absent", token)).await),
        problem(auth.revoke_all_sessions(all("absent", token)).await),
    ] {
        assert_eq!(refused.kind(), (Code::NotFound, "USER_NOT_FOUND"));
    }
    auth.revoke_session(revoke(&ada.id, token)).await.unwrap();
    assert_eq!(refusal(&server, &of_ada.tokens.access_token, &ada).await, "CREDENTIALS_INVALID");
    assert_eq!(auth.revoke_all_sessions(all(&bea.id, token)).await.unwrap().into_inner().revoked_count, 1);

    // Whoever is no user has no session to speak of.
    assert_eq!(problem(auth.sign_out(SignOutRequest {}).await).kind(), (Code::FailedPrecondition, "NO_SESSION"));
    let nobody = problem(auth.list_sessions(ListSessionsRequest::default()).await);
    assert_eq!((nobody.code, nobody.fields()), (Code::InvalidArgument, vec!["user_id"]));
}

#[tokio::test]
async fn sessions_come_page_by_page() {
    let server = Server::dev();
    let (ada, bea) = (sign_up(&server, "ada").await, sign_up(&server, "bea").await);
    let mut auth = server.auth().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, device(&mut auth, "ada").await.session);
    }
    let page = |user_id: &str, page_size, page_token: &str| ListSessionsRequest {
        user_id: user_id.into(),
        page_size,
        page_token: page_token.into(),
    };
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let response = auth.list_sessions(page(&ada.id, 2, &token)).await.unwrap().into_inner();
        seen.extend(response.sessions.into_iter().map(|session| session.id));
        let Some(next) = Some(response.next_page_token).filter(|next| !next.is_empty()) else { break };
        token = next;
    }
    assert_eq!(seen, ids);
    for request in [page(&bea.id, 2, &token), page(&ada.id, 2, "garbage"), page(&ada.id, 2, &ada.id)] {
        assert_eq!(problem(auth.list_sessions(request).await).reason, "PAGE_TOKEN_INVALID");
    }
    assert_eq!(problem(auth.list_sessions(page(&ada.id, -1, "")).await).fields(), ["page_size"]);
}

/// Action, actor, target, reason and address of what the change log has of a user, or of nobody.
fn events(folder: &tempfile::TempDir, user: Option<&User>) -> Vec<[String; 5]> {
    let id = user.map(|user| uuid::Uuid::parse_str(&user.id).unwrap().into_bytes());
    let connection = Connection::open(database_in(folder)).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT action, actor, target, reason, remote_address FROM changes
             WHERE user_id = ifnull(?1, '') AND action <> 'created' ORDER BY position",
        )
        .unwrap();
    let read = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]);
    statement.query_map([id], read).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn whatever_happens_to_a_session_is_on_record() {
    let server = Server::start(|config| {
        config.dev = false;
        config.sign_in_free_failures = 2;
    });
    let (ada, mut users, mut auth) = (sign_up(&server, "ada").await, server.users().await, server.auth().await);
    let (one, two, three) =
        (device(&mut auth, "ada").await, device(&mut auth, "ada").await, device(&mut auth, "ada").await);
    let token = &one.tokens.access_token;
    let revoke = RevokeSessionRequest { user_id: String::new(), session_id: two.session.clone() };
    auth.revoke_session(signed_in(revoke, token)).await.unwrap();
    refresh(&mut auth, &three.tokens.refresh_token).await.unwrap();
    assert!(refresh(&mut auth, &three.tokens.refresh_token).await.is_err());
    let change = ChangePasswordRequest {
        user_id: ada.id.clone(),
        current_password: PASSWORD.into(),
        new_password: "another horse battery".into(),
    };
    users.change_password(signed_in(change, token)).await.unwrap();
    assert!(sign_in(&mut auth, "nobody", PASSWORD).await.is_err());
    // What is locked is on record once, or it would be cheap to fill the disk.
    let looked_at = looked_at(2, (0..6).map(|_| guess(&auth, "ada"))).await;
    let (_, folder) = server.stop().await;

    let (actor, target) = (format!("user:{}", ada.id), |device: &Device| format!("sessions/{}", device.session));
    let own = |action: &str, target: String| [action, &actor, &target, "", "127.0.0.1"].map(str::to_owned);
    let refused = |action: &str, target: &str, reason: &str| {
        [action, "anonymous", target, reason, "127.0.0.1"].map(str::to_owned)
    };
    let expected = [
        own("sign_in.done", target(&one)),
        own("sign_in.done", target(&two)),
        own("sign_in.done", target(&three)),
        own("session.revoked", target(&two)),
        refused("session.revoked", &target(&three), "REFRESH_TOKEN_INVALID"),
        own("password.changed", String::new()),
    ];
    let mut found = events(&folder, Some(&ada));
    let mut guesses = found.split_off(expected.len());
    assert_eq!(found, expected);
    let failed = refused("sign_in.failed", "", "SIGN_IN_FAILED");
    assert_eq!(guesses.iter().filter(|event| **event == failed).count(), looked_at);
    guesses.retain(|event| *event != failed);
    guesses.dedup();
    assert_eq!(guesses, [refused("sign_in.failed", "", "ACCOUNT_LOCKED")]);
    // Refused calls are written in the background, so their place is open.
    let mut of_nobody = events(&folder, None);
    of_nobody.sort();
    let method = "methods/auth.v1.AuthService/RefreshToken";
    let refresh = refused("call.refused", method, "REFRESH_TOKEN_INVALID");
    assert_eq!(of_nobody, [refresh, refused("sign_in.failed", "", "SIGN_IN_FAILED")]);
}
