//! `cargo xtask instructions`: how many instructions does an operation take, and are there more than there were?
//!
//! Unlike time they are the same in each run, so that five per cent can be told from noise. Only figures of one compiler
//! compare; those of another are shown and not judged.

use crate::callgrind::{Callgrind, Count};
use crate::out;
use crate::outcome::Outcome;
use crate::packages::Install;
use crate::process;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use xtask::workspace::Workspace;

/// What to do with the figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) baseline: Baseline,
    pub(crate) install: Install,
}

/// What becomes of the committed figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// They are replaced: the commit says why.
    Accept,
    #[default]
    Compare,
}

const FOLDER: &str = "bench/instructions";

/// The work is done this often, and then that often; what it takes to start is the same in both.
const TIMES: [u32; 2] = [1000, 3000];

/// More than this part above the baseline fails.
const TOLERANCE: f64 = 0.05;

/// So many calls more for an operation are growing buffers, in steps that need not hit the same operations.
const SPARE_CALLS: f64 = 0.05;

/// Counts each workload, and compares with the baseline or replaces it.
pub(crate) fn run(workspace: &Workspace, options: Options) -> io::Result<Outcome> {
    let folder = workspace.root().join(FOLDER);
    let callgrind = match Callgrind::find(options.install) {
        Ok(callgrind) => callgrind,
        Err(why) => return Ok(Outcome::LeftOut(format!("instruction counts: {why}"))),
    };
    if !build(workspace.root())? {
        return Ok(Outcome::Failed);
    }
    let program = folder.join("target/release/karere-instructions");
    let (version, host) = process::compiler()?;
    let mut now = Figures { compiler: format!("{version} for {host}"), costs: Vec::new() };
    for name in workloads(&program)? {
        let cost = Cost::of(&callgrind, &program, &name)?;
        now.costs.push((name, cost));
    }

    let path = folder.join("baseline.txt");
    if options.baseline == Baseline::Accept {
        fs::write(&path, now.to_text())?;
        out::text(&now.to_text());
        out::line(&format!("{FOLDER}/baseline.txt is written; the commit says why it moved"));
        return Ok(Outcome::Passed);
    }
    let before = Figures::parse(&fs::read_to_string(&path).unwrap_or_default());
    let comparison = before.compare(&now);
    out::text(&comparison.to_text());
    if before.compiler != now.compiler {
        let of = if before.compiler.is_empty() { "no compiler" } else { &before.compiler };
        let why = format!("the baseline was taken with {of}, this is {}", now.compiler);
        out::line(&format!("not judged: {why}"));
        return Ok(Outcome::PassedBut(format!("instruction counts were not judged: {why}")));
    }
    let failures = comparison.failures();
    if failures > 0 {
        out::error(&format!(
            "{failures} not as the baseline allows ({} % more at most); where that is meant: \
             cargo xtask instructions --accept, and the reason in the commit",
            TOLERANCE * 100.0
        ));
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Passed)
}

fn build(root: &Path) -> io::Result<bool> {
    let mut cargo = process::cargo(root);
    cargo.args(["build", "--release", "--locked", "--manifest-path", &format!("{FOLDER}/Cargo.toml")]);
    cargo.args(["--target-dir", &format!("{FOLDER}/target")]);
    // What a developer or CI adds may change the code.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(process::run(&mut cargo)?.success())
}

fn workloads(program: &Path) -> io::Result<Vec<String>> {
    let output = Command::new(program).arg("list").stdin(Stdio::null()).output()?;
    let names = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    match names.is_empty() {
        // To compare nothing must not look like success.
        true => Err(io::Error::other("there are no workloads")),
        false => Ok(names),
    }
}

/// What one operation takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// In the program's own code.
    instructions: f64,
    /// Of shared libraries: to copy, to allocate.
    calls: f64,
}

impl Cost {
    fn of(callgrind: &Callgrind, program: &Path, workload: &str) -> io::Result<Self> {
        let profile = program.with_file_name("callgrind.out");
        let count = |times: u32| callgrind.count(program, &[workload, &times.to_string()], &profile);
        let [few, many] = TIMES;
        let Count { instructions, calls } = count(many)? - count(few)?;
        let each = |sum: u64| sum as f64 / f64::from(many - few);
        Ok(Self { instructions: each(instructions), calls: each(calls) })
    }

    /// How much of it is new, as part of `before`.
    fn change(self, before: Self) -> f64 {
        self.instructions / before.instructions - 1.0
    }

    fn verdict(self, before: Self) -> Verdict {
        let change = self.change(before);
        if change > TOLERANCE || self.calls > before.calls * (1.0 + TOLERANCE) + SPARE_CALLS {
            Verdict::TooMany
        } else if change < -TOLERANCE || self.calls < before.calls * (1.0 - TOLERANCE) - SPARE_CALLS {
            Verdict::Fewer
        } else {
            Verdict::Same
        }
    }
}

/// What was counted, and what built it.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    compiler: String,
    costs: Vec<(String, Cost)>,
}

