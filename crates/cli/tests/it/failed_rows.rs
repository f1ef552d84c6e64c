//! Rows that `roster import` could not take: what is kept of them, where, and what is said about it.

use std::{fs, path::Path};

use crate::{
    process::{Ended, ROSTER, command, run},
    server::Server,
};

/// An import on a new server, of files in a folder of its own.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: Server::in_memory() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn import(&self, args: &[&str]) -> Ended {
        let mut import = command(ROSTER, self.path());
        run(import.env("ROSTER_SERVER", &self.server.grpc).arg("import").args(args))
    }

    /// The names of all users, in their order.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for user in self.server.roster(&["export", "-"]).with_code(0).json() {
            names.push(user["name"].as_str().unwrap().to_owned());
        }
        names.sort();
        names
    }
}

#[test]
fn rows_with_too_many_or_too_few_fields_stay_so_until_they_are_mended() {
    let site = Site::new();
    let file = b"email,name\nlong@x.example,Smith, John\nshort@x.example\nopen@x.example,\"O\"o\nodd@x.example,\xe4\n";
    site.write("x.csv", file);
    let first = site.import(&["x.csv"]).with_code(65);
    assert!(first.out.starts_with("0 created, 0 updated, 0 skipped, 4 failed\n"), "{first:?}");
    let kept = "reason,email,name\n\
                \"has 3 fields, and the header 2; a field with the delimiter in it stands in quotes\",\
                long@x.example,Smith,\" John\"\n\
                \"has 1 fields, and the header 2\",short@x.example\n\
                \"column \"\"name\"\": something stands behind the closing quote\",\"open@x.example,\"\"O\"\"o\",,\n";
    let failed = site.read("x.csv.failed.csv");
    assert!(failed.starts_with(kept), "{failed}");
    assert!(failed.ends_with(",\"odd@x.example,\u{fffd}\",,\n"), "{failed}");

    // As it is, the file makes no user of them; and what they were is passed on.
    site.import(&["x.csv.failed.csv"]).with_code(65);
    let rows = |text: &str| -> Vec<String> {
        let of_row = |line: &str| line[line.find("x.example").unwrap()..].to_owned();
        text.lines().skip(1).map(of_row).collect()
    };
    let again = site.read("x.csv.failed.csv.failed.csv");
    assert_eq!(rows(&again), rows(&failed));
    assert!(again.starts_with("reason,email,name\n\"has 4 fields, and the header 3;"), "{again}");
    assert_eq!(site.names(), [""; 0]);

    let mended = failed
        .replace("Smith,\" John\"", "\"Smith, John\"")
        .replace("short@x.example", "short@x.example,Short")
        .replace("\"open@x.example,\"\"O\"\"o\",,", "open@x.example,Oo")
        .replace("\"odd@x.example,\u{fffd}\",,", "odd@x.example,Odd");
    site.write("x.csv.failed.csv", mended);
    site.import(&["x.csv.failed.csv"]).with_code(0);
    assert_eq!(site.names(), ["Odd", "Oo", "Short", "Smith, John"]);

    // A file of one column, in which a line that is cut would be a row.
    site.write("one.csv", b"email\n\xe4@x.example\n");
    site.import(&["one.csv"]).with_code(65);
    site.import(&["one.csv.failed.csv"]).with_code(65);
    assert_eq!(site.names().len(), 4);
}

#[test]
fn a_file_for_failed_rows_that_cannot_be_made_ends_the_run_with_true_counts() {
    let site = Site::new();
    fs::create_dir(site.path().join("no.csv")).unwrap();
    let rows = |name: &str, bad: &str| {
        let good = |number: usize| format!("{name}{number}@x.example,{number}\n");
        let rest: String = (1..2_000).map(good).collect();
        format!("email,name\n{}{bad}\n{rest}", good(0))
    };
    // One that the server finds, while it is sent others; and one that is found in the file.
    for (name, bad) in [("server.csv", "nobody,x"), ("file.csv", "a@x.example,x,y")] {
        site.write(name, rows(name, bad));
        let before = site.names().len();
        let ended = site.import(&[name, "--failed", "no.csv"]).with_code(73);
        let created = site.names().len() - before;
        let told = format!("{created} created, 0 updated, ");
        assert!(ended.out.starts_with(&told) && ended.out.contains(", 1 failed\n"), "{told}: {ended:?}");
        assert!(ended.out.contains("run it again to go on"), "{ended:?}");
        assert!(
            ended.err.contains("error: cannot create no.csv: ") && ended.err.contains("--failed FILE"),
            "{ended:?}"
        );
        let again = site.import(&[name, "--failed", "yes.csv"]).with_code(65);
        assert!(again.out.contains(", 1 failed\n2,001 rows"), "{again:?}");
        assert!(site.read("yes.csv").ends_with(&format!(",{bad}\n")), "{}", site.read("yes.csv"));
    }
    assert_eq!(site.names().len(), 4_000);
}

