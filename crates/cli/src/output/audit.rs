//! The audit log as a table.

use comfy_table::ColumnConstraint;
use roster_api::user::v1::{ActorKind, AuditEvent, AuditOutcome};

use super::{
    Cell, Style,
    table::{arranged, short, time},
};

const HEADER: [&str; 6] = ["TIME", "ACTION", "ACTOR", "TARGET", "ADDRESS", "OUTCOME"];

/// Events, a line each; what is too long for the terminal is cut with `…`, and `--output json` has all of it.
pub fn events(events: &[AuditEvent], style: Style, width: Option<u16>) -> String {
    let mut table = arranged(&HEADER, events.iter().map(row).collect(), style, width);
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
    for index in [0, 1, 4, 5] {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.set_truncation_indicator("…").trim_fmt()
}

fn row(event: &AuditEvent) -> Vec<Cell> {
    let outcome = match event.outcome() {
        AuditOutcome::Done => Cell::Good("done".into()),
        // Why, rather than that.
        AuditOutcome::Refused => Cell::Warning(event.reason.clone()),
        AuditOutcome::Unspecified => Cell::Plain(String::new()),
    };
    vec![
        Cell::Plain(time(event.occurred_at.as_ref(), 3)),
        Cell::Plain(event.action.clone()),
        Cell::Plain(actor(event)),
        Cell::Plain(if event.target.is_empty() { event.user_id.clone() } else { event.target.clone() }),
        Cell::Plain(event.remote_address.clone()),
        outcome,
    ]
}

/// `user ID`, `anonymous`
fn actor(event: &AuditEvent) -> String {
    let actor = event.actor.clone().unwrap_or_default();
    let kind = ActorKind::try_from(actor.kind).unwrap_or_default();
    format!("{} {}", short(kind.as_str_name(), "ACTOR_KIND_"), actor.id).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use roster_api::user::v1::Actor;

    use super::*;

    #[test]
    fn events_are_a_line_each() {
        let done = AuditEvent {
            occurred_at: Some(prost_types::Timestamp { seconds: 0, nanos: 5_000_000 }),
            actor: Some(Actor { kind: ActorKind::ApiKey.into(), id: "k1".into() }),
            action: "user.deleted".into(),
            outcome: AuditOutcome::Done.into(),
            user_id: "ada".into(),
            remote_address: "192.0.2.1".into(),
            ..AuditEvent::default()
        };
        let refused = AuditEvent {
            actor: Some(Actor { kind: ActorKind::Anonymous.into(), id: String::new() }),
            action: "call.refused".into(),
            outcome: AuditOutcome::Refused.into(),
            target: "methods/user.v1.UserService/GetUser".into(),
            reason: "CREDENTIALS_MISSING".into(),
            ..done.clone()
        };
        let text = events(&[done, refused.clone()], Style::PLAIN, None);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[2], "1970-01-01T00:00:00.005Z user.deleted api_key k1 ada 192.0.2.1 done");
        let expected = "call.refused anonymous methods/user.v1.UserService/GetUser 192.0.2.1 CREDENTIALS_MISSING";
        assert_eq!(lines[3], format!("1970-01-01T00:00:00.005Z {expected}"));
        let narrow = events(&[refused], Style::PLAIN, Some(100));
        assert!(narrow.lines().all(|line| line.chars().count() <= 100), "{narrow}");
    }
}
