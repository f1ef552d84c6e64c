//! `roster import` and `roster export`: files that are good and files that are not, and runs that are cut off.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use crate::{
    process::{Ended, ROSTER, command, run},
    server::Server,
};

fn roster(server: &Server, folder: &Path, args: &[&str]) -> Ended {
    run(command(ROSTER, folder).env("ROSTER_SERVER", &server.grpc).args(args))
}

/// Users on the server, as an export has them: one JSON object each.
fn exported(server: &Server, folder: &Path) -> Vec<serde_json::Value> {
    roster(server, folder, &["export", "-"]).with_code(0).json()
}

#[test]
fn what_an_export_writes_an_import_takes() {
    let folder = tempfile::tempdir().unwrap();
    let one = Server::in_memory();
    let create = [
        &["--email", "ada@example.com", "--name", "Ada, \"the\" Countess", "--username", "ada", "--role", "admin"][..],
        &["--email", "bob@example.com", "--id", "bob", "--age", "0", "--phone", "+493012345678", "--locale", "de-CH"],
        &[
            "--email",
            "eve@example.com",
            "--name",
            " e ",
            "--attribute",
            "team=a,b\nc",
            "--attribute",
            "x=\"1\"",
            "--email-verified",
        ],
    ];
    for args in create {
        one.roster(&[&["user", "create"], args].concat()).with_code(0);
    }
    one.roster(&["user", "deactivate", "bob"]).with_code(0);
    let before = exported(&one, folder.path());
    assert_eq!(before.len(), 3);
    let essence = |users: &[serde_json::Value]| -> Vec<serde_json::Value> {
        let mut users = users.to_vec();
        for user in &mut users {
            // What a server says of its own.
            for key in ["updatedAt", "etag"] {
                user.as_object_mut().unwrap().remove(key);
            }
        }
        users
    };
    for name in ["users.csv", "users.jsonl"] {
        roster(&one, folder.path(), &["export", name]).with_code(0);
        let other = Server::in_memory();
        let ended = roster(&other, folder.path(), &["import", name]).with_code(0);
        assert!(ended.out.starts_with("3 created, 0 updated, 0 skipped, 0 failed\n"), "{ended:?}");
        assert_eq!(essence(&exported(&other, folder.path())), essence(&before), "{name}");
        let again = roster(&other, folder.path(), &["import", name, "--fresh", "--update"]).with_code(0);
        assert!(again.out.starts_with("0 created, 3 updated, 0 skipped, 0 failed\n"), "{again:?}");
        assert_eq!(essence(&exported(&other, folder.path())), essence(&before), "{name}, again");
    }
    let names = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let left: BTreeSet<String> = fs::read_dir(folder.path()).unwrap().map(names).collect();
    assert_eq!(left, BTreeSet::from(["users.csv".to_owned(), "users.jsonl".to_owned()]));
    let filtered = roster(&one, folder.path(), &["export", "-", "--format", "csv", "--filter", "status = INACTIVE"]);
    let filtered = filtered.with_code(0).out;
    assert_eq!(filtered.lines().count(), 2);
    assert!(filtered.contains("\nbob,bob@example.com,,,INACTIVE,USER,0,+493012345678,de-CH,false,"), "{filtered}");
    let refused = roster(&one, folder.path(), &["export", "kept.csv", "--filter", "name ="]);
    refused.refused(65, &["filter"]);
    assert!(!folder.path().join("kept.csv").exists());
}

