//! One attempt over HTTP/1.1.
//!
//! Nothing the client could do by itself is left on: no redirects, no proxies from the environment, no repeats, no
//! decompression. Bodies are read up to a bound, and the call's timeout covers all of it, the body included.

use std::time::Duration;

use reqwest::{ClientBuilder, Request, Response, Url, redirect, retry};
use trine_engine::Call;

use super::Options;
use super::classify::Body;
use super::dispatcher::{Failed, Heard};
use super::manner::Manner;
use super::text::clean;
use super::transport::{self, Stage};
use crate::clock;

/// Calls over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client(reqwest::Client);

impl Client {
    /// A client with its own connections.
    pub(super) fn new(options: &Options) -> Result<Self, reqwest::Error> {
        let client = builder(options).build().or_else(|error| {
            // Images without a certificate store are common, and plain HTTP needs none.
            tracing::warn!(%error, "no trusted certificates were found: calls to https:// targets will fail");
            builder(options).tls_certs_only([]).build()
        })?;
        Ok(Self(client))
    }

    /// One request and its whole answer, within the call's timeout.
    pub(super) async fn exchange(&self, call: &Call, manner: &dyn Manner, url: Url) -> Result<Heard, Failed> {
        let host = host(&url);
        let request =
            manner.ask_http(call, url).map_err(|error| Failed { status_code: None, error: clean(&error) })?;
        let mut stage = Stage::Send;
        let limit = Duration::from_millis(call.timeout_ms);
        let result =
            tokio::time::timeout(limit, self.send_and_read(request, manner.body_bytes_max(), &mut stage))
                .await;
        let status_code = match stage {
            Stage::Send => None,
            Stage::Body { status } => Some(status),
        };
        match result {
            Ok(Ok((response, body))) => {
                let status = response.status().as_u16();
                Ok(manner.read_http(call, status, response.headers(), &body, clock::now()))
            }
            Ok(Err(error)) => Err(Failed { status_code, error: transport::failure(stage, &host, error) }),
            Err(_) => Err(Failed { status_code, error: transport::timeout(stage, &host, call.timeout_ms) }),
        }
    }

    async fn send_and_read(
        &self,
        request: Request,
        body_bytes_max: usize,
        stage: &mut Stage,
    ) -> Result<(Response, Body), reqwest::Error> {
        let mut response = self.0.execute(request).await?;
        *stage = Stage::Body { status: response.status().as_u16() };
        let body = read(&mut response, body_bytes_max).await?;
        Ok((response, body))
    }
}

/// Reads a body up to the bound and not a chunk further.
async fn read(response: &mut Response, bytes_max: usize) -> Result<Body, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok(Body::Cut(bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(bytes))
}

/// `host:port` for error texts.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn builder(options: &Options) -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("trine/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
        .pool_idle_timeout(Duration::from_millis(options.idle_timeout_ms))
        .pool_max_idle_per_host(options.idle_per_host_max)
}
