//! A web server and its clients in one process, on this machine's loopback address.

use crate::input::{Words, checksum_of};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

pub const WORKLOAD: Workload = Workload {
    name: "http-loopback",
    about: "serves 48 000 JSON requests of 16 clients over HTTP/1.1 on 127.0.0.1 (hyper on tokio, serde_json)",
    threads: Threads::Many,
    run,
};

const CLIENTS: usize = 16;

/// Requests of each client, over one connection.
const REQUESTS: usize = 3000;

fn run(scale: &Scale) -> u64 {
    let words = Arc::new(Words::new(49, 4000));
    let runtime =
        Builder::new_multi_thread().worker_threads(scale.threads).enable_io().build().expect("threads can be started");
    let sum = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("the loopback address has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let server = tokio::spawn(serve(listener));
        let requests = scale.of(REQUESTS);
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| tokio::spawn(visit(address, Arc::clone(&words), number, requests))).collect();
        let mut sum = 0u64;
        for client in clients {
            sum = sum.wrapping_add(client.await.expect("a client does not panic"));
        }
        server.abort();
        sum
    });
    drop(runtime);
    sum
}

async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection can be accepted");
        stream.set_nodelay(true).expect("the socket is connected");
        tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

/// Reverses the order of what it is sent, and adds how much it was.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("the client sends all").to_bytes();
    let mut records: Vec<Value> = serde_json::from_slice(&body).expect("the client sends a list in JSON");
    records.reverse();
    let body = serde_json::to_vec(&json!({ "path": path, "count": records.len(), "records": records }))
        .expect("a value can be written");
    let response = Response::builder().header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)));
    Ok(response.expect("the headers are valid"))
}

/// One client's requests, one after another.
async fn visit(address: SocketAddr, words: Arc<Words>, number: usize, requests: usize) -> u64 {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("the socket is connected");
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.expect("the server speaks HTTP");
    let connection = tokio::spawn(connection);
    let mut random = Rng::with_seed(number as u64);
    let mut sum = 0u64;
    for request in 0..requests {
        let records: Vec<Value> = (0..random.usize(1..12))
            .map(|id| json!({ "id": id, "name": words.pick(&mut random), "text": words.text(&mut random, 10) }))
            .collect();
        let body = serde_json::to_vec(&records).expect("a value can be written");
        let request = Request::post(format!("/records/{number}/{request}"))
            .header(HOST, "localhost")
            .body(Full::new(Bytes::from(body)))
            .expect("the request is valid");
        let response = sender.send_request(request).await.expect("the server answers");
        assert!(response.status().is_success(), "the answer is {}", response.status());
        let body = response.into_body().collect().await.expect("the server sends all").to_bytes();
        sum = sum.wrapping_add(checksum_of(&body[..]));
    }
    drop(sender);
    connection.await.expect("the connection does not panic").expect("the connection ends in order");
    sum
}
