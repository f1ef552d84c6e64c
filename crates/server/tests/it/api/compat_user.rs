//! `user.UserService`, the older proto: the same users by the same rules, and streams in both directions.

use std::time::Duration;

use prost::Message as _;
use roster_api::{
    auth::v1::{ApiKey, CreateApiKeyRequest, RevokeApiKeyRequest},
    compat::user::{
        BatchCreateResponse, CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, Role, User,
        UserUpdateRequest, UserUpdateResponse, user_service_client::UserServiceClient,
    },
    user::v1 as pb,
};
use roster_server::model::Rate;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming, metadata::MetadataMap, transport::Channel};

use super::sign_in::{PASSWORD, sign_in, sign_up};
use crate::harness::{Problem, Server, everything, framed, grpc, problem, signed_in};

type Users = UserServiceClient<Channel>;

async fn users(server: &Server) -> Users {
    UserServiceClient::new(server.channel().await)
}

fn row(name: &str) -> CreateUserRequest {
    CreateUserRequest {
        username: name.into(),
        email: format!("{name}@example.com"),
        full_name: format!("{name} Example"),
        role: Role::Unspecified.into(),
    }
}

fn update(user_id: &str, field: &str, value: &str) -> UserUpdateRequest {
    UserUpdateRequest { user_id: user_id.into(), field: field.into(), value: value.into() }
}

/// A server without `--dev`, and the token of a user with this name.
async fn server_and_token(name: &str) -> (Server, String, String) {
    let server = Server::start(|config| config.dev = false);
    let user = sign_up(&server, name).await;
    let token = sign_in(&mut server.auth().await, name, PASSWORD).await.unwrap().tokens.unwrap().access_token;
    (server, user.id, token)
}

#[tokio::test]
async fn a_user_is_made_read_and_deleted() {
    let server = Server::dev();
    let mut users = users(&server).await;
    let request = CreateUserRequest { role: Role::Moderator.into(), ..row("ada") };
    let ada = users.create_user(request).await.unwrap().into_inner();
    let found = server.users().await.get_user(pb::GetUserRequest { user_id: ada.id.clone() }).await.unwrap();
    let same = found.into_inner();
    let expected = User {
        id: same.id.clone(),
        username: "ada".into(),
        email: "ada@example.com".into(),
        full_name: "ada Example".into(),
        role: Role::Moderator.into(),
        created_at: same.created_at.unwrap().seconds,
        updated_at: same.updated_at.unwrap().seconds,
    };
    assert_eq!(ada, expected);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(ada.created_at.abs_diff(now.cast_signed()) < 600, "seconds: {}", ada.created_at);
    let get = || GetUserRequest { id: ada.id.clone() };
    assert_eq!(users.get_user(get()).await.unwrap().into_inner(), ada);
    let deleted = users.delete_user(DeleteUserRequest { id: ada.id.clone() }).await.unwrap().into_inner();
    assert!(deleted.success);
    for missing in [
        problem(users.get_user(get()).await),
        problem(users.delete_user(DeleteUserRequest { id: ada.id.clone() }).await),
    ] {
        assert_eq!(missing.kind(), (Code::NotFound, "USER_NOT_FOUND"));
        assert_eq!(missing.resource, Some(("user.v1.User".into(), ada.id.clone())));
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_as_the_older_proto_names_it() {
    let server = Server::dev();
    let mut users = users(&server).await;
    users.create_user(row("ada")).await.unwrap();
    let bad = CreateUserRequest { username: "a b".into(), email: "x".into(), full_name: "\u{0}".into(), role: 9 };
    let refused = problem(users.create_user(bad).await);
    assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"));
    let mut fields = refused.fields();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "full_name", "role", "username"]);
    let taken = CreateUserRequest { username: String::new(), ..row("ada") };
    assert_eq!(problem(users.create_user(taken).await).kind(), (Code::AlreadyExists, "EMAIL_TAKEN"));
    let taken = CreateUserRequest { email: "other@example.com".into(), ..row("ada") };
    assert_eq!(problem(users.create_user(taken).await).kind(), (Code::AlreadyExists, "USERNAME_TAKEN"));
    for id in ["", "a b"] {
        assert_eq!(problem(users.get_user(GetUserRequest { id: id.into() }).await).fields(), ["id"]);
        assert_eq!(problem(users.delete_user(DeleteUserRequest { id: id.into() }).await).fields(), ["id"]);
    }
    let bad = ListUsersRequest { role_filter: "OWNER".into(), limit: -1 };
    assert_eq!(problem(list(&mut users, bad).await).fields(), ["role_filter", "limit"]);
}