#[test]
fn a_run_from_stdin_that_breaks_off_is_told_to_be_given_the_same_rows_again() {
    let site = Site::new();
    fs::create_dir(site.path().join("no.csv")).unwrap();
    site.write("x.csv", "email,name\na@x.example,A\nb@x.example,B\nnobody,C\nd@x.example,D\n");
    let piped = |more: &[&str]| {
        let mut import = command(ROSTER, site.path());
        import.stdin(fs::File::open(site.path().join("x.csv")).unwrap()).env("ROSTER_SERVER", &site.server.grpc);
        run(import.args(["import", "-"]).args(more))
    };
    let told = |more: &[&str], hint: &str| {
        let ended = piped(&[&["--failed", "no.csv"], more].concat()).with_code(73);
        assert!(ended.out.ends_with(&format!("{hint}\n")) && !ended.out.contains("run it again"), "{ended:?}");
    };
    told(
        &[],
        "give it the same rows again, and users who are there by now are skipped; under an --import-key it would go on",
    );
    told(&["--update"], "give it the same rows again, and all are done again; under an --import-key it would go on");
    told(&["--import-key", "mine"], "give it the same rows again, under the same --import-key, to go on");
    // And so it is.
    let again = piped(&["--import-key", "mine", "--failed", "yes.csv"]).with_code(65);
    assert!(again.out.contains(" of them were done by an earlier run, and not again"), "{again:?}");
    assert_eq!(site.names(), ["A", "B", "D"]);
    let anew = piped(&[]).with_code(65);
    assert!(anew.out.starts_with("0 created, 0 updated, 3 skipped, 1 failed\n"), "{anew:?}");
    assert!(!anew.out.contains("earlier run") && !anew.out.contains("again"), "{anew:?}");
    let fresh = site.import(&["x.csv", "--fresh", "--failed", "no.csv"]).with_code(73);
    assert!(
        fresh.out.ends_with("run it again to do all rows once more: with --fresh it does not go on\n"),
        "{fresh:?}"
    );
}

#[test]
fn a_file_of_failed_rows_that_is_there_already_is_kept_and_told_of() {
    let site = Site::new();
    site.write("x.csv", "email,name\nnobody,x\ngood@x.example,Good\n");
    let first = site.import(&["x.csv"]).with_code(65);
    assert!(!first.out.contains("was there already"), "{first:?}");
    site.write("x.csv.failed.csv", "begun to be mended");
    site.write("x.csv.failed.1.csv", "of long ago");
    let again = site.import(&["x.csv"]).with_code(65);
    let told = "x.csv.failed.csv was there already, and is now x.csv.failed.2.csv\n";
    assert!(again.out.contains(told), "{again:?}");
    assert!(again.out.contains("2 of them were done by an earlier run"), "{again:?}");
    assert_eq!(site.read("x.csv.failed.2.csv"), "begun to be mended");
    assert_eq!(site.read("x.csv.failed.1.csv"), "of long ago");
    assert!(site.read("x.csv.failed.csv").ends_with(",nobody,x\n"));

    site.write("x.csv", "email,name\nsomebody@x.example,x\ngood@x.example,Good\n");
    let mended = site.import(&["x.csv"]).with_code(0);
    let told = "x.csv.failed.csv is of an earlier run: no row of this one failed\n";
    assert!(mended.out.contains(told), "{mended:?}");
    assert!(site.read("x.csv.failed.csv").ends_with(",nobody,x\n"));
    let same = site.import(&["x.csv"]).with_code(0);
    assert!(same.out.contains("2 of them were done by an earlier run, and not again; --fresh does all"), "{same:?}");

    // What is no file of rows is written to as it is.
    site.import(&["x.csv.failed.csv", "--failed", "/dev/null"]).with_code(65);
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
}

