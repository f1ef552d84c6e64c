//! How the service is, told in several places that agree.

use prost::Message as _;
use roster_api::user::v1::{HealthCheckResponse, HealthStatus};
use tonic::Code;

use crate::harness::{Server, framed, grpc};

/// The status of an answer, and its text without times.
fn told(answer: &str) -> (&str, Vec<&str>) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let lines = body.lines().map(|line| line.split(" in ").next().unwrap());
    (head.split_whitespace().nth(1).unwrap(), lines.collect())
}

#[tokio::test]
async fn probes_name_each_check_when_asked() {
    let server = Server::dev();
    assert_eq!(told(&server.http_get("/livez").await), ("200", vec!["ok"]));
    assert_eq!(told(&server.http_get("/readyz").await), ("200", vec!["ok"]));
    assert_eq!(told(&server.http_get("/livez?verbose").await), ("200", vec!["[+] process ok", "ok"]));
    let checks = vec!["[+] store ok", "[+] mail ok", "[+] server ok", "ok"];
    assert_eq!(told(&server.http_get("/readyz?exclude=x&verbose=1").await), ("200", checks));
    // No mail server: in part.
    let server = Server::start(|config| config.dev = false);
    let ready = server.http_get("/readyz?verbose").await;
    let (status, lines) = told(&ready);
    assert_eq!((status, lines.last()), ("200", Some(&"ok")));
    assert!(lines[1].starts_with("[~] mail degraded: no mail server is configured (smtp_url)"), "{ready}");
}

#[tokio::test]
async fn a_drain_is_told_by_the_health_check_and_the_probe() {
    let server = Server::start(|config| config.drain_grace = std::time::Duration::from_secs(3_600));
    let wire = server.wire().await;
    // Begun before the drain, and whole only during it.
    let head = grpc("/user.v1.UserService/HealthCheck", b"").map(|_| ());
    let (response, mut upload) = wire.client().await.unwrap().send_request(head, false).unwrap();
    let frame = framed(0, b"");
    upload.send_data(frame.slice(..3), false).unwrap();
    // Answered after it on the same connection.
    assert_eq!(wire.call("/grpc.health.v1.Health/Check", b"").await.status().code(), Code::Ok);
    server.shutdown();
    while wire.client().await.is_ok() {
        tokio::task::yield_now().await;
    }
    let ready = server.http_get("/readyz?verbose").await;
    let checks = vec!["[+] store ok", "[+] mail ok", "[-] server failed: the server is stopping", "draining"];
    assert_eq!(told(&ready), ("503", checks));
    upload.send_data(frame.slice(3..), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let health = HealthCheckResponse::decode(&body.data().await.unwrap().unwrap()[5..]).unwrap();
    assert_eq!(health.status(), HealthStatus::Unhealthy);
    let server_check = health.dependencies.last().unwrap();
    assert_eq!((server_check.name.as_str(), server_check.message.as_str()), ("server", "the server is stopping"));
    drop((body, upload));
    let (report, _) = server.ended().await;
    assert_eq!(report.connections_cut, 0, "{report:?}");
}
