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

/// Arguments: the file and the number of copies.
const COPY: &str = r#"
import sqlite3, sys
file, count = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(file, isolation_level=None)
db.execute("PRAGMA synchronous = OFF")
one = "(SELECT gid FROM transactions WHERE status = 'committed' LIMIT 1)"
for table in ("journal", "transactions", "transaction_labels"):
    db.execute(f"CREATE TEMP TABLE one_{table} AS SELECT * FROM {table} WHERE gid = {one}")
db.execute("UPDATE one_journal SET checksum = NULL")
step = 100000
for begin in range(0, count, step):
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
print(db.execute("SELECT count(*) FROM transactions").fetchone()[0])
"#;

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let count = bench.settled.unwrap_or(bench.sized(50_000, 1_000_000));
    let work = Work::closed(Shape::Saga(2), bench.initiators()).with(bench.modes[0].1);
    let mut report = Report::new("settled", &format!("{work}, SQLite"));
    let participant = bench.start_participant()?;
    let (store, _) = bench.database(&Store::Sqlite, "settled")?;
    let trine = bench.start_trine_at(&store, None, None)?;
    bench.round(&trine, &work, &[&participant], Until::Count(1))?;
    drop(trine);
    let rows = fill(bench, Path::new(store.trim_start_matches("sqlite:")), count)?;
    eprintln!("{rows} settled transactions in the store");

    let full = bench.start_trine_at(&store, None, None)?;
    let empty = bench.start_trine_on(&Store::Sqlite, "empty")?;
    let contenders = [
        Contender::new("empty store", &empty, work.clone()),
        Contender::new(format!("{count} settled"), &full, work.clone()),
    ];
    let rows = bench.in_turn(&contenders, &[&participant], bench.short_seconds)?;
    report.add_rows("in turn", &rows);
    let ratio = ratio(&rows[1], &rows[0]);
    report.add_line(&format!("ratio full/empty: {ratio:.3}"));
    report.ratio = Some(ratio);
    report.add_figure("settled", ratio);
    let mut curve = Curve::new("settled", "settled transactions in the store");
    for (x, mut row) in [0.0, count as f64].into_iter().zip(rows) {
        row.name = "trine".to_owned();
        curve.add(x, &[row]);
    }
    report.curves.push(curve.json());
    Ok(report)
}

fn fill(bench: &Bench, file: &Path, count: u64) -> Result<String, String> {
    let mut python: Command = run::command(&bench.root, "python3", ["-c", COPY]);
    python.arg(file).arg(count.to_string());
    run::output(&mut python).map(|rows| rows.trim().to_owned())
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
        let rows =
            run::output(&mut run::command(Path::new("."), "python3", ["-c", COPY, &path, "3"])).unwrap();
        assert_eq!(rows.trim(), "4");
        let seen = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
            print(db.execute(\"SELECT gid, seq, checksum FROM journal WHERE gid = 'copy-000000002'\").fetchall())";
        let copied = run::output(&mut run::command(Path::new("."), "python3", ["-c", seen, &path])).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(copied.trim(), "[('copy-000000002', 1, None), ('copy-000000002', 2, None)]");
    }
}
