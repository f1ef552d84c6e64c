//! The page `/verify-email`: a button, for programs that look into mails follow links and press none.

use askama::Template;
use http::{Request, StatusCode};
use hyper::body::Incoming;

use super::{
    Answer,
    form::{Form, token_in_query},
    page::{self, Frame},
};
use crate::ops::{Ctx, Ops};

#[derive(Template)]
#[template(path = "page/verify_email.html")]
struct Page<'a> {
    frame: Frame<'a>,
    token: &'a str,
}

/// Shows the button.
pub(super) fn ask(ops: &Ops, request: &Request<Incoming>) -> Answer {
    let (words, token) = (page::words(request), token_in_query(request));
    if token.is_empty() {
        return page::notice(StatusCode::BAD_REQUEST, words, ops.platform(), &words.invalid_link);
    }
    page::html(StatusCode::OK, &Page { frame: Frame::new(words, ops.platform()), token: &token })
}

/// Verifies the address.
pub(super) async fn act(ops: &Ops, ctx: &Ctx, request: Request<Incoming>) -> Answer {
    let words = page::words(&request);
    let mut form = match Form::read(request).await {
        Ok(form) => form,
        Err(status) => return page::notice(status, words, ops.platform(), &words.invalid_link),
    };
    match ops.verify_email(ctx, form.take("token")).await {
        Ok(_) => page::notice(StatusCode::OK, words, ops.platform(), &words.verified),
        Err(error) => page::error(&error, words, ops.platform()),
    }
}
