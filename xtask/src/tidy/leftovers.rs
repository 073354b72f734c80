//! Work left undone, tests that do not run, and tests that sleep instead of waiting for what they need.

use super::Problem;
use super::source::{Source, is_word, words};
use super::tree::Tree;

/// A sleep that is not synchronisation (a participant that is meant to be slow, say) carries this mark and a reason,
/// on its line or on the one above.
const SLEEP_ALLOWED: &str = "tidy-allow: sleep,";

/// Spelt in two parts, or this file would be its own first finding.
const REMINDER: &str = concat!("FIX", "ME");

pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = reminders(tree);
    for source in tree.sources() {
        problems.extend(unfinished(source));
        let all = tree.is_test_file(&source.path);
        let sleeps = sleeps(source).into_iter().filter(|&offset| all || source.is_in_test_item(offset));
        problems.extend(sleeps.filter(|&offset| !is_allowed(source, offset)).map(|offset| {
            let remedy = format!("wait for the condition itself, or mark it `// {SLEEP_ALLOWED} <reason>`");
            Problem::at(source, offset, "a test sleeps", remedy)
        }));
    }
    problems
}

fn reminders(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let kinds = [".rs", ".toml", ".sql"];
    for (path, text) in tree.files().filter(|(path, _)| kinds.iter().any(|end| path.ends_with(end))) {
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.contains(REMINDER)) {
            let what = format!("`{REMINDER}` was left here");
            problems.push(Problem::new(
                path,
                index + 1,
                what,
                "do it, or open an issue and say what holds today",
            ));
        }
    }
    problems
}

fn unfinished(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in ["todo", "unimplemented"] {
        for offset in words(&source.code, name) {
            if source.code[offset + name.len()..].starts_with("!(") {
                problems.push(Problem::at(
                    source,
                    offset,
                    format!("`{name}!` was left here"),
                    "write the code",
                ));
            }
        }
    }
    for (offset, _) in source.code.match_indices("#[ignore") {
        let remedy = "make it run, or delete it; slow tests belong behind an option of xtask";
        problems.push(Problem::at(source, offset, "a test is ignored", remedy));
    }
    problems
}

/// Where the code sleeps: by path, or by a bare `sleep(` whose import named it in a group.
fn sleeps(source: &Source) -> Vec<usize> {
    let code = &source.code;
    let found = code.match_indices("sleep").filter(|&(offset, _)| {
        let (before, after) = (&code[..offset], &code[offset + "sleep".len()..]);
        if before.ends_with("thread::") || before.ends_with("time::") {
            return true;
        }
        let called = after.starts_with('(');
        let bare = !before.ends_with(|c: char| is_word(c) || c == '.' || c == ':');
        called && bare && !before.trim_end().ends_with("fn")
    });
    found.map(|(offset, _)| offset).collect()
}

fn is_allowed(source: &Source, offset: usize) -> bool {
    let line = source.line_of(offset);
    let lines: Vec<&str> = source.text.lines().skip(line.saturating_sub(2)).take(line.min(2)).collect();
    lines
        .iter()
        .any(|line| line.split_once(SLEEP_ALLOWED).is_some_and(|(_, reason)| !reason.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unfinished_work_is_caught() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        ] {
            assert_eq!(problems("engine/src/a.rs", text).len(), 1, "{text}");
        }
        let comment = format!("// {REMINDER}: later");
        assert!(problems("engine/src/a.rs", &comment)[0].starts_with("engine/src/a.rs:1:"));
        assert_eq!(problems("migrations/a/sqlite/0001_x.sql", &comment).len(), 1);
    }

    #[test]
    fn words_in_comments_and_literals_are_not_work_left_undone() {
        assert_eq!(problems("engine/src/a.rs", "// todo!()\nconst A: &str = \"unimplemented!()\";"), [""; 0]);
    }

    #[test]
    fn a_sleep_in_a_test_is_caught_and_one_in_the_product_is_not() {
        for call in
            ["std::thread::sleep(d)", "tokio::time::sleep(d).await", "sleep(d)", "time::sleep_until(t).await"]
        {
            let body = format!("fn f() {{ {call}; }}");
            assert_eq!(problems("sdk/tests/a.rs", &body).len(), 1, "{call}");
            assert_eq!(problems("sdk/src/a.rs", &body), [""; 0], "{call}");
            let module = format!("#[cfg(test)]\nmod tests {{ {body} }}");
            assert_eq!(problems("sdk/src/a.rs", &module).len(), 1, "{call}");
        }
    }

    #[test]
    fn other_things_called_sleep_are_left_alone() {
        let text = "fn sleep(d: u8) {}\nfn f() { clock.sleep(1); sleepers(); fake::sleep(1); }";
        assert_eq!(problems("sdk/tests/a.rs", text), [""; 0]);
    }

    #[test]
    fn a_marked_sleep_needs_a_reason() {
        let marked =
            |reason: &str| format!("fn f() {{\n    // tidy-allow: sleep,{reason}\n    thread::sleep(d);\n}}");
        assert_eq!(problems("sdk/tests/a.rs", &marked(" the participant is meant to be slow")), [""; 0]);
        assert_eq!(problems("sdk/tests/a.rs", &marked(" ")).len(), 1);
    }
}
