//! Hostile values in every field of every request: each is refused by name, and nothing changes.

mod addresses;
mod preferences;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FieldMask, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use roster_api::{
    client::Transport,
    user::v1::{
        AddAddressRequest, Address, AddressKind, CreateUserRequest, DeactivateUserRequest, DeleteUserRequest,
        GetPreferencesRequest, GetUserByEmailRequest, GetUserRequest, ListAddressesRequest, ListUsersRequest,
        Pagination, ReactivateUserRequest, SearchUsersRequest, UpdateUserRequest, User,
        user_service_client::UserServiceClient,
    },
};
use roster_server::store::{FeedStore as _, Store as _};
use tonic::Code;

use super::USERS;
use crate::harness::{Problem, Server, create_all, everything, list, problem, store_in, with_email};

/// Text that hides, breaks lines, or turns the direction of what follows.
const HIDDEN: &[&str] = &[
    "\0",
    "\u{1b}[31m",
    "\r\n",
    "\u{7f}",
    "\u{85}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{2028}",
    "\u{fffe}",
];
/// Bytes of headers that the strictest of the usual clients takes.
const CLIENT_HEADERS_MAX_BYTES: usize = 8 * 1024;

/// The methods that are served and take something, with their requests.
const METHODS: &[(&str, &str)] = &[
    ("CreateUser", "CreateUserRequest"),
    ("GetUser", "GetUserRequest"),
    ("GetUserByEmail", "GetUserByEmailRequest"),
    ("UpdateUser", "UpdateUserRequest"),
    ("DeleteUser", "DeleteUserRequest"),
    ("DeactivateUser", "DeactivateUserRequest"),
    ("ReactivateUser", "ReactivateUserRequest"),
    ("ListUsers", "ListUsersRequest"),
    ("SearchUsers", "SearchUsersRequest"),
    ("AddAddress", "AddAddressRequest"),
    ("GetAddress", "GetAddressRequest"),
    ("UpdateAddress", "UpdateAddressRequest"),
    ("DeleteAddress", "DeleteAddressRequest"),
    ("ListAddresses", "ListAddressesRequest"),
    ("SetDefaultAddress", "SetDefaultAddressRequest"),
    ("GetPreferences", "GetPreferencesRequest"),
    ("UpdatePreferences", "UpdatePreferencesRequest"),
];

/// Fields in which no value is wrong: switches, and etags, which are only compared. The password so far is looked at only
/// of who is signed in: `own_email` has its hostile values.
const ANY_VALUE: &[&str] = &["email_verified", "validate_only", "etag", "make_default", "current_password"];

/// A request that is wrong in one field.
struct Case {
    method: &'static str,
    /// The field of the request message.
    field: &'static str,
    message: Vec<u8>,
    reason: &'static str,
    /// The field that the violation names.
    violation: String,
}

/// Gathers cases of one method.
struct Cases<'a> {
    method: &'static str,
    all: &'a mut Vec<Case>,
}

impl Cases<'_> {
    fn add(&mut self, field: &'static str, message: &impl prost::Message) {
        self.named(field, field, message);
    }

    fn named(&mut self, field: &'static str, violation: &str, message: &impl prost::Message) {
        self.reasoned(field, violation, "VALIDATION_FAILED", message);
    }

    fn reasoned(&mut self, field: &'static str, violation: &str, reason: &'static str, message: &impl prost::Message) {
        let (method, message) = (self.method, message.encode_to_vec());
        self.all.push(Case { method, field, message, reason, violation: violation.to_owned() });
    }
}

fn hidden_in(before: &str, after: &str) -> Vec<String> {
    HIDDEN.iter().map(|hidden| format!("{before}{hidden}{after}")).collect()
}

fn bad_emails() -> Vec<String> {
    let plain = ["plain", "@example.com", "ada@", "a@b@c", "a b@example.com", "a..b@example.com", "ada@-x.com", " "];
    let long = [format!("ada@{}", "a.".repeat(200)), "a".repeat(1 << 20)];
    plain.into_iter().map(str::to_owned).chain(long).chain(hidden_in("ada", "@example.com")).collect()
}

