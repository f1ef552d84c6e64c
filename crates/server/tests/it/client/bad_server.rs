//! A server that answers every call as the test has it, and remembers what came.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message as _;
use roster_api::user::v1::User;
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};

use crate::harness::framed;

/// What becomes of a call.
#[derive(Clone)]
pub enum Deed {
    /// A user.
    Answer,
    /// This status, in the headers.
    Refuse(Status),
    /// This status of HTTP and nothing of gRPC, as a proxy that has found no server.
    Proxy(u16),
    /// Nothing, ever.
    Hang,
    /// The stream is reset.
    Reset,
    /// The connection is dropped.
    Drop,
}

/// What is done with the call of this number.
type Plan = dyn Fn(usize) -> Deed + Send + Sync;

/// See the [module](self).
pub struct BadServer {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl BadServer {
    pub async fn start(plan: impl Fn(usize) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, seen, plan) = (listener.local_addr().unwrap(), Arc::default(), Arc::new(plan) as Arc<Plan>);
        let server = Self { addr, seen: Arc::clone(&seen) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&plan)));
            }
        });
        server
    }

    /// The headers of all calls that came so far, health aside.
    pub fn seen(&self) -> Vec<HeaderMap> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Vec<HeaderMap>>>, plan: Arc<Plan>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut held = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path().contains("Health") {
            refuse(respond, &Status::unimplemented("no health"));
            continue;
        }
        let number = note(&seen, &request);
        match plan(number) {
            Deed::Answer => answer(respond),
            Deed::Refuse(status) => refuse(respond, &status),
            Deed::Proxy(status) => answer_as_proxy(respond, status),
            Deed::Hang => held.push((request, respond)),
            Deed::Reset => {
                let mut respond = respond;
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
            Deed::Drop => return,
        }
    }
}

fn note<B>(seen: &Mutex<Vec<HeaderMap>>, request: &Request<B>) -> usize {
    let mut seen = seen.lock().unwrap();
    seen.push(request.headers().clone());
    seen.len() - 1
}

fn refuse(mut respond: SendResponse<Bytes>, status: &Status) {
    let mut response = Response::new(());
    status.add_header(response.headers_mut()).unwrap();
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let _ = respond.send_response(response, true);
}

fn answer_as_proxy(mut respond: SendResponse<Bytes>, status: u16) {
    let response = Response::builder().status(status).header("content-type", "text/html").body(()).unwrap();
    let Ok(mut body) = respond.send_response(response, false) else { return };
    let _ = body.send_data(Bytes::from_static(b"<html>No server is available.</html>"), true);
}

fn answer(mut respond: SendResponse<Bytes>) {
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let Ok(mut body) = respond.send_response(response, false) else { return };
    let user = User { id: "ada".into(), ..User::default() };
    let _ = body.send_data(framed(0, &user.encode_to_vec()), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(Code::Ok as i32));
    let _ = body.send_trailers(trailers);
}
