//! Ports: free, or who answers there; and the server that the client commands would call.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use roster_api::user::v1::HealthStatus;
use roster_server::config::Config;

use super::check::Check;
use crate::{client::Connection, commands::health, exit::Exit};

/// The ports that a server would listen on, and whether a Roster answers there.
pub async fn ports(config: &Config, connection: &Connection) -> (Vec<Check>, bool) {
    let scheme = if config.tls_files().is_some() { "https" } else { "http" };
    let there = connection.with_server(format!("{scheme}://{}", reachable(config.grpc_addr)));
    // On its own socket a server answers whatever its certificates are.
    let socket = config.operator_socket_path().filter(|path| path.exists());
    let socket = socket.map(|path| Connection::to(format!("unix:{}", path.display())));
    let (grpc, roster_runs) =
        grpc_port(config.grpc_addr, &[socket, Some(there)].into_iter().flatten().collect::<Vec<_>>()).await;
    let mut checks = vec![grpc];
    checks.extend(config.http_addr.map(|addr| http_port(addr, roster_runs)));
    (checks, roster_runs)
}

/// Also says whether a Roster answers there.
async fn grpc_port(addr: SocketAddr, ways: &[Connection]) -> (Check, bool) {
    const NAME: &str = "gRPC port";
    let error = match TcpListener::bind(addr) {
        Ok(_) => return (Check::ok(NAME, format!("{addr} is free")), false),
        Err(error) => error,
    };
    if error.kind() == ErrorKind::AddrInUse {
        for way in ways {
            if let Ok(answer) = health::ask(way).await {
                return (Check::ok(NAME, format!("{addr} is in use, by Roster {}", answer.version)), true);
            }
        }
    }
    (occupied(NAME, addr, &error, "grpc_addr (or --port)"), false)
}

fn http_port(addr: SocketAddr, roster_runs: bool) -> Check {
    const NAME: &str = "HTTP port";
    match TcpListener::bind(addr) {
        Ok(_) => Check::ok(NAME, format!("{addr} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && roster_runs => {
            Check::ok(NAME, format!("{addr} is in use, as it should be while a Roster runs"))
        }
        Err(error) => occupied(NAME, addr, &error, "http_addr"),
    }
}

fn occupied(name: &'static str, addr: SocketAddr, error: &io::Error, key: &str) -> Check {
    match error.kind() {
        ErrorKind::AddrInUse => Check::fail(
            Exit::Unavailable,
            name,
            format!("{addr} is in use by something that is no Roster"),
            format!("stop it (`ss -ltnp` shows it), or set {key} to another port"),
        ),
        ErrorKind::PermissionDenied => Check::fail(
            Exit::Refused,
            name,
            format!("may not listen on {addr}: {error}"),
            format!("set {key} to a port from 1024, which needs no privilege"),
        ),
        _ => Check::fail(
            Exit::Unavailable,
            name,
            format!("cannot listen on {addr}: {error}"),
            format!("set {key} to an address of this machine"),
        ),
    }
}

/// Where to call a server that listens on `addr`: on every interface means on loopback too.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// The server that `roster user …` would call.
pub async fn server(connection: &Connection) -> Check {
    const NAME: &str = "server";
    let answer = match health::ask(connection).await {
        Ok(answer) => answer,
        Err(error) if error.exit == Exit::Usage => {
            return Check::fail(error.exit, NAME, error.message, "mend --server and what goes with it");
        }
        Err(error) => {
            return Check::warn(NAME, error.message, "start one with `roster serve`, or name it with --server");
        }
    };
    let found = health::told(&answer, &connection.server);
    match HealthStatus::try_from(answer.status) {
        Ok(HealthStatus::Healthy) => Check::ok(NAME, found),
        Ok(HealthStatus::Degraded) => Check::warn(NAME, found, "see what its log says of the part that is not well"),
        _ => Check::fail(Exit::Unavailable, NAME, found, "see what its log says; it may be stopping"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[tokio::test]
    async fn a_port_is_free_or_held_by_something_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert_eq!(http_port(addr, false).state, State::Fail(Exit::Unavailable));
        assert_eq!(http_port(addr, true).state, State::Ok);
        drop(listener);
        let (check, roster_runs) = grpc_port(addr, &[]).await;
        assert!(check.state == State::Ok && !roster_runs, "{check:?}");
    }
}
