//! Shows that the simulation finds faults: switches those of `faults/faults.txt` on, one at a time, in a copy.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

const USAGE: &str = "usage: faults [--seeds N] [--markdown] [--check] [NAME…]
  NAME        only these; all when none is given
  --seeds N   at most so many for each (200000)
  --markdown  prints a table, as docs/simulation.md has it
  --check     only looks whether they still fit the code";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// One fault: what it is called, what it is, and what it replaces where.
#[derive(Debug, Default)]
struct Fault {
    name: String,
    what: String,
    edits: Vec<Edit>,
}

#[derive(Debug)]
struct Edit {
    file: String,
    old: String,
    new: String,
}

/// What became of a fault.
enum Found {
    /// By this many seeds, and what was said of the last.
    After(u64, String),
    Never,
}

struct Options {
    names: Vec<String>,
    /// At most, for each.
    seeds: u64,
    task: Task,
}

#[derive(PartialEq)]
enum Task {
    Check,
    Find,
    Tabulate,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE, // that is 1, and xtask knows it
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

/// True when every fault was found, or fits.
fn run() -> Outcome<bool> {
    let Options { names, seeds, task } = options(env::args().skip(1))?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).ok_or("this package is not in its workspace")?;
    let mut faults = parse(&fs::read_to_string(here.join("faults/faults.txt"))?)?;
    if let Some(unknown) = names.iter().find(|name| faults.iter().all(|fault| fault.name != **name)) {
        return Err(format!("there is no fault {unknown}").into());
    }
    faults.retain(|fault| names.is_empty() || names.contains(&fault.name));
    if task == Task::Check {
        return check(&faults, root);
    }
    let copy = root.join("target/faults/workspace");
    let target = root.join("target/faults/target");
    copy_workspace(root, &copy)?;
    let mut out = io::stdout().lock();
    if task == Task::Tabulate {
        writeln!(out, "| fault | what is wrong | seeds | what the simulation says |\n|---|---|---:|---|")?;
    }
    let mut all = true;
    for fault in &faults {
        let begun = Instant::now();
        let found = with(fault, &copy, || simulate(&copy, &target, seeds))?;
        let seconds = begun.elapsed().as_secs();
        let Fault { name, what, .. } = fault;
        all &= matches!(found, Found::After(..));
        match (found, &task) {
            (Found::After(count, said), Task::Tabulate) => {
                writeln!(out, "| `{name}` | {what} | {count} | {} |", said.replace('|', "\\|"))?;
            }
            (Found::Never, Task::Tabulate) => writeln!(out, "| `{name}` | {what} | **not found** by {seeds} | |")?,
            (Found::After(count, said), _) => {
                writeln!(out, "{name:28} {count:>7} seeds {seconds:>4} s  {what}\n{:29}{said}", "")?;
            }
            (Found::Never, _) => writeln!(out, "{name:28} NOT FOUND by {seeds} seeds, {seconds} s  {what}")?,
        }
    }
    if task == Task::Find {
        writeln!(out, "{} faults, {}", faults.len(), if all { "all found" } else { "NOT all found" })?;
    }
    Ok(all)
}

fn options(mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
    let mut options = Options { names: Vec::new(), seeds: 200_000, task: Task::Find };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => options.seeds = arguments.next().ok_or("--seeds needs a number")?.parse()?,
            "--markdown" => options.task = Task::Tabulate,
            "--check" => options.task = Task::Check,
            _ if argument.starts_with('-') => return Err(format!("what is {argument}?\n{USAGE}").into()),
            _ => options.names.push(argument),
        }
    }
    Ok(options)
}

/// Says which faults no longer fit the code.
fn check(faults: &[Fault], root: &Path) -> Outcome<bool> {
    let mut out = io::stdout().lock();
    let mut all = true;
    for fault in faults {
        // Each edit sees what those before it have done.
        let mut texts = BTreeMap::<&str, String>::new();
        for Edit { file, old, new } in &fault.edits {
            if !texts.contains_key(file.as_str()) {
                texts.insert(file, fs::read_to_string(root.join(file)).unwrap_or_default());
            }
            match texts.get_mut(file.as_str()) {
                Some(text) if text.matches(old.as_str()).count() == 1 => *text = text.replacen(old.as_str(), new, 1),
                Some(_) | None => {
                    all = false;
                    writeln!(out, "{}: this stands not once in {file}:\n{old}", fault.name)?;
                }
            }
        }
    }
    writeln!(out, "{} faults, {}", faults.len(), if all { "all fit the code" } else { "NOT all fit the code" })?;
    Ok(all)
}

/// Does `what` with the fault switched on in the copy.
fn with<T>(fault: &Fault, copy: &Path, what: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let mut before = Vec::new();
    for Edit { file, old, new } in &fault.edits {
        let path = copy.join(file);
        let text = fs::read_to_string(&path)?;
        if text.matches(old.as_str()).count() != 1 {
            restore(before)?;
            return Err(format!("{}: this stands not once in {file}:\n{old}", fault.name).into());
        }
        fs::write(&path, text.replacen(old.as_str(), new, 1))?;
        before.push((path, text));
    }
    let outcome = what();
    restore(before)?;
    outcome
}

fn restore(before: Vec<(PathBuf, String)>) -> io::Result<()> {
    before.into_iter().rev().try_for_each(|(path, text)| fs::write(path, text))
}

fn simulate(copy: &Path, target: &Path, seeds: u64) -> Outcome<Found> {
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--quiet", "--offline", "-p", "karere-sim", "--example", "sim"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("RUSTFLAGS", "-Awarnings")
        .status()?;
    if !built.success() {
        return Err("it does not build".into());
    }
    let output = Command::new(target.join("release/examples/sim"))
        .args(["--first", "--seeds", &seeds.to_string()])
        .stderr(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let first = said.lines().next().and_then(|line| line.strip_prefix("seed ")?.split_once(": "));
    match first {
        Some((seed, what)) => Ok(Found::After(seed.parse::<u64>()? + 1, what.to_owned())),
        None if output.status.success() => Ok(Found::Never),
        None => Err(format!("the simulation said: {said}").into()),
    }
}

fn copy_workspace(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for name in ["Cargo.toml", "Cargo.lock", "crates", "xtask", "README.md"] {
        let source = from.join(name);
        if source.exists() {
            copy(&source, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != "target" {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn parse(text: &str) -> Outcome<Vec<Fault>> {
    let mut faults = Vec::<Fault>::new();
    let mut file = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(head) = line.strip_prefix("== ") {
            let (name, what) = head.split_once(": ").ok_or_else(|| format!("no sentence in {line}"))?;
            faults.push(Fault { name: name.to_owned(), what: what.to_owned(), edits: Vec::new() });
        } else if let Some(path) = line.strip_prefix("-- ") {
            path.clone_into(&mut file);
        } else if line == "<<<" {
            let mut block = |end: &str| {
                let mut block = String::new();
                for line in lines.by_ref().take_while(|line| *line != end) {
                    block.push_str(line);
                    block.push('\n');
                }
                block
            };
            let (old, new) = (block("==="), block(">>>"));
            let fault = faults.last_mut().ok_or("text before the first fault")?;
            // The last line need not be whole.
            let old = old.strip_suffix('\n').unwrap_or(&old).to_owned();
            let new = new.strip_suffix('\n').unwrap_or(&new).to_owned();
            fault.edits.push(Edit { file: file.clone(), old, new });
        }
    }
    Ok(faults)
}
