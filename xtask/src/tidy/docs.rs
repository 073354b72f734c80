//! Checks of documents: paths named in ARCHITECTURE.md exist, and every error code has its page.

use super::Problem;
use super::tree::Tree;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const ARCHITECTURE_LINES_MAX: usize = 250;
const ERRORS: &str = "protocol/src/errors.rs";

pub(crate) fn check_architecture(tree: &Tree) -> Vec<Problem> {
    let text = tree.text(ARCHITECTURE).unwrap_or_default();
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        let what = format!("{lines} lines, {ARCHITECTURE_LINES_MAX} are allowed");
        problems.push(Problem::new(
            ARCHITECTURE,
            lines,
            what,
            "move details next to the code they are about",
        ));
    }
    for (line, path) in quoted_paths(text) {
        // A bare file name stands for a file that the context names. It is enough that any file has this name.
        let bare = !path.contains('/');
        if !(tree.exists(path) || bare && tree.holds_file_called(path)) {
            let what = format!("`{path}` does not exist");
            let remedy = "correct it, and write paths from the repository root";
            problems.push(Problem::new(ARCHITECTURE, line, what, remedy));
        }
    }
    problems
}

/// Paths in backticks, with their lines. Fenced blocks are skipped: they hold drawings and code.
fn quoted_paths(text: &str) -> Vec<(usize, &str)> {
    let mut paths = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quoted = line.split('`').skip(1).step_by(2);
            paths.extend(quoted.filter(|word| is_path(word)).map(|word| (index + 1, word)));
        }
    }
    paths
}

/// Whether a word in backticks names a file or directory of the repository. URL paths begin with a slash, media types with
/// their family, and patterns contain a placeholder.
fn is_path(word: &str) -> bool {
    let path_like = word.contains('/') || [".rs", ".md", ".toml"].iter().any(|end| word.ends_with(end));
    let other = ["/", "./", "application/", "text/"].iter().any(|start| word.starts_with(start))
        || word.contains("//")
        || word.contains("::")
        || word.contains(|c: char| c.is_whitespace() || "<>{}*$=(),:".contains(c));
    path_like && !other
}

pub(crate) fn check_error_pages(tree: &Tree) -> Vec<Problem> {
    let text = tree.text(ERRORS).unwrap_or_default();
    let mut codes = error_codes(text).peekable();
    if codes.peek().is_none() {
        let remedy =
            "write the codes there as string literals such as \"TX0001\", or tell tidy where they went";
        return vec![Problem::new(ERRORS, 1, "no error code found", remedy)];
    }
    let without = codes.filter(|(_, code)| !tree.exists(&format!("docs/errors/{code}.md")));
    let problem = |(line, code)| {
        let remedy = format!("write docs/errors/{code}.md: the cause, and what to do");
        Problem::new(ERRORS, line, format!("error code {code} has no page"), remedy)
    };
    without.map(problem).collect()
}

/// String literals of the form `TX` and four digits, with their lines. Comments do not count.
fn error_codes(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.filter_map(|(index, line)| {
        let code = line.split('"').find(|word| word.starts_with("TX"))?;
        (code.len() == 6 && code[2..].bytes().all(|b| b.is_ascii_digit())).then_some((index + 1, code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture(text: &str) -> Vec<String> {
        let tree = Tree::of(&[(ARCHITECTURE, text), ("engine/src/lib.rs", ""), (".ci/run", "")]);
        check_architecture(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_path_that_does_not_exist_is_caught() {
        let found = architecture(
            "See `engine/src/lib.rs`, or `lib.rs`.\nAnd `engine/src/gone.rs`, `.ci/run` and `GONE.md`.\n",
        );
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("ARCHITECTURE.md:2: `engine/src/gone.rs` does not exist"), "{found:?}");
    }

    #[test]
    fn words_that_only_look_like_paths_are_left_alone() {
        let text = "`/v1/transactions`, `<gid>/<branch>/<op>`, `application/problem+json`, `http://a/b`, `a::b/c`,\n\
                    `migrations/*/x`, `POST /x`\n```text\nengine/gone.rs `engine/gone.rs`\n```\n`engine/src/`\n";
        assert_eq!(architecture(text), [""; 0]);
    }

    #[test]
    fn an_overlong_architecture_is_caught() {
        assert_eq!(architecture(&"line\n".repeat(250)), [""; 0]);
        assert!(architecture(&"line\n".repeat(251))[0].contains("251 lines"));
    }

    #[test]
    fn an_error_code_without_a_page_is_caught() {
        let code =
            "//! Codes.\n// \"TX0009\" is gone\nA => \"TX0001\",\nB => \"TX0002\",\nC => \"TXABCD\",\n";
        let tree = Tree::of(&[(ERRORS, code), ("docs/errors/TX0001.md", "")]);
        let found = check_error_pages(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("protocol/src/errors.rs:4: error code TX0002 has no page"));
    }

    #[test]
    fn losing_the_error_codes_is_caught() {
        assert_eq!(check_error_pages(&Tree::of(&[])).len(), 1);
        assert_eq!(check_error_pages(&Tree::of(&[(ERRORS, "//! Nothing.\n")])).len(), 1);
    }
}
