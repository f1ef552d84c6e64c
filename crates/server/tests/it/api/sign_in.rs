//! Signing in: by which names, with which passwords, how often, and what nobody learns from it.

use std::time::{Duration, Instant};

use roster_api::{
    auth::v1::{SignInRequest, SignInResponse, auth_service_client::AuthServiceClient},
    user::v1::{CreateUserRequest, DeactivateUserRequest, GetUserRequest, User},
};
use roster_server::{model::UserId, store::Store as _};
use tokio::task::JoinSet;
use tonic::{Code, Status, transport::Channel};

use crate::harness::{Problem, Server, problem, signed_in, store_in, with_email};

pub const PASSWORD: &str = "correct horse battery";

/// A user with this username, an address made of it, and [`PASSWORD`].
pub async fn sign_up(server: &Server, name: &str) -> User {
    let password = PASSWORD.into();
    let request = CreateUserRequest { username: name.into(), password, ..with_email(&format!("{name}@example.com")) };
    server.users().await.create_user(request).await.unwrap().into_inner()
}

pub fn request(login: &str, password: &str) -> SignInRequest {
    SignInRequest { login: login.into(), password: password.into(), device: String::new() }
}

pub async fn sign_in(
    auth: &mut AuthServiceClient<Channel>,
    login: &str,
    password: &str,
) -> Result<SignInResponse, Status> {
    Ok(auth.sign_in(request(login, password)).await?.into_inner())
}

/// A problem without what differs from call to call.
fn told(problem: Problem) -> String {
    format!("{:?}", Problem { request_id: String::new(), told_id: None, ..problem })
}

#[tokio::test]
pub(super) async fn a_user_signs_in_by_any_of_their_names_and_is_nobody_else() {
    let server = Server::start(|config| config.dev = false);
    let (ada, bea) = (sign_up(&server, "ada").await, sign_up(&server, "bea").await);
    let (mut auth, mut users) = (server.auth().await, server.users().await);
    for login in ["ada@example.com", "ADA@Example.COM", "ada", "Ada", "аda"] {
        let response = sign_in(&mut auth, login, PASSWORD).await.unwrap();
        let tokens = response.tokens.unwrap();
        assert_eq!(response.user_id, ada.id, "{login}");
        assert!(tokens.refresh_token.starts_with("rr_") && tokens.access_token_expires_at.is_some());
        let get = |id: &str| signed_in(GetUserRequest { user_id: id.into() }, &tokens.access_token);
        assert_eq!(users.get_user(get(&ada.id)).await.unwrap().into_inner().id, ada.id);
        assert_eq!(problem(users.get_user(get(&bea.id)).await).code, Code::PermissionDenied);
        // A refresh token is none to call with.
        let refresh = signed_in(GetUserRequest { user_id: ada.id.clone() }, &tokens.refresh_token);
        assert_eq!(problem(users.get_user(refresh).await).reason, "CREDENTIALS_INVALID");
    }
}