async fn list(users: &mut Users, request: ListUsersRequest) -> Result<Vec<User>, Status> {
    users.list_users(request).await?.into_inner().collect().await
}

#[tokio::test]
async fn lists_are_of_a_role_and_no_longer_than_wanted() {
    let server = Server::dev();
    let mut users = users(&server).await;
    let mut made = Vec::new();
    for (number, role) in [Role::User, Role::Admin, Role::Moderator, Role::Admin, Role::User].into_iter().enumerate() {
        let request = CreateUserRequest { role: role.into(), ..row(&format!("user{number}")) };
        made.push(users.create_user(request).await.unwrap().into_inner());
    }
    let of = |role_filter: &str, limit| ListUsersRequest { role_filter: role_filter.into(), limit };
    assert_eq!(list(&mut users, of("", 0)).await.unwrap(), made, "by id");
    assert_eq!(list(&mut users, of("", 2)).await.unwrap(), made[..2]);
    for spelled in ["ROLE_ADMIN", "ADMIN", "admin", "Role_Admin"] {
        let admins = list(&mut users, of(spelled, 5_000)).await.unwrap();
        assert_eq!(admins, [made[1].clone(), made[3].clone()], "{spelled}");
    }
    assert_eq!(list(&mut users, of("moderator", 1)).await.unwrap(), made[2..3]);
}

#[tokio::test]
async fn who_may_do_what_is_as_in_the_newer_proto() {
    let server = Server::start(|config| config.dev = false);
    let mut users = users(&server).await;
    let mut tokens = Vec::new();
    for name in ["ada", "bea"] {
        let user = users.create_user(row(name)).await.unwrap().into_inner();
        // Without a password, users sign in after a reset; these are made one beside it.
        sign_up(&server, &format!("{name}2")).await;
        tokens.push(user.id);
    }
    let token = sign_in(&mut server.auth().await, "ada2", PASSWORD).await.unwrap().tokens.unwrap().access_token;
    for id in [&tokens[1], "absent"] {
        let get = users.get_user(signed_in(GetUserRequest { id: id.into() }, &token)).await;
        assert_eq!(problem(get).kind(), (Code::PermissionDenied, "PERMISSION_DENIED"));
        let delete = users.delete_user(signed_in(DeleteUserRequest { id: id.into() }, &token)).await;
        assert_eq!(problem(delete).kind(), (Code::PermissionDenied, "PERMISSION_DENIED"));
    }
    let admin = CreateUserRequest { role: Role::Admin.into(), ..row("climber") };
    assert_eq!(problem(users.create_user(admin).await).reason, "PERMISSION_DENIED");
    let (_, folder) = server.stop().await;
    let server = Server::start_in(folder, |config| {
        config.dev = false;
        config.sign_up = roster_server::config::SignUp::Closed;
    });
    let mut users = self::users(&server).await;
    assert_eq!(problem(users.create_user(row("late")).await).reason, "SIGN_UP_CLOSED");
    let batch = users.batch_create_users(signed_in(tokio_stream::iter([row("late")]), &token)).await;
    assert_eq!(problem(batch).kind(), (Code::PermissionDenied, "PERMISSION_DENIED"));
    let anonymous = users.batch_create_users(tokio_stream::iter([row("late")])).await;
    assert_eq!(problem(anonymous).kind(), (Code::Unauthenticated, "CREDENTIALS_MISSING"));
}

