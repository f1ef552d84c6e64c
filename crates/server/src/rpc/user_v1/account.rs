//! Passwords and verified addresses.

use roster_api::user::v1::{
    ChangePasswordRequest, RequestPasswordResetRequest, RequestPasswordResetResponse, ResetPasswordRequest,
    ResetPasswordResponse, SendVerificationEmailRequest, SendVerificationEmailResponse, VerifyEmailRequest,
    VerifyEmailResponse,
};
use tonic::Response;

use crate::{
    ops::{ChangePasswordInput, Ctx, Error, Ops},
    trace::Traced as _,
};

impl From<ChangePasswordRequest> for ChangePasswordInput {
    fn from(request: ChangePasswordRequest) -> Self {
        Self {
            user_id: request.user_id,
            current_password: request.current_password,
            new_password: request.new_password,
        }
    }
}

pub(super) async fn send_verification_email(
    ops: &Ops,
    ctx: &Ctx,
    request: &SendVerificationEmailRequest,
) -> Result<Response<SendVerificationEmailResponse>, Error> {
    ops.send_verification_email(ctx, &request.email).traced("send_verification_email").await?;
    Ok(Response::new(SendVerificationEmailResponse {}))
}

pub(super) async fn verify_email(
    ops: &Ops,
    ctx: &Ctx,
    request: VerifyEmailRequest,
) -> Result<Response<VerifyEmailResponse>, Error> {
    let user = ops.verify_email(ctx, request.token).traced("verify_email").await?;
    Ok(Response::new(VerifyEmailResponse { user_id: user.id.to_text(), email: user.email.clone() }))
}

pub(super) async fn request_password_reset(
    ops: &Ops,
    ctx: &Ctx,
    request: &RequestPasswordResetRequest,
) -> Result<Response<RequestPasswordResetResponse>, Error> {
    ops.request_password_reset(ctx, &request.email).traced("request_password_reset").await?;
    Ok(Response::new(RequestPasswordResetResponse {}))
}

pub(super) async fn reset_password(
    ops: &Ops,
    ctx: &Ctx,
    request: ResetPasswordRequest,
) -> Result<Response<ResetPasswordResponse>, Error> {
    ops.reset_password(ctx, request.token, request.new_password).traced("reset_password").await?;
    Ok(Response::new(ResetPasswordResponse {}))
}
