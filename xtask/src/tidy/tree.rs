//! The files that tidy checks, read once, and which of them are tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Directories that are not checked.
const SKIPPED: [&str; 5] = [".git", "target", "trine-data", "node_modules", ".venv"];

/// Every file of the repository, by its path from the root. Only files whose text is checked have a text.
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        collect(root, "", &mut files)?;
        Ok(Self(files))
    }

    /// A tree that exists in memory only.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The files whose path ends so, with their text.
    pub(crate) fn texts(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        texts.filter(move |(path, _)| path.ends_with(end))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether any directory holds a file called `name`.
    pub(crate) fn holds_file_called(&self, name: &str) -> bool {
        self.files().any(|path| path.rsplit('/').next() == Some(name))
    }

    /// Whether `path` is a file or a directory with files in it.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        self.0.contains_key(path.trim_end_matches('/'))
            || self.files().any(|file| file.starts_with(&directory))
    }

    /// Whether the whole file is test code: it lies in a `tests` directory, is called `tests.rs`, or belongs to a
    /// module that its parent declares under `#[cfg(test)]`.
    pub(crate) fn is_test_file(&self, path: &str) -> bool {
        if path.split('/').any(|part| part == "tests" || part == "tests.rs") {
            return true;
        }
        let mut module = path.trim_end_matches(".rs");
        while let Some((directory, name)) = module.rsplit_once('/') {
            let parents =
                [format!("{directory}.rs"), format!("{directory}/lib.rs"), format!("{directory}/main.rs")];
            let declaration = format!("#[cfg(test)]\nmod {name};");
            if parents.iter().filter_map(|parent| self.text(parent)).any(|text| text.contains(&declaration)) {
                return true;
            }
            module = directory;
        }
        false
    }
}

fn collect(root: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let directory = root.join(prefix);
    let unreadable = |error| format!("cannot read {}: {error}", directory.display());
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(root, &format!("{path}/"), files)?;
            }
        } else if [".rs", ".md", ".toml"].iter().any(|end| name.ends_with(end)) {
            files.insert(path, fs::read_to_string(entry.path()).map_err(unreadable)?);
        } else {
            files.insert(path, String::new());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_their_directories_exist() {
        let tree = Tree::of(&[("docs/errors/TX0001.md", ""), ("docs-old.md", "")]);
        for (path, exists) in
            [("docs", true), ("docs/errors/", true), ("docs/errors/TX0001.md", true), ("docs/err", false)]
        {
            assert_eq!(tree.exists(path), exists, "{path}");
        }
    }

    #[test]
    fn test_files_are_known_by_directory_name_or_declaration() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "#[cfg(test)]\nmod fixture;\nmod real;\n"),
            ("a/src/store.rs", "#[cfg(test)]\nmod suite;"),
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