/// Sends a batch as bytes, to see the trailers, which the generated client drops.
async fn batch(server: &Server, rows: &[CreateUserRequest], key: Option<&str>) -> (BatchCreateResponse, MetadataMap) {
    let mut request = grpc("/user.UserService/BatchCreateUsers", b"");
    let frames: Vec<_> = rows.iter().flat_map(|row| framed(0, &row.encode_to_vec())).collect();
    *request.body_mut() = frames.into();
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    }
    let answer = server.wire().await.send(request).await;
    (answer.message(), MetadataMap::from_headers(answer.trailers))
}

fn skipped(trailers: &MetadataMap) -> Vec<&str> {
    trailers.get_all("skipped-row").iter().map(|row| row.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_batch_skips_what_is_bad_and_names_it() {
    let server = Server::dev();
    let bad = CreateUserRequest { username: "a b".into(), email: "x".into(), ..row("bad") };
    let rows = [row("ada"), bad, row("bea"), CreateUserRequest { username: String::new(), ..row("ada") }];
    let (created, trailers) = batch(&server, &rows, Some("k")).await;
    assert_eq!((created.created_count, created.user_ids.len()), (2, 2));
    assert_eq!(trailers.get("skipped-count").unwrap(), "2");
    assert_eq!(skipped(&trailers), ["2 VALIDATION_FAILED email,username", "4 EMAIL_TAKEN"]);
    let mut names = Vec::new();
    for id in &created.user_ids {
        let user = users(&server).await.get_user(GetUserRequest { id: id.clone() }).await.unwrap().into_inner();
        names.push(user.username);
    }
    assert_eq!(names, ["ada", "bea"], "in the order of the rows");

    // The same again creates nothing, and a row more creates that row.
    assert_eq!(batch(&server, &rows, Some("k")).await.0, created);
    let more = [&rows[..], &[row("cora")]].concat();
    let (again, trailers) = batch(&server, &more, Some("k")).await;
    assert_eq!((&again.user_ids[..2], again.created_count), (&created.user_ids[..], 3));
    assert_eq!(skipped(&trailers).len(), 2);
    assert_eq!(everything(&mut server.users().await).await.len(), 3);
    // Without a key they are taken, and a batch without a bad row has no trailers of ours.
    let (none, trailers) = batch(&server, &rows, None).await;
    assert_eq!((none.created_count, trailers.get("skipped-count").unwrap().to_str().unwrap()), (0, "4"));
    let (one, trailers) = batch(&server, &[row("dora")], None).await;
    assert_eq!((one.created_count, trailers.get("skipped-count")), (1, None));
    assert_eq!(batch(&server, &[], None).await.0, BatchCreateResponse::default());
}

#[tokio::test]
async fn a_batch_is_bounded_in_rows_and_in_what_it_says_of_them() {
    let server = Server::dev();
    let bad = CreateUserRequest { email: "x".into(), ..Default::default() };
    let (none, trailers) = batch(&server, &vec![bad.clone(); 10_000], None).await;
    assert_eq!((none.created_count, trailers.get("skipped-count").unwrap().to_str().unwrap()), (0, "10000"));
    let told: usize = skipped(&trailers).iter().map(|row| row.len()).sum();
    assert!((1_000..=4_096).contains(&told), "{told} bytes");
    let rows = tokio_stream::iter(vec![bad; 10_001]);
    let refused = problem(users(&server).await.batch_create_users(rows).await);
    assert_eq!((refused.kind(), refused.fields()), ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["requests"]));
}

#[tokio::test]
async fn whoever_may_import_creates_plain_users_though_sign_up_is_closed() {
    let server = Server::dev();
    let api_key = ApiKey { name: "importer".into(), scopes: vec!["users.import".into()], ..Default::default() };
    let request = CreateApiKeyRequest { api_key: Some(api_key), validate_only: false };
    let key = server.auth().await.create_api_key(request).await.unwrap().into_inner().secret;
    let (_, folder) = server.stop().await;
    let server = Server::start_in(folder, |config| {
        config.dev = false;
        config.sign_up = roster_server::config::SignUp::Closed;
    });
    let rows = [row("ada"), CreateUserRequest { role: Role::Admin.into(), ..row("climber") }];
    let answer = users(&server).await.batch_create_users(signed_in(tokio_stream::iter(rows), &key)).await.unwrap();
    assert_eq!(answer.into_inner().created_count, 1, "an administrator takes another permission");
}

#[tokio::test]
async fn rows_of_a_client_that_goes_away_stay_and_the_rest_is_never_made() {
    let server = Server::dev();
    let (rows, stream) = mpsc::channel(1);
    let mut client = users(&server).await;
    let call = tokio::spawn(async move { client.batch_create_users(ReceiverStream::new(stream)).await });
    rows.send(row("ada")).await.unwrap();
    let mut newer = server.users().await;
    while everything(&mut newer).await.is_empty() {}
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(rows.send(row("bea")).await.is_err() || rows.send(row("cora")).await.is_err());
    assert_eq!(everything(&mut newer).await.len(), 1);
}

/// Both ends of a stream of updates.
struct Updates {
    requests: mpsc::Sender<UserUpdateRequest>,
    answers: Streaming<UserUpdateResponse>,
}

impl Updates {
    async fn open(server: &Server, token: Option<&str>) -> Self {
        let (requests, stream) = mpsc::channel(1);
        let stream = ReceiverStream::new(stream);
        let request = match token {
            Some(token) => signed_in(stream, token),
            None => tonic::Request::new(stream),
        };
        let answers = users(server).await.stream_user_updates(request).await.unwrap().into_inner();
        Self { requests, answers }
    }

    /// Whether it was done, and what is said of it.
    async fn make(&mut self, request: UserUpdateRequest) -> (bool, String) {
        let user_id = request.user_id.clone();
        self.requests.send(request).await.unwrap();
        let answer = self.answers.message().await.unwrap().unwrap();
        assert_eq!(answer.user_id, user_id);
        (answer.success, answer.message)
    }
}

#[tokio::test]
async fn each_update_is_answered_before_the_next_is_needed() {
    let server = Server::dev();
    let mut client = users(&server).await;
    let ada = client.create_user(row("ada")).await.unwrap().into_inner();
    client.create_user(row("bea")).await.unwrap();
    let mut updates = Updates::open(&server, None).await;
    for (field, value) in
        [("username", "ada9"), ("email", "new@example.com"), ("full_name", "Ada King"), ("role", "admin")]
    {
        assert_eq!(updates.make(update(&ada.id, field, value)).await, (true, "updated".into()), "{field}");
    }
    let after = client.get_user(GetUserRequest { id: ada.id.clone() }).await.unwrap().into_inner();
    let told = (after.username.as_str(), after.email.as_str(), after.full_name.as_str(), after.role);
    assert_eq!(told, ("ada9", "new@example.com", "Ada King", Role::Admin as i32));

    for (request, says) in [
        (update(&ada.id, "email", "bea@example.com"), "EMAIL_TAKEN: "),
        (update(&ada.id, "email", "x"), "VALIDATION_FAILED: email: "),
        (update(&ada.id, "email", ""), "VALIDATION_FAILED: email: "),
        (update(&ada.id, "full_name", "\u{0}"), "VALIDATION_FAILED: full_name: "),
        (update(&ada.id, "role", "owner"), "VALIDATION_FAILED: role: "),
        (update(&ada.id, "password", "x"), "VALIDATION_FAILED: field: "),
        (update(&ada.id, "", "x"), "VALIDATION_FAILED: field: "),
        (update("", "email", "a@example.com"), "VALIDATION_FAILED: user_id: "),
        (update("absent", "email", "a@example.com"), "USER_NOT_FOUND: "),
        (update(&ada.id, "role", "user"), "updated"),
        (update(&ada.id, "username", ""), "updated"),
    ] {
        let (success, message) = updates.make(request.clone()).await;
        assert!(message.starts_with(says), "{request:?}: {message}");
        assert_eq!(success, says == "updated");
    }
    drop(updates.requests);
    assert_eq!(updates.answers.message().await.unwrap(), None);
    let after = client.get_user(GetUserRequest { id: ada.id }).await.unwrap().into_inner();
    assert_eq!((after.username.as_str(), after.role), ("", Role::User as i32));
}

#[tokio::test]
async fn a_user_updates_themselves_alone_and_learns_nothing_of_others() {
    let (server, ada, token) = server_and_token("ada").await;
    let bea = sign_up(&server, "bea").await;
    let mut updates = Updates::open(&server, Some(&token)).await;
    assert_eq!(updates.make(update(&ada, "full_name", "Ada King")).await, (true, "updated".into()));
    let foreign = updates.make(update(&bea.id, "full_name", "x")).await;
    assert!(foreign.1.starts_with("PERMISSION_DENIED: "), "{foreign:?}");
    assert_eq!(updates.make(update("absent", "full_name", "x")).await, foreign);
    assert!(updates.make(update(&ada, "role", "admin")).await.1.starts_with("PERMISSION_DENIED: "));
    assert_eq!(updates.make(update(&ada, "username", "ada.king")).await, (true, "updated".into()));
}

#[tokio::test]
async fn a_stream_of_updates_ends_with_the_key_that_it_was_opened_with() {
    let server = Server::dev();
    let api_key = ApiKey { name: "updater".into(), scopes: vec!["users.update".into()], ..Default::default() };
    let request = CreateApiKeyRequest { api_key: Some(api_key), validate_only: false };
    let key = server.auth().await.create_api_key(request).await.unwrap().into_inner();
    let ada = users(&server).await.create_user(row("ada")).await.unwrap().into_inner();
    let mut updates = Updates::open(&server, Some(&key.secret)).await;
    assert!(updates.make(update(&ada.id, "full_name", "Ada King")).await.0);
    let revoke = RevokeApiKeyRequest { api_key_id: key.api_key.unwrap().id };
    server.auth().await.revoke_api_key(revoke).await.unwrap();
    let ended = timeout(Duration::from_secs(1), updates.answers.message()).await.unwrap().unwrap_err();
    assert_eq!(Problem::in_trailers(&ended).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
}

#[tokio::test]
async fn a_drain_ends_a_stream_of_updates_between_two_of_them() {
    let server = Server::dev();
    let ada = users(&server).await.create_user(row("ada")).await.unwrap().into_inner();
    let mut updates = Updates::open(&server, None).await;
    assert!(updates.make(update(&ada.id, "full_name", "Ada King")).await.0);
    server.shutdown();
    let ended = updates.answers.message().await.unwrap_err();
    assert_eq!(Problem::in_trailers(&ended).kind(), (Code::Unavailable, "SHUTTING_DOWN"));
}

#[tokio::test]
async fn updates_in_a_stream_count_as_calls() {
    let server = Server::start(|config| config.rates.write = Rate { per_minute: 1, burst: 3 });
    let ada = users(&server).await.create_user(row("ada")).await.unwrap().into_inner();
    let mut updates = Updates::open(&server, None).await;
    let mut done = Vec::new();
    for number in 0..3 {
        done.push(updates.make(update(&ada.id, "full_name", &format!("Ada {number}"))).await);
    }
    // The call is one of the three.
    assert!(done[0].0 && done[1].0, "{done:?}");
    assert!(done[2].1.starts_with("RATE_LIMITED: "), "{done:?}");
}

#[tokio::test]
async fn updates_sent_again_with_a_key_are_not_made_again() {
    let server = Server::dev();
    let ada = users(&server).await.create_user(row("ada")).await.unwrap().into_inner();
    let send = async |requests: Vec<UserUpdateRequest>| {
        let mut request = tonic::Request::new(tokio_stream::iter(requests));
        request.metadata_mut().insert("idempotency-key", "k".parse().unwrap());
        let answers = users(&server).await.stream_user_updates(request).await.unwrap().into_inner();
        answers.map(|answer| answer.unwrap().success).collect::<Vec<bool>>().await
    };
    let first = update(&ada.id, "full_name", "First");
    assert_eq!(send(vec![first.clone(), update(&ada.id, "full_name", "Second")]).await, [true, true]);
    assert_eq!(send(vec![first, update(&ada.id, "full_name", "Other")]).await, [true, false]);
    let after = users(&server).await.get_user(GetUserRequest { id: ada.id }).await.unwrap().into_inner();
    assert_eq!(after.full_name, "Second");
}
