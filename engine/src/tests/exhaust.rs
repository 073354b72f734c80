//! Every path through a program that makes choices.
//!
//! The program asks [`Exhaust::choose`] wherever it could go several ways. [`Exhaust::next`] makes it run again, each time
//! along the next path in the order of an odometer, until every path has been taken. Nothing is stored but the path.

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Exhaust {
    started: bool,
    /// The choices of this path, and of how many.
    path: Vec<(u8, u8)>,
    at: usize,
}

impl Exhaust {
    /// Goes to the next path; false when all have been taken.
    pub(super) fn next(&mut self) -> bool {
        if !self.started {
            self.started = true;
            return true;
        }
        assert_eq!(self.at, self.path.len(), "the program made fewer choices than the time before");
        while let Some((choice, of)) = self.path.pop() {
            if choice + 1 < of {
                self.path.push((choice + 1, of));
                self.at = 0;
                return true;
            }
        }
        false
    }

    /// One of `0..of`. The same path leads to the same question.
    pub(super) fn choose(&mut self, of: usize) -> usize {
        let of = u8::try_from(of).expect("a choice of at most 255");
        assert!(of > 0, "there is nothing to choose from");
        if self.at == self.path.len() {
            self.path.push((0, of));
        }
        let (choice, of_before) = self.path[self.at];
        assert_eq!(of, of_before, "the program is not a function of its choices");
        self.at += 1;
        usize::from(choice)
    }
}

#[test]
fn every_path_is_taken_once() {
    let mut exhaust = Exhaust::default();
    let mut paths = Vec::new();
    while exhaust.next() {
        let first = exhaust.choose(3);
        paths.push(if first == 1 { vec![1, exhaust.choose(2), exhaust.choose(2)] } else { vec![first] });
    }
    assert_eq!(paths, [vec![0], vec![1, 0, 0], vec![1, 0, 1], vec![1, 1, 0], vec![1, 1, 1], vec![2]]);
}
