//! The dialect over gRPC: nine methods, and reflection for tools. It is an axum router like the others; its listener speaks
//! HTTP/2.

mod messages;

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State as Ext};
use axum::response::Response;
use axum::routing::post;
use prost::Message;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::server::Builder;
use tower_http::catch_panic::CatchPanicLayer;

use super::outcome::DtmError;
use super::{Front, envelope, panics};
use crate::api::body::{self, Unread};
use crate::api::problem::logged_panic;
use messages::{GidReply, NewBranch, ProgressesReply, Topic};

/// `proto/dtmgimp.proto`, compiled.
const DESCRIPTORS: &[u8] = include_bytes!("../../../proto/dtmgimp.binpb");
/// Largest question to reflection. Questions are names.
const QUESTION_BYTES_MAX: usize = 16 * 1024;

/// The service, and both versions of reflection.
pub(super) fn router(front: Front) -> Router {
    let limit = DefaultBodyLimit::max(front.body_bytes_max);
    let methods = Router::new().route("/dtmgimp.Dtm/{method}", post(call).layer(limit)).with_state(front);
    with_reflection(methods)
        .fallback(unimplemented)
        .method_not_allowed_fallback(unimplemented)
        .layer(CatchPanicLayer::custom(from_panic))
}

fn with_reflection(router: Router) -> Router {
    let describe = || Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    // The descriptors are compiled in, and a test builds both versions, so this cannot fail.
    match (describe().build_v1(), describe().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            let v1 = v1.max_decoding_message_size(QUESTION_BYTES_MAX);
            let v1alpha = v1alpha.max_decoding_message_size(QUESTION_BYTES_MAX);
            router
                .route_service("/grpc.reflection.v1.ServerReflection/{*method}", v1)
                .route_service("/grpc.reflection.v1alpha.ServerReflection/{*method}", v1alpha)
        }
        (v1, v1alpha) => {
            let error = v1.err().or(v1alpha.err()).map(|error| error.to_string());
            tracing::error!(error, "there is no reflection");
            router
        }
    }
}

async fn call(Ext(front): Ext<Front>, Path(method): Path<String>, request: Request) -> Response {
    let max = front.body_bytes_max;
    let service = &front.service;
    match method.as_str() {
        "NewGid" => unary(max, request, |()| async { Ok(GidReply { gid: service.new_gid() }) }).await,
        "Submit" => {
            unary(
                max,
                request,
                |asked: messages::Request| async move { service.submit(asked.meant()?).await },
            )
            .await
        }
        "Prepare" => {
            unary(
                max,
                request,
                |asked: messages::Request| async move { service.prepare(asked.meant()?).await },
            )
            .await
        }
        "Abort" => {
            unary(max, request, |asked: messages::Request| async move { service.abort(asked.meant()?).await })
                .await
        }
        "RegisterBranch" => {
            unary(max, request, |asked: NewBranch| service.register_branch(asked.meant())).await
        }
        "PrepareWorkflow" => {
            let work = |asked: messages::Request| async move {
                service.prepare_workflow(asked.meant()?).await.map(ProgressesReply::from)
            };
            unary(max, request, work).await
        }
        "Subscribe" => {
            let work = |asked: Topic| async move {
                service.subscribe(&asked.topic, &asked.url, &asked.remark).await
            };
            unary(max, request, work).await
        }
        "Unsubscribe" => {
            let work = |asked: Topic| async move { service.unsubscribe(&asked.topic, &asked.url).await };
            unary(max, request, work).await
        }
        "DeleteTopic" => {
            unary(max, request, |asked: Topic| async move { service.delete_topic(&asked.topic).await }).await
        }
        _ => unimplemented().await,
    }
}

/// Serves a unary method. The whole body is read first, within the limits of all bodies, and then decoded.
async fn unary<I, O, F>(max: usize, request: Request, work: impl Fn(I) -> F) -> Response
where
    I: Message + Default + Send + 'static,
    O: Message + Default + Send + 'static,
    F: Future<Output = Result<O, DtmError>> + Send,
{
    let (head, body) = request.into_parts();
    let body = match body::read(Request::from_parts(head.clone(), body)).await {
        Ok(bytes) => Body::from(bytes),
        Err(unread) => return envelope::coded(unreadable(unread).into_http(), unread.code()),
    };
    let work = &work;
    // A gRPC status cannot carry our error code, so the code for the metrics goes around the codec.
    let unavailable = OnceLock::new();
    let noted = &unavailable;
    let service = tower::service_fn(move |request: tonic::Request<I>| async move {
        match panics::caught(work(request.into_inner())).await {
            Ok(answered) => answered.map(tonic::Response::new).map_err(|error| {
                if let DtmError::Unavailable(_, _, code) = error {
                    let _ = noted.set(code);
                }
                status(error)
            }),
            Err(text) => Err(Status::internal(text)),
        }
    });
    let mut grpc = tonic::server::Grpc::new(ProstCodec::<O, I>::default()).max_decoding_message_size(max);
    let response = grpc.unary(service, Request::from_parts(head, body)).await.map(Body::new);
    match unavailable.into_inner() {
        Some(code) => envelope::coded(response, code),
        None => response,
    }
}

/// The gRPC status for an error.
fn status(error: DtmError) -> Status {
    match error {
        DtmError::Failure(text) => Status::aborted(text),
        DtmError::Ongoing(text) => Status::failed_precondition(text),
        DtmError::Unfit(text) => Status::invalid_argument(text),
        DtmError::Missing(text) => Status::internal(text),
        DtmError::Other(text) => Status::unknown(text),
        DtmError::Unavailable(text, ..) => Status::unavailable(text),
    }
}

fn unreadable(unread: Unread) -> Status {
    let code = match unread {
        Unread::TooLarge => Code::ResourceExhausted,
        Unread::CutShort => Code::Cancelled,
        Unread::Garbled => Code::InvalidArgument,
        Unread::TooSlow => Code::DeadlineExceeded,
        Unread::NoRoom => Code::Unavailable,
    };
    Status::new(code, unread.detail())
}

async fn unimplemented() -> Response {
    Status::unimplemented("there is no such method").into_http()
}

/// For `CatchPanicLayer`: a panic outside of our methods.
fn from_panic(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Status::internal(logged_panic(&*panic)).into_http()
}

#[cfg(test)]
mod tests;
