//! Traces: whether there is a collector for them.

use std::time::Duration;

use roster_server::config::Config;
use tokio::{net::TcpStream, time::timeout};

use super::check::Check;

const NAME: &str = "traces";
/// A collector that takes longer to take up a connection is too slow.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The collector of this configuration.
pub async fn collector(config: &Config) -> Check {
    let Some((host, port)) = config.otlp_endpoint.as_ref().and_then(|url| url.host_and_port()) else {
        return Check::ok(NAME, "off");
    };
    const ADVICE: &str = "mend otlp_endpoint, or start the collector; calls do not wait for it, and spans are lost";
    match timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Check::ok(NAME, format!("{host}:{port} answers")),
        Ok(Err(error)) => Check::warn(NAME, format!("{host}:{port}: {error}"), ADVICE),
        Err(_) => Check::warn(NAME, format!("{host}:{port} does not answer"), ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[tokio::test]
    async fn a_collector_answers_or_is_missing_or_is_not_wanted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let check = async || {
            let otlp_endpoint = format!("http://{here}").parse().ok();
            collector(&Config { otlp_endpoint, ..Config::default() }).await
        };
        assert_eq!(check().await, Check::ok(NAME, format!("{here} answers")));
        drop(listener);
        assert_eq!(check().await.state, State::Warn);
        assert_eq!(collector(&Config::default()).await.state, State::Ok);
    }
}
