//! Filters of audit events.
//!
//! The language is that of [users](super), without bare words.
//!
//! | field | comparisons | meaning |
//! | --- | --- | --- |
//! | `actor.kind`, `outcome` | `=` `!=` `:` | `REFUSED`, `AUDIT_OUTCOME_REFUSED` and `refused` are the same |
//! | `user_id` | `=` `!=` `:` | the same id |
//! | `actor.id`, `action`, `target`, `remote_address`, `request_id`, `reason` | `=` `!=` `<` `<=` `>` `>=` | exactly |
//! | | `:` | contains, without regard to the case of A to Z |
//! | `occurred_at` | all | RFC 3339, such as `2026-01-01T00:00:00Z` |
//!
//! `FIELD:*` asks whether a text or `user_id` is there at all. What an action is called is never absent.

use std::{borrow::Cow, fmt};

use super::{
    FilterOf,
    ast::{Expr, Form, Matching, Operand, Relation},
    display::write_text,
    lexer::Comparator,
    literal::Literal,
    resolve::{Name, Subject, Text, always_there, member, relation, text, time, unknown},
};
use crate::model::{Action, ActorKind, AuditEvent, AuditOutcome, Timestamp, UserId, syntax::Problem};

/// A filter of audit events.
pub type AuditFilter = FilterOf<AuditTest>;

/// One comparison. There is none for `!=`, which is the exact opposite of `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTest {
    /// The actor is of this kind.
    ActorKind(ActorKind),
    /// It was done, or refused.
    Outcome(AuditOutcome),
    /// It was done to this user.
    UserId(UserId),
    /// It was done to a user.
    UserPresent,
    /// There is a text here.
    TextPresent(AuditText),
    /// A text compares so with the operand. False if there is none.
    Text(AuditText, Matching, Operand),
    /// It happened before, at or after this.
    OccurredAt(Relation, Timestamp),
}

/// Fields that hold text. Empty text counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditText {
    /// `actor.id`.
    ActorId,
    /// `action`, never absent.
    Action,
    /// `target`.
    Target,
    /// `remote_address`.
    RemoteAddress,
    /// `request_id`.
    RequestId,
    /// `reason`.
    Reason,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
enum Field {
    ActorKind,
    Outcome,
    UserId,
    Text(AuditText),
    OccurredAt,
}

const FIELDS: &[(&str, Field)] = &[
    ("actor.kind", Field::ActorKind),
    ("actor.id", Field::Text(AuditText::ActorId)),
    ("action", Field::Text(AuditText::Action)),
    ("outcome", Field::Outcome),
    ("user_id", Field::UserId),
    ("target", Field::Text(AuditText::Target)),
    ("remote_address", Field::Text(AuditText::RemoteAddress)),
    ("request_id", Field::Text(AuditText::RequestId)),
    ("reason", Field::Text(AuditText::Reason)),
    ("occurred_at", Field::OccurredAt),
];

impl Subject for AuditTest {
    fn bare(name: Name<'_>) -> Result<Expr<Self>, Problem> {
        let message = format!("{} is compared with nothing, as in action = \"user.deleted\"", name.word.shown());
        Err(name.word.problem(message))
    }