#[test]
fn rows_that_fail_are_mended_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let file = "E-Mail,Full Name,Age,Team,Notes\n\
                ada@example.com,Ada,36,blue,x\n\
                nobody,\"No, body\",7,,\n\
                bob@example.com,\"Bob\"b,1,,\n\
                carl@example.com,Carl,old,,\n\
                dora@example.com,Dora\n\
                eve@example.com,Eve,,red,\"two\nlines\"\n";
    fs::write(folder.path().join("p.csv"), file).unwrap();
    let maps = ["--map", "E-Mail=email", "--map", "Full Name=name", "--map", "Team=attributes.team", "--map", "Notes="];
    let import = |name: &'static str, more: &[&'static str]| {
        roster(&server, folder.path(), &[&["import", name][..], &maps, more].concat())
    };
    let rehearsed = import("p.csv", &["--validate-only"]).with_code(65);
    assert!(rehearsed.out.starts_with("2 would be created, 0 updated, 0 skipped, 4 failed\n"), "{rehearsed:?}");
    assert_eq!(exported(&server, folder.path()).len(), 0);

    let ended = import("p.csv", &[]).with_code(65);
    assert!(ended.out.starts_with("2 created, 0 updated, 0 skipped, 4 failed\n"), "{ended:?}");
    for told in [
        "line 3: email: ",
        "line 4: column \"Full Name\": something stands behind the closing quote",
        "line 5: column \"Age\": \"old\" is no number of years",
        "line 6: has 2 fields, and the header 5",
    ] {
        assert!(ended.err.contains(told), "{told}: {ended:?}");
    }
    let failed = fs::read_to_string(folder.path().join("p.csv.failed.csv")).unwrap();
    let failed: BTreeSet<&str> = failed.lines().collect();
    assert!(failed.contains("reason,E-Mail,Full Name,Age,Team,Notes"), "{failed:#?}");
    assert_eq!(failed.len(), 5, "{failed:#?}");
    assert!(failed.iter().any(|line| line.ends_with(",nobody,\"No, body\",7,,")), "{failed:#?}");

    let mended = "reason,E-Mail,Full Name,Age,Team,Notes\n\
                  email: has no @,nobody@example.com,\"No, body\",7,,\n\
                  old,carl@example.com,Carl,70,,\n";
    fs::write(folder.path().join("p.csv.failed.csv"), mended).unwrap();
    let ended = import("p.csv.failed.csv", &["--output", "json"]).with_code(0);
    assert_eq!(ended.json()[0]["createdCount"], "2", "{ended:?}");
    assert_eq!(exported(&server, folder.path()).len(), 4);

    // JSON lines, from stdin.
    let lines = "{\"email\":\"j@example.com\",\"attributes\":{\"a\":\"b\"},\"age\":3,\"emailVerified\":true}\n\
                 {\"email\":\"k@example.com\",\"colour\":1}\nno json\n\n[1]\n";
    fs::write(folder.path().join("lines"), lines).unwrap();
    let stdin = fs::File::open(folder.path().join("lines")).unwrap();
    let mut piped = command(ROSTER, folder.path());
    piped.env("ROSTER_SERVER", &server.grpc).stdin(stdin);
    let ended = run(piped.args(["import", "-", "--format", "jsonl", "--failed", "bad.jsonl"])).with_code(65);
    assert!(ended.out.starts_with("1 created, 0 updated, 0 skipped, 3 failed\n"), "{ended:?}");
    let bad = fs::read_to_string(folder.path().join("bad.jsonl")).unwrap();
    assert!(bad.contains("\"reason\":\"there is no field \\\"colour\\\"; there are id, "), "{bad}");
    assert!(bad.contains("\nno json\n{\"reason\":\"is no JSON object\"}\n[1]\n"), "{bad}");
}