#[tokio::test]
async fn whoever_may_not_sign_in_gets_one_answer() {
    let server = Server::dev();
    let mut users = server.users().await;
    sign_up(&server, "ada").await;
    let inactive = sign_up(&server, "inactive").await;
    users.deactivate_user(DeactivateUserRequest { user_id: inactive.id, etag: String::new() }).await.unwrap();
    users
        .create_user(CreateUserRequest { username: "without".into(), ..with_email("without@example.com") })
        .await
        .unwrap();
    let mut auth = server.auth().await;
    let mut answers = Vec::new();
    for (login, password) in [
        ("ada", "wrong password"),
        ("ada@example.com", "correct horse batter"),
        ("nobody", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("no name at all\u{0}", "x"),
        ("without", PASSWORD),
        ("inactive", PASSWORD),
        ("inactive", "wrong password"),
    ] {
        let refused = problem(sign_in(&mut auth, login, password).await);
        assert_eq!(refused.kind(), (Code::Unauthenticated, "SIGN_IN_FAILED"), "{login}");
        answers.push(told(refused));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_named_and_not_repeated() {
    let server = Server::dev();
    let mut auth = server.auth().await;
    let long = "hunter2".repeat(147);
    let (login, device) = ("x".repeat(255), "d".repeat(101));
    for (request, fields) in [
        (SignInRequest::default(), vec!["login", "password"]),
        (SignInRequest { login, device, ..request("", "hunter2\0") }, vec!["login", "password", "device"]),
        (SignInRequest { device: "a\u{1b}[2J".into(), ..request("ada", &long) }, vec!["password", "device"]),
    ] {
        let refused = problem(auth.sign_in(request).await);
        assert_eq!((refused.kind(), refused.fields()), ((Code::InvalidArgument, "VALIDATION_FAILED"), fields));
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}

/// Hashes of "correct horse" in every kind that is taken, and one of today's kind at another cost.
const IMPORTED: &[&str] = &[
    "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
    "$scrypt$ln=4,r=8,p=1$c29tZXNhbHQxMjM0$NFtRD97aAWcTMSgS4WJuT4K7IyVenljkTSIYwbWPuVg",
    "$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHQxMjM0$R4QBVbS5LrYT+7k7yZdb/BCWh44tPNnBNFb1dGT3dG4",
    "$pbkdf2-sha512$i=1000,l=64$c29tZXNhbHQxMjM0$pX8+zZ8ZqdWA2JrgJ9ijkJggGV725AqK1g6iK2NqaK1bZ451u8vy+5h6iZ84D1HLbIqAA0wbzqLF+LOYqj9e7A",
];

#[tokio::test]
async fn imported_hashes_are_made_anew_at_the_first_sign_in_and_not_before() {
    let server = Server::dev();
    let mut users = server.users().await;
    let mut auth = server.auth().await;
    let mut ids = Vec::new();
    for (number, hash) in IMPORTED.iter().enumerate() {
        let import = CreateUserRequest {
            username: format!("user{number}"),
            password_hash: (*hash).into(),
            ..with_email(&format!("user{number}@example.com"))
        };
        ids.push(users.create_user(import).await.unwrap().into_inner().id);
    }
    let untouched = CreateUserRequest {
        password_hash: IMPORTED[0].into(),
        username: "untouched".into(),
        ..with_email("untouched@example.com")
    };
    let untouched = users.create_user(untouched).await.unwrap().into_inner().id;
    assert_eq!(problem(sign_in(&mut auth, "untouched", "incorrect horse").await).reason, "SIGN_IN_FAILED");
    for (number, id) in ids.iter().enumerate() {
        // Several at once: one of them makes the hash anew under the hands of the others.
        let mut devices = JoinSet::new();
        for _ in 0..4 {
            let (mut auth, login) = (auth.clone(), format!("user{number}"));
            devices.spawn(async move { sign_in(&mut auth, &login, "correct horse").await });
        }
        for outcome in devices.join_all().await {
            assert_eq!(outcome.unwrap().user_id, *id, "{number}");
        }
        assert_eq!(
            problem(sign_in(&mut auth, &format!("user{number}"), "Correct horse").await).reason,
            "SIGN_IN_FAILED"
        );
    }
    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    for id in &ids {
        let hash = store.find_password_hash(&UserId::parse(id).unwrap()).await.unwrap().unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
    }
    let hash = store.find_password_hash(&UserId::parse(&untouched).unwrap()).await.unwrap().unwrap();
    assert_eq!(hash.as_str(), IMPORTED[0]);
    store.close().await;
}

/// Makes these guesses at once, and sees that no more are looked at than are free; how many it was.
pub async fn looked_at<T, F>(free: usize, guesses: impl IntoIterator<Item = F>) -> usize
where
    T: std::fmt::Debug + Send + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
{
    let start = Instant::now();
    let all: JoinSet<_> = guesses.into_iter().collect();
    let mut looked_at = 0;
    for outcome in all.join_all().await {
        let refused = problem(outcome);
        match refused.kind() {
            (Code::Unauthenticated, "SIGN_IN_FAILED") | (Code::InvalidArgument, "PASSWORD_WRONG") => looked_at += 1,
            (Code::ResourceExhausted, "ACCOUNT_LOCKED") => {
                assert!(refused.retry_after.is_some_and(|delay| !delay.is_zero()), "{refused:?}");
            }
            _ => panic!("{refused:?}"),
        }
    }
    // On a very slow machine one more after a second, another after two, and so on.
    let late = (start.elapsed().as_secs_f64() + 1.0).log2().floor() as usize;
    assert!((free..=free + late).contains(&looked_at), "{looked_at} in {:?}", start.elapsed());
    looked_at
}

/// A guess, to be made later.
pub fn guess(
    auth: &AuthServiceClient<Channel>,
    login: impl Into<String>,
) -> impl Future<Output = Result<SignInResponse, Status>> + Send + 'static {
    let (mut auth, login) = (auth.clone(), login.into());
    async move { sign_in(&mut auth, &login, "wrong password").await }
}

#[tokio::test]
async fn of_500_guesses_at_once_few_are_looked_at_whether_or_not_there_is_such_a_user() {
    let server = Server::start(|config| config.hash_queue_max = 1_000);
    sign_up(&server, "ada").await;
    let auth = server.auth().await;
    for names in [["ada", "ada@example.com"], ["nobody", "nobody"]] {
        let guesses = (0..500).map(|number| guess(&auth, names[number % 2]));
        looked_at(5, guesses).await;
    }
    // Others go on.
    sign_up(&server, "bea").await;
    sign_in(&mut auth.clone(), "bea", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_address_is_counted_whichever_account_it_guesses_at() {
    let server = Server::start(|config| config.sign_in_free_failures_per_address = 3);
    sign_up(&server, "ada").await;
    let mut auth = server.auth().await;
    for login in ["one", "two"] {
        assert_eq!(problem(sign_in(&mut auth, login, "wrong password").await).reason, "SIGN_IN_FAILED");
        // To be right takes nothing back of what others did from there, and adds nothing.
        sign_in(&mut auth, "ada", PASSWORD).await.unwrap();
    }
    let guesses = ["three", "four", "five", "six"].map(|login| guess(&auth, login));
    looked_at(1, guesses).await;
}

/// The shortest of these times: what the work itself takes, whatever else the machine does meanwhile.
fn shortest(times: Vec<Duration>) -> f64 {
    times.into_iter().min().unwrap().as_secs_f64()
}

#[tokio::test]
async fn the_time_does_not_tell_who_has_an_account() {
    let server = Server::start(|config| {
        config.sign_in_free_failures = 100_000;
        config.sign_in_free_failures_per_address = 100_000;
    });
    sign_up(&server, "ada").await;
    server
        .users()
        .await
        .create_user(CreateUserRequest { username: "without".into(), ..with_email("without@example.com") })
        .await
        .unwrap();
    let mut auth = server.auth().await;
    let logins = ["ada", "ada@example.com", "nobody", "nobody@example.com", "without"];
    let mut times = vec![Vec::new(); logins.len()];
    for round in 0..31 {
        // Each is first, second and so on in its turn, so that no place is better.
        for place in 0..logins.len() {
            let index = (round + place) % logins.len();
            let start = Instant::now();
            assert!(sign_in(&mut auth, logins[index], "wrong password").await.is_err());
            times[index].push(start.elapsed());
        }
    }
    let shortest: Vec<f64> = times.into_iter().map(shortest).collect();
    for (login, time) in logins.iter().zip(&shortest) {
        let ratio = time / shortest[0];
        assert!((1.0 / 1.5..1.5).contains(&ratio), "{login} takes {ratio} times as long: {shortest:?}");
    }
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_shed_and_costs_nobody_a_free_failure() {
    let server = Server::start(|config| config.hash_queue_max = 1);
    for number in 0..4 {
        sign_up(&server, &format!("user{number}")).await;
    }
    let auth = server.auth().await;
    let (mut right, mut shed) = (0, 0);
    // More than are free for each user, so that what is shed must not count.
    while shed < 40 {
        let mut storm = JoinSet::new();
        for number in 0..16 {
            let (mut auth, login) = (auth.clone(), format!("user{}", number % 4));
            storm.spawn(async move { sign_in(&mut auth, &login, PASSWORD).await });
        }
        for outcome in storm.join_all().await {
            if outcome.is_ok() {
                right += 1;
                continue;
            }
            let refused = problem(outcome);
            assert_eq!(refused.kind(), (Code::ResourceExhausted, "HASHING_BUSY"), "{refused:?}");
            assert!(refused.retry_after.is_some_and(|delay| !delay.is_zero()), "{refused:?}");
            shed += 1;
        }
    }
    assert!(right > 0, "{right} right, {shed} shed");
}
