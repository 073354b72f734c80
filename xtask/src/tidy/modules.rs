//! Who may name whom inside a crate: the coordinator's modules, the clock, the database driver, and dtm's words.
//!
//! A module is *named* by a path from the crate root, by `super::` chains that reach it, or by `use crate::{..}`.
//! Paths through a re-export are not followed; the coordinator re-exports none of its modules.

use super::Problem;
use super::source::{Source, is_word, matching_brace, words};
use super::tree::Tree;

const COORDINATOR: &str = "coordinator/src/";

/// Files that may hold dtm's words: the dialect's own directories, and the one place that reads dtm's answers.
const DTM_HOMES: [&str; 3] =
    ["coordinator/src/api/dtm", "coordinator/src/dispatch/classify", "protocol/src/dtm"];

/// The one place outside that may use what `protocol/src/dtm` holds, by its path and without words of its own.
const DTM_USER: &str = "sdk/src/workflow";

pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in tree.sources().filter(|source| source.path.contains("/src/")) {
        if source.path.starts_with(COORDINATOR) {
            problems.extend(check_layers(source));
            problems.extend(check_clock(source, tree));
            problems.extend(check_driver(source));
        }
        if !source.path.starts_with("xtask/") && !tree.is_test_file(&source.path) {
            problems.extend(check_dialect(source));
        }
    }
    problems
}

/// The top-level module a coordinator file belongs to: `store` for `store.rs` and everything under `store/`.
fn module_of(path: &str) -> &str {
    let inner = path.strip_prefix(COORDINATOR).unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

fn check_layers(source: &Source) -> Vec<Problem> {
    let own = module_of(&source.path);
    let mut problems = Vec::new();
    for (offset, named) in named_modules(source) {
        let found = match (own, named.as_str()) {
            ("store", "dispatch") | ("dispatch", "store") => {
                Some("let the runtime carry what both need to know; store and dispatch never see each other")
            }
            ("server" | "api" | "admin", "api" | "admin") => None,
            (_, "api" | "admin") => Some("compose it in server.rs, the only file that knows api and admin"),
            _ => None,
        };
        problems.extend(
            found.map(|remedy| Problem::at(source, offset, format!("`{own}` names `{named}`"), remedy)),
        );
    }
    problems
}

fn check_clock(source: &Source, tree: &Tree) -> Vec<Problem> {
    if module_of(&source.path) == "clock" || tree.is_test_file(&source.path) {
        return Vec::new();
    }
    let calls = source.code.match_indices("SystemTime::now").map(|(offset, _)| offset);
    calls
        .filter(|&offset| !source.is_in_test_item(offset))
        .map(|offset| Problem::at(source, offset, "the clock is read here", "ask clock.rs for the time"))
        .collect()
}

fn check_driver(source: &Source) -> Vec<Problem> {
    if matches!(module_of(&source.path), "store" | "xa") {
        return Vec::new();
    }
    let remedy =
        "keep the database driver inside store/, behind its traits (or in xa, for participants' databases)";
    words(&source.code, "sqlx")
        .map(|offset| Problem::at(source, offset, "`sqlx` is named here", remedy))
        .collect()
}

fn check_dialect(source: &Source) -> Vec<Problem> {
    if DTM_HOMES.iter().any(|home| source.path.starts_with(home)) {
        return Vec::new();
    }
    let text = source.uncommented.to_ascii_lowercase();
    let found = text.match_indices("dtm").map(|(offset, _)| offset).filter(|&offset| {
        let starts_word = !text[..offset].ends_with(|c: char| c.is_ascii_alphabetic());
        starts_word && !source.is_in_test_item(offset) && !introduces_the_dialect(source, &text, offset)
    });
    let remedy = "keep dtm's words in api/dtm, protocol/src/dtm and dispatch/classify.rs";
    found.map(|offset| Problem::at(source, offset, "a word of the dtm dialect", remedy)).collect()
}

/// `mod dtm;` declares the dialect's home; `server.rs` mounts it; the SDK's workflows speak it, for it has the only
/// protocol of workflows there is, and take its words from where they live. All three have to name it.
fn introduces_the_dialect(source: &Source, text: &str, offset: usize) -> bool {
    let after = text[offset + "dtm".len()..].chars().next();
    let whole = !after.is_some_and(is_word);
    let imports = source.path.starts_with(DTM_USER) && text[..offset].ends_with("trine_protocol::");
    whole
        && (imports
            || text[..offset].trim_end().ends_with("mod")
            || source.path == "coordinator/src/server.rs")
}

/// Top-level modules of the coordinator that the code names, with where.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let mut found = Vec::new();
    for root in ["crate", "trine_coordinator"] {
        for offset in words(code, root) {
            if let Some(after) = after_path_separator(code, offset + root.len()) {
                found.extend(heads(code, after));
            }
        }
    }
    let inner = source.path.strip_prefix(COORDINATOR).unwrap_or(&source.path);
    let is_root = matches!(inner, "lib.rs" | "main.rs");
    // `a/b.rs` is module a::b, two levels below the root.
    let depth = if is_root { 0 } else { inner.split('/').count() };
    found.extend(through_super(code, depth));
    if is_root {
        found.extend(relative_to_root(code));
    }
    found
}

