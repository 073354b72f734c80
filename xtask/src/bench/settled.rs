//! The scenario `settled`: throughput on a SQLite store full of settled transactions, and on an empty one.
//!
//! The store is filled with copies of one settled transaction of Trine's own, under other gids, by a Python program while the
//! coordinator is down. The copies have no checksums, which the store allows.

use std::path::Path;
use std::process::Command;

use super::Bench;
use super::curves::Curve;
use super::load::Until;
use super::report::Report;
use super::rows::Contender;
use super::servers::Store;
use super::shape::Shape;
use super::subject::Work;
use super::throughput::ratio;
use crate::run;

/// Arguments: the file, the number of copies that are there, and the wanted number.
const COPY: &str = r#"
import sqlite3, sys
file, before, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(file, isolation_level=None)
db.execute("PRAGMA synchronous = OFF")
one = "(SELECT gid FROM transactions WHERE status = 'committed' AND gid NOT LIKE 'copy-%' LIMIT 1)"
for table in ("journal", "transactions", "transaction_labels"):
    db.execute(f"CREATE TEMP TABLE one_{table} AS SELECT * FROM {table} WHERE gid = {one}")
db.execute("UPDATE one_journal SET checksum = NULL")
step = 100000
for begin in range(before, count, step):
    end = min(begin + step, count)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT {begin} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {end})"
    db.execute("BEGIN IMMEDIATE")
    for table in ("journal", "transactions", "transaction_labels"):
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "gid"]
        columns = ", ".join(names)
        db.execute(f"INSERT INTO {table} (gid, {columns}) {numbers} "
                   f"SELECT printf('copy-%09d', i), {columns} FROM n, one_{table} ORDER BY i, one_{table}.rowid")
    db.execute("COMMIT")
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
"#;

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let default = [bench.sized(50_000, 1_000_000)];
    let counts = if bench.settled.is_empty() { &default } else { bench.settled.as_slice() };
    let work = Work::closed(Shape::Saga(2), bench.initiators()).with(bench.modes[0].1);
    let mut report = Report::new("settled", &format!("{work}, SQLite"));
    let mut curve = Curve::new("settled", "settled transactions in the store");
    let participant = bench.start_participant()?;
    let empty = bench.start_trine_on(&Store::Sqlite, "empty")?;
    let (store, _) = bench.database(&Store::Sqlite, "settled")?;
    let original = bench.start_trine_at(&store, None, None)?;
    bench.round(&original, &work, &[&participant], Until::Count(1))?;
    // The store is filled while no coordinator has it.
    drop(original);
    let mut before = 0;
    for &count in counts {
        fill(bench, Path::new(store.trim_start_matches("sqlite:")), before, count)?;
        eprintln!("{count} settled transactions in the store");
        let full = bench.start_trine_at(&store, None, None)?;
        let contenders = [
            Contender::new("empty store", &empty, work.clone()),
            Contender::new(format!("{count} settled"), &full, work.clone()),
        ];
        let mut rows = bench.in_turn(&contenders, &[&participant], bench.short_seconds)?;
        report.add_rows(&format!("{count} settled, in turn with an empty store"), &rows);
        let ratio = ratio(&rows[1], &rows[0]);
        report.add_line(&format!("ratio full/empty: {ratio:.3}"));
        report.ratio = report.ratio.or(Some(ratio));
        // The target is for the fullest store, which comes last.
        report.figures = vec![("settled", ratio)];
        for row in &mut rows {
            row.name = "trine".to_owned();
        }
        if before == 0 {
            curve.add(0.0, &rows[..1]);
        }
        curve.add(count as f64, &rows[1..]);
        before = count;
    }
    report.curves.push(curve.json());
    Ok(report)
}

/// Adds copies to those that are there.
fn fill(bench: &Bench, file: &Path, before: u64, count: u64) -> Result<(), String> {
    let mut python: Command = run::command(&bench.root, "python3", ["-c", COPY]);
    run::run(python.arg(file).arg(before.to_string()).arg(count.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_transactions_under_other_gids() {
        let file = std::env::temp_dir().join(format!("bench-settled-{}.db", std::process::id()));
        let path = file.display().to_string();
        let made = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(\"\
            CREATE TABLE journal (gid, seq, checksum); CREATE TABLE transactions (gid, status); \
            CREATE TABLE transaction_labels (gid, key); INSERT INTO journal VALUES ('g', 1, 7), ('g', 2, 8); \
            INSERT INTO transactions VALUES ('g', 'committed'); INSERT INTO transaction_labels VALUES ('g', 'k');\")";
        run::run(&mut run::command(Path::new("."), "python3", ["-c", made, &path])).unwrap();
        for range in [["0", "2"], ["2", "3"]] {
            let copy = [&["-c", COPY, &path][..], &range].concat();
            run::run(&mut run::command(Path::new("."), "python3", copy)).unwrap();
        }
        let seen = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
            print(db.execute('SELECT count(*) FROM transactions').fetchone(), db.execute(\"SELECT gid, seq, checksum FROM journal WHERE gid = 'copy-000000002'\").fetchall())";
        let copied = run::output(&mut run::command(Path::new("."), "python3", ["-c", seen, &path])).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(copied.trim(), "(4,) [('copy-000000002', 1, None), ('copy-000000002', 2, None)]");
    }
}
