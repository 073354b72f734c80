//! The guided tour: an order that commits, one that is refused, one with a flaky participant, the proof, and how to
//! break it. Every step prints what it sends as a command that can be pasted.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use trine_protocol::v1::Answer;
use trine_protocol::{Gid, Status};
use trine_sdk::Client;
use trine_sdk::client::Method;

use super::check;
use super::left_over::UNSETTLED;
use super::orders::{self, SKU};
use super::scene::Scene;
use crate::client::{ask, text};
use crate::failure::Failure;
use crate::output;
use crate::table::Paper;
use crate::tx::{history, show};
use trine_clock::Stopwatch;

/// How much stock the tour begins with.
const STOCK_LOW: i64 = 10;
const WAIT_SECONDS: u32 = 20;
const TRANSACTIONS: &str = "/v1/transactions";
/// Longest wait for transactions under way before the databases are compared.
const QUIET_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Long enough to type `kill -9` in.
const SLOW_MS: u32 = 8_000;

/// Runs all steps. Fails when a step did not end as announced.
pub(super) async fn run(scene: &Scene) -> Result<(), Failure> {
    set_up(scene).await?;
    commits(scene).await?;
    is_refused(scene).await?;
    is_retried(scene).await?;
    prove(scene).await
}

fn title(number: u8, text: &str) -> Result<(), Failure> {
    output::line(&format!("\n{number}. {text}\n"))
}

fn command(text: &str) -> Result<(), Failure> {
    output::line(&format!("  $ {}", text.replace('\n', "\n    ")))
}

fn say(text: &str) -> Result<(), Failure> {
    output::line(&format!("  {text}"))
}

async fn set_up(scene: &Scene) -> Result<(), Failure> {
    title(1, "Stock. Two services, two databases, nothing shared but this coordinator.")?;
    let before = stock(scene).await?.available;
    let missing = u64::try_from(STOCK_LOW - before).unwrap_or(0);
    if missing > 0 {
        let body = orders::stock(missing);
        command(&orders::curl(&format!("{}/stock", scene.stock.address()), &body, None))?;
        send(&scene.stock, "/stock", &body).await?;
    }
    let stock = stock(scene).await?;
    say(&format!(
        "{} {SKU} available, {} sold so far, {} ever put in",
        stock.available, stock.sold, stock.stocked
    ))
}

async fn commits(scene: &Scene) -> Result<(), Failure> {
    title(
        2,
        "An order for 2 (TCC). Try freezes stock and writes a pending order; both say yes, so both confirm.",
    )?;
    let gid = format!("tour-{}-commits", scene.run);
    let answer = submit(scene, &orders::place(&gid, "tcc", 2)).await?;
    expect(&answer, Status::Committed)?;
    let stock = stock(scene).await?;
    say(&format!("{gid} is committed: {} available, {} sold", stock.available, stock.sold))?;
    command(&scene.trine(&format!("tx show {gid}")))
}

async fn is_refused(scene: &Scene) -> Result<(), Failure> {
    title(
        3,
        "An order for 99 (TCC). The inventory says no, so the order is cancelled: entirely or not at all.",
    )?;
    let gid = format!("tour-{}-refused", scene.run);
    let before = stock(scene).await?.available;
    let answer = submit(scene, &orders::place(&gid, "tcc", 99)).await?;
    expect(&answer, Status::RolledBack)?;
    let why = answer.cause.as_ref().map(show::because).unwrap_or_default();
    say(&format!("{gid} is rolled back, {why}"))?;
    let after = stock(scene).await?.available;
    if after != before {
        return Err(Failure::bad(format!(
            "tour: a refused order changed the stock from {before} to {after}"
        )));
    }
    say(&format!("{after} available as before, no order left pending"))?;
    command(&scene.trine(&format!("tx history {gid}")))
}

async fn is_retried(scene: &Scene) -> Result<(), Failure> {
    title(4, "An order for 3 (saga) while the inventory is flaky: its next two calls end in an error.")?;
    let faults = orders::flaky(2);
    command(&orders::curl(&format!("{}/faults", scene.stock.address()), &faults, None))?;
    send(&scene.stock, "/faults", &faults).await?;
    let gid = format!("tour-{}-retried", scene.run);
    let answer = submit(scene, &orders::place(&gid, "saga", 3)).await;
    text(&scene.stock, scene.stock.request::<()>(Method::DELETE, "/faults")).await?;
    expect(&answer?, Status::Committed)?;
    say("an error says nothing: the call may have run. So it is repeated, and the participant's barrier")?;
    say("makes sure that it runs once. Every attempt is on record:")?;
    command(&scene.trine(&format!("tx history {gid}")))?;
    let gid = Gid::parse(&gid).map_err(|error| Failure::bad(format!("the tour's own gid: {error}")))?;
    let history = ask(&scene.client, scene.client.history(&gid).page()).await?;
    let table = history::render(&history, Paper::stdout());
    output::print(&format!("\n{}", indent(&table)))
}

