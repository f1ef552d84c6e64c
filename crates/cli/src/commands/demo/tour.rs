//! The steps of the tour, in order.

use crate::exit::Exit;

/// One command, what it shows, and how it ends.
pub struct Step {
    /// What happens.
    pub title: &'static str,
    /// Why it is worth a look.
    pub why: &'static str,
    /// What comes after `roster`; nothing for [`Expect::Ends`].
    pub args: &'static [&'static str],
    /// What is piped in.
    pub input: &'static str,
    /// How it ends.
    pub expect: Expect,
    /// Lines that a step which goes on says to this one.
    pub told: usize,
}

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Well.
    Done,
    /// Refused, with this exit code.
    Refused(Exit),
    /// Not yet: it goes on beside the steps after it.
    GoesOn,
    /// It ends what goes on.
    Ends,
}

/// No user has this etag.
const STALE_ETAG: &str = "1-0";

use Expect::{Done, Ends, GoesOn, Refused};

const fn step(title: &'static str, why: &'static str, args: &'static [&'static str], expect: Expect) -> Step {
    Step { title, why, args, input: "", expect, told: 0 }
}

impl Step {
    /// The same, while something goes on that has so many lines to say to it.
    const fn told(self, told: usize) -> Self {
        Self { told, ..self }
    }
}

/// All steps after the first, which asks for the server's health.
pub const STEPS: &[Step] = &[
    Step {
        title: "Create a user",
        why: "The id is yours to choose; without --id the server makes a UUIDv7. The password is hashed with Argon2id.",
        args: &[
            "user",
            "create",
            "--id",
            "ada",
            "--email",
            "ada@example.com",
            "--name",
            "Ada Lovelace",
            "--username",
            "ada",
            "--age",
            "36",
            "--locale",
            "en-GB",
            "--attribute",
            "team=engines",
            "--password-stdin",
        ],
        input: "Note-G-1843",
        expect: Done,
        told: 0,
    },
    step(
        "Create an administrator",
        "Roles are user, moderator and admin. A user without a password signs in only after a reset.",
        &[
            "user",
            "create",
            "--id",
            "grace",
            "--email",
            "grace@example.com",
            "--name",
            "Grace Hopper",
            "--role",
            "admin",
        ],
        Done,
    ),
    step(
        "The same email again, in another case",
        "Emails and usernames are unique, whatever their case and whatever letters only look alike.",
        &["user", "create", "--email", "ADA@example.com", "--name", "Another Ada"],
        Refused(Exit::CannotCreate),
    ),
    step(
        "Everything that is wrong, at once",
        "A request is checked as a whole, so that it is mended in one go.",
        &["user", "create", "--email", "not-an-address", "--age", "200", "--phone", "call me"],
        Refused(Exit::Data),
    ),
    step("Get a user", "By id.", &["user", "get", "ada"], Done),
    step("Get a user by email", "In any case.", &["user", "get", "--email", "Ada@Example.com"], Done),
    step(
        "Update some fields, clear others",
        "The update mask names exactly what was given.",
        &[
            "user",
            "update",
            "ada",
            "--name",
            "Ada King",
            "--attribute",
            "title=countess",
            "--clear",
            "locale",
        ],
        Done,
    ),
    step(
        "Update with a stale etag",
        "Two people edit the same user: with the etag that was read, the second is told instead of overwriting the first.",
        &["user", "update", "ada", "--name", "Ada Byron", "--etag", STALE_ETAG],
        Refused(Exit::TryAgain),
    ),
    step(
        "List users",
        "Filters follow AIP-160, orders follow AIP-132. The list is a stream; the client follows its pages.",
        &[
            "user",
            "list",
            "--filter",
            "status = ACTIVE AND email : \"@example.com\"",
            "--order-by",
            "name, created_at desc",
        ],
        Done,
    ),
    step("Search users", "Any part of a name, email or username, down to one letter.", &["user", "search", "ra"], Done),
    step(
        "Add an address",
        "For shipping or billing. The first of a kind is the user's default of that kind.",
        &[
            "address",
            "add",
            "ada",
            "--kind",
            "shipping",
            "--label",
            "Home",
            "--line1",
            "12 St James's Square",
            "--city",
            "London",
            "--postal-code",
            "SW1Y 4JH",
            "--country",
            "gb",
        ],
        Done,
    ),
    step(
        "Add another and make it the default",
        "A user has at most 50 addresses, and one default of each kind, whoever writes at the same time.",
        &[
            "address",
            "add",
            "ada",
            "--kind",
            "shipping",
            "--label",
            "Club",
            "--line1",
            "1 Dorset Street",
            "--city",
            "London",
            "--country",
            "GB",
            "--default",
        ],
        Done,
    ),
    step("List the addresses", "Oldest first.", &["address", "list", "ada"], Done),
    step(
        "Set preferences",
        "Language (BCP 47), time zone (IANA), which messages to get, and free keys. Each switch can be set by itself.",
        &[
            "preferences",
            "set",
            "ada",
            "--language",
            "de-CH",
            "--time-zone",
            "Europe/Zurich",
            "--sms",
            "on",
            "--custom",
            "theme=dark",
        ],
        Done,
    ),
    step(
        "A time zone that there is not",
        "What came and what is allowed, by name of the field.",
        &["preferences", "set", "ada", "--time-zone", "Mars/Olympus"],
        Refused(Exit::Data),
    ),
    step("Get the preferences", "A user who never set any has the defaults.", &["preferences", "get", "ada"], Done),
    step(
        "Watch users",
        "All there are, and then every change as it happens. A token with each lets a service that was away miss nothing.",
        &["watch", "--snapshot"],
        GoesOn,
    )
    .told(3),
    step("Deactivate a user", "The user is kept, but may not sign in.", &["user", "deactivate", "ada"], Done).told(1),
    step(
        "Deactivate again",
        "Saying it twice changes nothing, so a retry is safe: the etag stays, and the watch has nothing to tell.",
        &["user", "deactivate", "ada"],
        Done,
    ),
    step("Reactivate the user", "As it was.", &["user", "reactivate", "ada"], Done).told(1),
    step(
        "Delete the user",
        "For good, with the personal data in the change log. On a terminal you are asked first, unless you say --yes.",
        &["user", "delete", "ada", "--yes"],
        Done,
    )
    .told(1),
    step("Get the deleted user", "Reads see writes at once.", &["user", "get", "ada"], Refused(Exit::NotFound)),
    Step {
        title: "Import users",
        why: "A file of any length, CSV or JSON lines; existing password hashes too. A run that breaks goes on where it stood.",
        args: &["import", "-"],
        input: "id,email,name\nalan,alan@example.com,Alan Turing\nmary,mary@example.com,Mary Jackson",
        expect: Done,
        told: 2,
    },
    step("Stop watching", "With --token-file, the next watch would begin where this one ends.", &[], Ends),
    step(
        "Export users",
        "All, or those that match, as they are at one moment. What is exported can be imported.",
        &["export", "-", "--format", "csv", "--filter", "name : \"Turing\""],
        Done,
    ),
    step(
        "Be online",
        "A client is present while its connection lives or its heartbeats come. Nothing of that is written to a disk.",
        &["presence", "connect", "grace/laptop"],
        GoesOn,
    )
    .told(1),
    step("Who is online?", "`roster presence watch` shows it live.", &["presence", "list"], Done),
    step("Leave", "GOODBYE is said on the way out; a client that dies without it is missed soon.", &[], Ends).told(1),
    step("Who is online now?", "Those who left are known for a while.", &["presence", "list"], Done),
];
