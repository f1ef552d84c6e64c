//! The way to a server.

use roster_api::{Client, ConnectError};

use crate::{error::CliError, exit::Exit};

/// Connects to `server`, such as `http://127.0.0.1:50051` or `127.0.0.1:50051`.
pub async fn connect(server: &str) -> Result<Client, CliError> {
    match Client::connect(server).await {
        Ok(client) => Ok(client),
        Err(error @ ConnectError::Endpoint { .. }) => Err(CliError::new(Exit::Usage, error.to_string())
            .hint("--server (or ROSTER_SERVER) takes a URL such as http://127.0.0.1:50051")),
        Err(error @ ConnectError::Unreachable { .. }) => Err(CliError::new(Exit::Unavailable, error.to_string())
            .hint("start a server with `roster serve --dev`, name another with --server URL, or ask `roster doctor`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_urls_and_absent_servers_are_told_apart() {
        for (server, exit) in
            [("https://127.0.0.1:1", Exit::Usage), ("a b", Exit::Usage), ("127.0.0.1:1", Exit::Unavailable)]
        {
            let error = connect(server).await.unwrap_err();
            assert_eq!(error.exit, exit, "{server}: {}", error.message);
            assert!(error.hint.is_some());
        }
    }
}