fn bad_names() -> Vec<String> {
    [hidden_in("Ada ", "Lovelace"), vec!["n".repeat(201), "n".repeat(1 << 20)]].concat()
}

fn bad_usernames() -> Vec<String> {
    let plain = ["has space", "a@b", "-dash", "a/b", "emoji👍"].map(str::to_owned).to_vec();
    [plain, hidden_in("ada", "x"), vec!["u".repeat(65)]].concat()
}

fn bad_phones() -> Vec<String> {
    let plain = ["0301234567", "+12", "+1234567890123456", "+49 (0)30 123456", "phone"].map(str::to_owned).to_vec();
    [plain, hidden_in("+4930", "123456"), vec![format!("+{}", "9".repeat(1 << 20))]].concat()
}

fn bad_locales() -> Vec<String> {
    [["german speaker", "de_CH", "-"].map(str::to_owned).to_vec(), hidden_in("de", ""), vec!["de-".repeat(100)]]
        .concat()
}

fn bad_ids() -> Vec<String> {
    let plain = ["-a", "~a", "a b", "a/b", "é", " "].map(str::to_owned).to_vec();
    [plain, hidden_in("a", "b"), vec!["i".repeat(65), "i".repeat(1 << 20)]].concat()
}

const BAD_AGES: [i32; 5] = [-1, 151, 256, i32::MIN, i32::MAX];
const BAD_ROLES: [i32; 4] = [-1, 4, i32::MIN, i32::MAX];

/// Attributes that are wrong, and the field that is named.
fn bad_attributes() -> Vec<(BTreeMap<String, String>, String)> {
    let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let many = |count: usize, value: &str| (0..count).map(|n| (format!("key{n}"), value.to_owned())).collect();
    let mut all = vec![
        (one("", "x"), "attributes.\"\"".to_owned()),
        (one("a b", "x"), "attributes.\"a b\"".to_owned()),
        (one("é", "x"), "attributes.\"é\"".to_owned()),
        (one("a\u{202e}", "x"), "attributes.\"a\\u{202e}\"".to_owned()),
        (one("key", &"v".repeat(1025)), "attributes.key".to_owned()),
        (many(65, "x"), "attributes".to_owned()),
        (many(10_000, "x"), "attributes".to_owned()),
        (many(17, &"v".repeat(1_000)), "attributes".to_owned()),
    ];
    // Values may have lines, and nothing else of the kind.
    let values = HIDDEN.iter().filter(|hidden| **hidden != "\r\n");
    all.extend(values.map(|hidden| (one("key", &format!("a{hidden}b")), "attributes.key".to_owned())));
    all
}

fn create_cases(all: &mut Vec<Case>) {
    let mut cases = Cases { method: "CreateUser", all };
    let valid = || CreateUserRequest { name: "New".into(), ..with_email("new@example.com") };
    for email in bad_emails().into_iter().chain([String::new()]) {
        cases.add("email", &CreateUserRequest { email, ..valid() });
    }
    for name in bad_names() {
        cases.add("name", &CreateUserRequest { name, ..valid() });
    }
    for password in ["1234567", "éééé", "secret\0secret", &"p".repeat(1025), &"p".repeat(1 << 20)] {
        cases.add("password", &CreateUserRequest { password: password.into(), ..valid() });
    }
    for username in bad_usernames() {
        cases.add("username", &CreateUserRequest { username, ..valid() });
    }
    for role in BAD_ROLES {
        cases.add("role", &CreateUserRequest { role, ..valid() });
    }
    for age in BAD_AGES {
        cases.add("age", &CreateUserRequest { age: Some(age), ..valid() });
    }
    for phone in bad_phones() {
        cases.add("phone", &CreateUserRequest { phone, ..valid() });
    }
    for locale in bad_locales() {
        cases.add("locale", &CreateUserRequest { locale, ..valid() });
    }
    for (attributes, violation) in bad_attributes() {
        cases.named("attributes", &violation, &CreateUserRequest { attributes, ..valid() });
    }
    for user_id in bad_ids() {
        cases.add("user_id", &CreateUserRequest { user_id, ..valid() });
    }
    let dear = "$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for hash in ["hash", "$1$salt$md5", "$argon2id$", "$2b$04$short", dear, &"$argon2id$".repeat(103), "$\0$"] {
        cases.add("password_hash", &CreateUserRequest { password_hash: hash.into(), ..valid() });
    }
    let both = CreateUserRequest { password: "password123".into(), password_hash: "$2b$".into(), ..valid() };
    cases.add("password_hash", &both);
}

