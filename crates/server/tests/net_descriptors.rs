//! The accept loop outlives a lack of file descriptors. A process of its own, for the limit is the process's.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use roster_server::net::{self, DrainSwitch, NetOptions, Peer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Few, so that the test is fast, but enough for the runtimes of the server.
const DESCRIPTORS: u64 = 64;

fn ask(mut stream: &TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: roster\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn accepts_again_when_descriptors_are_free_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = NetOptions { workers: 1, ..NetOptions::default() };
    let handler = || async |_: Arc<Peer>, _: Request<Incoming>| Response::new(Full::<Bytes>::from("here"));
    let server = net::serve(listener, options, DrainSwitch::new(), handler).unwrap();
    let addr = server.local_addr();

    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum }).unwrap();
    // Both ends are in this process, so they run out together.
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(addr) {
        clients.push(client);
    }
    // The one descriptor that is free now goes to a client, and the server has none to accept it with.
    clients.pop();
    let waiting = loop {
        if let Ok(client) = TcpStream::connect(addr) {
            break client;
        }
        clients.pop();
    };
    clients.clear();
    assert!(ask(&waiting).unwrap().ends_with("\r\n\r\nhere"));
}
