//! A Rust file as tidy sees it: the text, the text without comments, and the text without comments and literals.
//!
//! This is a scanner, not a parser: it knows where strings, raw strings, characters and comments begin and end,
//! finds matching braces, functions and `#[cfg(test)]` items, and nothing about types or names.

use std::ops::Range;

/// One `.rs` file. All three texts have the same length and the same lines, so an offset means the same in each.
pub(crate) struct Source {
    /// Path from the repository root, with `/`.
    pub(crate) path: String,
    /// The file as written.
    pub(crate) text: String,
    /// Comments blanked; literals kept.
    pub(crate) uncommented: String,
    /// Comments and the insides of literals blanked: what is left is code.
    pub(crate) code: String,
    /// Byte ranges of items under `#[cfg(test)]`.
    test_items: Vec<Range<usize>>,
    /// Names of modules declared `#[cfg(test)] mod name;`, whose files hold tests only.
    pub(crate) test_modules: Vec<String>,
}

/// A function with a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of the word `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (uncommented, code) = blank(text);
        let (test_items, test_modules) = find_test_items(&code);
        Self { path: path.to_owned(), text: text.to_owned(), uncommented, code, test_items, test_modules }
    }

    /// The line, from 1, that holds byte `offset`.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.code.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// Whether byte `offset` lies in an item under `#[cfg(test)]`.
    pub(crate) fn is_in_test_item(&self, offset: usize) -> bool {
        self.test_items.iter().any(|range| range.contains(&offset))
    }

    /// Lines outside `#[cfg(test)]` items.
    pub(crate) fn product_lines(&self) -> usize {
        let tests: usize = self.test_items.iter().map(|range| self.text[range.clone()].lines().count()).sum();
        self.text.lines().count().saturating_sub(tests)
    }

    /// Every function that has a body, nested ones and those in tests included.
    pub(crate) fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn").filter_map(|offset| self.function_at(offset)).collect()
    }

    fn function_at(&self, offset: usize) -> Option<Function> {
        let after = &self.code[offset + 2..];
        let name: String = after.trim_start().chars().take_while(|c| is_word(*c)).collect();
        // A function pointer type, `fn(u8)`, has no name; neither has `fn $name` in a macro.
        if name.is_empty() || !after.starts_with(char::is_whitespace) {
            return None;
        }
        let open = body_start(&self.code, offset)?;
        let close = matching_brace(&self.code, open)?;
        let line = self.line_of(offset);
        Some(Function { name, line, lines: self.line_of(close) - line + 1 })
    }
}

