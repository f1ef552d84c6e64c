//! Messages about passwords and verified addresses to inputs of the use cases.

use roster_api::user::v1::ChangePasswordRequest;

use crate::ops::ChangePasswordInput;

impl From<ChangePasswordRequest> for ChangePasswordInput {
    fn from(request: ChangePasswordRequest) -> Self {
        Self {
            user_id: request.user_id,
            current_password: request.current_password,
            new_password: request.new_password,
        }
    }
}