async fn prove(scene: &Scene) -> Result<(), Failure> {
    title(5, "The proof, from the services' own books: nothing lost, nothing invented.")?;
    let under_way = wait_until_quiet(scene).await?;
    for path in ["stock", "orders"] {
        let client = if path == "stock" { &scene.stock } else { &scene.orders };
        command(&format!("curl -s {}/{path}/summary", client.address()))?;
    }
    let (stock, orders) =
        (stock(scene).await?, get::<check::Orders>(&scene.orders, "/orders/summary").await?);
    say(&format!(
        "stock:  {} available + {} frozen + {} sold = {} put in",
        stock.available, stock.frozen, stock.sold, stock.stocked
    ))?;
    say(&format!(
        "orders: {} confirmed for {} units, {} pending, {} cancelled\n",
        orders.confirmed.orders, orders.confirmed.quantity, orders.pending.orders, orders.cancelled.orders
    ))?;
    if under_way > 0 {
        let what = format!(
            "tour: {under_way} transactions are still under way, so the books cannot be compared yet"
        );
        return Err(Failure::bad(what).hint(scene.trine("tx list")));
    }
    let problems = check::problems(&stock, &orders, SKU);
    if problems.is_empty() {
        return output::line("tour: ok");
    }
    let failure = Failure::bad(format!("tour: the books do not match: {}", problems.join("; ")));
    Err(if scene.fresh {
        failure
    } else {
        failure.hint(format!("units of {SKU} taken by hand, or through another coordinator, without an order look the same; --dir takes a new folder"))
    })
}

/// Explains how to kill the coordinator and watch it recover. Printed after the tour, while everything runs.
pub(super) fn how_to_break_it(scene: &Scene) -> Result<(), Failure> {
    let gid = format!("kill-9-{}", scene.run);
    output::line("\nNow break it. In another terminal:\n")?;
    say(&format!("a. Make the inventory slow, {} s for every call.", SLOW_MS / 1_000))?;
    let slow = orders::slow(SLOW_MS);
    command(&orders::curl(&format!("{}/faults", scene.stock.address()), &slow, None))?;
    say("b. Place an order. The answer (202) comes at once: it is in the journal, and will be carried out.")?;
    let url = format!("{}{TRANSACTIONS}", scene.client.address());
    command(&orders::curl(&url, &orders::place(&gid, "saga", 1), None))?;
    say("c. Kill coordinator and services in the middle of it.")?;
    command(&format!("kill -9 {}", std::process::id()))?;
    say(
        "d. Start again. It reads the journal, says what it found unfinished, and carries it out. The call that",
    )?;
    say("   nobody answered is made again; the barrier sees to it that it counts once.")?;
    command(&scene.trine("dev"))?;
    command(&scene.trine("tx list"))?;
    command(&scene.trine(&format!("tx history {gid}")))?;
    output::line(&format!("\nRunning as process {}; Ctrl-C stops it.", std::process::id()))
}

/// Prints the command, sends the same bytes, and waits for the end.
async fn submit(scene: &Scene, body: &str) -> Result<Answer, Failure> {
    let url = format!("{}{TRANSACTIONS}", scene.client.address());
    command(&orders::curl(&url, body, Some(WAIT_SECONDS)))?;
    let request = scene.client.request(Method::POST, TRANSACTIONS).body(&raw(body)?);
    ask(&scene.client, request.wait(Duration::from_secs(WAIT_SECONDS.into()))).await
}

async fn send(client: &Client, path: &str, body: &str) -> Result<(), Failure> {
    text(client, client.request::<()>(Method::POST, path).body(&raw(body)?)).await.map(drop)
}

/// The bytes as they are printed.
fn raw(body: &str) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(body.to_owned())
        .map_err(|error| Failure::bad(format!("the tour's own JSON: {error}")))
}

fn expect(answer: &Answer, status: Status) -> Result<(), Failure> {
    if answer.status == status {
        return Ok(());
    }
    let why = answer.cause.as_ref().map(|cause| format!(" ({})", show::because(cause))).unwrap_or_default();
    Err(Failure::bad(format!("tour: {} is {}{why}; expected {status}", answer.gid, answer.status)))
}

async fn stock(scene: &Scene) -> Result<check::Stock, Failure> {
    get(&scene.stock, "/stock/summary").await
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failure> {
    ask(client, client.request(Method::GET, path)).await
}

/// Waits until nothing is under way that is not parked; returns how many still are, and how many are parked.
async fn wait_until_quiet(scene: &Scene) -> Result<usize, Failure> {
    let waiting = Stopwatch::start();
    let unsettled = UNSETTLED.into_iter().fold(scene.client.list(), |list, status| list.status(status));
    let unsettled = unsettled.limit(500);
    loop {
        let page = ask(&scene.client, unsettled.page()).await?;
        let moving = page.transactions.iter().filter(|one| one.parked.is_none()).count();
        if moving == 0 || waiting.elapsed() > QUIET_WITHIN {
            return Ok(page.transactions.len());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
