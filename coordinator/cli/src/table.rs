//! Tables without borders, one line per row. On a terminal that is too narrow, wordy columns move to lines of their own below
//! their row, so that ids and times stay whole. In a pipe each row is one line without colour codes.
//!
//! comfy-table measures and draws. It does not arrange the columns, because it would squeeze a wordy column to a few characters
//! and break ids. Not here: the values, which the commands choose.

use std::io::IsTerminal;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table};
use trine_protocol::OutcomeKind;
use trine_protocol::Status;
use trine_protocol::v1::OpState;

use super::human::clean;

/// On a narrower terminal rows are not arranged.
const WIDTH_MIN: u16 = 40;
/// Spaces between columns.
const GAP: usize = 2;
/// Spaces in front of words that moved below their row.
const INDENT: usize = 4;

/// Whether a value is good or bad news. Shown as a colour on a terminal, and not elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Neither good nor bad.
    Plain,
    /// As wished.
    Good,
    /// Under way, or to be tried again.
    Uneasy,
    /// Undone, refused or waiting for a person.
    Bad,
}

impl From<Status> for Tone {
    fn from(status: Status) -> Self {
        match status {
            Status::Open | Status::Running | Status::Committing => Self::Plain,
            Status::RollingBack => Self::Uneasy,
            Status::Committed => Self::Good,
            Status::RolledBack => Self::Bad,
        }
    }
}

impl From<OpState> for Tone {
    fn from(state: OpState) -> Self {
        match state {
            OpState::Pending => Self::Plain,
            OpState::Waiting => Self::Uneasy,
            OpState::Done => Self::Good,
            OpState::Refused | OpState::Parked => Self::Bad,
        }
    }
}

impl From<OutcomeKind> for Tone {
    fn from(outcome: OutcomeKind) -> Self {
        match outcome {
            OutcomeKind::Done => Self::Good,
            OutcomeKind::Refused => Self::Bad,
            OutcomeKind::Ongoing | OutcomeKind::Unknown => Self::Uneasy,
        }
    }
}

/// The content of a cell.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    text: String,
    tone: Tone,
}

impl Value {
    /// A value with a tone.
    pub(crate) fn toned(text: impl AsRef<str>, tone: impl Into<Tone>) -> Self {
        Self { text: clean(text.as_ref()), tone: tone.into() }
    }
}

impl<T: AsRef<str>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Where the table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paper {
    width: Option<u16>,
    colour: bool,
}

impl Paper {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::PIPE;
        }
        let width = Table::new().width().filter(|width| *width >= WIDTH_MIN);
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { width, colour: !no_colour }
    }

    /// A file or another program.
    pub(crate) const PIPE: Self = Self { width: None, colour: false };
}

