//! Migrations: each file under `migrations/<area>[/<service>]/<database>/` is called `NNNN_name.sql`, and no number comes twice.

use std::collections::BTreeMap;

use super::Problem;
use super::tree::Tree;

pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for path in tree.files().filter(|path| path.starts_with("migrations/")) {
        let Some((directory, number)) = directory_and_number(path) else {
            let remedy = "call it migrations/<area>/<database>/NNNN_name.sql";
            problems.push(Problem::new(path, 1, "this is not the name of a migration", remedy));
            continue;
        };
        if let Some(other) = seen.insert((directory, number), path) {
            let what = format!("number {number} is taken by {other}");
            problems.push(Problem::new(path, 1, what, "give it the next free number"));
        }
    }
    problems
}

/// Splits `migrations/area/database/0001_name.sql` into its directory and `0001`.
fn directory_and_number(path: &str) -> Option<(&str, &str)> {
    let (directory, file) = path.rsplit_once('/')?;
    let (number, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let numbered = number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit());
    let named =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    ((3..=4).contains(&directory.split('/').count()) && numbered && named).then_some((directory, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(paths: &[&str]) -> Vec<String> {
        let files: Vec<_> = paths.iter().map(|&path| (path, "")).collect();
        check(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn well_named_migrations_pass() {
        let paths =
            ["migrations/barrier/sqlite/0001_barrier.sql", "migrations/coordinator/sqlite/0001_journal.sql"];
        assert_eq!(problems(&paths), [""; 0]);
    }

    #[test]
    fn wrong_names_are_caught() {
        for path in [
            "migrations/coordinator/sqlite/1_journal.sql",
            "migrations/coordinator/sqlite/0001-journal.sql",
            "migrations/coordinator/sqlite/0001_Journal.sql",
            "migrations/coordinator/sqlite/0001_journal.txt",
            "migrations/coordinator/0001_journal.sql",
        ] {
            assert_eq!(problems(&[path]).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_number_used_twice_is_caught() {
        let found = problems(&["migrations/a/sqlite/0002_x.sql", "migrations/a/sqlite/0002_y.sql"]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("number 0002 is taken by migrations/a/sqlite/0002_x.sql"), "{found:?}");
    }
}
