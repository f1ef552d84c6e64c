//! The pages that mailed links lead to, as a browser meets them.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::Server;

/// A page, or another answer of the HTTP port.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    /// All headers, in lower case.
    pub(super) head: String,
    pub(super) body: String,
}

/// Sends one request, with these further lines in its header.
pub(super) async fn ask(server: &Server, method: &str, path: &str, headers: &[&str], body: &str) -> Page {
    let mut stream = TcpStream::connect(server.http_addr()).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|line| line.starts_with("host:")) {
        head.push_str("host: roster\r\n");
    }
    head.extend(headers.iter().map(|line| format!("{line}\r\n")));
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses a body may close before it has read it all.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Page { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// Posts a form.
pub(super) async fn post(server: &Server, path: &str, fields: &[(&str, &str)]) -> Page {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    ask(server, "POST", path, &["content-type: application/x-www-form-urlencoded"], &body).await
}

#[tokio::test]
async fn pages_say_little_load_nothing_and_stay_nowhere() {
    let server = Server::dev();
    for path in ["/verify-email?token=T", "/reset-password?token=T"] {
        let page = ask(&server, "GET", path, &["host: evil.example\"><script>"], "").await;
        assert_eq!(page.status, 200);
        for header in [
            "content-type: text/html; charset=utf-8",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
        ] {
            assert!(page.head.lines().any(|line| line == header), "{header} in {}", page.head);
        }
        let policy = page.head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
        for rule in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        assert!(!page.body.contains("evil.example") && !page.body.contains("<script"), "{}", page.body);
        assert!(page.body.contains("<html lang=\"en\">") && page.body.contains("Roster"), "{}", page.body);
        let german = ask(&server, "GET", path, &["accept-language: fr, de-AT;q=0.8, en;q=0.5"], "").await;
        assert!(german.body.contains("<html lang=\"de\">"), "{}", german.body);
    }
    let hostile = ask(&server, "GET", "/verify-email?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", &[], "").await;
    assert!(hostile.status == 200 && !hostile.body.contains("<script"), "{}", hostile.body);
    assert_eq!(ask(&server, "GET", "/verify-email", &[], "").await.status, 400);
    assert_eq!(ask(&server, "GET", "/reset-password?token=", &[], "").await.status, 400);
    assert_eq!(post(&server, "/livez", &[]).await.status, 405);
    assert_eq!(ask(&server, "PUT", "/verify-email", &[], "").await.status, 405);
}

#[tokio::test]
async fn forms_are_bounded_and_of_one_kind() {
    let server = Server::dev();
    for path in ["/verify-email", "/reset-password"] {
        assert_eq!(post(&server, path, &[]).await.status, 400);
        let long = "x".repeat(9 * 1024);
        assert_eq!(post(&server, path, &[("token", &long)]).await.status, 413);
        let json = ask(&server, "POST", path, &["content-type: application/json"], "{}").await;
        assert_eq!(json.status, 415);
        let garbage = "token=%zz%ff&new_password=%00&repeated=%00&&&===";
        let kind = "content-type: application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(ask(&server, "POST", path, &[kind], garbage).await.status, 400);
    }
}