fn update_cases(all: &mut Vec<Case>, user: &User) {
    let mut cases = Cases { method: "UpdateUser", all };
    let valid = || UpdateUserRequest { user_id: user.id.clone(), ..Default::default() };
    for user_id in bad_ids().into_iter().chain([String::new()]) {
        cases.add("user_id", &UpdateUserRequest { user_id, name: Some("x".into()), ..valid() });
    }
    for email in bad_emails().into_iter().chain([String::new()]) {
        cases.add("email", &UpdateUserRequest { email: Some(email), ..valid() });
    }
    for name in bad_names() {
        cases.add("name", &UpdateUserRequest { name: Some(name), ..valid() });
    }
    for username in bad_usernames() {
        cases.add("username", &UpdateUserRequest { username: Some(username), ..valid() });
    }
    for role in BAD_ROLES {
        cases.add("role", &UpdateUserRequest { role: Some(role), ..valid() });
    }
    for age in BAD_AGES {
        cases.add("age", &UpdateUserRequest { age: Some(age), ..valid() });
    }
    for phone in bad_phones() {
        cases.add("phone", &UpdateUserRequest { phone: Some(phone), ..valid() });
    }
    for locale in bad_locales() {
        cases.add("locale", &UpdateUserRequest { locale: Some(locale), ..valid() });
    }
    for (attributes, violation) in bad_attributes() {
        cases.named("attributes", &violation, &UpdateUserRequest { attributes, ..valid() });
    }
    let many: Vec<String> = (0..10_000).map(|n| format!("attributes.key{n}")).collect();
    let unknown = ["unknown", "", "Name", "name.first", "attributes[0]", "attributes.", "attributes.a b", "pass\0word"];
    let output_only = ["id", "status", "created_at", "updated_at", "etag"];
    let singles = unknown.iter().chain(&output_only).map(|path| vec![(*path).to_owned()]);
    for paths in singles.chain([many, vec!["*".to_owned(), "age".to_owned()]]) {
        // A star without an email would be wrong in that too.
        let email = Some("new@example.com".to_owned());
        cases.add("update_mask", &UpdateUserRequest { email, update_mask: Some(FieldMask { paths }), ..valid() });
    }
}

fn named_user_cases(all: &mut Vec<Case>) {
    for user_id in bad_ids().into_iter().chain([String::new()]) {
        let id = || user_id.clone();
        let message = GetUserRequest { user_id: id() };
        Cases { method: "GetUser", all }.add("user_id", &message);
        let message = DeleteUserRequest { user_id: id(), ..Default::default() };
        Cases { method: "DeleteUser", all }.add("user_id", &message);
        let message = DeactivateUserRequest { user_id: id(), ..Default::default() };
        Cases { method: "DeactivateUser", all }.add("user_id", &message);
        let message = ReactivateUserRequest { user_id: id(), ..Default::default() };
        Cases { method: "ReactivateUser", all }.add("user_id", &message);
    }
    for email in bad_emails().into_iter().chain([String::new()]) {
        Cases { method: "GetUserByEmail", all }.add("email", &GetUserByEmailRequest { email });
    }
}

