//! A gRPC client that knows only the proto file.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use prost::Message as _;
use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value,
};
use serde_json::Value as Json;
use tonic::Status;
use tower::ServiceExt as _;

const DESCRIPTORS: &[u8] = include_bytes!("../../../../../proto/dtmgimp.binpb");

/// Bytes in front of a message.
const PREFIX_BYTES: usize = 5;

/// The reply, or the status if it is not OK.
pub(super) async fn ask(router: &Router, method: &str, message: &str) -> String {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let service = pool.get_service_by_name("dtmgimp.Dtm").unwrap();
    let method = service.methods().find(|known| known.name() == method).unwrap();
    let mut input = DynamicMessage::new(method.input());
    fill(&mut input, &serde_json::from_str(message).unwrap());
    let request = Request::post(format!("/dtmgimp.Dtm/{}", method.name()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::from(framed(&input.encode_to_vec())))
        .unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = status(&trailers).or_else(|| status(&head.headers)).unwrap();
    if status.code() != tonic::Code::Ok {
        return format!(
            "{} {:?} {}",
            status.code() as i32,
            status.code(),
            status.message().replace('\n', "\\n")
        );
    }
    let output = DynamicMessage::decode(method.output(), &body.to_bytes()[PREFIX_BYTES..]).unwrap();
    format!("0 Ok {}", shown(&output))
}

fn status(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

fn fill(message: &mut DynamicMessage, json: &Json) {
    for (name, json) in json.as_object().unwrap() {
        let field = message.descriptor().get_field_by_name(name).unwrap_or_else(|| panic!("no field {name}"));
        let value = value(&field, json);
        message.set_field(&field, value);
    }
}

fn value(field: &FieldDescriptor, json: &Json) -> Value {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    match (json, field.kind()) {
        (Json::Object(map), Kind::Message(_)) if field.is_map() => {
            let entry =
                |(key, json): (&String, &Json)| (MapKey::String(key.clone()), Value::String(text(json)));
            Value::Map(map.iter().map(entry).collect())
        }
        (Json::Array(list), _) => {
            Value::List(list.iter().map(|json| Value::Bytes(text(json).into())).collect())
        }
        (json, Kind::Message(descriptor)) => {
            let mut inner = DynamicMessage::new(descriptor);
            fill(&mut inner, json);
            Value::Message(inner)
        }
        (json, Kind::Bytes) => Value::Bytes(text(json).into()),
        (json, Kind::Bool) => Value::Bool(json.as_bool().unwrap()),
        (json, Kind::Int64) => Value::I64(json.as_i64().unwrap()),
        (json, _) => Value::String(text(json)),
    }
}

/// The fields that are set, in the order of their numbers.
fn shown(message: &DynamicMessage) -> String {
    let fields = message.fields().map(|(field, value)| format!("{}: {}", field.name(), shown_value(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Message(message) => shown(message),
        Value::List(values) => format!("[{}]", values.iter().map(shown_value).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}
