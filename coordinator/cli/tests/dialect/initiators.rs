//! Initiators: each does one transaction the way the dialect's clients do, and gives up at the first error, as if it had
//! crashed there.

use serde_json::{Value, json};

use super::book::Book;
use crate::support::Http;

/// One initiator and its transaction.
pub(super) struct Initiator {
    pub(super) http: Http,
    /// Where the coordinator is asked.
    pub(super) base: String,
    /// Where branches are.
    pub(super) branches: String,
    pub(super) book: Book,
    pub(super) gid: String,
}

/// What an initiator knows in the end.
pub(super) struct Promise {
    pub(super) gid: String,
    /// The last thing the coordinator said yes to.
    pub(super) accepted: Option<&'static str>,
    /// How it has to end, if that is known.
    pub(super) wanted: Option<&'static str>,
    /// Steps of a workflow that were recorded: branch and op.
    pub(super) recorded: Vec<(String, String)>,
}

impl Initiator {
    pub(super) async fn run(&self, kind: &str) -> Promise {
        match kind {
            "saga" => self.saga().await,
            "tcc" | "xa" => self.reserve(kind).await,
            "msg" => self.message().await,
            _ => self.execute().await,
        }
    }

    fn promise(&self) -> Promise {
        Promise { gid: self.gid.clone(), accepted: None, wanted: None, recorded: Vec::new() }
    }

    fn refuses(&self) -> bool {
        self.gid.ends_with("-refused")
    }

    fn branch(&self) -> String {
        format!("{}/branch", self.branches)
    }

    /// Whether the coordinator said yes. Anything else, silence included, is where this initiator stops.
    async fn ask(&self, path: &str, body: Value) -> bool {
        self.answer(path, body).await.is_some()
    }

    async fn answer(&self, path: &str, mut body: Value) -> Option<Value> {
        body["gid"] = self.gid.clone().into();
        for (option, seconds) in [("timeout_to_fail", 3), ("retry_interval", 1), ("request_timeout", 2)] {
            if path != "registerBranch" && !(option == "timeout_to_fail" && body["trans_type"] == "saga") {
                body[option] = seconds.into();
            }
        }
        let (status, answer) = self.http.try_post(&format!("{}/{path}", self.base), &body).await?;
        (status == 200).then_some(answer)
    }

    async fn saga(&self) -> Promise {
        let mut promise = self.promise();
        let step = json!({"action": self.branch(), "compensate": self.branch()});
        for branch in ["01", "02"] {
            self.book.expect(&self.gid, branch);
        }
        let body = json!({"trans_type": "saga", "steps": [step, step], "payloads": ["{\"n\":1}", ""]});
        if self.ask("submit", body).await {
            promise.accepted = Some("submitted");
            promise.wanted = Some(if self.refuses() { "failed" } else { "succeed" });
        }
        promise
    }

    async fn reserve(&self, kind: &str) -> Promise {
        let mut promise = self.promise();
        if !self.ask("prepare", json!({"trans_type": kind})).await {
            return promise;
        }
        promise.accepted = Some("prepared");
        let url = self.branch();
        for branch in ["01", "02"] {
            let body = json!({"trans_type": kind, "branch_id": branch, "data": "{}", "confirm": url, "cancel": url, "url": url});
            if !self.ask("registerBranch", body).await {
                return promise;
            }
            self.book.expect(&self.gid, branch);
            self.book.effect(&self.gid, branch, "try");
        }
        let (path, end) = if self.refuses() { ("abort", "failed") } else { ("submit", "succeed") };
        if self.ask(path, json!({"trans_type": kind})).await {
            promise.wanted = Some(end);
        }
        promise
    }

    async fn message(&self) -> Promise {
        let mut promise = self.promise();
        let steps = json!([{"action": self.branch()}, {"action": self.branch()}]);
        let check = format!("{}/check", self.branches);
        let body =
            json!({"trans_type": "msg", "steps": steps, "payloads": ["{}", "{}"], "query_prepared": check});
        if !self.ask("prepare", body.clone()).await {
            return promise;
        }
        promise.accepted = Some("prepared");
        for branch in ["01", "02"] {
            self.book.expect(&self.gid, branch);
        }
        if self.refuses() {
            // It crashes before its local transaction: nobody may ever deliver.
            promise.wanted = Some("failed");
            return promise;
        }
        if self.book.commit_local(&self.gid) {
            // From here on it has to be delivered, whoever crashes.
            promise.wanted = Some("succeed");
            self.ask("submit", body).await;
        }
        promise
    }

    /// Executes a workflow from wherever it is: two steps, or one and its undoing.
    pub(super) async fn execute(&self) -> Promise {
        let mut promise = self.promise();
        let callback = format!("{}/workflow", self.branches);
        let body = json!({"trans_type": "workflow", "query_prepared": callback, "custom_data": r#"{"name":"transfer","data":"e30="}"#});
        let Some(found) = self.answer("prepareWorkflow", body).await else { return promise };
        let end = if self.refuses() { "failed" } else { "succeed" };
        promise.accepted = Some("prepared");
        promise.wanted = Some(end);
        if found["transaction"]["status"] != "prepared" {
            return promise;
        }
        for branch in ["01", "02"] {
            self.book.expect(&self.gid, branch);
        }
        let steps = if self.refuses() {
            [("01", "action", "succeed"), ("02", "action", "failed"), ("01", "rollback", "succeed")]
                .as_slice()
        } else {
            [("01", "action", "succeed"), ("02", "action", "succeed")].as_slice()
        };
        for (branch, op, status) in steps {
            let made = found["progresses"].as_array().into_iter().flatten();
            let known = made.filter(|made| made["branch_id"] == *branch && made["op"] == *op).count() == 1;
            if known {
                continue;
            }
            if *status == "succeed" {
                self.book.effect(&self.gid, branch, op);
            }
            let body = json!({"trans_type": "workflow", "branch_id": branch, "op": op, "status": status, "data": "x"});
            if !self.ask("registerBranch", body).await {
                return promise;
            }
            promise.recorded.push(((*branch).to_owned(), (*op).to_owned()));
        }
        let body = json!({"trans_type": "workflow", "req_extra": {"status": end, "result": "e30="}});
        self.ask("submit", body).await;
        promise
    }
}
