//! Texts are written with `$1 ..`, as PostgreSQL reads them; MySQL binds `?` in the order they stand in the text.

/// A text with `?`, and for each which value it stands for.
pub(super) fn positional(text: &str) -> (String, Vec<usize>) {
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut order = Vec::new();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        let number: usize =
            number.parse().unwrap_or_else(|_| unreachable!("no text has a $ for another end"));
        order.push(number - 1);
        out.push('?');
        out.push_str(rest);
    }
    (out, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_as_often_and_in_the_order_as_they_are_named() {
        let (text, order) = positional("a = $2 AND (b > $1 OR b = $1) LIMIT $10");
        assert_eq!((text.as_str(), order), ("a = ? AND (b > ? OR b = ?) LIMIT ?", vec![1, 0, 0, 9]));
        assert_eq!(positional("SELECT 1"), ("SELECT 1".to_owned(), vec![]));
    }
}