#[test]
fn files_that_are_of_no_use_are_told_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let long = format!("email,name\na@example.com,{}\nb@example.com,B\n", "x".repeat(1_500_000));
    let good: &[(&str, Vec<u8>, &[&str], &str)] = &[
        ("long.csv", long.into_bytes(), &[], "line 2: is longer than 1048576 bytes"),
        (
            "semicolon.csv",
            b"email;name\nb@example.com;\"B;\"\nx;y;z\n".to_vec(),
            &["--delimiter", ";"],
            "line 3: has 3",
        ),
        (
            "bytes.csv",
            b"email,name\nb2@example.com,B\nc@example.com,\xe4\n".to_vec(),
            &[],
            "column \"name\": is not UTF-8",
        ),
        (
            "open.csv",
            b"email,name\nc@example.com,\"C\nb3@example.com,B\n".to_vec(),
            &[],
            "line 2: column \"name\": a quote opens",
        ),
    ];
    for (name, bytes, args, told) in good {
        fs::write(folder.path().join(name), bytes).unwrap();
        let ended = roster(&server, folder.path(), &[&["import", name], *args].concat()).with_code(65);
        assert!(ended.err.contains(told), "{told}: {ended:?}");
        assert!(ended.out.contains(", 1 failed\n"), "the others are unharmed: {ended:?}");
    }
    assert_eq!(exported(&server, folder.path()).len(), 3);
    for (name, bytes, args, exit, told) in [
        ("empty.csv", "", &[][..], 65, "is empty"),
        ("other.csv", "mail,name\n", &[], 65, "line 1 of other.csv, column \"mail\": there is no field"),
        ("none.csv", "name\nx\n", &[], 65, "has no column \"email\""),
        ("twice.csv", "email,name,Name\n", &[], 65, "column \"Name\" is the second for its field"),
        ("map.csv", "email,name\n", &["--map", "Mail=email"], 64, "no column \"Mail\", which --map names"),
        ("quote.csv", "email,\"name\n", &[], 65, "line 1 of quote.csv: column 2: a quote opens"),
        ("other.csv", "email;name\nx@example.com;x\n", &[], 65, "; stands between the fields: say --delimiter ';'"),
        ("other.csv", "email\tname\n", &[], 65, "say --delimiter tab"),
        ("nul.csv", "e\0m\0a\0i\0l\0\n\0", &[], 65, "nul.csv is in UTF-16, or no text"),
        ("key.csv", "email\nx@example.com\n", &["--import-key", "a b"], 65, "options.import_key"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        roster(&server, folder.path(), &[&["import", name], args].concat()).refused(exit, &[told]);
    }
    fs::write(folder.path().join("wide.csv"), b"\xff\xfee\0m\0").unwrap();
    roster(&server, folder.path(), &["import", "wide.csv"]).refused(65, &["UTF-16", "iconv"]);
    roster(&server, folder.path(), &["import", "absent.csv"]).refused(66, &["absent.csv"]);
    roster(&server, folder.path(), &["import", "map.csv", "--map", "x=colour"]).with_code(64);
    roster(&server, folder.path(), &["import", "map.csv", "--failed", "map.csv"]).refused(64, &["is the file"]);
}

#[test]
fn what_is_wrong_with_a_row_is_told_and_nothing_of_it_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let words = "w".repeat(5_000);
    // Hashes that are none, one in another form than ours, and a good one whose commas have no quotes around them.
    let file = format!(
        "email,password_hash,name\n\
         a@example.com,5f4dcc3b5aa765d61d8327deb882cf99,A\n\
         b@example.com,$2b$31$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW,B\n\
         c@example.com,$2b$10$tooshort,C\n\
         d@example.com,\"$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQxMjM0$iWh06vD8Fy27wf9npn6FXQ\",D\n\
         e@example.com,$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0$iWh06vD8Fy27wf9npn6FXQ,E\n\
         f@example.com,,\"{words}\"end\n\
         g@example.com,$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e,G\n"
    );
    fs::write(folder.path().join("hashes.csv"), file).unwrap();
    let ended = roster(&server, folder.path(), &["import", "hashes.csv"]).with_code(65);
    assert!(ended.out.starts_with("1 created, 0 updated, 0 skipped, 6 failed\n"), "{ended:?}");
    for told in [
        "line 2: password_hash: is of no known kind; must start with $argon2id$",
        "line 3: password_hash: must look like $2b$12$",
        "line 4: password_hash: must look like $2b$12$",
        "line 5: password_hash: ",
        "line 6: has 5 fields, and the header 3; a field with the delimiter in it stands in quotes",
        "line 7: column \"name\": something stands behind the closing quote",
    ] {
        assert!(ended.err.contains(told), "{told}: {ended:?}");
    }
    let failed = fs::read_to_string(folder.path().join("hashes.csv.failed.csv")).unwrap();
    let all_of = |reason: &str, row: &str| {
        let is_it = |line: &str| line.trim_start_matches('"').starts_with(reason) && line.ends_with(row);
        assert!(failed.lines().any(is_it), "{reason}, {row}: {failed}");
    };
    all_of("has 5 fields", ",e@example.com,$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0$iWh06vD8Fy27wf9npn6FXQ,E");
    all_of("column \"\"name", &format!(",\"f@example.com,,\"\"{words}\"\"end\",,,"));
    all_of("password_hash: must look like", ",c@example.com,$2b$10$tooshort,C");
}

