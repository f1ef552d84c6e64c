//! Messages of `user.v1` to inputs of the use cases, and back.

use prost_types::Duration;
use roster_api::{server::user::v1 as encoded, user::v1 as api};

use crate::{
    model::Violations,
    ops::{
        CreateUserInput, Health, HealthState, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput,
        UpdateUserInput,
    },
    store::StoredUser,
};

pub(super) fn search_response(found: SearchUsersOutput) -> encoded::SearchUsersResponse {
    encoded::SearchUsersResponse {
        users: found.users.into_iter().map(StoredUser::into_message).collect(),
        next_page_token: found.next_page_token.unwrap_or_default(),
        total_size: i32::try_from(found.total_size).unwrap_or(i32::MAX),
        total_size_is_lower_bound: found.total_size_is_lower_bound,
    }
}

pub(super) fn health_response(health: Health) -> api::HealthCheckResponse {
    let dependencies = health.dependencies.into_iter().map(|dependency| api::DependencyHealth {
        name: dependency.name.into(),
        status: health_status(dependency.state),
        latency: dependency.latency.and_then(|latency| Duration::try_from(latency).ok()),
        message: dependency.message.into(),
    });
    api::HealthCheckResponse {
        status: health_status(health.state),
        version: health.version.into(),
        dependencies: dependencies.collect(),
    }
}

fn health_status(state: HealthState) -> i32 {
    match state {
        HealthState::Healthy => api::HealthStatus::Healthy as i32,
        HealthState::Degraded => api::HealthStatus::Degraded as i32,
        HealthState::Unhealthy => api::HealthStatus::Unhealthy as i32,
    }
}

impl From<api::CreateUserRequest> for CreateUserInput {
    fn from(request: api::CreateUserRequest) -> Self {
        Self {
            email: request.email,
            name: request.name,
            password: request.password,
            username: request.username,
            role: request.role,
            age: request.age,
            phone: request.phone,
            locale: request.locale,
            attributes: request.attributes,
            user_id: request.user_id,
            password_hash: request.password_hash,
            email_verified: request.email_verified,
            validate_only: request.validate_only,
        }
    }
}

impl From<api::UpdateUserRequest> for UpdateUserInput {
    fn from(request: api::UpdateUserRequest) -> Self {
        Self {
            user_id: request.user_id,
            name: request.name,
            email: request.email,
            username: request.username,
            role: request.role,
            age: request.age,
            phone: request.phone,
            locale: request.locale,
            attributes: request.attributes,
            email_verified: request.email_verified,
            current_password: request.current_password,
            update_mask: request.update_mask.map(|mask| mask.paths).unwrap_or_default(),
            etag: request.etag,
            validate_only: request.validate_only,
        }
    }
}

impl From<api::DeactivateUserRequest> for SetStatusInput {
    fn from(request: api::DeactivateUserRequest) -> Self {
        Self { user_id: request.user_id, etag: request.etag }
    }
}

impl From<api::ReactivateUserRequest> for SetStatusInput {
    fn from(request: api::ReactivateUserRequest) -> Self {
        Self { user_id: request.user_id, etag: request.etag }
    }
}

impl From<api::SearchUsersRequest> for SearchUsersInput {
    fn from(request: api::SearchUsersRequest) -> Self {
        Self {
            query: request.query,
            filter: request.filter,
            order_by: request.order_by,
            page_size: request.page_size,
            page_token: request.page_token,
        }
    }
}

/// Seed 001 pages with `pagination`, seed 003 with fields of the request; both at once must agree.
pub(super) fn list_input(request: api::ListUsersRequest) -> ListUsersInput {
    let pagination = request.pagination.unwrap_or_default();
    let mut violations = Violations::new();
    if request.page_size != 0 && pagination.page_size != 0 && request.page_size != pagination.page_size {
        violations.add("pagination.page_size", "differs from page_size; give one of them");
    }
    let tokens_given = !request.page_token.is_empty() && !pagination.page_token.is_empty();
    if tokens_given && request.page_token != pagination.page_token {
        violations.add("pagination.page_token", "differs from page_token; give one of them");
    }
    ListUsersInput {
        page_size: if request.page_size == 0 { pagination.page_size } else { request.page_size },
        page_token: if request.page_token.is_empty() { pagination.page_token } else { request.page_token },
        filter: request.filter,
        order_by: request.order_by,
        violations,
    }
}
