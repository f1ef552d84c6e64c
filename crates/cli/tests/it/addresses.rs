//! `roster address` and `roster preferences` against a real server: what they print, and how they end.

use serde_json::{Value, json};

use crate::server::{Server, new_user};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const NOT_FOUND: i32 = 66;
const TRY_AGAIN: i32 = 75;

/// A server with a user `ada`.
fn server() -> Server {
    let server = Server::in_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { server.client().await.create_user(new_user("ada")).await }).unwrap();
    server
}

#[test]
fn an_address_from_the_first_command_to_the_last() {
    let server = server();
    let address = |args: &[&str]| server.roster(&[&["address"], args, &["--output", "json"]].concat());
    let road = ["--line1", "1 High Street", "--city", "Bath", "--country", "gb"];
    let home = address(&[&["add", "ada", "--kind", "shipping", "--label", "Home"], &road[..]].concat());
    let home = home.with_code(0).json().remove(0);
    let expected = json!({
        "id": home["id"], "userId": "ada", "kind": "ADDRESS_KIND_SHIPPING", "label": "Home", "line1": "1 High Street",
        "city": "Bath", "country": "GB", "isDefault": true, "createdAt": home["createdAt"],
        "updatedAt": home["createdAt"], "etag": home["etag"],
    });
    assert_eq!(home, expected);
    let id = home["id"].as_str().unwrap();
    assert_eq!(address(&["get", "ada", id]).with_code(0).json(), std::slice::from_ref(&home));

    let club = address(&[&["add", "ada", "--kind", "shipping", "--default"], &road[..]].concat()).with_code(0);
    let club = club.json().remove(0);
    let dry = address(&[&["add", "ada", "--kind", "billing", "--validate-only"], &road[..]].concat()).with_code(0);
    assert_eq!(dry.err, "valid; nothing was added\n");
    let list = address(&["list", "ada"]).with_code(0).json();
    let facts: Vec<_> = list.iter().map(|address| (&address["id"], &address["isDefault"])).collect();
    assert_eq!(facts, [(&home["id"], &Value::Null), (&club["id"], &json!(true))]);
    let billing = address(&["list", "ada", "--kind", "billing"]).with_code(0);
    assert_eq!((billing.out.as_str(), billing.err.as_str()), ("", "no addresses\n"));

    let etag = list[0]["etag"].as_str().unwrap();
    let args = ["update", "ada", id, "--city", "Wells", "--clear", "label", "--etag", etag];
    let moved = address(&args).with_code(0).json().remove(0);
    assert_eq!((&moved["city"], &moved["label"]), (&json!("Wells"), &Value::Null));
    address(&args).refused(TRY_AGAIN, &[&format!("address {id} has changed"), "hint: someone else changed it"]);
    assert_eq!(address(&["set-default", "ada", id]).with_code(0).json()[0]["isDefault"], true);

    address(&["delete", "ada", id]).refused(USAGE, &["no terminal to ask on", "--yes"]);
    assert_eq!(address(&["delete", "ada", id, "--yes"]).with_code(0).json(), [json!({ "deleted": id })]);
    address(&["get", "ada", id]).refused(NOT_FOUND, &["ADDRESS_NOT_FOUND", "hint: see which addresses"]);
    assert_eq!(address(&["list", "ada"]).json()[0]["isDefault"], true);

    let wrong = ["add", "ada", "--kind", "billing", "--line1", " ", "--city", "Bath", "--country", "UK"];
    address(&wrong).refused(DATA, &["\n  address.line1: is required", "\n  address.country: is \"UK\"", "is GB"]);
    address(&["list", "nobody"]).refused(NOT_FOUND, &["USER_NOT_FOUND", "hint: find users"]);
    address(&["update", "ada", id]).refused(USAGE, &["nothing to change", "roster address update --help"]);

    let table = server.roster(&["address", "list", "ada"]).with_code(0).out;
    assert!(table.starts_with("ID ") && table.contains("1 High Street, Bath") && !table.contains('\x1b'), "{table}");
    let one = server.roster(&["address", "get", "ada", club["id"].as_str().unwrap()]).with_code(0).out;
    assert!(one.contains("default") && one.contains("yes") && !one.contains("postal code"), "{one}");
}

#[test]
fn preferences_are_shown_and_set() {
    let server = server();
    let preferences = |args: &[&str]| server.roster(&[&["preferences"], args, &["--output", "json"]].concat());
    let new = preferences(&["get", "ada"]).with_code(0).json().remove(0);
    let switches = json!({ "email": true, "sms": false, "push": false, "marketing": false });
    assert_eq!(new, json!({ "userId": "ada", "notifications": switches, "etag": new["etag"] }));

    let etag = new["etag"].as_str().unwrap();
    let args = ["set", "ada", "--language", "de-ch", "--time-zone", "europe/zurich", "--email", "off", "--sms", "on"];
    let args = [&args[..], &["--custom", "theme=dark", "--custom", "a.b=1", "--etag", etag]].concat();
    let set = preferences(&args).with_code(0).json().remove(0);
    assert_eq!((&set["language"], &set["timeZone"]), (&json!("de-CH"), &json!("Europe/Zurich")));
    let switches = json!({ "email": false, "sms": true, "push": false, "marketing": false });
    assert_eq!((&set["notifications"], &set["custom"]), (&switches, &json!({ "theme": "dark", "a.b": "1" })));
    preferences(&args).refused(TRY_AGAIN, &["the preferences of user ada have changed"]);

    let args = ["set", "ada", "--clear", "language,notifications", "--remove-custom", "theme"];
    let cleared = preferences(&args).with_code(0).json().remove(0);
    assert_eq!((&cleared["language"], &cleared["custom"]), (&Value::Null, &json!({ "a.b": "1" })));
    assert_eq!(cleared["notifications"], new["notifications"]);
    let dry = preferences(&["set", "ada", "--language", "fr", "--validate-only"]).with_code(0);
    assert_eq!((&dry.json()[0]["language"], dry.err.as_str()), (&json!("fr"), "valid; nothing was changed\n"));
    assert_eq!(preferences(&["get", "ada"]).json(), [cleared]);

    let wrong = ["set", "ada", "--language", "g", "--time-zone", "Mars/Olympus"];
    preferences(&wrong).refused(DATA, &["\n  preferences.language: ", "\n  preferences.time_zone: ", "IANA"]);
    preferences(&["set", "ada"]).refused(USAGE, &["nothing to change"]);
    preferences(&["set", "ada", "--sms", "perhaps"]).with_code(USAGE);
    preferences(&["get", "nobody"]).refused(NOT_FOUND, &["USER_NOT_FOUND"]);

    let table = server.roster(&["preferences", "get", "ada"]).with_code(0).out;
    assert!(table.contains("time zone") && table.contains("custom a.b") && !table.contains("language"), "{table}");
}