#[test]
fn tokens_that_are_none_are_told_before_they_are_sent_or_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    fs::write(folder.path().join("noise.token"), b"\xff\xfe\0\x9c").unwrap();
    let noise = ["watch", "--token-file", "noise.token"];
    roster(&server, folder.path(), &noise).refused(65, &["noise.token holds no token of a watch", "remove it"]);
    let started_anew = ["RESUME_TOKEN_INVALID", "resume_token: ", "--snapshot"];
    for token in ["garbage", "~AAAA", &"A".repeat(600)] {
        roster(&server, folder.path(), &["watch", "--resume-token", token]).refused(65, &started_anew);
    }
    let with_token = |token: &str| {
        let mut list = command(ROSTER, folder.path());
        run(list.env("ROSTER_SERVER", &server.grpc).env("ROSTER_TOKEN", token).args(["user", "list"]))
    };
    with_token("rk_garbage").refused(77, &["CREDENTIALS_INVALID"]);
    with_token("a\nb").refused(64, &["ROSTER_TOKEN holds characters that no token has"]);
    with_token(&"a".repeat(70_000)).refused(64, &["ROSTER_TOKEN has 70000 bytes; no token has more than 8192"]);
    for args in [&["user", "list"][..], &["user", "search", "a"], &["presence", "list"], &["audit", "list"]] {
        let args = [args, &["--page-token", "~AAAA"]].concat();
        roster(&server, folder.path(), &args).refused(65, &["PAGE_TOKEN_INVALID", "page_token: "]);
    }
    for args in [["account", "verify-email", "garbage"], ["account", "verify-email", ""]] {
        roster(&server, folder.path(), &args).refused(65, &["TOKEN_INVALID", "ask for a new mail"]);
    }
}

/// Rows of the file that is imported while things break.
const ROWS: usize = 60_000;

fn write_file(path: &Path) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    writeln!(file, "user_id,email,name").unwrap();
    for number in 0..ROWS {
        writeln!(file, "u{number:06},u{number}@example.com,User {number}").unwrap();
    }
    file.flush().unwrap();
}

fn start_import(server: &Server, folder: &Path) -> Child {
    let mut import = command(ROSTER, folder);
    import.env("ROSTER_SERVER", &server.grpc).args(["import", "all.csv"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    import.spawn().unwrap()
}

/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c): the same numbers every time.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How many users there are, how many rows the log has of creations, and of how many users.
fn counts(folder: &Path) -> (usize, usize, usize) {
    let database = rusqlite::Connection::open(folder.join("roster.db")).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize;
    (
        count("SELECT count(*) FROM users"),
        count("SELECT count(*) FROM changes WHERE action = 'created'"),
        count("SELECT count(DISTINCT user_id) FROM changes WHERE action = 'created'"),
    )
}

#[test]
fn a_client_that_is_killed_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    write_file(&folder.path().join("all.csv"));
    let server = Server::on_file(folder.path());
    let mut state = 7;
    for _ in 0..6 {
        let mut import = start_import(&server, folder.path());
        thread::sleep(Duration::from_millis(20 + random(&mut state) % 400));
        import.kill().unwrap();
        import.wait().unwrap();
    }
    let ended: Ended = start_import(&server, folder.path()).wait_with_output().unwrap().into();
    let ended = ended.with_code(0);
    assert!(ended.out.starts_with(&format!("{ROWS} created, 0 updated, 0 skipped, 0 failed\n")), "{ended:?}");
    server.stop();
    assert_eq!(counts(folder.path()), (ROWS, ROWS, ROWS));
}

