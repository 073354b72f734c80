//! Where dtm's words may stand. The walls between crates are the compiler's business; this one runs inside of crates.

use super::Problem;
use super::source::{Source, is_word};
use super::tree::Tree;

/// Files that may hold dtm's words: the dialect's own directories, and the one place that reads dtm's answers.
const DTM_HOMES: [&str; 3] =
    ["coordinator/server/src/api/dtm", "coordinator/dispatch/src/classify", "protocol/src/dtm"];

/// The one place outside that may use what `protocol/src/dtm` holds, by its path and without words of its own.
const DTM_USER: &str = "sdk/src/workflow";

pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let sources = tree.sources().filter(|source| source.path.contains("/src/"));
    let ours = sources.filter(|source| !source.path.starts_with("xtask/") && !tree.is_test_file(&source.path));
    ours.flat_map(check_dialect).collect()
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
    let remedy = "keep dtm's words in the api/dtm of the server, protocol/src/dtm and classify.rs of dispatch";
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
            || source.path == "coordinator/server/src/server.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_of_the_dtm_dialect_stay_at_home() {
        for text in ["struct DtmHeader;", "const A: &str = \"dtm-result\";", "fn to_dtm() {}"] {
            assert_eq!(problems("coordinator/dispatch/src/http.rs", text).len(), 1, "{text}");
            assert_eq!(problems("engine/src/lib.rs", text).len(), 1, "{text}");
            assert_eq!(problems("coordinator/server/src/api/dtm/wire.rs", text), [""; 0], "{text}");
            assert_eq!(problems("coordinator/dispatch/src/classify.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_dialect_may_be_declared_mounted_and_talked_about() {
        assert_eq!(problems("protocol/src/lib.rs", "pub mod dtm;\n// dtm's words"), [""; 0]);
        assert_eq!(problems("coordinator/server/src/server.rs", "use crate::api::dtm;"), [""; 0]);
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
