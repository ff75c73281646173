//! The lines of a text, with their numbers.

use std::{iter::Enumerate, iter::Peekable, str};

/// Lines counted from 0.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    lines: Peekable<Enumerate<str::Lines<'a>>>,
    next: usize,
}

impl<'a> Lines<'a> {
    /// The lines of a whole text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            lines: text.lines().enumerate().peekable(),
            next: 0,
        }
    }

    /// The line that comes next, left where it is.
    pub(crate) fn peek(&mut self) -> Option<&'a str> {
        self.lines.peek().map(|(_, line)| *line)
    }

    /// Number of the line that comes next.
    pub(crate) fn number(&self) -> usize {
        self.next
    }

    /// Passes blank lines.
    pub(crate) fn skip_blank(&mut self) {
        while self.peek().is_some_and(|line| line.trim().is_empty()) {
            self.next();
        }
    }

    /// The next `count` lines, or as many as there are.
    pub(crate) fn block(&mut self, count: usize) -> Vec<(usize, &'a str)> {
        self.by_ref().take(count).collect()
    }

    /// Passes everything that is left.
    pub(crate) fn finish(&mut self) {
        self.by_ref().for_each(drop);
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next();
        self.next += usize::from(line.is_some());
        line
    }
}
