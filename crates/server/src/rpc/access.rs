//! Access rule and rate class of every path that is served.

use roster_api::access::{AccessRule, Method, RateClass};

/// The services that are not ours have no option in their protos, so their methods stand here.
const STANDARD: &[Method] = &[
    standard("/grpc.health.v1.Health/Check", AccessRule::Public),
    standard("/grpc.health.v1.Health/Watch", AccessRule::Public),
    standard("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", AccessRule::SignedIn),
    standard("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", AccessRule::SignedIn),
];

const fn standard(path: &'static str, access: AccessRule) -> Method {
    Method { path, access, rate_class: RateClass::Read }
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

/// Whether calls of the method end only when the client ends them, so that a drain must.
pub(super) fn is_long_lived(path: &str) -> bool {
    path == "/grpc.health.v1.Health/Watch" || path.starts_with("/grpc.reflection.")
}
