//! `idempotency-key`: the name that a caller gives a call, so that it can be made again without being done again.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use prost::Message;

use crate::{
    model::{IdempotencyKey, SessionId, Violations, idempotency::IDEMPOTENCY_KEY_MAX},
    ops::{Ctx, Ops},
};

/// The metadata's name.
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a call, and the path of its method.
#[derive(Clone, Debug)]
pub(super) struct CallKey {
    key: IdempotencyKey,
    method: &'static str,
}

/// The key in the headers of a call that may change something, if it has one.
pub(super) fn parse(headers: &HeaderMap, method: &'static str) -> Result<Option<CallKey>, Violations> {
    if !headers.contains_key(&HEADER) {
        return Ok(None);
    }
    let mut given = headers.get_all(&HEADER).iter();
    let key = given.next().filter(|_| given.next().is_none()).and_then(|key| IdempotencyKey::parse(key.as_bytes()));
    key.map(|key| Some(CallKey { key, method })).ok_or_else(|| {
        let mut violations = Violations::new();
        let allowed = format!("must come once and be 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters");
        violations.add(HEADER.as_str(), allowed);
        violations
    })
}

/// The context of a call with this request.
pub(super) fn ctx_of<'a>(ops: &Ops, ctx: &'a Ctx, key: Option<&CallKey>, request: &impl Message) -> Cow<'a, Ctx> {
    let Some(key) = key else { return Cow::Borrowed(ctx) };
    Cow::Owned(with_key(ops, ctx, key, None, request.encode_to_vec()))
}

/// The context of one of many requests in a call, by its place.
pub(super) fn ctx_of_row<'a>(
    ops: &Ops,
    ctx: &'a Ctx,
    key: Option<&CallKey>,
    row: u32,
    request: &impl Message,
) -> Cow<'a, Ctx> {
    let Some(key) = key else { return Cow::Borrowed(ctx) };
    Cow::Owned(with_key(ops, ctx, key, Some(row), request.encode_to_vec()))
}

/// The same where the request means something else in another session of the caller.
pub(super) fn ctx_in_session<'a>(
    ops: &Ops,
    ctx: &'a Ctx,
    key: Option<&CallKey>,
    request: &impl Message,
    session: Option<SessionId>,
) -> Cow<'a, Ctx> {
    let Some(key) = key else { return Cow::Borrowed(ctx) };
    let mut bytes = request.encode_to_vec();
    bytes.extend(session.iter().flat_map(|session| session.0.into_bytes()));
    Cow::Owned(with_key(ops, ctx, key, None, bytes))
}

fn with_key(ops: &Ops, ctx: &Ctx, key: &CallKey, row: Option<u32>, request: Vec<u8>) -> Ctx {
    // A request may hold a password.
    let request = zeroize::Zeroizing::new(request);
    let call = ops.idempotency_of(ctx, key.method, &key.key, row, &request);
    Ctx { idempotency: Some(call), ..ctx.clone() }
}
