//! `cargo xtask fuzz`: does anything panic at bytes nobody meant?
//!
//! The targets are built as cargo-fuzz does with `-s none`, by what the stable compiler understands: libFuzzer comes with
//! the crate libfuzzer-sys and needs a C++ compiler, nothing else. A sanitizer would look for what code without `unsafe`
//! cannot do.

use crate::out;
use crate::outcome::Outcome;
use crate::process;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::workspace::Workspace;

/// What to run, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// For each target.
    pub(crate) seconds: u64,
    /// All when empty.
    pub(crate) targets: Vec<String>,
    /// What libFuzzer is told instead of where the corpus is and how long to run.
    pub(crate) args: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 10, targets: Vec::new(), args: Vec::new() }
    }
}

impl Options {
    /// Those of `cargo xtask test`: long enough for what the first thousands of inputs find.
    pub(crate) fn short() -> Self {
        Self { seconds: 3, ..Self::default() }
    }
}

/// What makes the compiler count which code was reached, as libFuzzer wants it.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// Builds the targets, runs one after the other and sums up; the first input that makes one fail is kept.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> io::Result<Outcome> {
    let fuzz = Fuzz::new(workspace.root())?;
    let targets = fuzz.targets(&options.targets)?;
    if let Err(why) = fuzz.tools() {
        return Ok(Outcome::LeftOut(format!("fuzzing: {why}")));
    }
    if !fuzz.build(&targets)? {
        return Ok(Outcome::Failed);
    }
    if !options.args.is_empty() {
        return fuzz.hand_over(&targets, &options.args);
    }
    let seeds = Seeds::read(workspace.root())?;
    let mut done = Vec::new();
    for target in targets {
        out::line(&format!("{target}, {} s", options.seconds));
        seeds.write(&target, &fuzz.folder("corpus", &target)?)?;
        done.push(fuzz.run(&target, options.seconds)?);
    }
    out::text(&summary(&done));
    Ok(match done.iter().all(|run| run.crash.is_none()) {
        true => Outcome::Passed,
        false => Outcome::Failed,
    })
}

/// The crate of the targets, and how it is built.
struct Fuzz {
    root: PathBuf,
    /// The machine's own target, named so that build scripts and procedural macros are built without coverage.
    host: String,
}

impl Fuzz {
    fn new(root: &Path) -> io::Result<Self> {
        let (_, host) = process::compiler()?;
        Ok(Self { root: root.to_owned(), host })
    }

    /// All targets, or those asked for.
    fn targets(&self, asked: &[String]) -> io::Result<Vec<String>> {
        let mut known = Vec::new();
        for entry in fs::read_dir(self.root.join("fuzz/targets"))? {
            known.extend(entry?.path().file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
        known.sort();
        if let Some(unknown) = asked.iter().find(|target| !known.contains(target)) {
            return Err(io::Error::other(format!("there is no target {unknown}; there are {}", known.join(", "))));
        }
        Ok(if asked.is_empty() { known } else { asked.to_vec() })
    }

    /// Whether this machine has what the targets are built with; else what is missing.
    ///
    /// Asked before they are built, so that what fails then is their fault.
    fn tools(&self) -> Result<(), String> {
        let folder = self.root.join("fuzz/target/tools");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::write(&file, text).map(|()| file).map_err(|error| error.to_string())
        };
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let mut cxx = Command::new(&compiler);
        cxx.arg(write("a.cpp", "#include <vector>\nint main() { return std::vector<int>().size(); }\n")?);
        if !process::succeeds(cxx.args(["-std=c++17", "-o"]).arg(folder.join("a.out"))) {
            let compiler = compiler.to_string_lossy();
            return Err(format!("there is no C++ compiler that works ({compiler}); apt-get install g++"));
        }
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--crate-type=lib", "--emit=obj", "--target", &self.host]).args(COVERAGE).arg("-o");
        rustc.arg(folder.join("a.o")).arg(write("a.rs", "pub fn a(b: u8) -> bool {\n    b > 7\n}\n")?);
        match process::succeeds(&mut rustc) {
            true => Ok(()),
            false => Err("this compiler of Rust does not count what was reached".to_owned()),
        }
    }

    fn build(&self, targets: &[String]) -> io::Result<bool> {
        let mut cargo = process::cargo(&self.root);
        cargo.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "fuzz/target"]);
        cargo.args(["--target", &self.host]).args(targets.iter().flat_map(|target| ["--bin", target]));
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        cargo.env("RUSTFLAGS", format!("{flags} {}", COVERAGE.join(" ")).trim_start());
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        Ok(process::run(&mut cargo)?.success())
    }

    fn run(&self, target: &str, seconds: u64) -> io::Result<Run> {
        let (corpus, artifacts) = (self.folder("corpus", target)?, self.folder("artifacts", target)?);
        let mut program = self.program(target, &artifacts);
        program.args(["-verbosity=0", "-print_final_stats=1", "-timeout=10"]);
        program.arg(format!("-max_len={}", longest(target))).arg(format!("-max_total_time={seconds}")).arg(&corpus);
        let output = program.output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let run = Run::new(target, &said, output.status.success());
        match &run.crash {
            None => out::line(&format!("{} executions", run.executions)),
            Some(_) => out::error(&said),
        }
        Ok(run)
    }

    /// Runs the targets with what the user wants libFuzzer to do.
    fn hand_over(&self, targets: &[String], args: &[String]) -> io::Result<Outcome> {
        for target in targets {
            let artifacts = self.folder("artifacts", target)?;
            if !process::run(self.program(target, &artifacts).args(args))?.success() {
                return Ok(Outcome::Failed);
            }
        }
        Ok(Outcome::Passed)
    }

    fn program(&self, target: &str, artifacts: &Path) -> Command {
        let mut program = Command::new(self.root.join("fuzz/target").join(&self.host).join("release").join(target));
        program.current_dir(&self.root).stdin(Stdio::null()).arg(format!("-artifact_prefix={}/", artifacts.display()));
        program
    }

    /// Made when it is not there.
    fn folder(&self, kind: &str, target: &str) -> io::Result<PathBuf> {
        let folder = Path::new("fuzz").join(kind).join(target);
        fs::create_dir_all(self.root.join(&folder))?;
        Ok(folder)
    }
}

