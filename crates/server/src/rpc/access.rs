//! The access rule of every path that is served.

use roster_api::access::AccessRule;

/// The services that are not ours have no option in their protos, so their rules stand here.
const STANDARD: &[(&str, AccessRule)] = &[
    ("/grpc.health.v1.Health/Check", AccessRule::Public),
    ("/grpc.health.v1.Health/Watch", AccessRule::Public),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", AccessRule::SignedIn),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", AccessRule::SignedIn),
];

/// The rule of the method at this exact path; `None` if there is no such method.
pub(super) fn rule(path: &str) -> Option<AccessRule> {
    roster_api::access::rule(path)
        .or_else(|| STANDARD.iter().find(|(standard, _)| *standard == path).map(|(_, rule)| *rule))
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
