//! The scenario `stores`: the same work on every database, against the null coordinator and against every peer.

use super::Bench;
use super::peers;
use super::report::Report;
use super::rows::{Contender, table};
use super::servers::{Product, Store};
use super::shape::Shape;
use super::subject::{Dialect, Subject, Work};
use super::throughput::ratio;
use crate::server::Server;

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let mut report = Report::new("stores", "each database on this machine, at its durable defaults");
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    let every = [Store::Sqlite, Store::Started(Product::Postgres), Store::Started(Product::MariaDb)];
    let stores = if bench.store == Store::Sqlite { every.to_vec() } else { vec![bench.store.clone()] };
    for store in stores {
        let trine = bench.start_trine_on(&store, "stores")?;
        let work = Work::closed(Shape::Saga(2), bench.initiators());
        let contenders = bench.against_null(&null, &trine, &work);
        let rows = bench.in_turn(&contenders, &[&participant], bench.short_seconds)?;
        report.add_rows(&format!("{}: {work}", store.name()), &rows);
        report.ratio = report.ratio.or(Some(ratio(&rows[1], &rows[0])));
        let key = match store {
            Store::Started(Product::Postgres) => Some("postgres-64"),
            Store::Started(Product::MariaDb) => Some("mariadb-64"),
            _ => None,
        };
        report.figures.extend(key.map(|key| (key, ratio(&rows[1], &rows[0]))));
        against_peers(bench, &store, &trine, &participant, &mut report)?;
    }
    Ok(report)
}

/// The dtm dialect is the wire that all of them speak, so it carries this comparison.
fn against_peers(
    bench: &Bench,
    store: &Store,
    trine: &Subject,
    participant: &Server,
    report: &mut Report,
) -> Result<(), String> {
    for peer in &bench.peers {
        let (name, peer) = peers::start(bench, peer, store)?;
        let work = Work { dialect: Dialect::Dtm, ..Work::closed(Shape::Saga(2), bench.initiators()) };
        let contenders =
            [Contender::new(&name, &peer, work.clone()), Contender::new("trine", trine, work.clone())];
        let rows = bench.in_turn(&contenders, &[participant], bench.short_seconds)?;
        let factor = ratio(&rows[1], &rows[0]);
        report.text += &format!("- {}: {work}, wait_result\n{}", store.name(), table(&rows));
        report.json.insert(
            format!("{}: against {name}", store.name()),
            rows.iter().map(super::rows::Row::json).collect(),
        );
        report.add_line(&format!("ratio trine/{name}: {factor:.2}"));
        // Another server's errors do not spoil Trine's figures. They are shown, because they explain its own.
        for error in rows[0].errors() {
            report.add_line(&format!("unexpected answer of {error}"));
        }
        report.errors.extend(rows[1].errors());
        let key = match store {
            Store::Sqlite => Some("dtmrs-sqlite"),
            Store::Started(Product::Postgres) => Some("dtmrs-postgres"),
            Store::Started(Product::MariaDb) => Some("dtmrs-mariadb"),
            _ => None,
        };
        report.figures.extend(key.filter(|_| name == peers::DTMRS).map(|key| (key, factor)));
    }
    Ok(())
}