#[test]
fn an_import_outlives_servers_that_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    write_file(&folder.path().join("all.csv"));
    let server = Server::on_file(folder.path());
    let port = server.grpc.rsplit_once(':').unwrap().1.to_owned();
    let import = start_import(&server, folder.path());
    let mut state = 11;
    let mut server = Some(server);
    for round in 0..5 {
        thread::sleep(Duration::from_millis(20 + random(&mut state) % 300));
        match server.take() {
            // In order too: the server says that it stops.
            Some(old) if round % 2 == 1 => drop(old.stop()),
            Some(old) => old.kill(),
            None => {}
        }
        let mut serve = command(ROSTER, folder.path());
        server = Some(Server::start(serve.args(["serve", "--dev", "--port", &port, "--http-addr", "off"])));
    }
    let ended: Ended = import.wait_with_output().unwrap().into();
    let ended = ended.with_code(0);
    assert!(ended.out.starts_with(&format!("{ROWS} created, 0 updated, 0 skipped, 0 failed\n")), "{ended:?}");
    assert!(!ended.out.contains("earlier run"), "what was done before a server was killed is of this run: {ended:?}");
    server.unwrap().stop();
    assert_eq!(counts(folder.path()), (ROWS, ROWS, ROWS));
}

#[test]
fn the_examples_of_the_page_run_when_pasted() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/import.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_memory();
    let mut told = String::new();
    for (mark, rest) in page.split("<!-- ").skip(1).map(|part| part.split_once(" -->").unwrap()) {
        let text = rest.split_once("```").unwrap().1.split_once('\n').unwrap().1.split_once("```").unwrap().0;
        if let Some(name) = mark.strip_prefix("file: ") {
            fs::write(folder.path().join(name), text).unwrap();
            continue;
        }
        assert_eq!(mark, "run");
        let mut shell = command("bash", folder.path());
        let binary = Path::new(ROSTER).parent().unwrap().display();
        let script = format!("export PATH=\"{binary}:$PATH\"\n{text}");
        shell.args(["-euo", "pipefail", "-c", &script]).env("ROSTER_SERVER", &server.grpc);
        told.push_str(&run(&mut shell).with_code(0).out);
    }
    for expected in [
        "3 would be created, 0 updated, 0 skipped, 0 failed",
        "3 created, 0 updated, 0 skipped, 0 failed",
        "1 created, 1 updated, 0 skipped, 0 failed",
        "2 created, 0 updated, 0 skipped, 0 failed",
        "0 created, 0 updated, 2 skipped, 0 failed",
        "1 created, 0 updated, 0 skipped, 1 failed",
        "exit code 65",
        "1 created, 0 updated, 0 skipped, 0 failed",
        "id,email,name,username,",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let all = exported(&server, folder.path());
    assert_eq!(all.len(), 8);
    let ada = all.iter().find(|user| user["email"] == "ADA@example.com").unwrap();
    assert_eq!(
        (&ada["name"], &ada["role"], &ada["createdAt"]),
        (&"Ada King".into(), &"ROLE_ADMIN".into(), &"2019-12-10T08:00:00Z".into())
    );
    assert_eq!(fs::read_to_string(folder.path().join("moderators.jsonl")).unwrap().lines().count(), 2);
}
