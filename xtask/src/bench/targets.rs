//! The project's targets for speed, and whether the figures of this run meet them.

/// One target.
struct Target {
    /// The figure that a scenario reports under this key.
    key: &'static str,
    what: &'static str,
    bound: Bound,
    /// Where the figure comes from, for a reader whose run does not have it.
    scenario: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("at least {bound}"),
            Self::AtMost(bound) => format!("at most {bound}"),
        }
    }
}

const fn target(key: &'static str, what: &'static str, bound: Bound, scenario: &'static str) -> Target {
    Target { key, what, bound, scenario }
}

const TARGETS: [Target; 17] = {
    use Bound::{AtLeast, AtMost};
    [
        target("saga2-64", "saga of 2, 64 initiators, SQLite / null", AtLeast(0.60), "initiators"),
        target("saga2-256", "saga of 2, 256 initiators, SQLite / null", AtLeast(0.65), "initiators"),
        target("processor", "coordinator's processor time / null's", AtMost(2.0), "initiators"),
        target("postgres-64", "PostgreSQL / null, 64 initiators", AtLeast(0.40), "stores"),
        target("mariadb-64", "MariaDB / null, 64 initiators", AtLeast(0.30), "stores"),
        target(
            "dtmrs-sqlite",
            "/ dtmrs, SQLite, dtm dialect, wait_result",
            AtLeast(8.0),
            "stores --peer dtmrs",
        ),
        target("dtmrs-postgres", "/ dtmrs, PostgreSQL", AtLeast(5.0), "stores --peer dtmrs"),
        target("dtmrs-mariadb", "/ dtmrs, MariaDB", AtLeast(5.0), "stores --peer dtmrs"),
        target(
            "saga5-1",
            "p50, 1 initiator, saga of 5: ms above null and two durable writes",
            AtMost(1.0),
            "initiators",
        ),
        target("saga5-delayed", "the same, durable write of 5 ms: ms above null", AtMost(13.0), "delayed"),
        target("p99-64", "p99 at 64 initiators / null's, SQLite", AtMost(2.5), "initiators"),
        target("syncs-64", "fsyncs per transaction, 64 initiators, SQLite", AtMost(0.1), "initiators"),
        target("syncs-256", "fsyncs per transaction, 256 initiators, SQLite", AtMost(0.03), "initiators"),
        target("settled", "throughput on a full store / on an empty one", AtLeast(0.90), "settled"),
        target("isolation", "nine participants, the tenth hangs / none hangs", AtLeast(0.95), "isolation"),
        target("adoption", "adopted and settled / the same number fresh, time", AtMost(1.3), "adoption"),
        target("memory", "KiB of memory per waiting transaction", AtMost(2.0), "memory"),
    ]
};

/// Every target with its figure. Of several figures with one key, the first counts.
pub(super) fn table(figures: &[(&str, f64)]) -> String {
    let mut text = format!("{:<68}{:>14}{:>12}  \n", "targets", "", "figure");
    for target in &TARGETS {
        let figure = figures.iter().find(|(key, _)| *key == target.key).map(|&(_, figure)| figure);
        let (shown, verdict) = match figure {
            None => ("-".to_owned(), format!("not measured: {}", target.scenario)),
            Some(figure) if target.bound.is_met(figure) => (format!("{figure:.3}"), "met".to_owned()),
            Some(figure) => (format!("{figure:.3}"), "MISSED".to_owned()),
        };
        text += &format!("{:<68}{:>14}{shown:>12}  {verdict}\n", target.what, target.bound.words());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let text = table(&[("saga2-64", 0.61), ("processor", 3.3)]);
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap().to_owned();
        assert!(line("saga of 2, 64 initiators, SQLite").ends_with("met"));
        assert!(line("coordinator's processor time").ends_with("MISSED"));
        assert!(line("PostgreSQL / null").ends_with("not measured: stores"));
    }

    #[test]
    fn every_key_stands_once() {
        let mut keys: Vec<&str> = TARGETS.iter().map(|target| target.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), TARGETS.len());
    }
}
