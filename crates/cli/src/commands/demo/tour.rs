//! The steps of the tour, in order.

use crate::exit::Exit;

/// One command, what it shows, and how it ends.
pub struct Step {
    /// What happens.
    pub title: &'static str,
    /// Why it is worth a look.
    pub why: &'static str,
    /// What comes after `roster`.
    pub args: &'static [&'static str],
    /// What is piped in.
    pub input: &'static str,
    /// How it ends.
    pub expect: Expect,
}

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Well.
    Done,
    /// Refused, with this exit code.
    Refused(Exit),
}

/// Stands for an etag that is looked up when the step begins.
pub const ETAG: &str = "ETAG";
/// Stands for the id of the oldest address, looked up in the same way.
pub const ADDRESS: &str = "ADDRESS";
/// Whose.
pub const WHOSE: &str = "ada";
/// No user has this etag.
const STALE_ETAG: &str = "1-0";

use Expect::{Done, Refused};

const fn step(title: &'static str, why: &'static str, args: &'static [&'static str], expect: Expect) -> Step {
    Step { title, why, args, input: "", expect }
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
        "The update mask names exactly what was given. --etag makes sure that nobody changed the user meanwhile.",
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
            "--etag",
            ETAG,
        ],
        Done,
    ),
    step(
        "Update with a stale etag",
        "Two people edit the same user: the second is told instead of overwriting the first.",
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
        "Change an address",
        "Countries are codes of ISO 3166, and every field has its limit.",
        &["address", "update", "ada", ADDRESS, "--line2", "2nd floor", "--clear", "label"],
        Done,
    ),
    step(
        "Make the first one the default again",
        "The other ceases to be it in the same moment.",
        &["address", "set-default", "ada", ADDRESS],
        Done,
    ),
    step(
        "Delete an address",
        "If it was the default, the oldest left of its kind becomes it.",
        &["address", "delete", "ada", ADDRESS, "--yes"],
        Done,
    ),
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
    step("Deactivate a user", "The user is kept, but may not sign in.", &["user", "deactivate", "ada"], Done),
    step(
        "Deactivate again",
        "Saying it twice changes nothing, so a retry is safe: the etag stays.",
        &["user", "deactivate", "ada"],
        Done,
    ),
    step("Reactivate the user", "As it was.", &["user", "reactivate", "ada"], Done),
    step(
        "Delete the user",
        "For good, with the personal data in the change log. On a terminal you are asked first, unless you say --yes.",
        &["user", "delete", "ada", "--yes"],
        Done,
    ),
    step("Get the deleted user", "Reads see writes at once.", &["user", "get", "ada"], Refused(Exit::NotFound)),
];
