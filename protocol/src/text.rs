//! Texts of documents: reads a value from a string without a copy of the string, and holds words that come again and again
//! only once.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// Reads a string and parses it. `parse` gets the string where it stands in the document, unless the string has escapes.
pub(crate) fn parsed<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    struct Text<P>(P);
    impl<T, E: fmt::Display, P: FnOnce(&str) -> Result<T, E>> Visitor<'_> for Text<P> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<F: Error>(self, text: &str) -> Result<T, F> {
            (self.0)(text).map_err(F::custom)
        }
    }
    deserializer.deserialize_str(Text(parse))
}

/// Longer texts are not held once: the room for them would have no good bound.
const WORD_BYTES_MAX: usize = 128;
/// How many words a thread remembers.
const WORDS_MAX: usize = 1_024;

thread_local! {
    /// Of each thread, so that no thread waits for another.
    static WORDS: RefCell<HashSet<Arc<str>>> = RefCell::default();
}

/// The text in memory that is shared with earlier values of the same text. For words that nearly every transaction repeats, such
/// as its targets: a coordinator has many transactions in memory.
pub(crate) fn shared(text: &str) -> Arc<str> {
    if text.len() > WORD_BYTES_MAX {
        return text.into();
    }
    WORDS.with_borrow_mut(|words| {
        if let Some(word) = words.get(text) {
            return Arc::clone(word);
        }
        if words.len() >= WORDS_MAX {
            // Words that are in use come back with the next document.
            words.clear();
        }
        let word: Arc<str> = text.into();
        words.insert(Arc::clone(&word));
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_comes_again_takes_no_memory_again() {
        let url = shared("http://stock/reserve");
        assert!(Arc::ptr_eq(&url, &shared("http://stock/reserve")) && &*url == "http://stock/reserve");
        let long = "x".repeat(WORD_BYTES_MAX + 1);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)) && *shared(&long) == *long);
    }

    #[test]
    fn so_many_words_are_remembered_and_no_more() {
        for number in 0..3 * WORDS_MAX {
            assert_eq!(&*shared(&number.to_string()), number.to_string());
            assert!(WORDS.with_borrow(HashSet::len) <= WORDS_MAX);
        }
    }
}
