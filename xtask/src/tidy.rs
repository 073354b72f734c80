//! `cargo xtask tidy`: the rules of this code base that neither the compiler nor clippy can check.
//!
//! Every check is a pure function from the tree of files to a list of problems. Here are the list of checks and the
//! words they share; each check, with the bad samples that prove it, is in a module of its own.

mod crates;
mod dialect;
mod docs;
mod leftovers;
mod migrations;
mod ports;
mod shape;
mod source;
mod tree;

use std::fmt;
use std::path::Path;

use crate::run;
use source::Source;
use tree::Tree;

/// Something to repair: where, what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: String,
    line: usize,
    what: String,
    remedy: String,
}

impl Problem {
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }

    fn at(source: &Source, offset: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(&source.path, source.line_of(offset), what, remedy)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// Checks the tree under `root` and prints every problem.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let mut problems = crates::check(&run::metadata(root)?, &tree)?;
    for check in [
        dialect::check,
        shape::check,
        docs::check_architecture,
        docs::check_error_pages,
        leftovers::check,
        ports::check,
        migrations::check,
    ] {
        problems.extend(check(&tree));
    }
    problems.sort();
    problems.dedup();
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err("tidy found 1 problem".to_owned()),
        count => Err(format!("tidy found {count} problems")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let problem = Problem::new("a/b.rs", 7, "this is wrong", "do that");
        assert_eq!(problem.to_string(), "a/b.rs:7: this is wrong; do that");
    }
}
