//! Access rule and classes of every path that is served.

use roster_api::access::{AccessRule, LoadClass, METHODS, Method, RateClass};

use super::intake::Upload;

/// The services that are not ours have no option in their protos, so their methods stand here.
const STANDARD: &[Method] = &[
    standard(0, "/grpc.health.v1.Health/Check", AccessRule::Public, LoadClass::Vital),
    standard(1, "/grpc.health.v1.Health/Watch", AccessRule::Public, LoadClass::Stream),
    standard(2, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", AccessRule::SignedIn, LoadClass::Stream),
    standard(
        3,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        AccessRule::SignedIn,
        LoadClass::Stream,
    ),
];

const fn standard(index: usize, path: &'static str, access: AccessRule, load_class: LoadClass) -> Method {
    Method { index: METHODS.len() + index, path, access, rate_class: RateClass::Read, load_class }
}

/// How many methods there are.
pub(super) const COUNT: usize = METHODS.len() + STANDARD.len();

/// The method with this index, below [`COUNT`].
pub(super) fn method_at(index: usize) -> Option<&'static Method> {
    METHODS.get(index).or_else(|| STANDARD.get(index.checked_sub(METHODS.len())?))
}

/// The method at this exact path; `None` if there is none.
pub(super) fn method(path: &str) -> Option<&'static Method> {
    roster_api::access::method(path).or_else(|| STANDARD.iter().find(|method| method.path == path))
}

/// Whether the method streams in either direction, so that a call may outlive the caller's right to make it.
pub(super) fn is_stream(path: &str) -> bool {
    let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    is_long_lived(path) || parts.is_some_and(|(service, method)| roster_api::access::streams(service, method))
}

/// Whether calls of the method end only when the client ends them, so that a drain must. The methods of presence and the
/// watch of users are not among them: they end themselves when they have said why, or where to go on.
pub(super) fn is_long_lived(path: &str) -> bool {
    path == "/grpc.health.v1.Health/Watch" || path.starts_with("/grpc.reflection.")
}

/// Whether a call of the method that an access token was shown for ends with the token, and not only with its session:
/// what goes on as long as its client likes would make a token for ten minutes one for ever. A client that renews its token
/// goes on with the next. Lists, exports and imports come to an end by themselves, and `Connect` tells nothing of others: to end it
/// would make its client absent for a moment.
pub(super) fn ends_with_token(path: &str) -> bool {
    const WATCHES: [&str; 3] = [
        "/user.v1.UserService/WatchUsers",
        "/notification.v1.NotificationService/WatchClientStatus",
        "/user.UserService/StreamUserUpdates",
    ];
    WATCHES.contains(&path)
}

/// How the requests of the method come in.
pub(super) fn upload(path: &str) -> Upload {
    match path {
        "/notification.v1.NotificationService/Connect" | "/user.UserService/StreamUserUpdates" => Upload::Endless,
        "/user.v1.UserService/ImportUsers" => Upload::Rows,
        path if is_long_lived(path) => Upload::Patient,
        _ => Upload::Prompt,
    }
}
