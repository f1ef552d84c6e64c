//! `roster demo`: it gets to its end, and what it prints can be typed.

use crate::{
    process::{ROSTER, command, run},
    server::Server,
};

/// A step as it was printed.
#[derive(Debug)]
struct Step {
    heading: String,
    /// What follows the `$`, which may go on over lines in quotes.
    typed: String,
    /// What it showed.
    shown: String,
}

impl Step {
    fn exit_code(&self) -> u8 {
        let code = self.shown.split_once("(exit code ").and_then(|(_, rest)| rest.split_once(')'));
        code.map_or(0, |(code, _)| code.parse().unwrap())
    }
}

fn steps(tour: &str) -> Vec<Step> {
    let is_heading = |line: &str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
    let mut steps: Vec<Step> = Vec::new();
    let mut in_quotes = false;
    for line in tour.lines() {
        if is_heading(line) {
            steps.push(Step { heading: line.to_owned(), typed: String::new(), shown: String::new() });
        } else if let Some(step) = steps.last_mut() {
            let typed = line.strip_prefix("$ ").or(in_quotes.then_some(line));
            let text = if typed.is_some() { &mut step.typed } else { &mut step.shown };
            *text += &format!("{}\n", typed.unwrap_or(line));
            in_quotes ^= typed.is_some_and(|typed| typed.replace(r"\'", "").matches('\'').count() % 2 == 1);
        }
    }
    steps
}

#[test]
fn the_demo_walks_to_its_end_and_what_it_prints_can_be_typed() {
    let folder = tempfile::tempdir().unwrap();
    let demo = run(command(ROSTER, folder.path()).arg("demo")).with_code(0);
    assert!(demo.err.starts_with("1 users in ") && demo.err.lines().count() == 1, "{demo:?}");
    assert!(demo.out.contains("That was all of it."), "{}", demo.out);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");

    let steps = steps(&demo.out);
    for (number, step) in (1..).zip(&steps) {
        assert!(step.heading.starts_with(&format!("{number}. ")) && !step.typed.is_empty(), "{step:#?}");
    }
    let shown = |title: &str| &steps.iter().find(|step| step.heading.ends_with(title)).unwrap().shown;
    assert!(shown("Watch users").contains("2 users there; what changes follows"));
    assert!(shown(". Deactivate a user").contains("  deactivated  ada "));
    assert!(shown("Import users").contains("  created  ") && shown("Import users").contains("2 created, 0 updated"));
    assert!(shown("Export users").contains("\nalan,alan@example.com,Alan Turing,,ACTIVE,USER,"));
    assert!(shown("Who is online?").contains("grace/laptop  connected"));
    assert!(shown("Who is online now?").contains("grace/laptop  disconnected"));

    // A shell does all of it once more, but for the doctor: it looks at this machine.
    let server = Server::in_memory();
    let ask = |step: &Step| format!("{}echo \"code $?\" >&2\n", step.typed);
    let script: String = steps[1..].iter().map(ask).collect();
    let script = format!("PATH=\"{}:$PATH\"\n{script}", ROSTER.trim_end_matches("/roster"));
    let pasted = run(command("bash", folder.path()).args(["-c", &script]).env("ROSTER_SERVER", &server.grpc));
    let codes: Vec<u8> =
        pasted.err.lines().filter_map(|line| line.strip_prefix("code ")).map(|code| code.parse().unwrap()).collect();
    let expected: Vec<u8> = steps[1..].iter().map(Step::exit_code).collect();
    assert_eq!(codes, expected, "{pasted:#?}");
}
