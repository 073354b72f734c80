//! Tests that listen where somebody else may: on a fixed port, or on the default ports of a program they start.

use super::Problem;
use super::source::Source;
use super::tree::Tree;

/// Where tests start our programs, each through a helper that names free ports. The text of `env!` in any other file is
/// a program that may listen on its default ports.
const STARTERS: [&str; 2] = ["coordinator/cli/tests/support.rs", "participants/tests/services.rs"];

/// How a program that cargo built is named.
const BUILT: &str = "CARGO_BIN_EXE_";

/// What comes before an address to listen on.
const LISTENS: [&str; 4] = ["bind(", "--http", "--grpc", "_ADDR\""];

pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in tree.sources() {
        if !STARTERS.contains(&source.path.as_str()) && !source.path.starts_with("xtask/") {
            problems.extend(source.text.match_indices(BUILT).map(|(offset, _)| {
                let remedy = "start it with the target's helper, which names free ports";
                Problem::at(source, offset, "a test starts a program of ours by itself", remedy)
            }));
        }
        let all = tree.is_test_file(&source.path);
        let fixed = fixed_ports(source).into_iter().filter(|&at| all || source.is_in_test_item(at));
        problems.extend(fixed.map(|offset| {
            Problem::at(
                source,
                offset,
                "a test listens on a fixed port",
                "use port 0, or a port of testkit's",
            )
        }));
    }
    problems
}

/// Loopback addresses with a port, as literals close behind a word that listens.
fn fixed_ports(source: &Source) -> Vec<usize> {
    const LOOPBACK: [&str; 3] = ["\"127.0.0.1:", "\"0.0.0.0:", "\"[::1]:"];
    /// From the word to the address there is a quote, a comma, a bracket and white space.
    const APART_MAX: usize = 24;
    let text = &source.text;
    let literals = LOOPBACK.iter().flat_map(|start| text.match_indices(start));
    let fixed = literals.filter(|(offset, start)| {
        let port = &text[offset + start.len()..];
        let ends = port.find('"').unwrap_or(port.len());
        let is_fixed = port[..ends].parse::<u16>().is_ok_and(|port| port != 0);
        let mut from = offset.saturating_sub(APART_MAX);
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        is_fixed && LISTENS.iter().any(|word| text[from..*offset].contains(word))
    });
    fixed.map(|(offset, _)| offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_program_that_is_started_past_the_helper_is_caught() {
        let text = concat!("fn f() { Command::new(env!(\"CARGO_BIN", "_EXE_trine\")); }");
        assert_eq!(problems("coordinator/cli/tests/xa.rs", text).len(), 1);
        assert_eq!(problems("coordinator/cli/tests/support.rs", text), [""; 0]);
    }

    #[test]
    fn a_fixed_port_is_caught_and_a_free_one_is_not() {
        for (text, found) in [
            ("TcpListener::bind(\"127.0.0.1:36789\")", 1),
            ("[\"serve\", \"--http\", \"127.0.0.1:7001\"]", 1),
            ("command.env(\"TRINE_GRPC_ADDR\", \"0.0.0.0:36790\")", 1),
            ("TcpListener::bind(\"127.0.0.1:0\")", 0),
            ("[\"serve\", \"--http\", \"127.0.0.1:0\"]", 0),
            ("Client::new(\"127.0.0.1:36789\")", 0),
        ] {
            let body = format!("fn f() {{ {text}; }}");
            assert_eq!(problems("sdk/tests/a.rs", &body).len(), found, "{text}");
            assert_eq!(problems("sdk/src/a.rs", &body), [""; 0], "{text}");
            let module = format!("#[cfg(test)]\nmod tests {{ {body} }}");
            assert_eq!(problems("sdk/src/a.rs", &module).len(), found, "{text}");
        }
    }
}
