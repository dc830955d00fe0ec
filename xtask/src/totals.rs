//! How many tests ran, as their runners tell?

use std::fmt;
use std::ops::AddAssign;

/// Test counts of one run, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    /// Adds up the `test result:` lines of `cargo test`; `None` when there are none.
    pub(crate) fn of_libtest(output: &str) -> Option<Self> {
        let output = without_colours(output);
        let results = output.lines().filter_map(|line| line.strip_prefix("test result: "));
        results.map(|counts| Self::of_counts(counts.split(['.', ';']))).reduce(|mut sum, totals| {
            sum += totals;
            sum
        })
    }

    /// Reads the summary of `cargo nextest run`; `None` when there is none.
    pub(crate) fn of_nextest(output: &str) -> Option<Self> {
        let output = without_colours(output);
        let summary = output.lines().rfind(|line| line.trim_start().starts_with("Summary ["))?;
        let (_, counts) = summary.split_once(" run: ")?;
        Some(Self::of_counts(without_parentheses(counts).split(',')))
    }

    /// Reads the last line of `pytest`; `None` when there is none.
    pub(crate) fn of_pytest(output: &str) -> Option<Self> {
        let output = without_colours(output);
        let counts =
            output.lines().rev().find_map(|line| Some(line.trim_matches(['=', ' ']).rsplit_once(" in ")?.0))?;
        let first = counts.trim_start().split(' ').next().is_some_and(|word| word.parse::<u64>().is_ok());
        first.then(|| Self::of_counts(counts.split(',')))
    }

    /// Of phrases such as `3 passed`; any that is not known to be harmless counts as failed (`1 timed out`).
    fn of_counts<'a>(phrases: impl Iterator<Item = &'a str>) -> Self {
        let mut totals = Self::default();
        for phrase in phrases {
            let Some((number, what)) = phrase.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what.trim() {
                "passed" => totals.passed += number,
                "ignored" | "skipped" => totals.skipped += number,
                "deselected" | "filtered out" | "measured" | "warning" | "warnings" | "xfailed" | "xpassed" => {}
                _ => totals.failed += number,
            }
        }
        totals
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Removes `ESC [ … letter`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |mut plain, piece| {
        let end = piece.find(|char: char| char.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1);
        plain.push_str(&piece[end..]);
        plain
    })
}

/// Removes `(1 slow, 1 flaky)`: those tests are counted already.
fn without_parentheses(text: &str) -> String {
    let pieces = text.split('(').enumerate();
    pieces
        .map(|(index, piece)| match index {
            0 => piece,
            _ => piece.split_once(')').map_or("", |(_, after)| after),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_results_are_added_up() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s\n\
            test result: \u{1b}[31mFAILED\u{1b}(B\u{1b}[m. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(Totals::of_libtest(output), Some(Totals { passed: 13, failed: 2, skipped: 1 }));
        assert_eq!(Totals::of_libtest("error: could not compile"), None);
    }

    #[test]
    fn nextest_summary_is_read() {
        let output = "\u{1b}[32m        PASS\u{1b}[0m [   0.001s] a b\n────────────\n\
            \u{1b}[31;1m     Summary\u{1b}[0m [   9.078s] \u{1b}[1m9\u{1b}[0m tests run: \u{1b}[1m5\u{1b}[0m passed (1 slow, 1 flaky), 2 failed, 1 timed out, 1 exec failed, 4 skipped\n\
            \u{1b}[31m        FAIL\u{1b}[0m a c\n";
        assert_eq!(Totals::of_nextest(output), Some(Totals { passed: 5, failed: 4, skipped: 4 }));
        assert_eq!(
            Totals::of_nextest("     Summary [   0.004s] 1 test run: 1 passed, 0 skipped\n"),
            Some(Totals { passed: 1, failed: 0, skipped: 0 })
        );
        assert_eq!(Totals::of_nextest("error: could not compile"), None);
    }

    #[test]
    fn pytest_summary_is_read() {
        let output = "tests/test_client.py ...F [100%]\nFAILED tests/a.py::b - assert 1 in 2\n\
            \u{1b}[31m=== \u{1b}[31m1 failed\u{1b}[0m, 205 passed, 24 skipped, 1 xfailed, 2 warnings, 1 error in 58.20s (0:00:58) ===\u{1b}[0m\n";
        assert_eq!(Totals::of_pytest(output), Some(Totals { passed: 205, failed: 2, skipped: 24 }));
        assert_eq!(
            Totals::of_pytest("205 passed, 1 xpassed in 58.20s\n"),
            Some(Totals { passed: 205, failed: 0, skipped: 0 })
        );
        assert_eq!(Totals::of_pytest("no tests ran in 0.01s\n"), None);
        assert_eq!(Totals::of_pytest("ERROR: usage: pytest\n"), None);
    }

    #[test]
    fn totals_stand_in_one_line() {
        assert_eq!(Totals { passed: 3, failed: 0, skipped: 1 }.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