#[test]
fn lines_that_are_no_json_are_kept_to_the_byte_below_their_reason() {
    let site = Site::new();
    let cut = b"{\"email\":\"cut@x.example\",\"name\":\"Cut\"".as_slice();
    // Written as UTF-8 with marks for what is none, it would be a user with a wrong name.
    let latin = b"{\"email\":\"latin@x.example\",\"name\":\"J\xfcrgen\"}".as_slice();
    let bad: [&[u8]; 4] = [cut, b"  no JSON \t\r", b"[\"list@x.example\"]", latin];
    let good = b"{\"email\":\"good@x.example\",\"name\":\"Good\"}".as_slice();
    site.write("x.jsonl", [&bad[..2], &[good], &bad[2..]].concat().join(&b"\n"[..]));
    let ended = site.import(&["x.jsonl"]).with_code(65);
    assert!(ended.out.starts_with("1 created, 0 updated, 0 skipped, 4 failed\n"), "{ended:?}");
    assert!(ended.err.contains("line 4: is no JSON object\n"), "{ended:?}");
    let failed = fs::read(site.path().join("x.jsonl.failed.jsonl")).unwrap();
    let kept: Vec<&[u8]> = failed.split(|byte| *byte == b'\n').collect();
    assert_eq!((kept.len(), kept[8]), (9, &b""[..]));
    for (pair, line) in kept.chunks(2).zip(bad) {
        let reason: serde_json::Value = serde_json::from_slice(pair[0]).unwrap();
        assert!(reason["reason"].as_str().unwrap().starts_with("is no JSON"), "{reason}");
        assert_eq!(pair[1], line);
    }

    // As it is, the file makes no users, and is what fails again.
    let again = site.import(&["x.jsonl.failed.jsonl"]).with_code(65);
    assert!(again.out.starts_with("0 created, 0 updated, 0 skipped, 4 failed\n"), "{again:?}");
    assert_eq!(fs::read(site.path().join("x.jsonl.failed.jsonl.failed.jsonl")).unwrap(), failed);
    // The reasons can stay.
    let mended: [&[u8]; 4] = [
        &[cut, b"}"].concat(),
        b"",
        b"{\"email\":\"list@x.example\",\"name\":\"List\"}",
        b"{\"email\":\"latin@x.example\",\"name\":\"Latin\"}",
    ];
    let lines = kept.chunks(2).zip(mended).map(|(pair, line)| [pair[0], line].join(&b'\n'));
    site.write("x.jsonl.failed.jsonl", lines.collect::<Vec<_>>().join(&b'\n'));
    let mended = site.import(&["x.jsonl.failed.jsonl"]).with_code(0);
    assert!(mended.out.starts_with("3 created, 0 updated, 0 skipped, 0 failed\n3 rows"), "{mended:?}");
    assert_eq!(site.names(), ["Cut", "Good", "Latin", "List"]);
}

#[test]
fn a_row_without_anything_fails_until_it_is_mended() {
    let site = Site::new();
    site.write("x.jsonl", "{}\n");
    for file in ["x.jsonl", "x.jsonl.failed.jsonl"] {
        let ended = site.import(&[file]).with_code(65);
        assert!(ended.out.starts_with("0 created, 0 updated, 0 skipped, 1 failed\n"), "{ended:?}");
    }
    assert_eq!(site.read("x.jsonl.failed.jsonl"), site.read("x.jsonl.failed.jsonl.failed.jsonl"));
}

#[test]
fn a_key_that_comes_twice_in_a_line_of_json_fails_the_row() {
    let site = Site::new();
    let lines = [
        r#"{"email":"a@x.example","name":"A","email":"b@x.example"}"#,
        r#"{"email":"c@x.example","userId":"c","user_id":"d"}"#,
        r#"{"email":"e@x.example","attributes":{"team":"blue","team":"red"}}"#,
        r#"{"email":"good@x.example","name":"Good","attributes":{"team":"blue"},"etag":"1","reason":"was mended"}"#,
    ];
    site.write("x.jsonl", lines.join("\n"));
    let ended = site.import(&["x.jsonl"]).with_code(65);
    assert!(ended.out.starts_with("1 created, 0 updated, 0 skipped, 3 failed\n"), "{ended:?}");
    for told in [
        "line 1: key \"email\" is the second for its field; leave one of them",
        "line 2: key \"user_id\" is the second for its field; leave one of them",
        "line 3: \"attributes\": has the key \"team\" twice; leave one of them",
    ] {
        assert!(ended.err.contains(told), "{told}: {ended:?}");
    }
    // Both are kept, so that whoever mends the row can choose.
    let failed = site.read("x.jsonl.failed.jsonl");
    for line in &lines[..3] {
        assert!(failed.lines().any(|kept| kept.ends_with(&line[1..])), "{line}: {failed}");
    }
    site.import(&["x.jsonl.failed.jsonl"]).with_code(65);
    assert_eq!(site.read("x.jsonl.failed.jsonl.failed.jsonl"), failed);
    site.write("x.csv", "email,attributes\nf@x.example,\"{\"\"team\"\":\"\"a\"\",\"\"team\"\":\"\"b\"\"}\"\n");
    let csv = site.import(&["x.csv"]).with_code(65);
    assert!(csv.err.contains("has the key \"team\" twice"), "{csv:?}");
    assert_eq!(site.names(), ["Good"]);
}
