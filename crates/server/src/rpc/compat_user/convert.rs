//! Messages of the older proto to inputs of the use cases, and back.

use roster_api::compat::user as api;

use crate::{
    model::{Role, Violation, Violations},
    ops::{CreateUserInput, Error, ListUsersInput, UpdateUserInput},
    store::StoredUser,
};

/// What fields are called here, by what they are called in the use cases.
const FIELDS: [(&str, &str); 3] = [("user_id", "id"), ("name", "full_name"), ("page_size", "limit")];
/// The same in updates.
const UPDATE_FIELDS: [(&str, &str); 1] = [("name", "full_name")];

/// The error in the words of this proto.
pub(super) fn renamed(error: Error) -> Error {
    in_words_of(&FIELDS, error)
}

/// The same of an update.
pub(super) fn renamed_of_update(error: Error) -> Error {
    in_words_of(&UPDATE_FIELDS, error)
}

fn in_words_of(fields: &[(&str, &str)], error: Error) -> Error {
    let Error::Invalid(violations) = error else { return error };
    let mut told = Violations::new();
    told.extend(violations.iter().map(|violation| {
        let here = fields.iter().find(|(there, _)| *there == violation.field).map(|(_, here)| (*here).to_owned());
        Violation { field: here.unwrap_or_else(|| violation.field.clone()), ..violation.clone() }
    }));
    Error::Invalid(told)
}

pub(super) fn message(user: &StoredUser) -> Result<api::User, Error> {
    let user = user.user()?;
    Ok(api::User {
        id: user.id.to_text(),
        username: user.username,
        email: user.email,
        full_name: user.name,
        role: user.role as i32,
        created_at: user.created_at.seconds(),
        updated_at: user.updated_at.seconds(),
    })
}

pub(super) fn create_input(request: api::CreateUserRequest) -> CreateUserInput {
    let api::CreateUserRequest { username, email, full_name, role } = request;
    CreateUserInput { username, email, name: full_name, role, ..CreateUserInput::default() }
}

pub(super) fn list_input(request: &api::ListUsersRequest) -> ListUsersInput {
    let mut violations = Violations::new();
    let filter = match request.role_filter.as_str() {
        "" => String::new(),
        text => violations.check("role_filter", role_of(text)).map(|role| format!("role = {role}")).unwrap_or_default(),
    };
    ListUsersInput { page_size: request.limit, filter, violations, ..ListUsersInput::default() }
}

/// One field of a user; `Err` with what is wrong with the request.
pub(super) fn update_input(request: api::UserUpdateRequest) -> Result<UpdateUserInput, Violations> {
    let api::UserUpdateRequest { user_id, field, value } = request;
    let mut input = UpdateUserInput { user_id, ..UpdateUserInput::default() };
    let mut violations = Violations::new();
    let path = match field.as_str() {
        "username" => {
            input.username = Some(value);
            "username"
        }
        "email" => {
            input.email = Some(value);
            "email"
        }
        "full_name" => {
            input.name = Some(value);
            "name"
        }
        "role" => {
            let role = if value.is_empty() { Ok(Role::User) } else { role_of(&value) };
            input.role = violations.check("role", role).map(|role| role as i32);
            "role"
        }
        _ => {
            violations.add("field", "is required; use username, email, full_name or role");
            ""
        }
    };
    violations.into_result()?;
    input.update_mask = vec![path.to_owned()];
    Ok(input)
}

/// The role in text such as `ROLE_ADMIN`, `ADMIN` or `admin`.
fn role_of(text: &str) -> Result<Role, &'static str> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("ROLE_").unwrap_or(&name);
    let known = Role::ALL.iter().find(|(_, known)| *known == name);
    known
        .map(|(role, _)| *role)
        .ok_or("is no role; use USER, MODERATOR or ADMIN, with ROLE_ before it or without, in either case")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_every_spelling() {
        for text in ["ROLE_ADMIN", "ADMIN", "admin", "Role_Admin"] {
            assert_eq!(role_of(text), Ok(Role::Admin), "{text}");
        }
        assert_eq!(role_of("moderator"), Ok(Role::Moderator));
        for text in ["", "ROLE_", "ROLE_UNSPECIFIED", "ROLE_ROLE_ADMIN", "2", " admin", "ADMÍN"] {
            assert!(role_of(text).is_err(), "{text}");
        }
    }
}
