//! Scripted participants: each call is noted as it looks on the wire, and answered as its script says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use trine_engine::Call;

use trine_dispatch::{Caller, Returned, on_paper};

type Said = (u16, String);

#[derive(Debug, Clone, Default)]
pub(super) struct Participants(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    books: Mutex<Books>,
    /// Signalled when a call or an answer was noted.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Books {
    /// Every call so far, with its answer once there is one.
    calls: Vec<String>,
    /// The scripts, by URL.
    scripts: BTreeMap<String, VecDeque<Next>>,
    /// Calls that wait, by URL.
    held: BTreeMap<String, (usize, oneshot::Sender<Said>)>,
}

#[derive(Debug)]
enum Next {
    Say(Said),
    Hold,
}

impl Participants {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap()
    }

    pub(super) fn script(&self, url: &str, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, words)| Next::Say((*status, (*words).to_owned())));
        self.books().scripts.entry(url.to_owned()).or_default().extend(answers);
    }

    pub(super) fn hold(&self, url: &str) {
        self.books().scripts.entry(url.to_owned()).or_default().push_back(Next::Hold);
    }

    pub(super) async fn release(&self, url: &str, status: u16, words: &str) {
        let (position, held) = self.until(|books| books.held.remove(url)).await;
        held.send((status, words.to_owned())).unwrap();
        self.until(|books| books.calls[position].contains(" -> ").then_some(())).await;
    }

    pub(super) async fn called(&self, count: usize) {
        self.until(|books| (books.calls.len() >= count).then_some(())).await;
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.books().calls.clone()
    }

    /// Waits until `look` finds something.
    async fn until<T>(&self, look: impl Fn(&mut Books) -> Option<T>) -> T {
        loop {
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let found = look(&mut self.books());
            match found {
                Some(found) => return found,
                None => changed.await,
            }
        }
    }
}

impl Caller for Participants {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        let url = call.target.as_str().trim_start_matches("grpc://").to_owned();
        let (position, said) = {
            let mut books = self.books();
            let limit = if call.timeout_ms == 3_000 {
                String::new()
            } else {
                format!("within {} ms: ", call.timeout_ms)
            };
            let position = books.calls.len();
            books.calls.push(format!("{limit}{}", on_paper::asked(&call)));
            let next = books.scripts.get_mut(&url).and_then(VecDeque::pop_front);
            let said = match next {
                Some(Next::Say(said)) => Ok(said),
                Some(Next::Hold) => {
                    let (answer, answered) = oneshot::channel();
                    books.held.insert(url.clone(), (position, answer));
                    Err(answered)
                }
                None => Ok(usual(&call, &url)),
            };
            (position, said)
        };
        self.0.changed.notify_waiters();
        let this = self.clone();
        Box::pin(async move {
            let said = match said {
                Ok(said) => said,
                Err(answered) => match answered.await {
                    Ok(said) => said,
                    // The test is over, so the call is never answered.
                    Err(_) => std::future::pending().await,
                },
            };
            let (status, words) = said;
            this.books().calls[position].push_str(format!(" -> {status} {words}").trim_end());
            this.0.changed.notify_waiters();
            Returned::Answer(on_paper::heard(&call, status, &words))
        })
    }
}

/// The answer of a URL without a script: the last word of the URL says which.
fn usual(call: &Call, url: &str) -> Said {
    let path = url.split('?').next().unwrap_or_default();
    let word = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_grpc = call.target.grpc().is_some();
    let (http, grpc, words) = match word.as_str() {
        "no" => (409, 10, "out of stock"),
        "wait" => (425, 9, "not yet"),
        "broken" => (500, 13, "out of order"),
        _ => (200, 0, ""),
    };
    (if is_grpc { grpc } else { http }, words.to_owned())
}