/// Modules reached by `super::` chains long enough to leave the file's own top-level module.
fn through_super(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for offset in words(code, "super") {
        if code[..offset].trim_end().ends_with("::") {
            continue;
        }
        let (mut levels, mut at) = (0, offset);
        while code[at..].starts_with("super") {
            let Some(after) = after_path_separator(code, at + "super".len()) else { break };
            levels += 1;
            at = after;
        }
        if levels >= depth {
            found.extend(heads(code, at));
        }
    }
    found
}

/// In the crate root a module is in scope by its bare name.
fn relative_to_root(code: &str) -> Vec<(usize, String)> {
    let bare = |offset: usize| !code[..offset].trim_end().ends_with("::");
    let named =
        ["api", "admin"].iter().flat_map(|module| words(code, module).map(|offset| (offset, *module)));
    named
        .filter(|&(offset, module)| {
            let imported = code[..offset].trim_end().ends_with("use");
            bare(offset) && (imported || after_path_separator(code, offset + module.len()).is_some())
        })
        .map(|(offset, module)| (offset, module.to_owned()))
        .collect()
}

/// The offset after a `::` that follows `at`.
fn after_path_separator(code: &str, at: usize) -> Option<usize> {
    let rest = &code[at..];
    let tail = rest.trim_start().strip_prefix("::")?;
    Some(code.len() - tail.trim_start().len())
}

/// The first words of the paths at `at`: one, or those of a `{..}` group.
fn heads(code: &str, at: usize) -> Vec<(usize, String)> {
    if !code[at..].starts_with('{') {
        return vec![(at, word_at(code, at))];
    }
    let Some(close) = matching_brace(code, at) else { return Vec::new() };
    let mut found = Vec::new();
    let (mut depth, mut expects) = (0usize, false);
    for (index, c) in code[at..close].char_indices() {
        match c {
            '{' => {
                depth += 1;
                expects = depth == 1;
            }
            '}' => depth -= 1,
            ',' => expects = depth == 1,
            c if expects && is_word(c) => {
                found.push((at + index, word_at(code, at + index)));
                expects = false;
            }
            _ => {}
        }
    }
    found
}

