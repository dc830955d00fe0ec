//! `cargo xtask instructions`: how many instructions does an operation take, and are there more than there were?
//!
//! Unlike time they are the same in each run, so that five per cent can be told from noise. Only figures of one compiler
//! compare; those of another are shown and not judged.

use crate::interop::Install;
use crate::out;
use crate::process;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
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
const COUNTS: [u32; 2] = [1000, 3000];

/// More than this part above the baseline fails.
const TOLERANCE: f64 = 0.05;

/// Counts each workload, and compares with the baseline or replaces it.
pub(crate) fn run(workspace: &Workspace, options: Options) -> io::Result<ExitCode> {
    let folder = workspace.root().join(FOLDER);
    let valgrind = match find_valgrind(options.install) {
        Ok(valgrind) => valgrind,
        Err(why) => {
            out::line(&format!("left out: instruction counts: {why}"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    out::title("build");
    if !build(workspace.root())? {
        return Ok(ExitCode::FAILURE);
    }
    let counter = Counter { valgrind, program: folder.join("target/release/karere-instructions") };
    out::title("instructions of an operation");
    let path = folder.join("baseline.txt");
    let before = Figures::parse(&fs::read_to_string(&path).unwrap_or_default());
    let mut now = Figures { compiler: compiler()?, counts: Vec::new() };
    let mut grown = 0;
    let is_judged = options.baseline == Baseline::Compare && before.compiler == now.compiler;
    for name in counter.workloads()? {
        let count = counter.count(&name)?;
        let change = before.count(&name).map(|before| count / before - 1.0);
        let verdict = match change {
            _ if !is_judged => "",
            None => "not in the baseline",
            Some(change) if change > TOLERANCE => "TOO MANY",
            Some(change) if change < -TOLERANCE => "fewer: move the baseline, to hold what was won",
            Some(_) => "",
        };
        grown += usize::from(is_judged && change.is_none_or(|change| change > TOLERANCE));
        let change =
            change.map_or_else(String::new, |change| format!("{:+.1} %", (change * 1000.0).round() / 10.0 + 0.0));
        out::line(format!("  {name:<30}{count:>10.1}{change:>10}  {verdict}").trim_end());
        now.counts.push((name, count));
    }
    out::line("");
    if options.baseline == Baseline::Accept {
        fs::write(&path, now.to_text())?;
        out::line(&format!("{FOLDER}/baseline.txt is written; the commit says why it moved"));
    } else if !is_judged {
        out::line(&format!(
            "not judged: the baseline is of {}, and this is {}",
            if before.compiler.is_empty() { "no compiler" } else { &before.compiler },
            now.compiler
        ));
    }
    if grown > 0 {
        out::error(&format!(
            "{grown} above the baseline by more than {} %; where that is meant: cargo xtask instructions --accept, and the \
             reason in the commit",
            TOLERANCE * 100.0
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn build(root: &Path) -> io::Result<bool> {
    let mut cargo = process::cargo(root);
    cargo.args(["build", "--release", "--locked", "--manifest-path", &format!("{FOLDER}/Cargo.toml")]);
    cargo.args(["--target-dir", &format!("{FOLDER}/target")]);
    // What a developer or CI adds may change the code.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(process::run(&mut cargo)?.success())
}

fn compiler() -> io::Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs workloads under valgrind's callgrind.
struct Counter {
    valgrind: PathBuf,
    program: PathBuf,
}

impl Counter {
    fn workloads(&self) -> io::Result<Vec<String>> {
        let output = Command::new(&self.program).arg("list").stdin(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// Instructions of one operation.
    fn count(&self, name: &str) -> io::Result<f64> {
        let [few, many] = COUNTS;
        let more = self.collect(name, many)?.saturating_sub(self.collect(name, few)?);
        Ok(more as f64 / f64::from(many - few))
    }

    fn collect(&self, name: &str, times: u32) -> io::Result<u64> {
        let mut command = Command::new(&self.valgrind);
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&self.program);
        // The environment's size moves the stack, and with it a few instructions.
        let output = command.arg(name).arg(times.to_string()).env_clear().stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let collected = said.lines().find_map(|line| line.split_once("Collected :"));
        let collected = collected.and_then(|(_, count)| count.trim().parse().ok());
        match collected {
            Some(count) if output.status.success() => Ok(count),
            _ => Err(io::Error::other(format!("callgrind did not count {name}:\n{said}"))),
        }
    }
}

/// What was counted, and what built it.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    compiler: String,
    counts: Vec<(String, f64)>,
}

impl Figures {
    fn parse(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(' ') {
                Some(("compiler", compiler)) => figures.compiler = compiler.trim().to_owned(),
                Some((name, count)) => {
                    figures.counts.extend(count.trim().parse().ok().map(|count| (name.to_owned(), count)));
                }
                None => {}
            }
        }
        figures
    }

    fn count(&self, name: &str) -> Option<f64> {
        self.counts.iter().find(|(there, _)| there == name).map(|&(_, count)| count)
    }

    fn to_text(&self) -> String {
        let mut text = "# Instructions of an operation, written by: cargo xtask instructions --accept\n".to_owned();
        text.push_str(&format!("compiler {}\n", self.compiler));
        for (name, count) in &self.counts {
            text.push_str(&format!("{name:<30}{count:>10.1}\n"));
        }
        text
    }
}

/// Finds valgrind; installs it first when it is missing and `install` and the machine let it. Else says why not.
fn find_valgrind(install: Install) -> Result<PathBuf, String> {
    let find = || process::find("valgrind", &["/usr/bin", "/usr/local/bin"]);
    if let Some(valgrind) = find() {
        return Ok(valgrind);
    }
    let how = "valgrind is not installed; apt-get install valgrind";
    let is_root = || Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if install == Install::Never || process::find("apt-get", &["/usr/bin"]).is_none() || !is_root() {
        return Err(how.to_owned());
    }
    out::line("valgrind is missing: installing Debian's package (--no-install prevents it)");
    let apt_get = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--yes", "--quiet"]).args(words).env("DEBIAN_FRONTEND", "noninteractive");
        process::run(&mut command).is_ok_and(|status| status.success())
    };
    let get = || apt_get(&["install", "--no-install-recommends", "valgrind"]);
    // Package lists may be absent (fresh container) or too old.
    let _ = get() || apt_get(&["update"]) && get();
    find().ok_or_else(|| how.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_back() {
        let figures = Figures {
            compiler: "rustc 1.95.0 (abc 2026-04-14)".to_owned(),
            counts: vec![("encode".to_owned(), 12.5), ("decode".to_owned(), 1234.0)],
        };
        assert_eq!(Figures::parse(&figures.to_text()), figures);
        assert_eq!(figures.count("encode"), Some(12.5));
        assert_eq!(Figures::parse(""), Figures::default());
    }
}