    fn comparison(name: Name<'_>, comparator: Comparator, value: Literal<'_>) -> Result<Expr<Self>, Problem> {
        let found = FIELDS.iter().find(|(known, _)| name.key.is_none() && *known == name.word.raw);
        let (known, field) = found.ok_or_else(|| unknown(name, FIELDS.iter().map(|(name, _)| *name), ""))?;
        let asks_presence = comparator == Comparator::Has && value.is_star();
        let test = match field {
            Field::Text(field) => return text(field, comparator, value),
            Field::UserId if asks_presence => Self::UserPresent,
            _ if asks_presence => return Err(always_there(value, known)),
            Field::OccurredAt => Self::OccurredAt(relation(comparator), time(value)?),
            Field::ActorKind | Field::Outcome | Field::UserId if relation(comparator) != Relation::Equal => {
                let message = format!("`{known}` has no order; it is compared with = != or :");
                return Err(name.word.problem(message));
            }
            Field::ActorKind => Self::ActorKind(member(value, ActorKind::ALL, "ACTOR_KIND_", "kind")?),
            Field::Outcome => Self::Outcome(member(value, AuditOutcome::ALL, "AUDIT_OUTCOME_", "outcome")?),
            Field::UserId if value.raw.is_empty() => return Ok(Expr::Test(Self::UserPresent).not()),
            Field::UserId => Self::UserId(
                UserId::parse(&value.text()?)
                    .map_err(|reason| value.problem(format!("{} is no id: it {reason}", value.shown())))?,
            ),
        };
        Ok(Expr::Test(test))
    }
}

impl Text for AuditText {
    type Test = AuditTest;

    fn form(&self, matching: Matching) -> Form {
        Self::form(matching)
    }

    fn test(&self, matching: Matching, operand: Operand) -> AuditTest {
        AuditTest::Text(*self, matching, operand)
    }

    fn presence(&self) -> Result<AuditTest, &'static str> {
        match self {
            Self::Action => Err("action"),
            _ => Ok(AuditTest::TextPresent(*self)),
        }
    }
}

impl AuditText {
    /// The form in which a field and an operand are brought together for `matching`.
    #[must_use]
    pub fn form(matching: Matching) -> Form {
        if matching == Matching::Has { Form::AsciiLower } else { Form::Stored }
    }

    fn of(self, event: &AuditEvent) -> Option<Cow<'_, str>> {
        let text: &str = match self {
            Self::Action => return Some(event.action.audit_name()),
            Self::ActorId => &event.actor_id,
            Self::Target => &event.target,
            Self::RemoteAddress => &event.remote_address,
            Self::RequestId => &event.request_id,
            Self::Reason => &event.reason,
        };
        (!text.is_empty()).then_some(text.into())
    }
}

impl AuditTest {
    pub(super) fn matches(&self, event: &AuditEvent) -> bool {
        match self {
            Self::ActorKind(kind) => event.actor == *kind,
            Self::Outcome(outcome) => event.outcome() == *outcome,
            Self::UserId(id) => event.user_id.as_ref() == Some(id),
            Self::UserPresent => event.user_id.is_some(),
            Self::TextPresent(field) => field.of(event).is_some(),
            Self::Text(field, matching, operand) => {
                field.of(event).is_some_and(|text| matching.holds(&AuditText::form(*matching).of(&text), operand))
            }
            Self::OccurredAt(relation, time) => relation.holds(event.at.cmp(time)),
        }
    }

    /// The actions whose names compare so with the operand, for stores: they keep them under other names.
    #[must_use]
    pub fn actions(matching: Matching, operand: &Operand) -> Vec<Action> {
        let form = AuditText::form(matching);
        let all = Action::ALL.iter().map(|(action, _)| *action);
        all.filter(|action| matching.holds(&form.of(&action.audit_name()), operand)).collect()
    }
}

impl fmt::Display for AuditTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActorKind(kind) => write!(f, "actor.kind = {kind}"),
            Self::Outcome(outcome) => write!(f, "outcome = {outcome}"),
            Self::UserId(id) => write!(f, "user_id = \"{id}\""),
            Self::UserPresent => f.write_str("user_id:*"),
            Self::TextPresent(field) => write!(f, "{field}:*"),
            Self::Text(field, matching, operand) => write_text(f, field, *matching, operand),
            Self::OccurredAt(relation, time) => write!(f, "occurred_at {relation} \"{time}\""),
        }
    }
}

impl fmt::Display for AuditText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |field: &Field| matches!(field, Field::Text(text) if text == self);
        f.write_str(FIELDS.iter().find(|(_, field)| name(field)).map_or("", |(name, _)| name))
    }
}