/// Longer inputs find nothing more in these targets, and take longer.
fn longest(target: &str) -> usize {
    match target {
        "topic" => 256,
        "properties" | "session" | "url" => 512,
        _ => 1024,
    }
}

/// How a target ended.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    target: String,
    executions: u64,
    /// The file with the input, as far as libFuzzer said so.
    crash: Option<String>,
}

impl Run {
    fn new(target: &str, said: &str, succeeded: bool) -> Self {
        let after = |mark: &str| said.lines().rev().find_map(|line| line.split_once(mark)).map(|(_, rest)| rest.trim());
        let executions = after("stat::number_of_executed_units:").and_then(|count| count.parse().ok());
        let input = after("Test unit written to ").unwrap_or("(no file was written)").to_owned();
        Self {
            target: target.to_owned(),
            executions: executions.unwrap_or(0),
            // A run that counts nothing has not fuzzed.
            crash: (!succeeded || executions.is_none()).then_some(input),
        }
    }
}

fn summary(done: &[Run]) -> String {
    let mut text = String::new();
    for Run { target, executions, crash } in done {
        let result = if crash.is_some() { "FAILED" } else { "passed" };
        text.push_str(&format!("  {target:<12}{result:<8}{executions:>12} executions\n"));
    }
    let total: u64 = done.iter().map(|run| run.executions).sum();
    text.push_str(&format!("  {:<20}{total:>12} executions\n", "total"));
    for Run { target, crash, .. } in done {
        if let Some(input) = crash {
            text.push_str(&format!(
                "\n{target} failed. Again:    cargo xtask fuzz --target {target} -- {input}\n\
                 A smaller input: cargo xtask fuzz --target {target} -- -minimize_crash=1 -max_total_time=60 {input}\n"
            ));
        }
    }
    text
}

/// Inputs to begin with: the golden bytes, put as each target wants them, and the files of `fuzz/seeds`.
struct Seeds {
    golden: Vec<Golden>,
    files: PathBuf,
}

/// Bytes of a case in `crates/karere-proto/tests/wire`, whose README.md has the format.
#[derive(Debug, Default, PartialEq, Eq)]
struct Golden {
    name: String,
    /// By their place among 3.1, 3.1.1 and 5.0.
    versions: Vec<u8>,
    /// 0 is the client, 1 the server.
    senders: Vec<u8>,
    bytes: Vec<u8>,
    limit: u8,
}

impl Seeds {
    fn read(root: &Path) -> io::Result<Self> {
        let mut golden = Vec::new();
        for entry in fs::read_dir(root.join("crates/karere-proto/tests/wire"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "txt") {
                golden.extend(Golden::parse(&fs::read_to_string(path)?));
            }
        }
        Ok(Self { golden, files: root.join("fuzz/seeds") })
    }

    fn write(&self, target: &str, corpus: &Path) -> io::Result<()> {
        let corpus = self.files.join("../..").join(corpus);
        for golden in &self.golden {
            for (name, bytes) in golden.seeds(target) {
                fs::write(corpus.join(name), bytes)?;
            }
        }
        let own = self.files.join(target);
        if own.is_dir() {
            for entry in fs::read_dir(own)? {
                let entry = entry?;
                fs::copy(entry.path(), corpus.join(entry.file_name()))?;
            }
        }
        Ok(())
    }
}

