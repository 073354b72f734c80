//! Checks of Rust files: tests that sleep instead of waiting, tests that listen on a fixed port, files of over 400 lines.
//!
//! The checks read line by line. The code is formatted by rustfmt, so an item ends at a line that begins with `}`.

use super::Problem;
use super::tree::Tree;

/// The mark for a sleep that is not synchronisation, such as in a participant that must be slow. The mark and a reason are
/// on the line of the sleep or on the line above.
const SLEEP_ALLOWED: &str = "tidy-allow: sleep,";

/// Helpers of tests that start Trine's programs on free ports. No other file may name a program that cargo built.
const STARTERS: [&str; 2] = ["coordinator/cli/tests/support.rs", "participants/tests/services/programs.rs"];

const FILE_LINES_MAX: usize = 400;

pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Skip the samples in the tests of these checks.
    for (path, text) in tree.texts(".rs").filter(|(path, _)| !path.starts_with("xtask/src/tidy/")) {
        let all_tests = tree.is_test_file(path);
        let in_tests = test_lines(text);
        let product = in_tests.iter().filter(|in_test| !**in_test).count();
        if product > FILE_LINES_MAX && !all_tests && !path.starts_with("examples/") {
            let what =
                format!("the file has {product} lines without its tests, {FILE_LINES_MAX} are allowed");
            problems.push(Problem::new(path, 1, what, "split it by what its parts are about"));
        }
        let mut above = "";
        for (index, (line, in_test)) in text.lines().zip(in_tests).enumerate() {
            if all_tests || in_test {
                problems.extend(
                    line_of_test(path, line, above)
                        .map(|(what, remedy)| Problem::new(path, index + 1, what, remedy)),
                );
            }
            above = line;
        }
    }
    problems
}

/// For each line, whether it is in an item under `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn test_lines(text: &str) -> Vec<bool> {
    let mut inside = false;
    text.lines()
        .map(|line| {
            inside |= line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,");
            let is_test = inside;
            inside &= !(line.starts_with('}') || line.ends_with(';') && !line.starts_with(' '));
            is_test
        })
        .collect()
}

/// The fault in a line of a test, and the remedy.
fn line_of_test(path: &str, line: &str, above: &str) -> Option<(&'static str, &'static str)> {
    let code = line.split("//").next().unwrap_or_default();
    let reason =
        |line: &str| line.split_once(SLEEP_ALLOWED).is_some_and(|(_, reason)| !reason.trim().is_empty());
    if sleeps(code) && !reason(line) && !reason(above) {
        return Some((
            "a test sleeps",
            "wait for the condition itself, or mark it `// tidy-allow: sleep, <reason>`",
        ));
    }
    if line.contains("CARGO_BIN_EXE_") && !STARTERS.contains(&path) {
        return Some((
            "a test starts a program by itself",
            "use the target's helper, which names free ports",
        ));
    }
    let listens = ["bind(", "--http", "--grpc", "_ADDR\""].iter().any(|word| line.contains(word));
    (listens && has_fixed_port(line))
        .then_some(("a test listens on a fixed port", "use port 0, or a port of testkit's"))
}

/// Whether the code calls `sleep` or `sleep_until` of tokio or std: by path, or bare.
fn sleeps(code: &str) -> bool {
    ["sleep(", "sleep_until("].iter().any(|call| {
        code.match_indices(call).any(|(at, _)| {
            let before = &code[..at];
            let in_literal = before.matches('"').count() % 2 == 1;
            let called_bare = !before.ends_with(|c: char| c.is_alphanumeric() || "_.:".contains(c));
            let with_path = before.ends_with("time::") || before.ends_with("thread::");
            !in_literal && (with_path || called_bare && !before.trim_end().ends_with("fn"))
        })
    })
}

/// Whether the line has a loopback address with a port other than 0 as a literal.
fn has_fixed_port(line: &str) -> bool {
    let starts = ["\"127.0.0.1:", "\"0.0.0.0:", "\"[::1]:"];
    let ports = starts.iter().flat_map(|start| line.split(start).skip(1));
    ports.filter_map(|rest| rest.split('"').next()?.parse::<u16>().ok()).any(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sleeps_and_fixed_ports_are_caught_in_tests_alone() {
        for (line, found) in [
            ("std::thread::sleep(d);", 1),
            ("tokio::time::sleep(d).await;", 1),
            ("sleep(d);", 1),
            ("time::sleep_until(t).await;", 1),
            ("clock.sleep(1); sleepers(); fake::sleep(1); // sleep(d)", 0),
            ("fn sleep(d: u8) {}", 0),
            ("query(\"SELECT sleep(1)\")", 0),
            ("sleep(d); // tidy-allow: sleep, the participant is meant to be slow", 0),
            ("sleep(d); // tidy-allow: sleep, ", 1),
            ("TcpListener::bind(\"127.0.0.1:36789\")", 1),
            ("[\"serve\", \"--http\", \"127.0.0.1:7001\"]", 1),
            ("TcpListener::bind(\"127.0.0.1:0\")", 0),
            ("Client::new(\"127.0.0.1:36789\")", 0),
            (concat!("Command::new(env!(\"CARGO_BIN", "_EXE_trine\"));"), 1),
        ] {
            let body = format!("fn f() {{\n    {line}\n}}\n");
            assert_eq!(problems("sdk/tests/a.rs", &body).len(), found, "{line}");
            assert_eq!(problems("sdk/src/a.rs", &body), [""; 0], "{line}");
            let module = format!(
                "fn a() {{\n}}\n#[cfg(test)]\nmod tests {{\n{}}}\n{body}",
                body.replace('}', "    }")
            );
            assert_eq!(problems("sdk/src/a.rs", &module).len(), found, "{line}");
        }
        assert_eq!(problems(STARTERS[0], concat!("env!(\"CARGO_BIN", "_EXE_trine\")")), [""; 0]);
    }

    #[test]
    fn a_file_of_401_lines_without_its_tests_is_caught() {
        let (product, tests) = ("const A: u8 = 1;\n".repeat(400), "    const B: u8 = 1;\n".repeat(200));
        let text = format!("{product}#[cfg(test)]\nmod tests {{\n{tests}}}\n");
        assert_eq!(problems("sdk/src/a.rs", &text), [""; 0]);
        assert!(problems("sdk/src/a.rs", &format!("\n{text}"))[0].contains("401 lines"));
        assert_eq!(problems("sdk/tests/a.rs", &format!("\n{text}")), [""; 0]);
    }
}