/// Filters that cannot be read, and the character at which that shows.
fn bad_filters() -> Vec<(String, usize)> {
    let plain = [
        ("nothing = 1", 1),
        ("password = \"x\"", 1),
        ("name =", 7),
        ("name = \"open", 8),
        ("age = old", 7),
        ("age > 1.5", 7),
        ("status = SLEEPING", 10),
        ("created_at > yesterday", 14),
        ("email_verified = maybe", 18),
        ("name = a AND", 13),
        ("(name = a", 1),
        ("name = a)", 9),
        ("role > ADMIN", 1),
        ("name = a OR OR age = 1", 13),
    ];
    let deep = [("(".repeat(2_000), 33), ("NOT ".repeat(1_000), 0), ("(".repeat(10_000), 1), ("-".repeat(4_000), 0)];
    plain.into_iter().map(|(text, at)| (text.to_owned(), at)).chain(deep).collect()
}

fn bad_orders() -> Vec<String> {
    let plain =
        ["nothing", "name sideways", "name,", ",", "name name", "name desc asc", "password", "attributes", "na\0me"];
    plain.into_iter().map(str::to_owned).chain(["name,".repeat(10_000), "x".repeat(1 << 20)]).collect()
}

fn list_cases(all: &mut Vec<Case>, tokens: &Tokens) {
    let mut cases = Cases { method: "ListUsers", all };
    let valid = ListUsersRequest::default;
    for page_size in [-1, -1_000, i32::MIN] {
        cases.add("page_size", &ListUsersRequest { page_size, ..valid() });
        let pagination = Some(Pagination { page_size, ..Default::default() });
        cases.named("pagination", "page_size", &ListUsersRequest { pagination, ..valid() });
    }
    let (page_size, pagination) = (1, Some(Pagination { page_size: 2, ..Default::default() }));
    let both_sizes = ListUsersRequest { page_size, pagination, ..valid() };
    cases.named("pagination", "pagination.page_size", &both_sizes);
    let (page_token, other) = (tokens.list.clone(), tokens.search.clone());
    let pagination = Some(Pagination { page_token: other, ..Default::default() });
    let both_tokens = ListUsersRequest { page_token, pagination, ..valid() };
    cases.named("pagination", "pagination.page_token", &both_tokens);

    let mut token = |request: ListUsersRequest| {
        cases.reasoned("page_token", "page_token", "PAGE_TOKEN_INVALID", &request);
    };
    for page_token in tokens.bad() {
        token(ListUsersRequest { page_token, ..valid() });
    }
    let list = || ListUsersRequest { page_token: tokens.list.clone(), ..valid() };
    token(ListUsersRequest { page_token: tokens.search.clone(), ..valid() });
    token(ListUsersRequest { filter: "role = ADMIN".into(), ..list() });
    token(ListUsersRequest { order_by: "name".into(), ..list() });
    token(ListUsersRequest { page_token: tokens.id.clone(), order_by: "name".into(), ..valid() });

    for (filter, _) in bad_filters() {
        cases.reasoned("filter", "filter", "FILTER_INVALID", &ListUsersRequest { filter, ..valid() });
    }
    for order_by in bad_orders() {
        cases.reasoned("order_by", "order_by", "ORDER_BY_INVALID", &ListUsersRequest { order_by, ..valid() });
    }
}

fn search_cases(all: &mut Vec<Case>, tokens: &Tokens) {
    let mut cases = Cases { method: "SearchUsers", all };
    let valid = SearchUsersRequest::default;
    for query in [hidden_in("a", "b"), vec!["q".repeat(257), "q".repeat(1 << 20)]].concat() {
        cases.add("query", &SearchUsersRequest { query, ..valid() });
    }
    for page_size in [-1, i32::MIN] {
        cases.add("page_size", &SearchUsersRequest { page_size, ..valid() });
    }
    let mut token = |request: SearchUsersRequest| {
        cases.reasoned("page_token", "page_token", "PAGE_TOKEN_INVALID", &request);
    };
    for page_token in tokens.bad() {
        token(SearchUsersRequest { page_token, ..valid() });
    }
    let search = || SearchUsersRequest { page_token: tokens.search.clone(), ..valid() };
    token(SearchUsersRequest { page_token: tokens.list.clone(), ..valid() });
    // The id of the last user goes on with ListUsers alone.
    token(SearchUsersRequest { page_token: tokens.id.clone(), ..valid() });
    token(SearchUsersRequest { query: "a".into(), ..search() });
    token(SearchUsersRequest { filter: "role = ADMIN".into(), ..search() });
    token(SearchUsersRequest { order_by: "name".into(), ..search() });
    for (filter, _) in bad_filters() {
        cases.reasoned("filter", "filter", "FILTER_INVALID", &SearchUsersRequest { filter, ..valid() });
    }
    for order_by in bad_orders() {
        cases.reasoned("order_by", "order_by", "ORDER_BY_INVALID", &SearchUsersRequest { order_by, ..valid() });
    }
}