/// A table that leaves out empty columns.
#[derive(Debug)]
pub(crate) struct Sheet {
    header: Vec<&'static str>,
    right: Vec<&'static str>,
    wordy: Vec<&'static str>,
    spare: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Sheet {
    /// A table with these columns.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            right: Vec::new(),
            wordy: Vec::new(),
            spare: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Columns of numbers.
    #[must_use]
    pub(crate) fn right(mut self, columns: &[&'static str]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Columns that move below their row on a narrow terminal.
    #[must_use]
    pub(crate) fn wordy(mut self, columns: &[&'static str]) -> Self {
        self.wordy = columns.to_vec();
        self
    }

    /// Columns that are left out when the terminal is still too narrow.
    #[must_use]
    pub(crate) fn spare(mut self, columns: &[&'static str]) -> Self {
        self.spare = columns.to_vec();
        self
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, values: [Value; N]) {
        debug_assert_eq!(N, self.header.len(), "a row has a value per column");
        self.rows.push(values.into());
    }

    /// The table as text, each line ended.
    pub(crate) fn render(&self, paper: Paper) -> String {
        let mut table = self.table(paper);
        let (shown, below) = self.arrange(&table.column_max_content_widths(), paper);
        for (column, shape) in table.column_iter_mut().enumerate() {
            if !shown.contains(&column) {
                shape.set_constraint(ColumnConstraint::Hidden);
            }
        }
        let mut text = String::new();
        // The header, then a line per row: no value has a line break in it.
        for (line, row) in table.lines().zip(std::iter::once(None).chain(self.rows.iter().map(Some))) {
            text.push_str(line.trim_end());
            text.push('\n');
            let words =
                below.iter().filter_map(|&column| row.map(|row: &Vec<Value>| row[column].text.as_str()));
            let words: Vec<&str> = words.filter(|words| !words.is_empty()).collect();
            let width = paper.width.map_or(usize::MAX, usize::from) - INDENT;
            for line in wrap(&words.join("  "), width) {
                text.push_str(&format!("{:INDENT$}{line}\n", ""));
            }
        }
        text
    }

    /// The columns that stand in the table, and those that moved below their rows.
    fn arrange(&self, widths: &[u16], paper: Paper) -> (Vec<usize>, Vec<usize>) {
        let fits = |columns: &[usize]| {
            let needed: usize = columns.iter().map(|&column| usize::from(widths[column]) + GAP).sum();
            paper.width.is_none_or(|width| needed <= usize::from(width) + GAP)
        };
        let mut shown: Vec<usize> = (0..self.header.len())
            .filter(|&column| self.rows.iter().any(|row| !row[column].text.is_empty()))
            .collect();
        let mut below = Vec::new();
        if !fits(&shown) {
            (below, shown) = shown.into_iter().partition(|&column| self.wordy.contains(&self.header[column]));
        }
        if !fits(&shown) {
            shown.retain(|&column| !self.spare.contains(&self.header[column]));
        }
        (shown, below)
    }

    fn table(&self, paper: Paper) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).force_no_tty().set_content_arrangement(ContentArrangement::Disabled);
        if paper.colour {
            table.enforce_styling();
        }
        table.set_header(&self.header);
        for row in &self.rows {
            table.add_row(row.iter().map(cell));
        }
        for (column, shape) in table.column_iter_mut().enumerate() {
            shape.set_padding((0, GAP as u16));
            if self.right.contains(&self.header[column]) {
                shape.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

/// Breaks text between words. A word that is longer than a line stays whole, so that it can be copied; comfy-table would
/// break it.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ if word.is_empty() => {}
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn cell(value: &Value) -> Cell {
    let cell = Cell::new(&value.text);
    match value.tone {
        // Nothing has no colour.
        _ if value.text.is_empty() => cell,
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Uneasy => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn sheet() -> Sheet {
        let mut sheet =
            Sheet::new(&["GID", "STATUS", "AFTER", "TRIES", "NOTE"]).right(&["TRIES"]).wordy(&["NOTE"]);
        let long = "the warehouse says that it has no more than seven of these left";
        sheet.row([
            "order-42".into(),
            Value::toned("rolled_back", Tone::Bad),
            "".into(),
            "12".into(),
            long.into(),
        ]);
        sheet.row([
            "o-1".into(),
            Value::toned("committed", Tone::Good),
            "".into(),
            "1".into(),
            "a\tb\u{1b}[1m".into(),
        ]);
        sheet
    }

    #[test]
    fn a_pipe_gets_whole_lines_without_empty_columns_or_colour() {
        expect![[r"
            GID       STATUS       TRIES  NOTE
            order-42  rolled_back     12  the warehouse says that it has no more than seven of these left
            o-1       committed        1  a\tb\u{1b}[1m
        "]]
        .assert_eq(&sheet().render(Paper::PIPE));
    }

    #[test]
    fn a_narrow_terminal_gets_whole_rows_with_the_words_below() {
        expect![[r"
            GID       STATUS       TRIES
            order-42  rolled_back     12
                the warehouse says that it has no more than
                seven of these left
            o-1       committed        1
                a\tb\u{1b}[1m
        "]]
        .assert_eq(&sheet().render(Paper { width: Some(50), colour: false }));
        let narrower = sheet().spare(&["STATUS"]).render(Paper { width: Some(20), colour: false });
        assert!(narrower.starts_with("GID       TRIES\n"), "{narrower}");
    }

    #[test]
    fn text_is_broken_between_words_and_loses_none() {
        assert_eq!(wrap("a bb  ccc dddddd e", 5), ["a bb ", "ccc", "dddddd", "e"]);
        assert_eq!(wrap("", 5), [""; 0]);
    }

    #[test]
    fn colour_is_only_for_terminals() {
        let coloured = sheet().render(Paper { width: Some(120), colour: true });
        assert!(coloured.contains("\u{1b}["), "{coloured:?}");
        assert!(!sheet().render(Paper::PIPE).contains('\u{1b}'));
    }
}
