//! Redis: whether it answers, lets us in and does what we need.

use std::time::Duration;

use roster_server::{
    config::Config,
    redis::{Inspected, inspect},
};

use super::check::Check;
use crate::exit::Exit;

const NAME: &str = "redis";

/// The Redis of this configuration, looked at as a server would at its start.
pub async fn server(config: &Config) -> Check {
    let Some(options) = config.redis() else {
        return Check::ok(NAME, "off: limits and lockouts are each server's own");
    };
    let (url, wait_max) = (options.url.clone(), options.wait_max);
    match inspect(options).await {
        Ok(Inspected { ping, .. }) if ping > wait_max => {
            let found = format!("{url} took {ping:.1?} to answer");
            Check::warn(
                NAME,
                found,
                "no call waits for it then: look at its load and the network, or at redis_wait_max_ms",
            )
        }
        Ok(Inspected { version, ping }) => {
            let version = version.map_or_else(String::new, |version| format!(" Redis {version},"));
            Check::ok(NAME, format!("{url}:{version} answers in {}", millis(ping)))
        }
        Err(error) if error.is_lasting() => Check::fail(Exit::Config, NAME, error.to_string(), error.mend()),
        Err(error) => Check::warn(NAME, error.to_string(), error.mend()),
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