/// Tokens that the server gave, for their own queries alone.
struct Tokens {
    list: String,
    search: String,
    /// Of a user: a place in the default order.
    id: String,
}

impl Tokens {
    /// What is no token of any query.
    fn bad(&self) -> Vec<String> {
        let mut tampered = self.list.clone().into_bytes();
        let last = tampered.len() - 3;
        tampered[last] = if tampered[last] == b'A' { b'B' } else { b'A' };
        let cut = self.list[..self.list.len() - 4].to_owned();
        let plain =
            ["garbage", "no user has this id", "~", "~~", "~AAAA", "~!!!!", "'; DROP TABLE users; --", "\0", "💥"];
        let made =
            [String::from_utf8(tampered).unwrap(), cut, "A".repeat(1 << 20), format!("~{}", "A".repeat(1 << 20))];
        plain.into_iter().map(str::to_owned).chain(made).collect()
    }
}

async fn add_address(users: &mut UserServiceClient<Transport>, user_id: &str) -> Address {
    let address = Address {
        kind: AddressKind::Shipping.into(),
        line1: "1 Main St".into(),
        city: "Reno".into(),
        country: "US".into(),
        ..Default::default()
    };
    let request = AddAddressRequest { user_id: user_id.into(), address: Some(address), ..Default::default() };
    users.add_address(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_hostile_value_in_any_field_is_refused_by_name_and_changes_nothing() {
    let server = Server::dev();
    let mut users = server.users().await;
    let created = create_all(&mut users, &["ada", "bea", "cleo"]).await;
    let page = ListUsersRequest { page_size: 1, ..Default::default() };
    let found = users.search_users(SearchUsersRequest { page_size: 1, ..Default::default() }).await.unwrap();
    let tokens = Tokens {
        list: list(&mut users, page).await.unwrap().1.unwrap(),
        search: found.into_inner().next_page_token,
        id: created[0].id.clone(),
    };

    let mut cases = Vec::new();
    create_cases(&mut cases);
    update_cases(&mut cases, &created[0]);
    named_user_cases(&mut cases);
    list_cases(&mut cases, &tokens);
    search_cases(&mut cases, &tokens);
    let home = add_address(&mut users, &created[0].id).await;
    addresses::cases(&mut cases, &created[0].id, &home.id);
    preferences::cases(&mut cases, &created[0].id);
    assert_eq!(fields_in(&cases), fields_of_protos(), "each field has its hostile values");

    let wire = server.wire().await;
    for case in &cases {
        let answer = wire.call(&format!("{USERS}/{}", case.method), &case.message).await;
        let size = case.message.len().min(200);
        let what = format!("{} {:?}", case.method, String::from_utf8_lossy(&case.message[..size]));
        let problem = Problem::of(&answer.status());
        assert_eq!(problem.kind(), (Code::InvalidArgument, case.reason), "{what}");
        assert_eq!(problem.fields(), [case.violation.as_str()], "{what}");
        assert_eq!(problem.told_id.as_ref(), Some(&problem.request_id));
        assert!(problem.violations[0].1.len() > 5, "{what}: {problem:?}");
        // What came is repeated in a way that a terminal can show.
        assert!(!problem.message.chars().any(|c| c.is_control() || "\u{202e}\u{200b}\u{2028}".contains(c)), "{what}");
        let headers = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
        assert!(headers.sum::<usize>() < CLIENT_HEADERS_MAX_BYTES, "{what}");
        assert_eq!(everything(&mut users).await, created, "{what}");
    }
    let user_id = created[0].id.clone();
    let left = users.list_addresses(ListAddressesRequest { user_id: user_id.clone(), kind: 0 }).await.unwrap();
    assert_eq!(left.into_inner().addresses, [home]);
    let preferences = users.get_preferences(GetPreferencesRequest { user_id }).await.unwrap().into_inner();
    assert_eq!(preferences.updated_at, None);

    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    assert_eq!(store.list_changes(0, 100).await.unwrap().changes.len(), created.len());
    store.close().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_says_where() {
    let server = Server::dev();
    let mut users = server.users().await;
    for (filter, at) in bad_filters().into_iter().filter(|(_, at)| *at > 0) {
        let refused = problem(list(&mut users, ListUsersRequest { filter, ..Default::default() }).await);
        let (_, description) = &refused.violations[0];
        assert!(description.starts_with(&format!("at character {at}: ")), "{description}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_and_fits_into_headers() {
    let server = Server::dev();
    let mut users = server.users().await;
    let request = CreateUserRequest {
        email: "nobody".into(),
        name: "n\0".into(),
        password: "short".into(),
        username: "a b".into(),
        role: 9,
        age: Some(-1),
        phone: "1".into(),
        locale: "?".into(),
        attributes: BTreeMap::from([("a b".into(), String::new()), ("key".into(), "\0".into())]),
        user_id: "~".into(),
        ..Default::default()
    };
    let created = problem(users.create_user(request).await);
    let fields = [
        "email",
        "name",
        "username",
        "role",
        "age",
        "phone",
        "locale",
        "attributes.\"a b\"",
        "attributes.key",
        "user_id",
        "password",
    ];
    assert_eq!((created.code, created.fields()), (Code::InvalidArgument, fields.to_vec()));

    let request = ListUsersRequest {
        page_size: -1,
        page_token: "garbage".into(),
        pagination: Some(Pagination { page_size: 5, page_token: "other".into() }),
        ..Default::default()
    };
    let listed = problem(list(&mut users, request).await);
    assert_eq!(listed.fields(), ["pagination.page_size", "pagination.page_token", "page_size", "page_token"]);
    let request = SearchUsersRequest {
        query: "\0".into(),
        filter: "(".into(),
        order_by: "?".into(),
        page_size: -1,
        ..Default::default()
    };
    let searched = problem(users.search_users(request).await);
    assert_eq!(searched.fields(), ["query", "page_size", "filter", "order_by"]);

    // More than headers can carry: the first ones, and how many there are.
    let paths = (0..256).map(|n| format!("no such field ééé {n}")).collect();
    let request =
        UpdateUserRequest { user_id: "ada".into(), update_mask: Some(FieldMask { paths }), ..Default::default() };
    let answer = server.wire().await.call(&format!("{USERS}/UpdateUser"), &request.encode_to_vec()).await;
    let problem = Problem::of(&answer.status());
    assert!((10..256).contains(&problem.violations.len()), "{}", problem.violations.len());
    assert!(problem.message.contains(" more"), "{}", problem.message);
    let headers = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    assert!(headers.sum::<usize>() < CLIENT_HEADERS_MAX_BYTES);
}

#[tokio::test]
async fn bytes_that_are_not_the_message_are_the_callers_mistake() {
    let server = Server::dev();
    let wire = server.wire().await;
    let descriptors = descriptors();
    let mut refused = 0;
    for (method, message) in METHODS {
        for (path, bytes) in malformed(&descriptors, find(&descriptors, message)) {
            let answer = wire.call(&format!("{USERS}/{method}"), &bytes).await;
            let problem = Problem::of(&answer.status());
            assert_eq!(problem.kind(), (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{method} {path} {bytes:?}");
            assert_eq!(problem.fields(), [path.as_str()], "{method} {bytes:?}");
            refused += 1;
        }
        // A tag without a value, a length beyond the end, tag zero, a stray end of a group, and groups without end.
        let unended_groups = [0x0b].repeat(10_000);
        for bytes in [&[0x0a][..], &[0x0a, 0xff, 0xff, 0xff, 0x7f], &[0x00, 0x01], &[0x0c], &unended_groups] {
            let answer = wire.call(&format!("{USERS}/{method}"), bytes).await;
            let problem = Problem::of(&answer.status());
            assert_eq!(problem.kind(), (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{method} {bytes:?}");
        }
    }
    assert!(refused > 200, "{refused}");
    assert_eq!(everything(&mut server.users().await).await, []);

    // What a newer client knows and we do not is no mistake.
    let newer = [ListUsersRequest::default().encode_to_vec(), vec![0xba, 0x3e, 3, b'n', b'e', b'w']].concat();
    assert_eq!(wire.call(&format!("{USERS}/ListUsers"), &newer).await.status().code(), Code::Ok);
}

/// Each field with a wire type that it does not have, and each text with bytes that are no UTF-8.
fn malformed(pool: &FileDescriptorSet, message: &DescriptorProto) -> Vec<(String, Vec<u8>)> {
    const VARINT: i32 = 0;
    const LENGTH_DELIMITED: i32 = 2;
    const FIXED_32: i32 = 5;
    let mut all = Vec::new();
    for field in &message.field {
        let tagged = |wire: i32, rest: &[u8]| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(u64::try_from(field.number() << 3 | wire).unwrap(), &mut bytes);
            [bytes.as_slice(), rest].concat()
        };
        let name = field.name().to_owned();
        // prost looks at no wire type of a map.
        if !is_map(field) {
            let other = if field.r#type() == Type::Message { VARINT } else { FIXED_32 };
            all.push((name.clone(), tagged(other, &[0; 4])));
        }
        match field.r#type() {
            Type::String => all.push((name, tagged(LENGTH_DELIMITED, &[2, 0xff, 0xfe]))),
            Type::Message if is_map(field) => {
                // Key and value of an entry.
                for number in [1, 2] {
                    let entry = [3, number << 3 | 2, 1, 0xff];
                    all.push((name.clone(), tagged(LENGTH_DELIMITED, &entry)));
                }
            }
            Type::Message => {
                let inner = find(pool, field.type_name().rsplit('.').next().unwrap());
                for (path, bytes) in malformed(pool, inner) {
                    let length = u8::try_from(bytes.len()).unwrap();
                    let bytes = tagged(LENGTH_DELIMITED, &[&[length], bytes.as_slice()].concat());
                    all.push((format!("{name}.{path}"), bytes));
                }
            }
            _ => {}
        }
    }
    all
}

fn is_map(field: &FieldDescriptorProto) -> bool {
    field.label() == Label::Repeated && field.type_name().ends_with("Entry")
}

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(roster_api::DESCRIPTOR_SET).unwrap()
}

/// The message of this name among ours and Google's.
fn find<'a>(descriptors: &'a FileDescriptorSet, name: &str) -> &'a DescriptorProto {
    let ours = descriptors.file.iter().filter(|file| ["user.v1", "google.protobuf"].contains(&file.package()));
    ours.flat_map(|file| &file.message_type).find(|message| message.name() == name).unwrap()
}

fn fields_in(cases: &[Case]) -> BTreeSet<(String, String)> {
    cases.iter().map(|case| (case.method.to_owned(), case.field.to_owned())).collect()
}

/// Every field of every request in which a value can be wrong.
fn fields_of_protos() -> BTreeSet<(String, String)> {
    let descriptors = descriptors();
    let fields = METHODS.iter().flat_map(|(method, message)| {
        let fields = find(&descriptors, message).field.iter().map(|field| field.name().to_owned());
        fields.map(|field| ((*method).to_owned(), field)).collect::<Vec<_>>()
    });
    fields.filter(|(_, field)| !ANY_VALUE.contains(&field.as_str())).collect()
}
