//! The shape of files: functions of at most 70 lines, files of at most 400, and a `//!` at the top of each.

use super::source::Source;
use super::tree::Tree;
use super::{Problem, tree};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 400;

/// Crates whose functions and files are measured. Examples are read from top to bottom and may be long.
const MEASURED: [&str; 8] =
    ["coordinator/", "engine/", "participants/", "protocol/", "sdk/", "sim/", "testkit/", "xtask/"];

pub(crate) fn check(tree: &tree::Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in tree.sources() {
        problems.extend(check_header(source));
        if MEASURED.iter().any(|directory| source.path.starts_with(directory)) {
            problems.extend(check_functions(source));
            problems.extend(check_length(source, tree));
        }
    }
    problems
}

fn check_header(source: &Source) -> Option<Problem> {
    let first = source.text.lines().find(|line| !line.trim().is_empty());
    (!first.is_some_and(|line| line.starts_with("//!"))).then(|| {
        let remedy = "begin the file with `//!`: what is inside, and what is not";
        Problem::new(&source.path, 1, "the module has no description", remedy)
    })
}

fn check_functions(source: &Source) -> Vec<Problem> {
    let functions = source.functions();
    let long = functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|function| {
        let what =
            format!("`{}` has {} lines, {FUNCTION_LINES_MAX} are allowed", function.name, function.lines);
        Problem::new(&source.path, function.line, what, "move pure parts out and keep the branching here")
    })
    .collect()
}

fn check_length(source: &Source, tree: &Tree) -> Option<Problem> {
    let lines = source.product_lines();
    (lines > FILE_LINES_MAX && !tree.is_test_file(&source.path)).then(|| {
        let what = format!("the file has {lines} lines without its tests, {FILE_LINES_MAX} are allowed");
        Problem::new(&source.path, 1, what, "split it by what its parts are about")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    fn function_of(lines: usize) -> String {
        format!("//! Here.\nfn long() {{\n{}}}\n", "    // }\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_of_71_lines_is_caught_and_one_of_70_is_not() {
        assert_eq!(problems("engine/src/a.rs", &function_of(70)), [""; 0]);
        let found = problems("engine/src/a.rs", &function_of(71));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("engine/src/a.rs:2: `long` has 71 lines"), "{found:?}");
    }

    #[test]
    fn a_long_function_in_an_example_is_allowed() {
        assert_eq!(problems("examples/saga.rs", &function_of(90)), [""; 0]);
    }

    #[test]
    fn a_file_of_401_lines_is_caught() {
        let text = format!("//! Here.\n{}", "const A: u8 = 1;\n".repeat(400));
        assert!(problems("sdk/src/a.rs", &text)[0].contains("401 lines"));
        assert_eq!(problems("sdk/tests/a.rs", &text), [""; 0]);
    }

    #[test]
    fn the_tests_at_the_end_of_a_file_do_not_count() {
        let tests = "    const B: u8 = 1;\n".repeat(200);
        let text =
            format!("//! Here.\n{}#[cfg(test)]\nmod tests {{\n{tests}}}\n", "const A: u8 = 1;\n".repeat(390));
        assert_eq!(problems("sdk/src/a.rs", &text), [""; 0]);
    }

    #[test]
    fn a_module_without_description_is_caught() {
        let found = problems("examples/saga.rs", "// no\nfn main() {}\n");
        assert!(found[0].starts_with("examples/saga.rs:1: the module has no description"), "{found:?}");
    }
}
