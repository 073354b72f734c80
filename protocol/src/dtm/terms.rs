//! The settings that a transaction of this dialect keeps in the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The types of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransType {
    /// A saga.
    Saga,
    /// Try, confirm, cancel.
    Tcc,
    /// Two-phase commit over databases.
    Xa,
    /// A two-phase message.
    Msg,
    /// The client's own code.
    Workflow,
}

impl TransType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::Saga, Self::Tcc, Self::Xa, Self::Msg, Self::Workflow];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Saga => "saga",
            Self::Tcc => "tcc",
            Self::Xa => "xa",
            Self::Msg => "msg",
            Self::Workflow => "workflow",
        }
    }

    /// The type of a wire word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The protocol for calls to participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CallProtocol {
    /// HTTP, always.
    #[default]
    #[serde(rename = "http")]
    Http,
    /// gRPC, unless the URL says `http://` or `https://`.
    #[serde(rename = "grpc")]
    Grpc,
    /// JSON-RPC where an HTTP URL contains `method`.
    #[serde(rename = "json-rpc")]
    JsonRpc,
}

impl CallProtocol {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::JsonRpc => "json-rpc",
        }
    }
}

/// The settings of a transaction: for its calls, and for answers that repeat them. The journal keeps them as JSON text, which
/// only this dialect reads. A field may be added if its absence keeps the old meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The gid as the client wrote it.
    pub gid: String,
    /// The type.
    pub trans_type: TransType,
    /// The protocol for calls.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: CallProtocol,
    /// Additional headers of every call.
    #[serde(default, skip_serializing_if = "is_default")]
    pub branch_headers: BTreeMap<String, String>,
    /// Answers wait for the first pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wait_result: bool,
    /// As given, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout_to_fail: i64,
    /// As given, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_timeout: i64,
    /// As given, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_interval: i64,
    /// As given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_limit: i64,
    /// As given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concurrent: bool,
    /// As given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub custom_data: String,
    /// As given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub query_prepared: String,
    /// workflow: its name, which is the op of its callbacks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Terms {
    /// The text for the journal.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the text from the journal.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
