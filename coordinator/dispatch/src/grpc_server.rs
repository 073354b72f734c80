//! A gRPC server for tests, made of one function: tonic's, so that what is spoken here is understood elsewhere.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::http;
use bytes::{Buf, BufMut, Bytes};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

type Answer = BoxFuture<'static, Result<Response<Bytes>, Status>>;

/// Every method of the service `shop.v1.Stock`.
#[derive(Clone)]
struct Stock(Arc<dyn Fn(Request<Bytes>) -> Answer + Send + Sync>);

/// Messages are bytes.
struct Raw;

/// A running server. It ends with the runtime.
#[derive(Debug)]
pub struct GrpcServer {
    /// `host:port`
    pub host: String,
    scheme: &'static str,
    accepted: Arc<AtomicUsize>,
}

impl GrpcServer {
    /// Answers every call as the function says.
    pub async fn start<F, Work>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<Response<Bytes>, Status>> + Send + 'static,
    {
        Self::run(Server::builder(), "grpc", answer).await
    }

    /// The same over TLS, with a certificate and its key in PEM.
    pub async fn start_with_tls<F, Work>(certificate: &str, key: &str, answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<Response<Bytes>, Status>> + Send + 'static,
    {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::run(Server::builder().tls_config(tls).unwrap(), "grpcs", answer).await
    }

    async fn run<F, Work>(mut server: Server, scheme: &'static str, answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<Response<Bytes>, Status>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = accepted.clone();
        let incoming = TcpIncoming::from(listener).inspect(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let stock = Stock(Arc::new(move |request| Box::pin(answer(request))));
        let serving = server.add_service(stock).serve_with_incoming(incoming);
        tokio::spawn(async move { serving.await.unwrap() });
        Self { host, scheme, accepted }
    }

    /// A target at this server.
    pub fn target(&self, method: &str) -> String {
        format!("{}://{}/shop.v1.Stock/{method}", self.scheme, self.host)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// A reply that is OK.
pub fn ok(message: impl Into<Bytes>) -> Result<Response<Bytes>, Status> {
    Ok(Response::new(message.into()))
}

/// What a request says of itself.
pub fn metadata(request: &Request<Bytes>, name: &str) -> String {
    request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

impl NamedService for Stock {
    const NAME: &'static str = "shop.v1.Stock";
}

impl UnaryService<Bytes> for Stock {
    type Response = Bytes;
    type Future = Answer;

    fn call(&mut self, request: Request<Bytes>) -> Answer {
        (self.0)(request)
    }
}

impl tower::Service<http::Request<tonic::body::Body>> for Stock {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let stock = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).unary(stock, request).await) })
    }
}

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
