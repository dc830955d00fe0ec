//! What does a program do in its own code, as valgrind's callgrind counts it?
//!
//! Own code is the program's file, with the Rust libraries linked into it. What shared libraries do is left out, since it
//! depends on the machine: `bench/instructions/README.md` has the figures. What the program asks of them is counted
//! instead, in calls, so that an allocation or a copy more is still seen.

use crate::packages::Install;
use crate::process;
use std::fs;
use std::io;
use std::ops::Sub;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// In the program's own code.
    pub(crate) instructions: u64,
    /// From the program's own code to shared libraries.
    pub(crate) calls: u64,
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            instructions: self.instructions.saturating_sub(less.instructions),
            calls: self.calls.saturating_sub(less.calls),
        }
    }
}

/// A valgrind that works.
#[derive(Debug)]
pub(crate) struct Callgrind {
    program: PathBuf,
}

impl Callgrind {
    /// Finds it; installs it first when it is missing and `install` and the machine let it. Else says why not.
    pub(crate) fn find(install: Install) -> Result<Self, String> {
        let search = || process::find("valgrind", &["/usr/bin", "/usr/local/bin"]);
        let how = "apt-get install valgrind";
        let missing = |why: &str| format!("valgrind is not installed ({why}); {how}");
        let program = match search() {
            Some(program) => program,
            None => {
                install.install(&["valgrind"]).map_err(missing)?;
                search().ok_or_else(|| missing("the package does not have it"))?
            }
        };
        // It knows neither every processor nor every system.
        let mut trial = Command::new(&program);
        match process::succeeds(trial.args(["--tool=none", "--quiet"]).arg(&program).arg("--version")) {
            true => Ok(Self { program }),
            false => Err("valgrind does not work here; valgrind --tool=none valgrind --version says why".to_owned()),
        }
    }

    /// Runs `program` with `args` and counts; the profile is left in `profile`.
    pub(crate) fn count(&self, program: &Path, args: &[&str], profile: &Path) -> io::Result<Count> {
        let mut command = Command::new(&self.program);
        command.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
        command.arg(format!("--callgrind-out-file={}", profile.display())).arg(program).args(args);
        // The environment's size moves the stack, and with it a few instructions.
        let output = command.env_clear().stdin(Stdio::null()).output()?;
        let counted = output.status.success().then(|| fs::read_to_string(profile)).transpose()?;
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        counted.and_then(|profile| Count::read(&profile, &name)).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            io::Error::other(format!("callgrind did not count {name} {}:\n{said}", args.join(" ")))
        })
    }
}

impl Count {
    /// Reads a profile without compression; `None` when `program` is not in it.
    ///
    /// `ob=` says whose functions follow. A line that begins with a digit has the position and the cost; after `calls=`
    /// it has the cost of the call, which stands with the callee already. `cob=` names the callee's file when that is
    /// another.
    fn read(profile: &str, program: &str) -> Option<Self> {
        let mut count = Self::default();
        let (mut is_own, mut leaves, mut is_of_call) = (false, false, false);
        for line in profile.lines() {
            if let Some(object) = line.strip_prefix("ob=") {
                is_own = Path::new(object).file_name().is_some_and(|name| name == program);
            } else if let Some(callee) = line.strip_prefix("cob=") {
                leaves = Path::new(callee).file_name().is_none_or(|name| name != program);
            } else if let Some(calls) = line.strip_prefix("calls=") {
                if is_own && leaves {
                    count.calls += calls.split(' ').next()?.parse::<u64>().ok()?;
                }
                (leaves, is_of_call) = (false, true);
            } else if line.starts_with(|char: char| char.is_ascii_digit()) {
                if is_own && !is_of_call {
                    count.instructions += line.split(' ').nth(1)?.parse::<u64>().ok()?;
                }
                is_of_call = false;
            }
        }
        (count.instructions > 0).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
# callgrind format
version: 1
pid: 7
positions: line
events: Ir
summary: 999

ob=/usr/lib/ld.so
fl=rtld.c
fn=start
10 500
cob=/t/own
cfi=main.rs
cfn=main
calls=1 0
11 400

ob=/t/own
fl=main.rs
fn=main
1 30
cfn=work
calls=2 5
2 300
fi=lib.rs
3 7
fe=main.rs
cob=/usr/lib/libc.so.6
cfi=malloc.c
cfn=malloc
calls=3 0
4 90
4 5

fn=work
5 100

ob=/usr/lib/libc.so.6
fl=malloc.c
fn=malloc
1 90

totals: 999
";

    #[test]
    fn own_instructions_and_calls_out_are_counted() {
        assert_eq!(Count::read(PROFILE, "own"), Some(Count { instructions: 142, calls: 3 }));
        assert_eq!(Count::read(PROFILE, "other"), None);
        assert_eq!(Count::read("", "own"), None);
    }
}
