//! The way to a server.

use std::time::Duration;

use roster_api::user::v1::user_service_client::UserServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::{error::CliError, exit::Exit};

/// The client of `user.v1.UserService`.
pub type Users = UserServiceClient<Channel>;

/// A connection that takes longer to make than this will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a response: a page of a thousand large users passes tonic's default of 4 MiB.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Connects to `server`, such as `http://127.0.0.1:50051`; without a scheme, `http` is meant.
pub async fn connect(server: &str, timeout: Duration) -> Result<Users, CliError> {
    let url = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    if !url.starts_with("http://") {
        return Err(bad_url(server, "this version speaks plain http only"));
    }
    let endpoint = Endpoint::from_shared(url).map_err(|_| bad_url(server, "it is not a URL"))?;
    let channel = endpoint.connect_timeout(CONNECT_TIMEOUT.min(timeout)).connect().await;
    let channel = channel.map_err(|error| CliError::unreachable(server, &error))?;
    Ok(UserServiceClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX))
}

fn bad_url(server: &str, why: &str) -> CliError {
    CliError::new(Exit::Usage, format!("cannot call {server:?}: {why}"))
        .hint("--server (or ROSTER_SERVER) takes a URL such as http://127.0.0.1:50051")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_urls_and_absent_servers_are_told_apart() {
        for (server, exit) in [
            ("https://127.0.0.1:1", Exit::Usage),
            ("ftp://h", Exit::Usage),
            ("a b", Exit::Usage),
            ("127.0.0.1:1", Exit::Unavailable),
        ] {
            let error = connect(server, Duration::from_secs(2)).await.unwrap_err();
            assert_eq!(error.exit, exit, "{server}: {}", error.message);
            assert!(error.hint.is_some());
        }
    }
}