fn word_at(code: &str, at: usize) -> String {
    code[at..].chars().take_while(|c| is_word(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn store_and_dispatch_never_see_each_other() {
        for (path, text) in [
            ("coordinator/src/store.rs", "use crate::dispatch::Caller;"),
            ("coordinator/src/store/sqlite.rs", "fn f() { crate::dispatch::go() }"),
            ("coordinator/src/store/sqlite.rs", "use super::super::dispatch;"),
            (
                "coordinator/src/store.rs",
                "use crate::{\n    config::Limits,\n    dispatch::{http, Caller},\n};",
            ),
            ("coordinator/src/dispatch/http.rs", "use crate::store::Queries;"),
            ("coordinator/src/dispatch.rs", "use super::store::Queries;"),
        ] {
            assert_eq!(problems(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn other_paths_are_left_alone() {
        for (path, text) in [
            ("coordinator/src/store.rs", "use crate::clock::Clock; // crate::dispatch"),
            ("coordinator/src/store/sqlite.rs", "use super::dispatch; use crate::config::{dispatch, Store};"),
            ("coordinator/src/runtime.rs", "use crate::{dispatch::Caller, store::Journal};"),
            ("engine/src/store.rs", "use crate::dispatch::X;"),
        ] {
            assert_eq!(problems(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn only_the_composition_root_names_api_and_admin() {
        for (path, text) in [
            ("coordinator/src/runtime/lane.rs", "use crate::api::v1;"),
            ("coordinator/src/cli.rs", "use crate::admin;"),
            ("coordinator/src/main.rs", "use trine_coordinator::api;"),
            ("coordinator/src/lib.rs", "pub mod api;\npub use api::router;"),
        ] {
            assert_eq!(problems(path, text).len(), 1, "{path}: {text}");
        }
        for (path, text) in [
            ("coordinator/src/server.rs", "use crate::{admin, api};"),
            ("coordinator/src/api/v1.rs", "use crate::api::problem;"),
            ("coordinator/src/lib.rs", "pub mod api;\nmod admin;"),
        ] {
            assert_eq!(problems(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn only_the_clock_module_reads_the_clock() {
        let text = "fn f() { std::time::SystemTime::now(); }";
        assert_eq!(problems("coordinator/src/runtime.rs", text).len(), 1);
        assert_eq!(problems("coordinator/src/clock.rs", text), [""; 0]);
        assert_eq!(
            problems("coordinator/src/a.rs", "#[cfg(test)]\nmod tests { fn f() { SystemTime::now(); } }"),
            [""; 0]
        );
    }

    #[test]
    fn the_database_driver_is_named_in_store_only() {
        let text = "use sqlx::Row;";
        assert!(problems("coordinator/src/api/v1.rs", text)[0].contains("`sqlx` is named here"));
        assert_eq!(problems("coordinator/src/store/sqlite.rs", text), [""; 0]);
        assert_eq!(problems("coordinator/src/config.rs", "// sqlx\nconst A: &str = \"sqlx=warn\";"), [""; 0]);
    }

    #[test]
    fn words_of_the_dtm_dialect_stay_at_home() {
        for text in ["struct DtmHeader;", "const A: &str = \"dtm-result\";", "fn to_dtm() {}"] {
            assert_eq!(problems("coordinator/src/dispatch/http.rs", text).len(), 1, "{text}");
            assert_eq!(problems("engine/src/lib.rs", text).len(), 1, "{text}");
            assert_eq!(problems("coordinator/src/api/dtm/wire.rs", text), [""; 0], "{text}");
            assert_eq!(problems("coordinator/src/dispatch/classify.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_dialect_may_be_declared_mounted_and_talked_about() {
        assert_eq!(problems("protocol/src/lib.rs", "pub mod dtm;\n// dtm's words"), [""; 0]);
        assert_eq!(problems("coordinator/src/server.rs", "use crate::api::dtm;"), [""; 0]);
        assert_eq!(problems("sdk/src/a.rs", "let goodtms = 1;"), [""; 0]);
    }

    #[test]
    fn the_sdks_workflows_take_words_of_the_dialect_from_its_home() {
        let import = "use trine_protocol::dtm::workflow;";
        assert_eq!(problems("sdk/src/workflow/wire.rs", import), [""; 0]);
        for (path, text) in [
            ("sdk/src/client.rs", import),
            ("sdk/src/workflow/wire.rs", "use other::dtm::workflow;"),
            ("sdk/src/workflow/wire.rs", "const A: &str = \"/api/dtmsvr/submit\";"),
        ] {
            assert_eq!(problems(path, text).len(), 1, "{path}: {text}");
        }
    }
}
