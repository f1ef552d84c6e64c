//! The page `/reset-password`: a form for the new password.

use askama::Template;
use http::{Request, StatusCode};
use hyper::body::Incoming;

use super::{
    Answer,
    form::{Form, token_in_query},
    page::{self, Frame},
};
use crate::ops::{Ctx, Error, Ops};

#[derive(Template)]
#[template(path = "page/reset_password.html")]
struct Page<'a> {
    frame: Frame<'a>,
    token: &'a str,
    /// What is wrong with what was typed; empty if nothing is.
    problem: &'static str,
}

/// Shows the form.
pub(super) fn ask(ops: &Ops, request: &Request<Incoming>) -> Answer {
    let (words, token) = (page::words(request), token_in_query(request));
    if token.is_empty() {
        return page::notice(StatusCode::BAD_REQUEST, words, ops.platform(), &words.invalid_link);
    }
    page::html(StatusCode::OK, &Page { frame: Frame::new(words, ops.platform()), token: &token, problem: "" })
}

/// Sets the password.
pub(super) async fn act(ops: &Ops, ctx: &Ctx, request: Request<Incoming>) -> Answer {
    let words = page::words(&request);
    let mut form = match Form::read(request).await {
        Ok(form) => form,
        Err(status) => return page::notice(status, words, ops.platform(), &words.invalid_link),
    };
    let (token, password, repeated) = (form.take("token"), form.take("new_password"), form.take("repeated"));
    let again = |problem| {
        let page = Page { frame: Frame::new(words, ops.platform()), token: &token, problem };
        page::html(StatusCode::BAD_REQUEST, &page)
    };
    if password != repeated {
        return again(words.passwords_differ);
    }
    match ops.reset_password(ctx, token.clone(), password).await {
        Ok(()) => page::notice(StatusCode::OK, words, ops.platform(), &words.password_set),
        Err(Error::Invalid(_)) => again(words.password_refused),
        Err(error) => page::error(&error, words, ops.platform()),
    }
}
