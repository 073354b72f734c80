//! The files tidy looks at, read once. What counts as a test file is decided here too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::source::Source;

/// Directories that hold nothing of ours.
const SKIPPED: [&str; 5] = [".git", "target", "trine-data", "node_modules", ".venv"];

/// Extensions whose text some check reads. Of other files only the name matters.
const READ: [&str; 4] = ["rs", "md", "toml", "sql"];

/// Every file of the repository by its path from the root.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    sources: Vec<Source>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        collect(root, "", &mut files)?;
        Ok(Self::new(files))
    }

    fn new(files: BTreeMap<String, String>) -> Self {
        let rust = files.iter().filter(|(path, _)| path.ends_with(".rs"));
        let sources = rust.map(|(path, text)| Source::new(path, text)).collect();
        Self { files, sources }
    }

    /// A tree that exists in memory only.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::new(files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect())
    }

    /// The Rust files, by path.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// Every file, by path, with its text when some check reads its kind.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether any directory holds a file called `name`.
    pub(crate) fn holds_file_called(&self, name: &str) -> bool {
        self.files.keys().any(|path| path.rsplit('/').next() == Some(name))
    }

    /// Whether `path` is a file or a directory with files in it.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let directory = format!("{path}/");
        let next = self.files.range(directory.clone()..).next();
        self.files.contains_key(path) || next.is_some_and(|(file, _)| file.starts_with(&directory))
    }

    /// Whether the whole file is test code: it lies in a `tests` directory, is called `tests.rs`, or belongs to a
    /// module that its parent declares under `#[cfg(test)]`.
    pub(crate) fn is_test_file(&self, path: &str) -> bool {
        if path.split('/').any(|part| part == "tests" || part == "tests.rs") {
            return true;
        }
        self.sources.iter().any(|parent| {
            let directory = child_directory(&parent.path);
            parent.test_modules.iter().any(|module| {
                path == format!("{directory}{module}.rs")
                    || path.starts_with(&format!("{directory}{module}/"))
            })
        })
    }
}

/// Where the child modules of the module in `path` live: `a/b.rs` has them in `a/b/`, `a/lib.rs` in `a/`.
fn child_directory(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    for root in ["lib", "main"] {
        if let Some(directory) = stem.strip_suffix(root).filter(|directory| directory.ends_with('/')) {
            return directory.to_owned();
        }
    }
    format!("{stem}/")
}

fn collect(root: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let directory = root.join(prefix);
    let unreadable = |error| format!("cannot read {}: {error}", directory.display());
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(root, &format!("{path}/"), files)?;
            }
            continue;
        }
        let wanted = name.rsplit_once('.').is_some_and(|(_, extension)| READ.contains(&extension));
        let text = if wanted {
            fs::read_to_string(entry.path()).map_err(|error| format!("cannot read {path}: {error}"))?
        } else {
            String::new()
        };
        files.insert(path, text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_their_directories_exist() {
        let tree = Tree::of(&[("docs/errors/TX0001.md", ""), ("docs-old.md", "")]);
        assert!(tree.exists("docs"));
        assert!(tree.exists("docs/errors/"));
        assert!(tree.exists("docs/errors/TX0001.md"));
        assert!(!tree.exists("docs/err"));
    }

    #[test]
    fn test_files_are_known_by_directory_name_or_declaration() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "#[cfg(test)]\nmod fixture;\nmod real;\n"),
            ("a/src/store.rs", "#[cfg(test)] mod suite;"),
        ]);
        for path in [
            "a/tests/x.rs",
            "a/src/tests.rs",
            "a/src/tests/x.rs",
            "a/src/fixture.rs",
            "a/src/store/suite/y.rs",
        ] {
            assert!(tree.is_test_file(path), "{path}");
        }
        for path in ["a/src/real.rs", "a/src/suite.rs", "a/src/store.rs"] {
            assert!(!tree.is_test_file(path), "{path}");
        }
    }
}