/// Offsets at which `word` stands in `code` as a whole word.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(offset, _)| offset).filter(move |&offset| {
        let before = code[..offset].chars().next_back();
        let after = code[offset + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether `c` may stand inside an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The `{` that opens the item at `offset`, or `None` when a `;` ends it first.
fn body_start(code: &str, offset: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (at, byte) in code.bytes().enumerate().skip(offset) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The brace that closes the one at `open`.
pub(crate) fn matching_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Items under `#[cfg(test)]` or `#[cfg(all(test, ..))]`, and the names of test modules kept in files of their own.
fn find_test_items(code: &str) -> (Vec<Range<usize>>, Vec<String>) {
    let (mut items, mut modules): (Vec<Range<usize>>, Vec<String>) = (Vec::new(), Vec::new());
    let marks = ["#[cfg(test)]", "#[cfg(all(test,"];
    for (start, _) in marks.iter().flat_map(|mark| code.match_indices(mark)) {
        if items.iter().any(|range| range.contains(&start)) {
            continue;
        }
        if let Some(open) = body_start(code, start) {
            let end = matching_brace(code, open).unwrap_or(code.len() - 1);
            items.push(start..end + 1);
            continue;
        }
        let end = code[start..].find(';').map_or(code.len(), |length| start + length);
        if let Some(offset) = words(&code[start..end], "mod").next() {
            modules.push(code[start + offset + 3..end].trim().to_owned());
        }
        items.push(start..end);
    }
    (items, modules)
}

/// What the scanner has just found at some offset.
enum Token {
    /// Ends before this offset; blank all of it.
    Comment(usize),
    /// Ends before this offset; its inside, between the delimiters, is the range.
    Literal(usize, Range<usize>),
    Other,
}

/// The text without comments, and the text without comments and the insides of literals.
fn blank(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut uncommented, mut code) = (bytes.to_vec(), bytes.to_vec());
    let mut at = 0;
    while at < bytes.len() {
        match token(bytes, at) {
            Token::Comment(end) => {
                erase(&mut uncommented[at..end]);
                erase(&mut code[at..end]);
                at = end;
            }
            Token::Literal(end, inside) => {
                erase(&mut code[inside]);
                at = end;
            }
            Token::Other => at += 1,
        }
    }
    // Only whole characters were replaced, by spaces, so both are still UTF-8.
    (String::from_utf8_lossy(&uncommented).into_owned(), String::from_utf8_lossy(&code).into_owned())
}

fn erase(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

fn token(bytes: &[u8], at: usize) -> Token {
    let rest = &bytes[at..];
    match rest[0] {
        b'/' if rest.starts_with(b"//") => {
            Token::Comment(at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()))
        }
        b'/' if rest.starts_with(b"/*") => Token::Comment(at + block_comment_len(rest)),
        b'"' => string(bytes, at),
        b'r' if starts_word(bytes, at) => raw_string(bytes, at),
        b'\'' => character(bytes, at),
        _ => Token::Other,
    }
}

/// Whether the `r` at `at` can begin a raw string: `r`, `br` or `cr`, not the end of a longer word.
fn starts_word(bytes: &[u8], at: usize) -> bool {
    let word = |index: usize| bytes.get(index).is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_');
    match at {
        0 => true,
        _ if !word(at - 1) => true,
        _ => matches!(bytes[at - 1], b'b' | b'c') && (at == 1 || !word(at - 2)),
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(bytes: &[u8], open: usize) -> Token {
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let close = at.min(bytes.len());
    Token::Literal((close + 1).min(bytes.len()), open + 1..close)
}

fn raw_string(bytes: &[u8], at: usize) -> Token {
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = at + 1 + hashes;
    // `r#type` is a raw identifier, not a string.
    if bytes.get(open) != Some(&b'"') {
        return Token::Other;
    }
    let mut delimiter = vec![b'"'];
    delimiter.resize(1 + hashes, b'#');
    let inside = open + 1;
    let length = bytes[inside..].windows(delimiter.len()).position(|window| window == delimiter);
    match length {
        Some(length) => Token::Literal(inside + length + delimiter.len(), inside..inside + length),
        None => Token::Literal(bytes.len(), inside..bytes.len()),
    }
}

/// A character literal, or the quote of a lifetime.
fn character(bytes: &[u8], at: usize) -> Token {
    let Some(&next) = bytes.get(at + 1) else { return Token::Other };
    if next == b'\\' {
        // The escaped character itself may be a quote: look for the closing one after it.
        let from = (at + 3).min(bytes.len());
        let close =
            bytes[from..].iter().position(|&b| b == b'\'').map_or(bytes.len(), |length| from + length);
        return Token::Literal((close + 1).min(bytes.len()), at + 1..close);
    }
    let width = match next {
        0x00..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    let close = at + 1 + width;
    if next != b'\'' && bytes.get(close) == Some(&b'\'') {
        return Token::Literal(close + 1, at + 1..close);
    }
    Token::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("x.rs", text).code
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lengths_kept() {
        for (text, expected) in [
            ("a // {\nb", "a     \nb"),
            ("a /* { /* } */ */ b", "a                 b"),
            (r#"let s = "}\"{"; x"#, r#"let s = "    "; x"#),
            (r###"r#"{"}"# y"###, r###"r#"   "# y"###),
            (r##"br"{" c"{" z"##, r##"br" " c" " z"##),
            ("'{' '\\'' '\\u{7f}' 'ü' x", "' ' '  ' '      ' '  ' x"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("r#type = number\"{\"", "r#type = number\" \""),
        ] {
            assert_eq!(code(text), expected, "{text}");
            assert_eq!(code(text).len(), text.len());
        }
    }

    #[test]
    fn literals_stay_in_the_uncommented_text() {
        let source = Source::new("x.rs", "\"dtm\" // dtm");
        assert_eq!(source.uncommented, "\"dtm\"       ");
    }

    #[test]
    fn functions_are_measured_from_fn_to_closing_brace() {
        let text = "fn one() {}\n\nfn two(x: [u8; 4]) {\n  // }\n  let f: fn(u8) = g;\n}\ntrait T { fn none(&self); }\n";
        let functions = Source::new("x.rs", text).functions();
        let found: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, [("one", 1, 1), ("two", 3, 4)]);
    }

    #[test]
    fn test_items_are_found_and_not_counted_as_product_lines() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(test)]\nmod other;\nfn c() {}\n";
        let source = Source::new("x.rs", text);
        assert!(source.is_in_test_item(text.find("fn b").unwrap()));
        assert!(!source.is_in_test_item(text.find("fn c").unwrap()));
        assert_eq!(source.test_modules, ["other"]);
        assert_eq!(source.product_lines(), 2);
    }
}
