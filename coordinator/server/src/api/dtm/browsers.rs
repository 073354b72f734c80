//! Refuses requests that a browser makes for web pages of other origins.
//!
//! The dialect accepts any content type and changes state by GET, so browsers ask for no preflight: any page could use
//! a coordinator that the reader's machine can reach. Clients of dtm send none of the headers that are checked here.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::envelope;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// A layer that refuses requests of foreign pages.
pub(super) async fn refuse_foreign_pages(request: Request, next: Next) -> Response {
    if is_foreign(request.headers(), request.uri()) {
        let text = "requests from web pages of another origin are refused (Sec-Fetch-Site, Origin)";
        return envelope::message(StatusCode::FORBIDDEN, text);
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap, uri: &Uri) -> bool {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str().as_bytes()));
    match (host_of(origin), host) {
        (Some(origin), Some(host)) => !origin.eq_ignore_ascii_case(host),
        _ => true,
    }
}

/// The host of an origin. The scheme is ignored, because a proxy in front may have changed it. `null` has no host.
fn host_of(origin: &HeaderValue) -> Option<&[u8]> {
    origin.to_str().ok()?.split_once("://").map(|(_, host)| host.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Method;
    use tower::ServiceExt as _;

    use crate::api::dtm::router;
    use crate::api::dtm::tests::{Answered, answered, front};

    const FOREIGN: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "http://evil.example")],
        &[("origin", "http://127.0.0.1:8080")],
        &[("origin", "http://127.0.0.1")],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "127.0.0.1:36789")],
        &[("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:36789")],
    ];
    const OWN: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:36789")],
        &[("origin", "https://127.0.0.1:36789")],
    ];

    async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Answered {
        let (front, _lanes) = front();
        let mut request =
            super::Request::builder().method(method).uri(path).header("host", "127.0.0.1:36789");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Body::from(r#"{"gid":"g","trans_type":"saga"}"#);
        answered(router(front).oneshot(request.body(body).unwrap()).await.unwrap()).await
    }

    #[tokio::test]
    async fn requests_of_foreign_pages_are_refused_on_every_path() {
        for headers in FOREIGN {
            for (method, path) in [
                (Method::POST, "/api/dtmsvr/submit"),
                (Method::GET, "/api/dtmsvr/subscribe?topic=t&url=http://evil.example"),
                (Method::POST, "/api/json-rpc"),
                (Method::OPTIONS, "/api/dtmsvr/submit"),
                (Method::GET, "/api/metrics"),
            ] {
                let answered = ask(method.clone(), path, headers).await;
                assert_eq!(answered.status.as_u16(), 403, "{method} {path} {headers:?}");
                assert_eq!(answered.header("content-type"), "application/json; charset=utf-8");
                assert!(answered.json()["message"].is_string(), "{}", answered.body);
            }
        }
    }

    #[tokio::test]
    async fn clients_and_pages_of_our_own_are_served() {
        for headers in OWN {
            let answered = ask(Method::POST, "/api/dtmsvr/submit", headers).await;
            assert_eq!(answered.status.as_u16(), 200, "{headers:?} {}", answered.body);
        }
    }
}
