//! `roster health`: whether a server serves, in one call, for people and for what looks after containers.

use std::time::Duration;

use roster_api::user::v1::{DependencyHealth, HealthCheckRequest, HealthCheckResponse, HealthStatus};
use roster_server::telemetry::escape;
use tonic::Request;

use crate::{
    args::{Format, Global},
    client::Connection,
    error::{CliError, Failure},
    exit::Exit,
    output::Output,
};

/// Whoever takes longer than this to say how it is, is not well.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Prints how the server is. One that works in part serves; one that does not ends this with 69.
pub async fn run(global: &Global) -> Result<(), Failure> {
    let health = ask(&global.connection).await?;
    let mut out = Output::stdout(global);
    match out.format {
        Format::Table => out.text(&told(&health, &global.connection.server))?,
        Format::Json => out.json(&health, "user.v1.HealthCheckResponse")?,
    }
    out.flush()?;
    match status(health.status) {
        HealthStatus::Healthy | HealthStatus::Degraded => Ok(()),
        _ => Err(Failure::Told(Exit::Unavailable)),
    }
}

/// Asks a server how it is.
pub async fn ask(connection: &Connection) -> Result<HealthCheckResponse, CliError> {
    let mut users = connection.connect().await?.users();
    let mut request = Request::new(HealthCheckRequest {});
    request.set_timeout(TIMEOUT);
    Ok(users.health_check(request).await?.into_inner())
}

/// `Roster 0.1.0 at URL: store healthy in 0.1 ms, …`.
pub fn told(health: &HealthCheckResponse, server: &str) -> String {
    let parts: Vec<String> = health.dependencies.iter().map(dependency).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    escape(&format!("Roster {} at {server}{parts}", health.version)).into_owned()
}

fn dependency(part: &DependencyHealth) -> String {
    let name = status(part.status).as_str_name().trim_start_matches("HEALTH_STATUS_").to_ascii_lowercase();
    let took = part.latency.map(|took| took.seconds as f64 * 1e3 + f64::from(took.nanos) / 1e6);
    let took = took.map_or_else(String::new, |took| format!(" in {took:.1} ms"));
    let message = if part.message.is_empty() { String::new() } else { format!(" ({})", part.message) };
    format!("{} {name}{took}{message}", part.name)
}

fn status(number: i32) -> HealthStatus {
    HealthStatus::try_from(number).unwrap_or(HealthStatus::Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_server_are_told_in_words() {
        let store = DependencyHealth {
            name: "store".into(),
            status: HealthStatus::Healthy.into(),
            latency: Some(prost_types::Duration { seconds: 0, nanos: 250_000 }),
            message: String::new(),
        };
        let mail = DependencyHealth {
            name: "mail".into(),
            status: HealthStatus::Degraded.into(),
            latency: None,
            message: "no mail server".into(),
        };
        let health =
            HealthCheckResponse { version: "1.2.3".into(), dependencies: vec![store, mail], ..Default::default() };
        let expected = "Roster 1.2.3 at here: store healthy in 0.2 ms, mail degraded (no mail server)";
        assert_eq!(told(&health, "here"), expected);
        assert_eq!(told(&HealthCheckResponse::default(), "x\ny").lines().count(), 1);
    }
}
