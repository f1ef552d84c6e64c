//! What a watch tells, a line each.

use roster_api::user::v1::{ActorKind, ChangeKind, User, UserChange, WatchUsersResponse, watch_users_response::Event};
use roster_server::telemetry::escape;

use super::{
    Style,
    table::{short, time},
};

/// The line for people; none for what only programs need. Every part is escaped: it comes from users.
pub fn line(told: &WatchUsersResponse, style: Style) -> Option<String> {
    match told.event.as_ref()? {
        Event::Change(change) => Some(change_line(change, style)),
        Event::SnapshotUser(user) => Some(format!("{}  {}", style.dim("there is"), who(&user.id, Some(user)))),
        Event::SnapshotComplete(complete) => {
            Some(style.dim(&format!("{} users there; what changes follows", complete.user_count)))
        }
        Event::Heartbeat(_) => None,
    }
}

/// `2026-01-01T00:00:00.000Z  updated  ada <ada@example.com> Ada: name, age  (user root)`
fn change_line(change: &UserChange, style: Style) -> String {
    let kind = match change.kind() {
        ChangeKind::LeftFilter => "matches no more".to_owned(),
        kind => short(kind.as_str_name(), "CHANGE_KIND_").replace('_', " "),
    };
    let kind = match change.kind() {
        ChangeKind::Created | ChangeKind::Reactivated => style.green(&kind),
        ChangeKind::Deleted => style.red(&kind),
        ChangeKind::Deactivated | ChangeKind::LeftFilter => style.yellow(&kind),
        _ => kind,
    };
    let fields = match change.changed_fields.as_slice() {
        [] => String::new(),
        fields => format!(": {}", escape(&fields.join(", "))),
    };
    let when = time(change.changed_at.as_ref(), 3);
    let by = style.dim(&format!("({})", escape(&actor(change))));
    format!("{}  {kind}  {}{fields}  {by}", style.dim(&when), who(&change.user_id, change.user.as_ref()))
}

fn who(id: &str, user: Option<&User>) -> String {
    let Some(user) = user else { return escape(id).to_string() };
    let text = format!("{id} <{}> {}", user.email, user.name);
    escape(text.trim_end()).to_string()
}

/// `user ID`, `anonymous`
fn actor(change: &UserChange) -> String {
    let actor = change.actor.clone().unwrap_or_default();
    let kind = ActorKind::try_from(actor.kind).unwrap_or_default();
    format!("{} {}", short(kind.as_str_name(), "ACTOR_KIND_"), actor.id).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use roster_api::user::v1::{Actor, Heartbeat};

    use super::*;

    fn told(event: Event) -> WatchUsersResponse {
        WatchUsersResponse { resume_token: "~t".into(), event: Some(event) }
    }

    #[test]
    fn a_change_is_a_line_that_nothing_in_it_can_break() {
        let change = UserChange {
            kind: ChangeKind::LeftFilter.into(),
            user_id: "ada".into(),
            user: Some(User { email: "a@b.c".into(), name: "A\x1b[31m\nda".into(), ..User::default() }),
            changed_fields: vec!["name".into(), "age".into()],
            actor: Some(Actor { kind: ActorKind::ApiKey.into(), id: "k1".into() }),
            changed_at: Some(prost_types::Timestamp { seconds: 0, nanos: 5_000_000 }),
            request_id: "r-1".into(),
        };
        assert_eq!(
            line(&told(Event::Change(change)), Style::PLAIN).unwrap(),
            "1970-01-01T00:00:00.005Z  matches no more  ada <a@b.c> A\\u{1b}[31m\\nda: name, age  (api_key k1)"
        );
        let deleted = UserChange { kind: ChangeKind::Deleted.into(), user_id: "ada".into(), ..UserChange::default() };
        assert_eq!(line(&told(Event::Change(deleted)), Style::PLAIN).unwrap(), "  deleted  ada  (unspecified)");
        assert_eq!(line(&told(Event::Heartbeat(Heartbeat::default())), Style::PLAIN), None);
    }
}
