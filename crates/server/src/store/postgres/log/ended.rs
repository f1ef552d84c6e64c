//! What a row of the log has ended: the counterpart, for other servers, of what each command ends on its own.

use uuid::Uuid;

use crate::{
    model::{Action, ApiKeyId, SessionId, UserId},
    store::Ended,
};

/// The condition on rows `c` of the log that [`ended_by`] may say something of.
pub(super) const ENDING: &str = "(c.action IN ('deactivated', 'reactivated', 'deleted', 'password.changed',
    'session.revoked', 'api_key.revoked') OR c.action = 'updated' AND c.fields LIKE '%\"role\"%')";

/// The grants that a row of the log has ended or changed, if any. Of sessions that were ended together it may name one that was
/// spared: its next call reads its grant again.
pub(in crate::store::postgres) fn ended_by(
    action: Action,
    user_id: Option<UserId>,
    target: &str,
    fields: &[String],
) -> Option<Ended> {
    let item = |collection: &str| target.strip_prefix(collection).and_then(|id| Uuid::try_parse(id).ok());
    match action {
        Action::Deactivated | Action::Reactivated | Action::Deleted => user_id.map(Ended::User),
        // Only the role is part of what a grant lets its holder do.
        Action::Updated => user_id.filter(|_| fields.iter().any(|field| field == "role")).map(Ended::User),
        Action::PasswordChanged => user_id.map(|user_id| Ended::SessionsOf { user_id, except: None }),
        Action::SessionRevoked => user_id.map(|user_id| match item("sessions/") {
            Some(id) => Ended::Session { user_id, id: SessionId(id) },
            None => Ended::SessionsOf { user_id, except: None },
        }),
        Action::ApiKeyRevoked => item("api_keys/").map(|id| Ended::ApiKeyOfAnybody(ApiKeyId(id))),
        Action::Created
        | Action::EmailVerified
        | Action::SignedIn
        | Action::SignInFailed
        | Action::MailRequested
        | Action::AddressAdded
        | Action::AddressUpdated
        | Action::AddressDeleted
        | Action::PreferencesUpdated
        | Action::ApiKeyCreated
        | Action::KeysRotated
        | Action::CallRefused
        // Of a file, which no other server shares.
        | Action::DatabaseRestored => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The database hands over what the condition names, and all that ends something must be in it.
    #[test]
    fn what_ends_grants_is_asked_for() {
        let id = Uuid::from_u128(7);
        for (action, name) in Action::ALL {
            let user = UserId::parse("ada").ok();
            let target = if *action == Action::ApiKeyRevoked { format!("api_keys/{id}") } else { String::new() };
            let ended = ended_by(*action, user, &target, &["role".to_owned()]);
            assert_eq!(ended.is_some(), ENDING.contains(&format!("'{name}'")), "{name}");
        }
    }

    #[test]
    fn a_target_says_which() {
        let (ada, id) = (UserId::parse("ada").unwrap(), Uuid::from_u128(7));
        let ended = |action, target: &str| ended_by(action, Some(ada.clone()), target, &["name".to_owned()]);
        let one = Ended::Session { user_id: ada.clone(), id: SessionId(id) };
        assert_eq!(ended(Action::SessionRevoked, &format!("sessions/{id}")), Some(one));
        let all = Ended::SessionsOf { user_id: ada.clone(), except: None };
        assert_eq!(ended(Action::SessionRevoked, "sessions/-"), Some(all));
        assert_eq!(ended(Action::ApiKeyRevoked, &format!("api_keys/{id}")), Some(Ended::ApiKeyOfAnybody(ApiKeyId(id))));
        assert_eq!(ended(Action::Updated, ""), None);
    }
}
