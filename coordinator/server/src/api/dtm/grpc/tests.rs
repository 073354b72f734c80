//! An HTTP/2 client against the listener.

mod wire;

use std::time::Duration;

use axum::http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_reflection::pb::{v1, v1alpha};

use super::*;
use crate::api::dtm::tests::{BODY_BYTES_MAX, answered, front};
use crate::http::{Budget, Options, Routers, Wire, serve};
use crate::runtime::Lanes;

struct Served {
    channel: Channel,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _lanes: Lanes,
}

async fn start() -> Served {
    let (front, lanes) = front();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = Options { wire: Wire::Http2, drain: Duration::from_secs(60), ..Options::default() };
    let shutdown = CancellationToken::new();
    let routers = Routers { all: router(front), reserved: None };
    let task = tokio::spawn(serve(listener, routers, options, Budget::new(1 << 20), shutdown.clone()));
    let channel = Channel::from_shared(url).unwrap().connect_lazy();
    Served { channel, shutdown, task, _lanes: lanes }
}

impl Served {
    async fn ask<I, O>(&self, path: &'static str, message: I) -> Result<O, Status>
    where
        I: Message + Default + 'static,
        O: Message + Default + 'static,
    {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let request = tonic::Request::new(message);
        let path = PathAndQuery::from_static(path);
        client.unary(request, path, ProstCodec::<I, O>::default()).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn a_client_gets_gids_until_the_server_stops() {
    let served = start().await;
    let first: GidReply = served.ask("/dtmgimp.Dtm/NewGid", ()).await.unwrap();
    let second: GidReply = served.ask("/dtmgimp.Dtm/NewGid", ()).await.unwrap();
    assert!(!first.gid.is_empty() && first != second);
    served.shutdown.cancel();
    // An idle connection does not hold the shutdown up.
    served.task.await.unwrap();
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let served = start().await;
    for path in ["/dtmgimp.Dtm/Query", "/dtm.Dtm/NewGid", "/nothing"] {
        let status = served.ask::<(), ()>(path, ()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn every_method_of_the_file_is_answered() {
    let served = start().await;
    let wrong = messages::Request { steps: "[".into(), ..messages::Request::default() };
    for path in
        ["/dtmgimp.Dtm/Submit", "/dtmgimp.Dtm/Prepare", "/dtmgimp.Dtm/Abort", "/dtmgimp.Dtm/PrepareWorkflow"]
    {
        let status = served.ask::<_, ()>(path, wrong.clone()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unknown, "Steps: unexpected end of JSON input"));
    }
    let descriptors = protox::prost_reflect::DescriptorPool::decode(DESCRIPTORS).unwrap();
    let service = descriptors.get_service_by_name("dtmgimp.Dtm").unwrap();
    assert_eq!(service.methods().len(), 9);
    for method in service.methods() {
        let path = Box::leak(format!("/{}/{}", service.full_name(), method.name()).into_boxed_str());
        if let Err(status) = served.ask::<(), ()>(path, ()).await {
            assert_ne!(status.code(), Code::Unimplemented, "{path}");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_read() {
    let served = start().await;
    let message = Topic { remark: "x".repeat(BODY_BYTES_MAX), ..Topic::default() };
    let status = served.ask::<_, ()>("/dtmgimp.Dtm/Subscribe", message).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn reflection_lists_and_describes_the_service_in_both_versions() {
    let served = start().await;
    let channel = served.channel.clone();

    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let ask = |message_request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let requests = [
        ask(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ask(v1::server_reflection_request::MessageRequest::FileContainingSymbol("dtmgimp.Dtm".into())),
    ];
    let mut replies = client.server_reflection_info(tokio_stream(requests)).await.unwrap().into_inner();
    let listed = format!("{:?}", replies.message().await.unwrap());
    assert!(
        listed.contains("dtmgimp.Dtm") && listed.contains("grpc.reflection.v1.ServerReflection"),
        "{listed}"
    );
    let described = replies.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::FileDescriptorResponse(files) = described else {
        panic!("{described:?}");
    };
    assert!(!files.file_descriptor_proto.is_empty());

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let listing = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let requests = [v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(listing) }];
    let mut replies = client.server_reflection_info(tokio_stream(requests)).await.unwrap().into_inner();
    let listed = format!("{:?}", replies.message().await.unwrap());
    assert!(listed.contains("dtmgimp.Dtm"), "{listed}");
}

fn tokio_stream<T: Send + 'static, const N: usize>(
    items: [T; N],
) -> impl futures_util::Stream<Item = T> + Send + 'static {
    futures_util::stream::iter(items)
}

#[test]
fn each_kind_of_error_has_its_code() {
    let text = || "why".to_owned();
    for (error, code) in [
        (DtmError::Failure(text()), Code::Aborted),
        (DtmError::Ongoing(text()), Code::FailedPrecondition),
        (DtmError::Missing(text()), Code::Internal),
        (DtmError::Other(text()), Code::Unknown),
        (DtmError::Unavailable(text(), 1, trine_protocol::errors::Code::Busy), Code::Unavailable),
    ] {
        let status = status(error);
        assert_eq!((status.code(), status.message()), (code, "why"));
    }
}

#[tokio::test]
async fn a_panic_is_internal_without_its_words() {
    // A frame of no bytes: an empty message.
    let request = Request::builder().method("POST").body(Body::from(&[0_u8; 5][..])).unwrap();
    let work = |()| async { if DESCRIPTORS.is_empty() { Ok(()) } else { panic!("a secret") } };
    let answered = answered(unary(BODY_BYTES_MAX, request, work).await).await;
    assert_eq!(answered.header("grpc-status"), "13");
    let message = answered.header("grpc-message");
    assert!(!message.is_empty() && !message.contains("secret"), "{message}");
}
