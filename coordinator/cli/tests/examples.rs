//! Every example of the documents, run as a reader would run it: the blocks of shell in the pages and in the crates'
//! documentation, the examples of the OpenAPI document, and the commands in the text.
//!
//! A new block is picked up by itself. Each request must be answered with a success, and each transaction must end as
//! the page says: committed, unless [`ROLLED_BACK`] names it.

mod page;
mod scene;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::trine;
use page::{Example, Page, pages};
use scene::Scene;

/// Blocks that are not run: the page, how the block begins, and why.
const NOT_RUN: [(&str, &str, &str); 6] = [
    (
        "README.md",
        "cargo run -- dev ",
        "starts what the examples run against, and the tests that are running",
    ),
    ("README.md", "cargo build --release", "starts a server of the release build, on the default port"),
    ("README.md", "TRINE_STORE_URL=postgres", "needs a PostgreSQL of that name"),
    ("docs/operating.md", "TRINE_STORE_URL=postgres", "needs a PostgreSQL and hosts of those names"),
    (
        "examples/interop/go/README.md",
        "trine serve",
        "needs dtm's client for Go; the tests in interop.rs run it",
    ),
    (
        "examples/interop/python/README.md",
        "trine serve",
        "needs dtm's client for Python; the tests in interop.rs run it",
    ),
];

/// Transactions that are shown to roll back, or that the page ends that way.
const ROLLED_BACK: [(&str, &str); 3] =
    [("README.md", "saga-2"), ("docs/api.md", "pay-2"), ("docs/api.md", "order-43")];

/// What a fence of a page may say it holds. Rust belongs into the crates' documentation, where it is compiled.
const LANGUAGES: [&str; 6] = ["json", "mermaid", "sh", "sql", "text", "toml"];

fn is_left_out(page: &Page, example: &Example) -> bool {
    NOT_RUN.iter().any(|(path, begins, _)| *path == page.path && example.text.starts_with(begins))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_shell_in_the_documents_does_what_its_page_says() {
    let mut ran = 0;
    for page in pages() {
        let examples: Vec<Example> =
            page.examples().into_iter().filter(|example| !is_left_out(&page, example)).collect();
        if examples.is_empty() {
            continue;
        }
        ran += examples.len();
        let mut scene = Scene::set().await;
        for example in &examples {
            let place = format!("{}:{}", page.path, example.line);
            let printed = scene.run(example).await.unwrap_or_else(|error| {
                panic!("{place}: this example fails: {error}\n{}", example.text);
            });
            if let Some(answer) = &example.answer {
                let shown: Value =
                    serde_json::from_str(answer).unwrap_or_else(|_| panic!("{place}: {answer}"));
                let last = printed.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                let real: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{place}: {printed}"));
                assert_eq!(shown, real, "{place}: the page shows another answer");
            }
        }
        let mut rolled_back = BTreeSet::new();
        for (gid, status) in scene.ends().await {
            if status == "rolled_back" {
                rolled_back.insert(gid);
            } else {
                assert_eq!(status, "committed", "{}: {gid}", page.path);
            }
        }
        let expected: BTreeSet<String> = ROLLED_BACK
            .iter()
            .filter(|(path, _)| *path == page.path)
            .map(|(_, gid)| (*gid).to_owned())
            .collect();
        assert_eq!(rolled_back, expected, "{}: what rolled back", page.path);
        scene.strike().await;
    }
    assert!(ran > 5, "only {ran} examples were found");
}

#[test]
fn what_is_not_run_is_still_there() {
    let pages = pages();
    for (path, begins, reason) in NOT_RUN {
        let page = pages.iter().find(|page| page.path == path).unwrap_or_else(|| panic!("{path} is gone"));
        let found = page.examples().iter().filter(|example| example.text.starts_with(begins)).count();
        assert_eq!(found, 1, "{path}: blocks that begin with `{begins}` ({reason})");
    }
}

#[test]
fn blocks_say_what_they_hold_and_none_is_passed_over() {
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path, block.line);
            let language = block.language.as_str();
            if page.path.ends_with(".md") {
                assert!(LANGUAGES.contains(&language), "{place}: `{language}`; write shell as `sh`");
            } else {
                assert!(!["bash", "console", "shell", "ignore"].contains(&language), "{place}: `{language}`");
            }
            if language == "json" {
                let json = serde_json::from_str::<Value>(&block.text);
                assert!(json.is_ok(), "{place}: {json:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_command_in_the_text_is_one_that_trine_takes() {
    let mut commands = BTreeSet::new();
    for page in pages().iter().filter(|page| page.path.ends_with(".md") && page.path != "CHANGELOG.md") {
        commands.extend(page.commands().into_iter().map(|command| (command, page.path.clone())));
    }
    assert!(commands.len() > 10, "{commands:?}");
    for (command, path) in commands {
        let mut words = words(&command);
        // What stands before it is judged, and nothing is done.
        words.push("--help".to_owned());
        let (code, said) = trine(&words.iter().skip(1).map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(code, Some(0), "{path}: `{command}`: {said}");
    }
}

/// Words as a shell takes them apart, as far as double quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (position, part) in command.split('"').enumerate() {
        if position % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_openapi_document_runs() {
    let scene = Scene::set().await;
    let (_, document) = scene.http.get(&format!("{}/openapi.json", scene.url())).await;
    let mut examples = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for content in
                operation["requestBody"]["content"].as_object().into_iter().flat_map(|it| it.values())
            {
                let named = content["examples"].as_object().into_iter().flat_map(|it| it.values());
                let bodies = named.map(|example| &example["value"]).chain(content.get("example"));
                examples.extend(bodies.map(|body| (path.clone(), method.clone(), body.clone())));
            }
        }
    }
    // Those that name no transaction create the ones that the others are about. A workflow is recorded before it is finished.
    examples.sort_by_key(|(path, ..)| (path.contains("{gid}"), path.ends_with("/finish")));
    let mut open = None;
    for (path, method, body) in &examples {
        assert_eq!(method, "post", "{path}: teach this test how to send it");
        // A workflow is created under its gid; every other call is about the open transaction.
        let gid = if path.contains("/workflows/") { Some("openapi-trip") } else { open.as_deref() };
        let path = path.replace("{gid}", gid.unwrap_or("{gid}"));
        assert!(!path.contains('{'), "{path}: no example opens a transaction");
        let body: Value = serde_json::from_str(&scene.real(&body.to_string())).expect("still JSON");
        let (status, answer) = scene.http.post(&format!("{}{path}", scene.url()), &body).await;
        assert!((200..300).contains(&status), "{path} {body}: {status} {answer}");
        if body["open"] == true {
            open = answer["gid"].as_str().map(str::to_owned);
        }
    }
    assert!(examples.len() > 2, "{examples:?}");
    let open = open.expect("an example opens a transaction");
    let aborted = scene.http.raw(&format!("{}/v1/transactions/{open}/abort", scene.url()), None).await;
    assert!(aborted.status().is_success(), "{aborted:?}");
    for (gid, status) in scene.ends().await {
        assert_eq!(status, if gid == open { "rolled_back" } else { "committed" }, "{gid}");
    }
    scene.strike().await;
}
