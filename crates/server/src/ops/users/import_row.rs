//! A row of an import: checked as a new user is, and what an import alone may say.

use super::{
    create_user::{self, CreateUserInput, Secret},
    rank::check_covers,
};
use crate::{
    auth::Caller,
    model::{Role, Timestamp, UserStatus, Violation, Violations},
    ops::Error,
    store::ImportUser,
};

/// An `ImportRow`, not yet checked.
pub struct ImportRowInput {
    /// From 1, and growing.
    pub number: i64,
    /// Required.
    pub user: Option<CreateUserInput>,
    /// The API's number; 0 if left out.
    pub status: i32,
    /// Seconds and nanoseconds of the time when the user was created elsewhere.
    pub created_at: Option<(i64, i32)>,
    /// Bytes of the message.
    pub bytes: usize,
}

/// Checks what the row says; it is imported at `now`. The paths of violations are those of the row.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong, [`Error::Refused`] for a role that may do more than the caller.
pub(super) fn parse(input: ImportRowInput, caller: &Caller, now: Timestamp) -> Result<(ImportUser, Secret), Error> {
    let mut violations = Violations::new();
    let status = check_status(input.status, &mut violations);
    let created_at = input.created_at.and_then(|parts| check_created_at(parts, now, &mut violations));
    let Some(user) = input.user else {
        violations.add("user", "is required");
        return Err(violations.into());
    };
    if user.validate_only {
        violations.add("user.validate_only", "is an option of the whole import");
    }
    let (has_id, has_role) = (!user.user_id.is_empty(), user.role != 0);
    match create_user::parse(user, now) {
        Err(wrong) => {
            violations.extend(wrong.iter().map(below_user));
            Err(violations.into())
        }
        Ok(_) if !violations.is_empty() => Err(violations.into()),
        Ok((mut user, secret)) => {
            if user.role != Role::User {
                check_covers(caller, user.role)?;
            }
            user.status = status.unwrap_or(UserStatus::Active);
            user.created_at = created_at.unwrap_or(now);
            let (has_status, has_password) = (status.is_some(), !matches!(secret, Secret::None));
            Ok((ImportUser { user, has_id, has_role, has_status, has_password, password_hash: None }, secret))
        }
    }
}

fn below_user(violation: &Violation) -> Violation {
    Violation { field: format!("user.{}", violation.field), description: violation.description.clone() }
}

fn check_status(number: i32, violations: &mut Violations) -> Option<UserStatus> {
    if number == 0 {
        return None;
    }
    let status = UserStatus::from_number(number);
    if status.is_none() {
        violations.add("status", format!("{number} is no status; use 1 (ACTIVE) or 2 (INACTIVE)"));
    }
    status
}

fn check_created_at((seconds, nanos): (i64, i32), now: Timestamp, violations: &mut Violations) -> Option<Timestamp> {
    let Some(time) = Timestamp::from_parts(seconds, nanos) else {
        violations.add("created_at", "is no time from the year 1 to 9999");
        return None;
    };
    if time > now {
        violations.add("created_at", format!("{time} is in the future"));
    }
    Some(time)
}