impl Figures {
    fn parse(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once(' ') else {
                continue;
            };
            if name == "compiler" {
                rest.trim().clone_into(&mut figures.compiler);
                continue;
            }
            let numbers: Vec<f64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            if let [instructions, calls] = numbers[..] {
                figures.costs.push((name.to_owned(), Cost { instructions, calls }));
            }
        }
        figures
    }

    fn cost(&self, name: &str) -> Option<Cost> {
        self.costs.iter().find(|(there, _)| there == name).map(|&(_, cost)| cost)
    }

    fn to_text(&self) -> String {
        let mut text =
            "# What an operation takes: instructions in the program's own code, calls of shared libraries.\n\
                        # Written by: cargo xtask instructions --accept\n"
                .to_owned();
        text.push_str(&format!("compiler {}\n", self.compiler));
        for (name, Cost { instructions, calls }) in &self.costs {
            text.push_str(&format!("{name:<30}{instructions:>10.1}{calls:>8.2}\n"));
        }
        text
    }

    /// This is the baseline.
    fn compare(&self, now: &Self) -> Comparison {
        let lines = now.costs.iter().map(|(name, cost)| {
            let before = self.cost(name);
            let verdict = before.map_or(Verdict::New, |before| cost.verdict(before));
            Line { name: name.clone(), now: Some(*cost), before, verdict }
        });
        let gone = self.costs.iter().filter(|(name, _)| now.cost(name).is_none());
        let gone = gone.map(|(name, before)| {
            let before = Some(*before);
            Line { name: name.clone(), now: None, before, verdict: Verdict::Gone }
        });
        Comparison(lines.chain(gone).collect())
    }
}

/// Workloads beside the baseline.
#[derive(Debug)]
struct Comparison(Vec<Line>);

#[derive(Debug)]
struct Line {
    name: String,
    now: Option<Cost>,
    before: Option<Cost>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fewer,
    /// In the baseline only: what nobody counts nobody guards.
    Gone,
    New,
    Same,
    TooMany,
}

impl Comparison {
    fn failures(&self) -> usize {
        let fails = |verdict| matches!(verdict, Verdict::Gone | Verdict::New | Verdict::TooMany);
        self.0.iter().filter(|line| fails(line.verdict)).count()
    }

    fn to_text(&self) -> String {
        let mut text = format!("  {:<30}{:>12}{:>10}{:>8}\n", "", "instructions", "", "calls");
        for Line { name, now, before, verdict } in &self.0 {
            let number = |number: Option<f64>, digits: usize| {
                number.map_or_else(String::new, |number| format!("{number:.digits$}"))
            };
            let instructions = number(now.map(|cost| cost.instructions), 1);
            let calls = number(now.map(|cost| cost.calls), 2);
            let change = now.zip(*before).map(|(now, before)| now.change(before) * 100.0);
            // Nothing has no sign.
            let change =
                change.map_or_else(String::new, |change| format!("{:+.1} %", (change * 10.0).round() / 10.0 + 0.0));
            let verdict = match verdict {
                Verdict::Fewer => "fewer: move the baseline, to hold what was won",
                Verdict::Gone => "GONE",
                Verdict::New => "NOT IN THE BASELINE",
                Verdict::Same => "",
                Verdict::TooMany => "TOO MANY",
            };
            let line = format!("  {name:<30}{instructions:>12}{change:>10}{calls:>8}  {verdict}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(costs: &[(&str, f64, f64)]) -> Figures {
        let cost = |&(name, instructions, calls): &(&str, f64, f64)| (name.to_owned(), Cost { instructions, calls });
        Figures { compiler: "rustc 1.95.0 (abc 2026-04-14) for x".to_owned(), costs: costs.iter().map(cost).collect() }
    }

    #[track_caller]
    fn assert_verdict(before: (f64, f64), now: (f64, f64), expected: Verdict) {
        let figures = |(instructions, calls)| figures(&[("encode", instructions, calls)]);
        let comparison = figures(before).compare(&figures(now));
        assert_eq!(comparison.0[0].verdict, expected, "{}", comparison.to_text());
        assert_eq!(comparison.failures(), usize::from(expected == Verdict::TooMany));
    }

    #[test]
    fn figures_read_back() {
        let figures = figures(&[("encode", 12.5, 4.0), ("decode", 1234.0, 0.02)]);
        assert_eq!(Figures::parse(&figures.to_text()), figures);
        assert_eq!(figures.cost("encode"), Some(Cost { instructions: 12.5, calls: 4.0 }));
        assert_eq!(Figures::parse(""), Figures::default());
    }

    #[test]
    fn more_than_five_per_cent_more_is_too_many() {
        assert_verdict((1000.0, 4.0), (1049.0, 4.0), Verdict::Same);
        assert_verdict((1000.0, 4.0), (1051.0, 4.0), Verdict::TooMany);
        assert_verdict((1000.0, 4.0), (951.0, 4.0), Verdict::Same);
        assert_verdict((1000.0, 4.0), (949.0, 4.0), Verdict::Fewer);
    }

    #[test]
    fn a_call_more_is_too_many_and_a_growing_buffer_is_not() {
        assert_verdict((1000.0, 4.0), (1000.0, 5.0), Verdict::TooMany);
        assert_verdict((1000.0, 0.0), (1000.0, 1.0), Verdict::TooMany);
        assert_verdict((1000.0, 0.0), (1000.0, 0.04), Verdict::Same);
        assert_verdict((1000.0, 4.0), (1000.0, 3.0), Verdict::Fewer);
    }

    #[test]
    fn what_only_one_side_has_fails() {
        let comparison =
            figures(&[("a", 1.0, 0.0), ("b", 1.0, 0.0)]).compare(&figures(&[("b", 1.0, 0.0), ("c", 1.0, 0.0)]));
        let verdicts: Vec<_> = comparison.0.iter().map(|line| (line.name.as_str(), line.verdict)).collect();
        assert_eq!(verdicts, [("b", Verdict::Same), ("c", Verdict::New), ("a", Verdict::Gone)]);
        assert_eq!(comparison.failures(), 2);
    }

    #[test]
    fn the_committed_baseline_is_read() {
        let text = fs::read_to_string(Workspace::open().unwrap().root().join(FOLDER).join("baseline.txt")).unwrap();
        let baseline = Figures::parse(&text);
        assert_eq!(baseline.to_text(), text);
        assert!(baseline.compiler.starts_with("rustc ") && baseline.costs.len() >= 18);
    }
}
