//! gRPC in: a coordinator listens where it is told to, and its clients do not keep it from stopping.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::support::program;

#[derive(Clone, PartialEq, prost::Message)]
struct GidReply {
    #[prost(string, tag = "1")]
    gid: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_answers_grpc_where_it_says_and_stops_with_a_client_connected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut coordinator = program()
        .args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--store", "memory:"])
        .env("TRINE_LOG_FILTER", "error")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("trine is built with the tests");
    let mut lines = BufReader::new(coordinator.stdout.take().expect("stdout is piped")).lines();
    let http = lines.next_line().await.expect("text").expect("a line");
    let grpc = lines.next_line().await.expect("text").expect("a line");
    let addr = grpc.strip_prefix("listening for gRPC on ").unwrap_or_else(|| panic!("{http}\n{grpc}"));

    let channel = Channel::from_shared(format!("http://{addr}")).expect("a URL").connect_lazy();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("somebody listens");
    let path = PathAndQuery::from_static("/dtmgimp.Dtm/NewGid");
    let codec = ProstCodec::<(), GidReply>::default();
    let reply = client.unary(tonic::Request::new(()), path, codec).await.expect("a reply").into_inner();
    assert!(!reply.gid.is_empty());

    let pid = coordinator.id().expect("it runs").to_string();
    let killed =
        tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill is there");
    assert!(killed.success());
    assert_eq!(coordinator.wait().await.expect("it was running").code(), Some(0));
}
