//! What the documents hold: fenced blocks of the Markdown pages and of the crates' documentation, and commands in the
//! text.

use std::fs;
use std::path::{Path, PathBuf};

/// A page, or the documentation in a source file, as Markdown with the line numbers of its file.
pub(super) struct Page {
    /// From the root of the repository.
    pub(super) path: String,
    pub(super) text: String,
}

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) text: String,
}

/// A block of shell, and the JSON that the page shows right behind it as the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) answer: Option<String>,
}

/// Every Markdown page, and every source file with documentation.
pub(super) fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository");
    let mut pages = Vec::new();
    collect(root, root, &mut pages);
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

fn collect(root: &Path, folder: &Path, pages: &mut Vec<Page>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository");
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "trine-data", "tests"].contains(&name) {
                collect(root, &path, pages);
            }
            continue;
        }
        let is_source = name.ends_with(".rs") && !name.ends_with("tests.rs");
        if !is_source && !name.ends_with(".md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let text = if is_source { documentation(&text) } else { text };
        let path = path.strip_prefix(root).expect("below the root").display().to_string();
        pages.push(Page { path, text });
    }
}

/// Doc comments without their slashes; other lines are empty, so that line numbers stay.
fn documentation(source: &str) -> String {
    let line = |line: &str| {
        let line = line.trim_start();
        let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///")).unwrap_or_default();
        format!("{}\n", text.strip_prefix(' ').unwrap_or(text))
    };
    source.lines().map(line).collect()
}

impl Page {
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (line, text) in (1..).zip(self.text.lines()) {
            match text.strip_prefix("```") {
                Some(_) if open => open = false,
                Some(language) => {
                    open = true;
                    blocks.push(Block { line, language: language.trim().to_owned(), text: String::new() });
                }
                None if open => {
                    let block = blocks.last_mut().expect("a block is open");
                    block.text.push_str(text);
                    block.text.push('\n');
                }
                None => {}
            }
        }
        blocks
    }

    /// The blocks of shell. JSON that follows with nothing but empty lines between is the answer.
    pub(super) fn examples(&self) -> Vec<Example> {
        let lines: Vec<&str> = self.text.lines().collect();
        let blocks = self.blocks();
        let mut examples = Vec::new();
        for (position, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
            let ends = block.line + block.text.lines().count() + 1;
            let answer = blocks.get(position + 1).filter(|next| {
                let between = &lines[ends..next.line - 1];
                next.language == "json" && between.iter().all(|line| line.trim().is_empty())
            });
            examples.push(Example {
                line: block.line,
                text: block.text.clone(),
                answer: answer.map(|next| next.text.clone()),
            });
        }
        examples
    }

    /// Commands of ours in the text: what stands in back quotes and begins with `trine` or `cargo run`.
    pub(super) fn commands(&self) -> Vec<String> {
        let blocks = self.blocks();
        let in_block = |line: usize| {
            blocks
                .iter()
                .any(|block| (block.line..=block.line + block.text.lines().count() + 1).contains(&line))
        };
        let outside = (1..).zip(self.text.lines()).filter(|(line, _)| !in_block(*line));
        let text: Vec<&str> = outside.map(|(_, text)| text).collect();
        let text = text.join(" ");
        let spans = text.split('`').skip(1).step_by(2).map(|span| span.replace("cargo run -- ", "trine "));
        spans.filter(|span| span.starts_with("trine ")).collect()
    }
}

#[test]
fn a_new_block_of_shell_is_found_with_the_answer_behind_it() {
    let page = Page {
        path: "x.md".into(),
        text: "a\n```sh\ncurl x\n```\n\n```json\n{}\n```\n```sh\ncurl y\n```\nb\n```json\n{}\n```\n`trine tx list`\n".into(),
    };
    let example = |line, text: &str, answer: Option<&str>| Example {
        line,
        text: text.into(),
        answer: answer.map(Into::into),
    };
    assert_eq!(page.examples(), [example(2, "curl x\n", Some("{}\n")), example(9, "curl y\n", None)]);
    assert_eq!(page.commands(), ["trine tx list"]);
}

#[test]
fn documentation_in_a_source_file_keeps_its_lines() {
    assert_eq!(documentation("//! a\n//! ```sh\nuse b;\n    /// c\n"), "a\n```sh\n\nc\n");
}
