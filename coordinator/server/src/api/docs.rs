//! The OpenAPI document: collected from the handlers, completed with the parts that all operations share, and served at
//! `/openapi.json` and, as a page, at `/docs`. The page is part of the binary and loads nothing from elsewhere.

use axum::Router;
use trine_protocol::errors::{Code, Problem};
use utoipa::PartialSchema as _;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder,
};
use utoipa_swagger_ui::SwaggerUi;

use super::v1::admin;
use super::{health, v1};

/// Operations on one transaction, for links. Without the live stream, which lasts as long as the transaction.
const LINKED: [&str; 7] = [
    "getTransaction",
    "getHistory",
    "registerBranch",
    "commitTransaction",
    "abortTransaction",
    "replayTransaction",
    "forceTransaction",
];
const PROBLEM: &str = "application/problem+json";

/// The OpenAPI document of every route.
pub fn openapi() -> OpenApi {
    let mut document = OpenApi::default();
    for part in [v1::routes().into_openapi(), admin::routes().into_openapi(), health::described()] {
        document.merge(part);
    }
    document.info = InfoBuilder::new()
        .title("Trine")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Distributed transactions: saga, TCC, two-phase commit and two-phase message."))
        .build();
    let components = document.components.get_or_insert_with(|| ComponentsBuilder::new().build());
    components.schemas.insert("Problem".into(), Problem::schema());
    for (path, item) in &mut document.paths.paths {
        for (is_write, operation) in operations(item) {
            complete(path, is_write, operation);
            link(operation);
        }
    }
    document
}

/// `/openapi.json` and `/docs`.
pub fn router() -> Router {
    SwaggerUi::new("/docs").url("/openapi.json", openapi()).into()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let reads = item.get.as_mut().map(|operation| (false, operation));
    let writes = [item.post.as_mut(), item.delete.as_mut()].into_iter().flatten().map(|one| (true, one));
    reads.into_iter().chain(writes)
}

/// Adds the possible problems to an operation, and marks bodies that may be left out.
fn complete(path: &str, is_write: bool, operation: &mut Operation) {
    let optional = ["abortTransaction", "replayTransaction"].map(Some);
    if optional.contains(&operation.operation_id.as_deref())
        && let Some(RefOr::T(body)) = &mut operation.request_body
    {
        body.required = Some(Required::False);
    }
    for code in codes_of(path, is_write, operation) {
        let status = code.http_status();
        let same_status =
            codes_of(path, is_write, operation).into_iter().filter(|c| c.http_status() == status);
        let response = problem_response(&same_status.collect::<Vec<_>>());
        operation.responses.responses.insert(status.to_string(), RefOr::T(response));
    }
}

/// Links a creation to the operations on the new transaction. Test tools follow these links.
fn link(operation: &mut Operation) {
    if operation.operation_id.as_deref() != Some("createTransaction") {
        return;
    }
    for status in ["200", "202"] {
        let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) else { continue };
        for target in LINKED {
            let link = Link::builder().operation_id(target).parameter("gid", "$response.body#/gid").build();
            response.links.insert(target.to_owned(), RefOr::T(link));
        }
    }
}

/// The possible problems of an operation, derived from its inputs.
fn codes_of(path: &str, is_write: bool, operation: &Operation) -> Vec<Code> {
    let mut codes = Vec::new();
    if path.starts_with("/v1/") {
        codes.extend([Code::InvalidParameter, Code::Busy, Code::StoreUnavailable, Code::ShuttingDown]);
        codes.push(Code::Internal);
    }
    if path == "/readyz" {
        codes.extend([Code::NotReady, Code::StoreUnavailable, Code::ShuttingDown, Code::Internal]);
    }
    if path.contains("{gid}") {
        codes.push(Code::TransactionNotFound);
    }
    if path.contains("{name}") {
        codes.push(Code::ParticipantNotFound);
    }
    if operation.request_body.is_some() {
        codes.extend([Code::MalformedJson, Code::BodyTimeout, Code::BodyTooLarge]);
        codes.extend([Code::UnsupportedMediaType, Code::InvalidField]);
    }
    if is_write && (path.starts_with("/v1/transactions") || path.starts_with("/v1/workflows"))
        || path.contains("{gid}/force")
    {
        codes.push(Code::IllegalState);
    }
    match operation.operation_id.as_deref() {
        Some("createTransaction") => {
            codes.extend([Code::TooManyBranches, Code::UnknownParticipant, Code::GidConflict, Code::NotReady])
        }
        Some("registerBranch") => {
            codes.extend([Code::TooManyBranches, Code::UnknownParticipant, Code::BranchConflict])
        }
        Some("startWorkflow") => {
            codes.extend([Code::UnknownParticipant, Code::GidConflict, Code::NotReady]);
        }
        Some("recordStep") => codes.extend([Code::TooManyBranches, Code::BranchConflict]),
        Some("registerParticipant") => codes.push(Code::TooManyParticipants),
        Some("replayTransaction") => codes.extend([Code::IllegalState, Code::BranchNotFound]),
        _ => {}
    }
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn problem_response(codes: &[Code]) -> utoipa::openapi::Response {
    let described: Vec<_> = codes.iter().map(|code| format!("{code}: {}", code.title())).collect();
    let schema = RefOr::<Schema>::Ref(Ref::from_schema_name("Problem"));
    let mut response = ResponseBuilder::new()
        .description(described.join("; "))
        .content(PROBLEM, ContentBuilder::new().schema(Some(schema)).build());
    if codes.iter().any(|code| code.is_transient()) {
        let header = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
            .description(Some("Seconds after which to try again"))
            .build();
        response = response.header("Retry-After", header);
    }
    response.build()
}

#[cfg(test)]
mod tests;
