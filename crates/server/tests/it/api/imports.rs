//! Imports over the wire: a verdict for each row, while others are yet to come, and each row done once.

use std::{sync::Arc, time::Duration};

use prost_types::Timestamp;
use roster_api::{
    Client, Error, Import,
    auth::v1::RevokeApiKeyRequest,
    user::v1::{
        CreateUserRequest, DeleteUserRequest, ExistingUserAction, GetUserByEmailRequest, GetUserRequest, ImportOptions,
        ImportOutcome, ImportRow, ImportUsersRequest, ImportVerdict, Role, User, UserStatus, import_users_request,
        user_service_client::UserServiceClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::{api_keys::create_key, sign_in};
use crate::harness::{Problem, Server, create_all, everything, with_email};

async fn client(server: &Server) -> Client {
    Client::connect(&server.addr().to_string()).await.unwrap()
}

async fn client_with(server: &Server, key: &str) -> Client {
    Client::builder().endpoint(server.addr().to_string()).token(key).connect().await.unwrap()
}

pub fn row(number: i64, user: CreateUserRequest) -> ImportRow {
    ImportRow { number, user: Some(user), ..Default::default() }
}

/// A row with the user `user-NUMBER`.
pub fn numbered(number: usize) -> ImportRow {
    let id = format!("user-{number:04}");
    let user = CreateUserRequest {
        user_id: id.clone(),
        name: format!("User {number}"),
        ..with_email(&format!("{id}@example.com"))
    };
    row(number as i64 + 1, user)
}

pub async fn import(client: &Client, options: ImportOptions, rows: Vec<ImportRow>) -> Vec<ImportVerdict> {
    try_import(client, options, rows).await.unwrap()
}

async fn try_import(
    client: &Client,
    options: ImportOptions,
    rows: Vec<ImportRow>,
) -> Result<Vec<ImportVerdict>, Error> {
    let mut import = client.import(options, tokio_stream::iter(rows)).await?;
    let verdicts = rest(&mut import).await?;
    let summary = import.summary().unwrap();
    let count = |wanted| verdicts.iter().filter(|verdict| verdict.outcome() == wanted).count() as i64;
    assert_eq!(
        [summary.created_count, summary.updated_count, summary.skipped_count, summary.failed_count],
        [ImportOutcome::Created, ImportOutcome::Updated, ImportOutcome::Skipped, ImportOutcome::Failed].map(count)
    );
    Ok(verdicts)
}

async fn rest(import: &mut Import) -> Result<Vec<ImportVerdict>, Error> {
    let mut verdicts = Vec::new();
    while let Some(verdict) = import.next().await? {
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn updating() -> ImportOptions {
    ImportOptions { existing_user_action: ExistingUserAction::Update.into(), ..Default::default() }
}

fn keyed(key: &str) -> ImportOptions {
    ImportOptions { import_key: key.into(), ..Default::default() }
}

/// Number, outcome, reason, and the fields of the violations.
fn told(verdict: &ImportVerdict) -> (i64, ImportOutcome, &str, Vec<&str>) {
    let fields = verdict.violations.iter().map(|violation| violation.field.as_str()).collect();
    (verdict.number, verdict.outcome(), verdict.reason.as_str(), fields)
}

async fn by_email(users: &mut UserServiceClient<roster_api::client::Transport>, email: &str) -> User {
    users.get_user_by_email(GetUserByEmailRequest { email: email.into() }).await.unwrap().into_inner()
}

#[tokio::test]
async fn each_row_gets_its_verdict_in_order() {
    let server = Server::dev();
    let (client, mut users) = (client(&server).await, server.users().await);
    let ada = create_all(&mut users, &["ada"]).await.remove(0);
    let seconds = |seconds| Some(Timestamp { seconds, nanos: 123_456_789 });
    let all_wrong = CreateUserRequest {
        email: "none".into(),
        username: "a b".into(),
        role: 9,
        age: Some(-1),
        password: "short".into(),
        validate_only: true,
        ..Default::default()
    };
    let both = CreateUserRequest {
        password: "a good password".into(),
        password_hash: "x".into(),
        ..with_email("x@example.com")
    };
    let rows = vec![
        row(
            1,
            CreateUserRequest { username: "bob".into(), role: Role::Moderator.into(), ..with_email("bob@example.com") },
        ),
        row(2, with_email("ADA@example.com")),
        row(3, CreateUserRequest { username: "BOB".into(), ..with_email("bobby@example.com") }),
        row(7, CreateUserRequest { user_id: "carl".into(), ..with_email("bob@example.com") }),
        ImportRow { status: 9, created_at: seconds(i64::MAX), ..row(8, all_wrong) },
        ImportRow { number: 9, ..Default::default() },
        row(10, both),
        ImportRow { created_at: seconds(4_000_000_000), ..row(11, with_email("later@example.com")) },
        ImportRow {
            status: UserStatus::Inactive.into(),
            created_at: seconds(1_000_000_000),
            ..row(12, CreateUserRequest { email_verified: true, ..with_email("dora@example.com") })
        },
    ];
    let verdicts = import(&client, ImportOptions::default(), rows).await;
    use ImportOutcome::{Created, Failed, Skipped};
    let wrong = "VALIDATION_FAILED";
    let mut fields = verdicts[4].violations.iter().map(|one| one.field.as_str()).collect::<Vec<_>>();
    fields.sort();
    let expected_fields = [
        "created_at",
        "status",
        "user.age",
        "user.email",
        "user.password",
        "user.role",
        "user.username",
        "user.validate_only",
    ];
    assert_eq!(fields, expected_fields);
    let expected = [
        (1, Created, "", vec![]),
        (2, Skipped, "", vec![]),
        (3, Failed, "USERNAME_TAKEN", vec![]),
        (7, Failed, "EMAIL_TAKEN", vec![]),
        (8, Failed, wrong, told(&verdicts[4]).3),
        (9, Failed, wrong, vec!["user"]),
        (10, Failed, wrong, vec!["user.password_hash"]),
        (11, Failed, wrong, vec!["created_at"]),
        (12, Created, "", vec![]),
    ];
    assert_eq!(verdicts.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(verdicts[1].user_id, ada.id);
    assert!(verdicts.iter().all(|one| (one.outcome() == Failed) != one.message.is_empty() && !one.done_before));
    let bob = by_email(&mut users, "bob@example.com").await;
    assert_eq!((bob.id.as_str(), bob.role()), (verdicts[0].user_id.as_str(), Role::Moderator));
    let dora = by_email(&mut users, "dora@example.com").await;
    assert_eq!((dora.status(), dora.email_verified), (UserStatus::Inactive, true));
    assert_eq!(dora.created_at, Some(Timestamp { seconds: 1_000_000_000, nanos: 123_456_000 }));
    assert!(dora.updated_at.unwrap().seconds > 1_700_000_000);
    assert_eq!(everything(&mut users).await.len(), 3);
}

#[tokio::test]
pub(super) async fn an_update_sets_what_the_row_has() {
    let server = Server::dev();
    let (client, mut users) = (client(&server).await, server.users().await);
    let ada = create_all(&mut users, &["ada"]).await.remove(0);
    let by_id =
        CreateUserRequest { user_id: ada.id.clone(), phone: "+493012345678".into(), ..with_email("lady@example.com") };
    let attributes = [("team".to_owned(), "blue".to_owned())].into();
    let rows = vec![
        row(1, by_id),
        ImportRow {
            status: UserStatus::Inactive.into(),
            ..row(2, CreateUserRequest { attributes, ..with_email("lady@example.com") })
        },
        row(3, with_email("new@example.com")),
    ];
    let verdicts = import(&client, updating(), rows).await;
    use ImportOutcome::{Created, Updated};
    assert_eq!(verdicts.iter().map(ImportVerdict::outcome).collect::<Vec<_>>(), [Updated, Updated, Created]);
    let after = users.get_user(GetUserRequest { user_id: ada.id.clone() }).await.unwrap().into_inner();
    assert_eq!((after.email.as_str(), after.name.as_str()), ("lady@example.com", "ada"));
    assert_eq!((after.phone.as_str(), after.status()), ("+493012345678", UserStatus::Inactive));
    assert_eq!((after.attributes["team"].as_str(), after.created_at), ("blue", ada.created_at));
}

#[tokio::test]
async fn verdicts_come_while_rows_are_yet_to_come() {
    let server = Server::dev();
    let client = client(&server).await;
    let (rows, receiver) = mpsc::channel(1);
    let mut import = client.import(ImportOptions::default(), ReceiverStream::new(receiver)).await.unwrap();
    for number in 0..5 {
        rows.send(numbered(number)).await.unwrap();
        let verdict = import.next().await.unwrap().unwrap();
        assert_eq!((verdict.number, verdict.outcome()), (number as i64 + 1, ImportOutcome::Created));
    }
    drop(rows);
    assert!(import.next().await.unwrap().is_none());
    assert_eq!(import.summary().unwrap().created_count, 5);
    assert_eq!(import.next().await.unwrap(), None, "the end stays the end");
}

#[tokio::test]
async fn a_client_that_reads_no_verdicts_is_not_read_from() {
    let server = Server::dev();
    let client = client(&server).await;
    let (rows, receiver) = mpsc::channel(1);
    let mut import = client.import(ImportOptions::default(), ReceiverStream::new(receiver)).await.unwrap();
    // Rows with 64 things wrong, each of which the verdict tells: many times as large as the row.
    let wrong = move |number: usize| {
        let mut row = numbered(number);
        row.user.as_mut().unwrap().attributes = (0..64).map(|key| (format!("k {key}"), String::new())).collect();
        row
    };
    let mut sent = 0;
    // Nobody reads: at some point nothing more goes out for as long as a commit could take.
    while let Ok(done) = tokio::time::timeout(Duration::from_secs(2), rows.send(wrong(sent))).await {
        done.unwrap();
        sent += 1;
        assert!(sent < 20_000, "rows with 100 MB of verdicts were taken, and none was read");
    }
    drop(rows);
    let verdicts = rest(&mut import).await.unwrap();
    assert_eq!(verdicts.len(), sent);
    assert!(verdicts.iter().zip(1..).all(|(verdict, number)| verdict.number == number));
    assert!(verdicts.iter().all(|verdict| verdict.violations.len() == 64));
}

#[tokio::test]
pub(super) async fn a_run_that_is_sent_again_does_no_row_twice() {
    let server = Server::dev();
    let (client, mut users) = (client(&server).await, server.users().await);
    let all = |count| {
        let mut rows: Vec<ImportRow> = (0..count).map(numbered).collect();
        rows[3] = row(4, with_email("wrong"));
        rows[4] = row(5, with_email("user-0000@example.com"));
        rows
    };
    // It breaks in the middle: the client goes with rows under way.
    let (rows, receiver) = mpsc::channel(1);
    let mut broken = client.import(keyed("k"), ReceiverStream::new(receiver)).await.unwrap();
    for row in all(1_500) {
        rows.send(row).await.unwrap();
    }
    for _ in 0..700 {
        broken.next().await.unwrap().unwrap();
    }
    drop((broken, rows));
    let deleted = DeleteUserRequest { user_id: "user-0007".into(), etag: String::new() };
    users.delete_user(deleted).await.unwrap();

    // The end of the connection is noticed soon, but not before the next call comes.
    let begin = async |rows: Vec<ImportRow>| loop {
        match client.import(keyed("k"), tokio_stream::iter(rows.clone())).await {
            Err(error) if error.reason() == Some("IMPORT_RUNNING") => tokio::task::yield_now().await,
            begun => return begun.unwrap(),
        }
    };
    let mut again = begin(all(3_000)).await;
    let done = again.last_row_done();
    assert!((700..=1_500).contains(&done), "{done}");
    let verdicts = rest(&mut again).await.unwrap();
    assert_eq!(verdicts.len(), 3_000);
    use ImportOutcome::{Created, Failed, Skipped};
    for verdict in &verdicts {
        let expected = match verdict.number {
            4 => (4, Failed, "VALIDATION_FAILED", vec!["user.email"]),
            5 => (5, Skipped, "", vec![]),
            number => (number, Created, "", vec![]),
        };
        assert_eq!(told(verdict), expected);
        assert_eq!(verdict.done_before, verdict.number <= done, "{verdict:?}");
    }
    assert_eq!(verdicts[4].user_id, "user-0000");
    let gone = users.get_user(GetUserRequest { user_id: "user-0007".into() }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "what was done before is not done again");

    // Only what is new, and a row that was left out before: its place has passed.
    let mut third = begin(vec![numbered(4_000)]).await;
    assert_eq!(third.last_row_done(), 3_000);
    assert_eq!(told(&rest(&mut third).await.unwrap()[0]), (4_001, Created, "", vec![]));
    let mut late = begin(vec![numbered(3_500)]).await;
    assert_eq!(told(&rest(&mut late).await.unwrap()[0]), (3_501, Failed, "VALIDATION_FAILED", vec!["number"]));
}

#[tokio::test]
async fn one_call_at_a_time_has_a_key_and_others_have_their_own() {
    let server = Server::dev();
    let client = client(&server).await;
    let (rows, receiver) = mpsc::channel(1);
    let mut first = client.import(keyed("k"), ReceiverStream::new(receiver)).await.unwrap();
    let error = client.import(keyed("k"), tokio_stream::empty()).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, Some("IMPORT_RUNNING")));
    let (_, key) = create_key(&server, &["users.import"]).await;
    let other = client_with(&server, &key).await;
    assert_eq!(import(&other, keyed("k"), vec![numbered(1)]).await.len(), 1, "the key of another caller");
    assert_eq!(import(&client, keyed("other"), vec![numbered(2)]).await.len(), 1);
    rows.send(numbered(3)).await.unwrap();
    drop(rows);
    assert_eq!(rest(&mut first).await.unwrap().len(), 1);
    drop(first);
    assert_eq!(import(&client, keyed("k"), vec![]).await, [], "free again");
}

#[tokio::test]
async fn a_rehearsal_gives_every_verdict_and_changes_nothing() {
    let server = Server::dev();
    let (client, mut users) = (client(&server).await, server.users().await);
    create_all(&mut users, &["ada"]).await;
    // More than one piece, with the conflict of the first row in the last.
    let mut rows: Vec<ImportRow> = (0..2_500).map(numbered).collect();
    rows.push(row(3_000, with_email("user-0000@example.com")));
    rows.push(row(3_001, with_email("ada@example.com")));
    rows.push(row(3_002, CreateUserRequest { password: "a good password".into(), ..with_email("pw@example.com") }));
    rows.push(row(3_003, with_email("wrong")));
    let options = ImportOptions { validate_only: true, ..keyed("k") };
    let rehearsed = import(&client, options, rows.clone()).await;
    assert_eq!(everything(&mut users).await.len(), 1);
    let run = import(&client, keyed("k"), rows).await;
    for (rehearsed, run) in rehearsed.iter().zip(&run) {
        assert_eq!(told(rehearsed), told(run));
        assert!(!run.done_before);
    }
    assert_eq!((rehearsed[2_500].outcome(), rehearsed[2_500].user_id.as_str()), (ImportOutcome::Skipped, ""));
}

#[tokio::test]
async fn users_sign_in_with_the_passwords_that_they_bring() {
    let server = Server::dev();
    let (client, mut auth) = (client(&server).await, server.auth().await);
    let hashes = [
        ("correct horse", "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"),
        ("correct horse", "$scrypt$ln=4,r=8,p=1$c29tZXNhbHQxMjM0$NFtRD97aAWcTMSgS4WJuT4K7IyVenljkTSIYwbWPuVg"),
        ("password", "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44"),
        ("password", "$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
    ];
    let email = |number: usize| format!("u{number}@example.com");
    let mut rows: Vec<ImportRow> = (1_i64..)
        .zip(hashes.iter().enumerate())
        .map(|(number, (index, (_, hash)))| {
            row(number, CreateUserRequest { password_hash: (*hash).into(), ..with_email(&email(index)) })
        })
        .collect();
    // More in clear than are hashed at a time, or in one piece.
    let clear = |number: usize| format!("a good password {number}");
    for number in 10..34 {
        rows.push(row(number as i64, CreateUserRequest { password: clear(number), ..with_email(&email(number)) }));
    }
    let verdicts = import(&client, ImportOptions::default(), rows).await;
    assert!(verdicts.iter().all(|one| one.outcome() == ImportOutcome::Created), "{verdicts:?}");
    for (number, (password, _)) in hashes.iter().enumerate() {
        sign_in::sign_in(&mut auth, &email(number), password).await.unwrap();
        assert!(sign_in::sign_in(&mut auth, &email(number), "another one").await.is_err());
    }
    for number in [10, 33] {
        sign_in::sign_in(&mut auth, &email(number), &clear(number)).await.unwrap();
    }
    // A new one for who is there already.
    let new = row(1, CreateUserRequest { password: "quite another".into(), ..with_email(&email(33)) });
    import(&client, updating(), vec![new.clone()]).await;
    sign_in::sign_in(&mut auth, &email(33), "quite another").await.unwrap();
    import(
        &client,
        ImportOptions::default(),
        vec![row(1, CreateUserRequest { password: clear(33), ..new.user.unwrap() })],
    )
    .await;
    assert!(sign_in::sign_in(&mut auth, &email(33), &clear(33)).await.is_err(), "who is skipped keeps the password");
}

#[tokio::test]
async fn ones_own_email_and_password_are_not_taken_by_an_import() {
    let server = Server::dev();
    let password = "correct horse battery staple";
    let root =
        CreateUserRequest { role: Role::Admin.into(), password: password.into(), ..with_email("root@example.com") };
    let root = server.users().await.create_user(root).await.unwrap().into_inner();
    let signed_in = sign_in::sign_in(&mut server.auth().await, "root@example.com", password).await.unwrap();
    let importer = client_with(&server, &signed_in.tokens.unwrap().access_token).await;
    let own = |email: &str| CreateUserRequest { user_id: root.id.clone(), ..with_email(email) };
    let rows = vec![
        row(1, own("evil@example.com")),
        row(2, CreateUserRequest { password: "taken over!".into(), ..own("root@example.com") }),
        row(3, CreateUserRequest { password: "taken over!".into(), ..with_email("root@example.com") }),
        row(4, CreateUserRequest { name: "Root".into(), ..own("root@example.com") }),
    ];
    for options in [ImportOptions { validate_only: true, ..updating() }, updating()] {
        let verdicts = import(&importer, options, rows.clone()).await;
        let reasons: Vec<&str> = verdicts.iter().map(|verdict| verdict.reason.as_str()).collect();
        assert_eq!(reasons, ["VALIDATION_FAILED", "VALIDATION_FAILED", "VALIDATION_FAILED", ""]);
        assert_eq!(verdicts[0].violations[0].field, "user");
    }
    sign_in::sign_in(&mut server.auth().await, "root@example.com", password).await.unwrap();
}

#[tokio::test]
async fn an_import_is_named_by_its_own_key() {
    let server = Server::dev();
    let mut request = tonic::Request::new(tokio_stream::empty::<ImportUsersRequest>());
    request.metadata_mut().insert("idempotency-key", "k".parse().unwrap());
    let refused = Problem::in_trailers(&server.users().await.import_users(request).await.unwrap_err());
    assert_eq!((refused.code, refused.fields()), (Code::InvalidArgument, vec!["idempotency-key"]));
}

#[tokio::test]
async fn nobody_is_raised_above_the_importer() {
    let server = Server::dev();
    let mut users = server.users().await;
    let root = CreateUserRequest { role: Role::Admin.into(), ..with_email("root@example.com") };
    let root = users.create_user(root).await.unwrap().into_inner();
    let (id, key) = create_key(&server, &["users.import"]).await;
    let importer = client_with(&server, &key).await;
    let rows = vec![
        row(1, CreateUserRequest { role: Role::Admin.into(), ..with_email("climber@example.com") }),
        row(2, CreateUserRequest { password: "taken over!".into(), ..with_email("root@example.com") }),
        row(3, with_email("plain@example.com")),
    ];
    let verdicts = import(&importer, updating(), rows).await;
    let reasons: Vec<&str> = verdicts.iter().map(|verdict| verdict.reason.as_str()).collect();
    assert_eq!(reasons, ["PERMISSION_DENIED", "PERMISSION_DENIED", ""]);
    assert_eq!(users.get_user(GetUserRequest { user_id: root.id.clone() }).await.unwrap().into_inner(), root);

    // The right to import ends in the middle of an import.
    let (_rows, receiver) = mpsc::channel::<ImportRow>(1);
    let mut import = importer.import(ImportOptions::default(), ReceiverStream::new(receiver)).await.unwrap();
    server.auth().await.revoke_api_key(RevokeApiKeyRequest { api_key_id: id }).await.unwrap();
    assert_eq!(import.next().await.unwrap_err().reason(), Some("CREDENTIALS_INVALID"));
    let error = importer.import(ImportOptions::default(), tokio_stream::empty()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_no_import_is_refused_and_what_was_done_stays() {
    use import_users_request::Message::{Options, Row};
    let server = Server::dev();
    let mut users = server.users().await;
    let options = || Options(ImportOptions::default());
    let bad_options = |key: &str, action| {
        Options(ImportOptions { import_key: key.into(), existing_user_action: action, validate_only: false })
    };
    let ok = |number| Row(numbered(number));
    for (messages, fields, done) in [
        (vec![], "options", 0),
        (vec![None], "options", 0),
        (vec![Some(ok(0))], "options", 0),
        (vec![Some(bad_options("a b", 0))], "options.import_key", 0),
        (vec![Some(bad_options(&"x".repeat(129), 0))], "options.import_key", 0),
        (vec![Some(bad_options("", 3))], "options.existing_user_action", 0),
        (vec![Some(options()), Some(ok(10)), Some(options())], "options", 1),
        (vec![Some(options()), Some(ok(11)), None], "row", 1),
        (vec![Some(options()), Some(ok(12)), Some(ok(12))], "row.number", 1),
        (vec![Some(options()), Some(ok(14)), Some(ok(13))], "row.number", 1),
        (vec![Some(options()), Some(Row(row(0, with_email("x@example.com"))))], "row.number", 0),
    ] {
        let shown = format!("{messages:?}");
        let messages = messages.into_iter().map(|message| ImportUsersRequest { message });
        let mut stream =
            users.import_users(tokio_stream::iter(messages.collect::<Vec<_>>())).await.unwrap().into_inner();
        let mut answers = Vec::new();
        let status = loop {
            match stream.message().await {
                Ok(message) => answers.push(message.unwrap()),
                Err(status) => break status,
            }
        };
        let problem = Problem::in_trailers(&status);
        assert_eq!(problem.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"), "{shown}");
        assert_eq!(problem.fields(), [fields], "{shown}");
        assert_eq!(answers.len().saturating_sub(1), done, "{shown}: {answers:?}");
    }
    assert_eq!(everything(&mut users).await.len(), 4);
}

#[tokio::test]
async fn a_row_that_is_too_large_ends_the_import() {
    let server = Server::dev();
    let (client, mut users) = (client(&server).await, server.users().await);
    let large = CreateUserRequest { name: "x".repeat(2 << 20), ..with_email("x@example.com") };
    let error = try_import(&client, ImportOptions::default(), vec![numbered(1), row(5, large)]).await.unwrap_err();
    assert_eq!(error.reason(), Some("MESSAGE_TOO_LARGE"), "{error}");
    assert_eq!(everything(&mut users).await.len(), 1, "the row before it was done");
    // Many that are not: together more than all requests may hold.
    let filler = "x".repeat(900_000);
    let rows =
        (10..330).map(|number| row(number, CreateUserRequest { name: filler.clone(), ..with_email("y@example.com") }));
    let verdicts = import(&client, ImportOptions::default(), rows.collect()).await;
    assert_eq!(verdicts.iter().filter(|one| one.outcome() == ImportOutcome::Failed).count(), 320);
}

#[tokio::test]
async fn at_a_drain_what_is_done_is_told_and_the_rest_can_go_on() {
    let server = Server::start(|config| config.drain_grace = Duration::from_secs(3_600));
    let client = client(&server).await;
    let (rows, receiver) = mpsc::channel(1);
    let mut running = client.import(keyed("k"), ReceiverStream::new(receiver)).await.unwrap();
    let mut told = 0;
    for number in 0..300 {
        rows.send(numbered(number)).await.unwrap();
    }
    server.shutdown();
    let error = loop {
        match running.next().await {
            Ok(verdict) => {
                told += 1;
                assert_eq!(verdict.unwrap().number, told);
            }
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, Some("SHUTTING_DOWN")));
    drop((client, running, rows));
    let (_, folder) = server.ended().await;
    let server = Server::start_in(folder, |_| ());
    let mut users = server.users().await;
    assert_eq!(everything(&mut users).await.len() as i64, told, "every row that was done was told");
    let client = Client::connect(&server.addr().to_string()).await.unwrap();
    let again = import(&client, keyed("k"), (0..300).map(numbered).collect()).await;
    assert_eq!(again.iter().filter(|verdict| verdict.done_before).count() as i64, told);
    assert_eq!(everything(&mut users).await.len(), 300);
}

#[tokio::test]
pub(super) async fn imports_side_by_side_share_out_what_is_unique() {
    let server = Server::dev();
    let client = Arc::new(client(&server).await);
    let mut runs = tokio::task::JoinSet::new();
    for run in 0..4 {
        let client = Arc::clone(&client);
        runs.spawn(async move {
            let rows = (0..2_000).map(|number| {
                let email = format!("shared-{}@example.com", (number * 7 + run * 501) % 2_000);
                row(number + 1, with_email(&email))
            });
            let verdicts = import(&client, ImportOptions::default(), rows.collect()).await;
            verdicts.iter().filter(|verdict| verdict.outcome() == ImportOutcome::Created).count()
        });
    }
    let created: usize = runs.join_all().await.into_iter().sum();
    assert_eq!(created, 2_000);
}

#[tokio::test]
async fn an_import_waits_for_room_among_the_passwords_and_loses_no_row() {
    const ROWS: usize = 20;
    // One thread and one place: an import fills that by itself, and so does whoever signs up beside it.
    let server = Server::start(|config| (config.hash_threads, config.hash_queue_max) = (1, 1));
    let client = client(&server).await;
    let with_password = |number| {
        let mut row = numbered(number);
        row.user.as_mut().unwrap().password = format!("a good password {number}");
        row
    };
    let importing = import(&client, keyed("hashing"), (0..ROWS).map(with_password).collect());
    let signing_up = async {
        let mut refused = 0;
        for number in 0..ROWS {
            let password = "a good password".to_owned();
            let request = CreateUserRequest { password, ..with_email(&format!("beside-{number}@example.com")) };
            match server.users().await.create_user(request).await {
                Ok(_) => {}
                Err(status) => {
                    assert_eq!(Problem::of(&status).kind(), (Code::ResourceExhausted, "HASHING_BUSY"));
                    refused += 1;
                }
            }
        }
        refused
    };
    let (verdicts, refused) = tokio::join!(importing, signing_up);
    let expected: Vec<_> = (1..=ROWS as i64).map(|number| (number, ImportOutcome::Created, "", vec![])).collect();
    assert_eq!(verdicts.iter().map(told).collect::<Vec<_>>(), expected);
    // The import was refused a place too: more often than those beside it.
    let metrics = server.http_get("/metrics").await;
    let all = metrics.lines().find_map(|line| line.strip_prefix("roster_hash_refused_total ")).unwrap();
    assert!(all.parse::<u64>().unwrap() > refused, "{all} in all, {refused} of those beside");
    let users = everything(&mut server.users().await).await;
    assert_eq!(users.iter().filter(|user| user.id.starts_with("user-")).count(), ROWS);
    // Each has its own password.
    for number in [0, ROWS / 2, ROWS - 1] {
        let (email, password) = (format!("user-{number:04}@example.com"), format!("a good password {number}"));
        sign_in::sign_in(&mut server.auth().await, &email, &password).await.unwrap();
    }
}
