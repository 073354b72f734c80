//! The messages agree with the proto file and with its compiled form.

use std::collections::BTreeMap;

use protox::prost_reflect::{DescriptorPool, DynamicMessage, MapKey, ReflectMessage as _, Value};
use trine_protocol::dtm::{BranchRequest, Step, TransOptions, TransRequest};

use super::super::messages::{NewBranch, Options, Progress, Request, Transaction};
use super::*;
use crate::api::dtm::view::{Branch, Global};

#[test]
fn the_compiled_form_is_that_of_the_file() {
    let root = env!("CARGO_MANIFEST_DIR");
    let compiled = protox::Compiler::new([format!("{root}/proto")])
        .unwrap()
        .include_imports(true)
        .include_source_info(false)
        .open_file("dtmgimp.proto")
        .unwrap()
        .encode_file_descriptor_set();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(format!("{root}/proto/dtmgimp.binpb"), &compiled).unwrap();
        return;
    }
    assert!(compiled == DESCRIPTORS, "UPDATE_EXPECT=1 compiles it anew");
}

fn text_map(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), name.to_owned())])
}

/// A request in which every text is the name of its field, and every number is the field's number.
fn request() -> Request {
    let options = Options {
        wait_result: true,
        timeout_to_fail: 2,
        retry_interval: 3,
        branch_headers: text_map("BranchHeaders"),
        request_timeout: 6,
        retry_limit: 7,
    };
    Request {
        gid: "Gid".into(),
        trans_type: "TransType".into(),
        options: Some(options),
        custom_data: "CustomedData".into(),
        payloads: vec![b"BinPayloads".to_vec()],
        query_prepared: "QueryPrepared".into(),
        steps: "Steps".into(),
        req_extra: text_map("ReqExtra"),
        rollback_reason: "RollbackReason".into(),
    }
}

fn new_branch() -> NewBranch {
    NewBranch {
        gid: "Gid".into(),
        trans_type: "TransType".into(),
        branch_id: "BranchID".into(),
        op: "Op".into(),
        data: text_map("Data"),
        payload: b"BusiPayload".to_vec(),
    }
}

#[test]
fn every_field_of_a_message_is_where_the_file_has_it() {
    let transaction = Transaction {
        gid: "Gid".into(),
        status: "Status".into(),
        rollback_reason: "RollbackReason".into(),
        result: "Result".into(),
    };
    let progress = Progress {
        status: "Status".into(),
        bin_data: b"BinData".to_vec(),
        branch_id: "BranchID".into(),
        op: "Op".into(),
    };
    let topic = Topic { topic: "Topic".into(), url: "URL".into(), remark: "Remark".into() };
    check("DtmRequest", &request());
    check("DtmGidReply", &GidReply { gid: "Gid".into() });
    check("DtmBranchRequest", &new_branch());
    check(
        "DtmProgressesReply",
        &ProgressesReply { transaction: Some(transaction), progresses: vec![progress] },
    );
    check("DtmTopicRequest", &topic);
}

fn check(name: &str, message: &impl Message) {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name(&format!("dtmgimp.{name}")).unwrap();
    check_fields(&DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap());
}

fn check_fields(message: &DynamicMessage) {
    assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
    for field in message.descriptor().fields() {
        let name = field.full_name();
        assert!(message.has_field(&field), "{name}");
        check_value(field.name(), field.number(), &message.get_field(&field));
    }
}

fn check_value(name: &str, number: u32, value: &Value) {
    match value {
        Value::Bool(value) => assert!(value, "{name}"),
        Value::I64(value) => assert_eq!(*value, i64::from(number), "{name}"),
        Value::String(value) => assert_eq!(value, name),
        Value::Bytes(value) => assert_eq!(value, name.as_bytes()),
        Value::Message(message) => check_fields(message),
        Value::List(values) => values.iter().for_each(|value| check_value(name, number, value)),
        Value::Map(map) => {
            let value = map.get(&MapKey::String(name.to_owned())).unwrap_or_else(|| panic!("{name}"));
            check_value(name, number, value);
        }
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_request_means_what_its_fields_say() {
    let steps = r#"[{"action":"a","compensate":"c"}]"#.to_owned();
    let meant = Request { gid: "a\n;b".into(), steps, ..request() }.meant().unwrap();
    let expected = TransRequest {
        gid: "a\n;b".into(),
        trans_type: "TransType".into(),
        steps: vec![Step { action: "a".into(), compensate: "c".into() }],
        payloads: vec![b"BinPayloads".to_vec()],
        query_prepared: "QueryPrepared".into(),
        protocol: "grpc".into(),
        custom_data: "CustomedData".into(),
        rollback_reason: "RollbackReason".into(),
        req_extra: text_map("ReqExtra"),
        options: TransOptions {
            wait_result: true,
            timeout_to_fail: 2,
            request_timeout: 6,
            retry_interval: 3,
            retry_limit: 7,
            branch_headers: text_map("BranchHeaders"),
            concurrent: false,
        },
    };
    assert_eq!(meant, expected);
    for steps in ["", "null", "[]"] {
        let meant = Request { steps: steps.into(), ..Request::default() }.meant().unwrap();
        assert_eq!(meant, TransRequest { protocol: "grpc".into(), ..TransRequest::default() });
    }
    let expected = BranchRequest {
        gid: "Gid".into(),
        trans_type: "TransType".into(),
        branch_id: "BranchID".into(),
        payload: b"BusiPayload".to_vec(),
        data: text_map("Data"),
    };
    assert_eq!(new_branch().meant(), expected);
}

#[test]
fn options_of_former_clients_are_skipped() {
    // Field 4, a text of three bytes, twice; then field 7.
    let bytes = b"\x22\x03abc\x22\x03def\x38\x05";
    let expected = Options { retry_limit: 5, ..Options::default() };
    assert_eq!(Options::decode(&bytes[..]), Ok(expected));
}

#[test]
fn a_workflow_is_shown_with_its_result() {
    let global = Global {
        gid: "g".into(),
        status: "succeed".into(),
        rollback_reason: "r".into(),
        result: "cmVzdWx0".into(),
        ..Global::default()
    };
    let branch = Branch {
        branch_id: "01".into(),
        op: "action".into(),
        status: "succeed".into(),
        bin_data: vec![0, 255],
        ..Branch::default()
    };
    let reply = ProgressesReply::from((global, vec![branch]));
    let transaction = reply.transaction.unwrap();
    assert_eq!((transaction.gid.as_str(), transaction.status.as_str()), ("g", "succeed"));
    assert_eq!((transaction.rollback_reason.as_str(), transaction.result.as_str()), ("r", "cmVzdWx0"));
    let expected = Progress {
        status: "succeed".into(),
        bin_data: vec![0, 255],
        branch_id: "01".into(),
        op: "action".into(),
    };
    assert_eq!(reply.progresses, [expected]);
}
