//! The table of methods that stream: a default deadline, which suits a single answer, would cut them off, and a call
//! may outlive its caller's right to make it.

use std::fmt::Write as _;

use prost_reflect::DescriptorPool;

/// Rust source of a list of service and method names.
pub fn table(pool: &DescriptorPool) -> Result<String, std::fmt::Error> {
    let mut rows = String::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        if method.is_client_streaming() || method.is_server_streaming() {
            let (service, requests) = (method.parent_service(), method.is_client_streaming());
            writeln!(rows, "    ({:?}, {:?}, {requests}),", service.full_name(), method.name())?;
        }
    }
    Ok(format!(
        "/// Service and method of every call that streams in either direction, and whether its requests do.\n\
         pub(crate) const STREAMS: &[(&str, &str, bool)] = &[\n{rows}];\n"
    ))
}
