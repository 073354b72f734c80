//! `cargo xtask tidy`: the rules that neither the compiler, nor clippy, nor cargo-deny can check. Paths in documents exist,
//! migrations are numbered, tests do not sleep or listen on fixed ports, files stay short.
//!
//! Every check is a pure function from the tree of files to a list of problems.

mod docs;
mod migrations;
mod rust_files;
mod tree;

use std::fmt;
use std::path::Path;

use tree::Tree;

/// A violation: its place, the fault, and the remedy.
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
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// Every crate inherits the workspace's lints.
fn check_lints(tree: &Tree) -> Vec<Problem> {
    let members = tree.texts("/Cargo.toml").filter(|(_, text)| !text.contains("[lints]\nworkspace = true"));
    let what = "the workspace's lints are not inherited";
    members.map(|(path, _)| Problem::new(path, 1, what, "add `[lints]` with `workspace = true`")).collect()
}

/// Checks the tree under `root` and prints every problem.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let checks = [
        docs::check_architecture,
        docs::check_error_pages,
        migrations::check,
        rust_files::check,
        check_lints,
    ];
    let mut problems: Vec<Problem> = checks.iter().flat_map(|check| check(&tree)).collect();
    problems.sort();
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err("tidy found 1 problem".to_owned()),
        count => Err(format!("tidy found {count} problems")),
    }
}