impl Golden {
    fn parse(text: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        let mut word = "";
        for line in text.lines() {
            let rest = match line.split_once(' ') {
                Some(("", rest)) => rest,
                Some((first, rest)) => {
                    word = first;
                    rest
                }
                None => {
                    word = line;
                    ""
                }
            };
            if word == "case" {
                cases.push(Self { name: rest.to_owned(), ..Self::default() });
                continue;
            }
            let Some(case) = cases.last_mut() else {
                continue;
            };
            let words = rest.split('#').next().unwrap_or_default().split_whitespace();
            let place = |word: &str, all: &[&str]| u8::try_from(all.iter().position(|&one| one == word)?).ok();
            match word {
                "version" => case.versions.extend(words.filter_map(|word| place(word, &["3.1", "3.1.1", "5.0"]))),
                "sender" => case.senders.extend(words.filter_map(|word| place(word, &["client", "server"]))),
                "bytes" => case.bytes.extend(words.flat_map(hexadecimal)),
                "limit" => case.limit = rest.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        cases
    }

    /// Names and bytes, in the forms that `fuzz/src` says; none for targets that want something else.
    fn seeds(&self, target: &str) -> Vec<(String, Vec<u8>)> {
        let mut seeds = Vec::new();
        let senders = |version| self.senders.iter().map(move |&sender| (version, sender));
        for (version, sender) in self.versions.iter().flat_map(|&version| senders(version)) {
            let mode = version | sender << 2;
            let head = match target {
                "frame" => vec![mode, self.limit, 5],
                "packet" => vec![mode],
                // Opens the connection, is accepted, and hears the bytes.
                "session" if sender == 1 => match u8::try_from(self.bytes.len()) {
                    Ok(length) => vec![version, 0, 0, 0, 27, 6, 0, 27, 11, length],
                    Err(_) => continue,
                },
                _ => continue,
            };
            let tail: &[u8] = if target == "session" { &[27] } else { &[] };
            let bytes = [&head[..], &self.bytes, tail].concat();
            if bytes.len() <= longest(target) {
                seeds.push((format!("golden-{}-{mode}", self.name), bytes));
            }
        }
        seeds
    }
}

/// `61*300` is three hundred times 61.
fn hexadecimal(word: &str) -> Vec<u8> {
    let (byte, times) = word.split_once('*').unwrap_or((word, "1"));
    let byte = u8::from_str_radix(byte, 16).ok();
    byte.map_or_else(Vec::new, |byte| vec![byte; times.parse().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_become_seeds_of_each_version_and_sender() {
        let text = "# PUBLISH\n\ncase one\nabout x # y\nversion 3.1.1 5.0\nsender client server\nbytes 30 02\n  \
                    00 61*2   # twice\npacket PUBLISH\n\ncase two\nversion 3.1\nsender server\nlimit 7\nbytes D0 00\n";
        let cases = Golden::parse(text);
        assert_eq!(cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(cases[0].bytes, [0x30, 2, 0, 0x61, 0x61]);
        let packets = cases[0].seeds("packet");
        assert_eq!(packets.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), [1, 5, 2, 6]);
        assert_eq!(cases[1].seeds("frame"), [("golden-two-4".to_owned(), vec![4, 7, 5, 0xD0, 0])]);
        assert_eq!(cases[1].seeds("session")[0].1, [0, 0, 0, 0, 27, 6, 0, 27, 11, 2, 0xD0, 0, 27]);
        assert_eq!(cases[1].seeds("url"), []);
    }

    #[test]
    fn a_run_that_counts_nothing_has_failed() {
        let said = "INFO: seed\nstat::number_of_executed_units: 42\nstat::peak_rss_mb: 28\n";
        assert_eq!(Run::new("x", said, true), Run { target: "x".to_owned(), executions: 42, crash: None });
        assert!(Run::new("x", "", true).crash.is_some());
        let said = format!("artifact_prefix='a/'; Test unit written to a/crash-1\n{said}");
        assert_eq!(Run::new("x", &said, false).crash.as_deref(), Some("a/crash-1"));
    }

    #[test]
    fn summary_tells_how_to_fail_again() {
        let done = [
            Run { target: "frame".to_owned(), executions: 5, crash: None },
            Run { target: "url".to_owned(), executions: 2, crash: Some("a/crash-1".to_owned()) },
        ];
        let text = summary(&done);
        assert!(text.contains("total                          7 executions"), "{text}");
        assert!(text.contains("cargo xtask fuzz --target url -- a/crash-1"), "{text}");
    }
}
