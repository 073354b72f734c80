//! The callback route, and executions that are asked for while they go on.

use axum::body::Body;
use axum::http::{Request, request};
use tower::ServiceExt as _;
use trine_protocol::headers::{ATTEMPT, FENCE, GID, OP, PATTERN};
use trine_protocol::v1::WorkflowCallback;

use super::*;

/// Calls back over the native API: the status and the text of the answer.
async fn call_back(workflows: &Workflows, gid: &str, body: &str) -> (u16, String) {
    sent(workflows.router(), native(gid).body(Body::from(body.to_owned())).unwrap()).await
}

/// Calls back over the dtm dialect.
async fn call_back_dtm(workflows: &Workflows, method: &str, query: &str, input: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(format!("/workflows{query}"));
    sent(workflows.router(), request.body(Body::from(input.to_owned())).unwrap()).await
}

fn native(gid: &str) -> request::Builder {
    let headers = [(GID, gid), (OP, "check"), (PATTERN, "workflow"), (ATTEMPT, "1"), (FENCE, "3")];
    let request = Request::post("/workflows");
    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
}

async fn sent(router: Router, request: Request<Body>) -> (u16, String) {
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_callback_resumes_what_a_crash_left() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    for crashes in [true, false] {
        let workflows = service(&fake);
        let noted = diary.clone();
        workflows.register_json("sum it", move |flow, [a, b]: [i32; 2]| {
            let diary = noted.clone();
            async move {
                let a = step(&flow, &diary, Ok(a)).await?;
                let b = step(&flow, &diary, if crashes { Err("panic") } else { Ok(b) }).await?;
                Ok(a + b)
            }
        });
        if crashes {
            let end = workflows.execute_json::<_, i32>("sum it", &gid(), &[1, 2]).await;
            assert!(matches!(end, Err(WorkflowError::Interrupted)), "{end:?}");
            continue;
        }
        let end = call_back(&workflows, "order-42", r#"{"name":"sum it","input":[1,2]}"#).await;
        assert_eq!(end, (200, "it has ended: done".into()));
        assert_eq!(workflows.execute_json::<_, i32>("sum it", &gid(), &[1, 2]).await.unwrap(), 3);
    }
    assert_eq!(diary.read(), ["order-42/01/action", "order-42/02/action", "order-42/02/action"]);
}

#[tokio::test]
async fn a_workflow_that_an_older_sdk_began_is_called_back_over_the_dialect() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register_json("sum it", |_, [a, b]: [i32; 2]| async move { Ok(a + b) });
    workflows.register("count", |_, input| async move { Ok(input.len().to_string().into_bytes()) });
    let query = "?branch_id=00&gid=order-42&op=sum+it&trans_type=workflow";
    assert_eq!(call_back_dtm(&workflows, "POST", query, "[1,2]").await, (200, "it has ended: done".into()));
    assert_eq!(workflows.execute_json::<_, i32>("sum it", &gid(), &[1, 2]).await.unwrap(), 3);
    // A workflow without input is called back without a body.
    let ended = call_back_dtm(&workflows, "GET", "?op=count&gid=none", "").await;
    assert_eq!(ended, (200, "it has ended: done".into()));
    assert_eq!(workflows.execute("count", &Gid::parse("none").unwrap(), "").await.unwrap(), b"0");
    for query in ["", "?op=count", "?gid=a", "?op=count&gid=a%20b"] {
        assert_eq!(call_back_dtm(&workflows, "POST", query, "").await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_handler_gets_its_input_in_whichever_form_it_was_given() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register("bytes", |_, input| async move { Ok(input) });
    workflows.register_json("json", |_, input: Option<i32>| async move { Ok(input) });
    for (gid, body, input) in [
        ("a", r#"{"name":"bytes","input_base64":"/wM="}"#, &[0xff, 3][..]),
        ("b", r#"{"name":"bytes","input":[ 1 ]}"#, b"[ 1 ]"),
        ("c", r#"{"name":"bytes"}"#, b""),
        ("d", r#"{"name":"json","input":7}"#, b"7"),
        ("e", r#"{"name":"json","input_base64":"Nw=="}"#, b"7"),
        ("f", r#"{"name":"json"}"#, b"null"),
    ] {
        assert_eq!(call_back(&workflows, gid, body).await.0, 200, "{body}");
        let name = if body.contains("bytes\"") { "bytes" } else { "json" };
        let result = workflows.execute(name, &Gid::parse(gid).unwrap(), input).await.unwrap();
        assert_eq!(result, input, "{body}");
    }
}

#[tokio::test]
async fn a_callback_is_answered_by_what_came_of_it() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register("refuse", |_, _| async { Err(Failure::refused("no")) });
    workflows.register("fail", |_, _| async { Err(Failure::unknown("a secret")) });
    workflows.register_json("typed", |_, number: i32| async move { Ok(number) });
    for (gid, name, status, text) in [
        ("a", "refuse", 200, "it has ended: refused"),
        ("b", "fail", 500, "it did not end; the service's log has the details"),
        ("c", "typed", 500, "it did not end; the service's log has the details"),
        // Not a status that no repetition mends: another instance may know the handler.
        ("d", "unheard-of", 503, "no workflow is registered as `unheard-of`"),
    ] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        assert_eq!(call_back(&workflows, gid, &body).await, (status, text.to_owned()));
    }
    for (gid, body) in [("a", ""), ("a", "{}"), ("a b", r#"{"name":"refuse"}"#)] {
        assert_eq!(call_back(&workflows, gid, body).await.0, 400, "{gid} {body}");
    }
    for other in [(OP, "action"), (PATTERN, "message")] {
        let mut request = native("a").body(Body::from(r#"{"name":"refuse"}"#)).unwrap();
        request.headers_mut().insert(other.0, other.1.parse().unwrap());
        assert_eq!(sent(workflows.router(), request).await.0, 400, "{other:?}");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_workflow_that_goes_on_waits_for_the_same_end() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (noted, begins, waits) = (diary.clone(), Arc::clone(&begun), Arc::clone(&go_on));
    workflows.register("sum", move |_, _| {
        let (diary, begun, go_on) = (noted.clone(), Arc::clone(&begins), Arc::clone(&waits));
        async move {
            diary.note("begun");
            begun.add_permits(1);
            go_on.acquire().await?.forget();
            Ok(b"end".to_vec())
        }
    });
    let gone = { execute(&workflows) };
    // Whoever began it goes away, and it goes on.
    tokio::select! {
        biased;
        _ = gone => panic!("it has ended"),
        permit = begun.acquire() => permit.unwrap().forget(),
    }
    let other = workflows.execute("sum", &gid(), "another input").await;
    assert!(matches!(other, Err(WorkflowError::Conflict { .. })), "{other:?}");
    let joined = {
        let workflows = workflows.clone();
        tokio::spawn(async move { execute(&workflows).await })
    };
    let called_back = {
        let workflows = workflows.clone();
        tokio::spawn(async move {
            call_back(&workflows, "order-42", r#"{"name":"sum","input_base64":"aW5wdXQ="}"#).await
        })
    };
    go_on.add_permits(1);
    assert_eq!(joined.await.unwrap().unwrap(), b"end");
    assert_eq!(called_back.await.unwrap().0, 200);
    assert_eq!(diary.read(), ["begun"]);
}

#[tokio::test]
async fn what_did_not_end_is_executed_anew_when_it_is_asked_for_again() {
    let (fake, diary) = (Fake::start().await, Diary::default());
    let workflows = service(&fake);
    let noted = diary.clone();
    workflows.register("sum", move |_, _| {
        noted.note("begun");
        let panics = noted.0.lock().unwrap().len() == 2;
        async move {
            assert!(!panics, "a crash");
            Err(Failure::unknown("later"))
        }
    });
    for _ in 0..3 {
        execute(&workflows).await.unwrap_err();
    }
    assert_eq!(diary.read().len(), 3);
}

#[tokio::test]
async fn a_callback_does_not_wait_for_a_long_execution() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register("sum", |_, _| std::future::pending());
    let router = crate::workflow::callback::router(workflows, "/workflows", Duration::ZERO);
    let request = native("order-42").body(Body::from(r#"{"name":"sum"}"#)).unwrap();
    assert_eq!(sent(router, request).await, (200, "it goes on".into()));
}

#[tokio::test]
async fn an_input_that_could_not_be_called_back_is_refused_and_one_that_can_be_is_taken() {
    let fake = Fake::start().await;
    let workflows = service(&fake);
    workflows.register("count", |_, input| async move { Ok(input.len().to_string().into_bytes()) });
    let input = "x".repeat(WORKFLOW_INPUT_BYTES_MAX + 1);
    let end = workflows.execute("count", &gid(), input.as_str()).await;
    assert!(
        matches!(end, Err(WorkflowError::InputTooLarge { bytes }) if bytes == input.len()),
        "{:?}",
        end.is_ok()
    );
    assert_eq!(fake.find(&gid()), None, "it was not begun");
    let input = &input[1..];
    let body = WorkflowCallback {
        name: "count".into(),
        input: None,
        input_base64: Some(Base64::from(input.as_bytes())),
    };
    let body = serde_json::to_string(&body).unwrap();
    assert_eq!(call_back(&workflows, "order-42", &body).await, (200, "it has ended: done".into()));
    let count = workflows.execute("count", &gid(), input).await.unwrap();
    assert_eq!(count, input.len().to_string().into_bytes());
}
