//! Passwords: which are taken, what is kept of them, and what a storm of them leaves alone.

use roster_api::user::v1::{CreateUserRequest, GetUserRequest};
use roster_server::{
    auth::{Hasher, HasherOptions, Password},
    model::UserId,
    store::Store as _,
};
use tonic::Code;

use crate::harness::{Server, create_all, everything, problem, store_in, with_email};

/// The passwords of the seeds' examples, and some that servers have got wrong.
const GOOD: &[&str] =
    &["securepass123", "password123", "SecurePassword123", "pässwörd mit 空白 und 🔑", " leading and trailing "];
/// Made by another program.
const IMPORTED: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG";

fn with_password(name: &str, password: &str) -> CreateUserRequest {
    CreateUserRequest { password: password.into(), ..with_email(&format!("{name}@example.com")) }
}

#[tokio::test]
async fn passwords_are_kept_as_hashes_that_verify() {
    let server = Server::dev();
    let mut users = server.users().await;
    let long = "x".repeat(1024);
    let passwords: Vec<&str> = GOOD.iter().copied().chain([long.as_str()]).collect();
    let mut ids = Vec::new();
    for (number, password) in passwords.iter().enumerate() {
        let request = with_password(&format!("user{number}"), password);
        ids.push(users.create_user(request).await.unwrap().into_inner().id);
    }
    let imported = CreateUserRequest { password_hash: IMPORTED.into(), ..with_email("imported@example.com") };
    let imported = users.create_user(imported).await.unwrap().into_inner().id;
    let without = create_all(&mut users, &["without"]).await.remove(0).id;

    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let hash_of = async |id: &str| store.find_password_hash(&UserId::parse(id).unwrap()).await.unwrap();
    let hasher = Hasher::new(HasherOptions::default()).unwrap();
    for (id, password) in ids.iter().zip(&passwords) {
        let hash = hash_of(id).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let verifies = async |text: &str| {
            let password = Password::given(text.to_owned()).unwrap();
            hasher.verify(password, Some(hash.clone())).await.unwrap().matches
        };
        assert!(verifies(password).await);
        // Every byte counts, the last of many too.
        let other: String = password.chars().take(password.chars().count() - 1).chain(['!']).collect();
        assert!(!verifies(&other).await);
    }
    assert_eq!(hash_of(&imported).await.unwrap().as_str(), IMPORTED);
    assert!(hash_of(&without).await.is_none());
    store.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"securepass123"), "in clear on the disk");
    }
}

#[tokio::test]
async fn bad_passwords_are_refused_without_being_repeated() {
    let server = Server::dev();
    let mut users = server.users().await;
    for password in ["hunter2", "hunter2\0hunter2", &format!("hunter2{}", "x".repeat(1018)), "Hunter22"] {
        let problem = problem(users.create_user(with_password("ada", password)).await);
        assert_eq!(problem.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"));
        assert_eq!(problem.fields(), ["password"]);
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    let secret = "$argon2id$v=19$m=1,t=1,p=1$c2VjcmV0$c2VjcmV0";
    let with_hash = CreateUserRequest { password_hash: secret.into(), ..with_email("ada@example.com") };
    let problem = problem(users.create_user(with_hash).await);
    assert!(problem.fields() == ["password_hash"] && !format!("{problem:?}").contains("c2VjcmV0"), "{problem:?}");
    assert_eq!(everything(&mut users).await, []);
}

#[tokio::test]
async fn a_storm_of_passwords_is_shed_and_reads_go_on() {
    let server = Server::start(|config| config.hash_queue_max = 1);
    let mut users = server.users().await;
    let reader = create_all(&mut users, &["reader"]).await.remove(0);

    let mut storm = tokio::task::JoinSet::new();
    for number in 0..32 {
        let mut users = users.clone();
        storm.spawn(async move { users.create_user(with_password(&format!("user{number}"), "password123")).await });
    }
    let mut reads = 0;
    let mut created = 0;
    let mut shed = 0;
    loop {
        tokio::select! {
            biased;
            ended = storm.join_next() => match ended {
                None => break,
                Some(Ok(Ok(_))) => created += 1,
                Some(result) => {
                    let problem = problem(result.unwrap());
                    assert_eq!(problem.kind(), (Code::ResourceExhausted, "HASHING_BUSY"));
                    assert!(problem.retry_after.is_some_and(|delay| !delay.is_zero()), "{problem:?}");
                    shed += 1;
                }
            },
            read = users.get_user(GetUserRequest { user_id: reader.id.clone() }) => {
                assert_eq!(read.unwrap().into_inner(), reader);
                reads += 1;
            }
        }
    }
    assert!(created >= 1 && shed >= 1 && reads >= 1, "{created} created, {shed} shed, {reads} reads");
    assert_eq!(everything(&mut users).await.len(), 1 + created);
}
