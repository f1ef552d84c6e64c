//! Use cases about users, one a file.

mod create_user;
mod delete_user;
mod export_users;
mod get_user;
mod import_row;
mod import_users;
mod list_users;
mod paging;
mod rank;
mod search_users;
mod set_status;
mod update_user;
mod visible;

pub use self::{
    create_user::CreateUserInput,
    export_users::{Export, ExportPage, ExportUsersInput},
    import_row::ImportRowInput,
    import_users::{ImportOptionsInput, ImportOutcome, ImportRun, ImportVerdict},
    list_users::{ListUsersInput, UserPage},
    search_users::{SearchUsersInput, SearchUsersOutput},
    set_status::SetStatusInput,
    update_user::UpdateUserInput,
};
pub(super) use self::{import_users::RunningImports, paging::check_page_size, visible::check_query};

use crate::model::{Role, UserId, Violations};

/// The id in a request's `user_id`.
pub(super) fn parse_user_id(user_id: &str) -> Result<UserId, Violations> {
    let mut violations = Violations::new();
    let id = check_user_id(user_id, &mut violations);
    id.ok_or(violations)
}

/// The same, beside other fields that may be wrong.
pub(super) fn check_user_id(user_id: &str, violations: &mut Violations) -> Option<UserId> {
    if user_id.is_empty() {
        violations.add("user_id", "is required");
        return None;
    }
    violations.check("user_id", UserId::parse(user_id))
}

/// The role with the API's number; 0 is the plain user.
fn check_role(number: i32, violations: &mut Violations) -> Role {
    if number == 0 {
        return Role::User;
    }
    Role::from_number(number).unwrap_or_else(|| {
        violations.add("role", format!("{number} is no role; use 1 (USER), 2 (ADMIN) or 3 (MODERATOR)"));
        Role::User
    })
}

/// The etag in a request, if there is one.
pub(super) fn etag_of(etag: String) -> Option<String> {
    (!etag.is_empty()).then_some(etag)
}
