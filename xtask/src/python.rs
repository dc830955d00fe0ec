//! Does the Python package hold, and do paho-mqtt's own tests and examples pass on it?

use crate::interop::{Absence, Found, Server};
use crate::out::Stream;
use crate::outcome::Outcome;
use crate::packages::Install;
use crate::process;
use crate::totals::Totals;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::workspace::Workspace;

/// What the tests start or are built with: Debian's package, and the program that shows that it is there.
const PACKAGES: [(&str, &str); 4] =
    [("python3-venv", "python3"), ("openssl", "openssl"), ("iproute2", "ip"), ("util-linux", "unshare")];

/// What the package is compared with, question by question.
const REFERENCE: &str = "paho-mqtt==2.2.0";

/// Further interpreters that the package is tested with when they are there: the oldest it supports, and the newest.
const OTHERS: [&[&str]; 2] = [&["python3.9"], &["python3.14", "python3.13", "python3.12"]];

/// A Python with everything installed that the tests need.
struct Environment<'a> {
    workspace: &'a Workspace,
    /// Where all of it is, below `target`.
    folder: &'a Path,
    name: &'static str,
    mosquitto: Option<&'a Found>,
}

/// Builds the package into environments of its own, and runs everything in `python/tests`.
pub(crate) fn run(workspace: &Workspace, install: Install) -> io::Result<(Outcome, Totals)> {
    let mut checks = Checks::default();
    let python = match find_python(install) {
        Ok(python) => python,
        Err(why) => return Ok((Outcome::LeftOut(format!("python: {why}")), checks.totals)),
    };
    let mosquitto = match Server::ALL[0].find(install) {
        Ok(found) => Some(found),
        Err(Absence::Misnamed(what)) => return Err(io::Error::new(io::ErrorKind::NotFound, what)),
        Err(Absence::NotInstalled(_)) => None,
    };
    let folder = process::target_folder(workspace.root()).join("python");
    let environment = Environment { workspace, folder: &folder, name: "venv", mosquitto: mosquitto.as_ref() };

    let mut native = process::cargo(workspace.root());
    native.args(["test", "--manifest-path", "python/Cargo.toml", "--no-default-features", "--target-dir"]);
    let (status, output) = process::run_reading(native.arg(process::target_folder(workspace.root())), Stream::Stdout)?;
    checks.counted(status.success(), Totals::of_libtest(&output));
    if !environment.prepare(&python)? {
        return Ok((Outcome::Failed, checks.totals));
    }
    let kept = folder.join("sdists").to_string_lossy().into_owned();
    checks.pytest(&mut environment.own_tests()?)?;
    checks.pytest(&mut environment.python(&["python/tests/paho_suite.py", "--folder", &kept, "-q"]))?;
    let mut types = environment.python(&["-m", "mypy", "--strict", "--package", "karere"]);
    checks.plain(types.current_dir(&folder))?;
    match (&mosquitto, process::succeeds(Command::new("unshare").args(["--map-root-user", "--net", "true"]))) {
        (None, _) => checks.left_out.push("its examples and dependents: no mosquitto".to_owned()),
        (_, false) => checks.left_out.push("its examples: this machine allows no network namespaces".to_owned()),
        (Some(_), true) => {
            for api in ["2.2", "1.6"] {
                let script = "python/tests/examples/run_examples.py";
                checks.plain(&mut environment.python(&[script, "--api", api, "--folder", &kept]))?;
            }
        }
    }
    if mosquitto.is_some() {
        let libraries = folder.join("dependents").to_string_lossy().into_owned();
        let script = "python/tests/dependents/run_dependents.py";
        checks.plain(&mut environment.python(&[script, "--folder", &libraries]))?;
    }
    for (names, name) in OTHERS.into_iter().zip(["venv-oldest", "venv-newest"]) {
        let Some(other) = names.iter().find_map(|name| find_interpreter(name)) else {
            checks.left_out.push(format!("the package under {}: not installed", names[0]));
            continue;
        };
        let environment = Environment { name, ..environment };
        if !environment.prepare(&other)? {
            checks.failed = true;
            continue;
        }
        checks.pytest(&mut environment.own_tests()?)?;
    }
    Ok(checks.end())
}

/// What came of the checks so far.
#[derive(Default)]
struct Checks {
    totals: Totals,
    failed: bool,
    left_out: Vec<String>,
}

impl Checks {
    fn pytest(&mut self, command: &mut Command) -> io::Result<()> {
        let (status, output) = process::run_reading(command, Stream::Stdout)?;
        self.counted(status.success(), Totals::of_pytest(&output));
        Ok(())
    }

    /// Tests that cannot be counted have failed.
    fn counted(&mut self, succeeded: bool, totals: Option<Totals>) {
        self.failed |= !succeeded || totals.is_none_or(|totals| totals.failed > 0);
        self.totals += totals.unwrap_or_default();
    }

    fn plain(&mut self, command: &mut Command) -> io::Result<()> {
        self.failed |= !process::run(command)?.success();
        Ok(())
    }

    fn end(self) -> (Outcome, Totals) {
        let outcome = match (self.failed, self.left_out.is_empty()) {
            (true, _) => Outcome::Failed,
            (false, true) => Outcome::Passed,
            (false, false) => Outcome::PassedBut(format!("python: {}", self.left_out.join("; "))),
        };
        (outcome, self.totals)
    }
}

/// A Python that can make environments, and the programs the tests start.
fn find_python(install: Install) -> Result<PathBuf, String> {
    let search = || -> Result<PathBuf, Vec<&str>> {
        let missing = PACKAGES.iter().filter(|(_, program)| process::find(program, &["/usr/sbin", "/sbin"]).is_none());
        let mut missing: Vec<&str> = missing.map(|&(package, _)| package).collect();
        let python = std::env::var_os("KARERE_PYTHON").map(PathBuf::from).or_else(|| process::find("python3", &[]));
        let Some(python) = python else {
            return Err(missing);
        };
        if !process::succeeds(Command::new(&python).args(["-c", "import ensurepip, venv"])) {
            missing.push("python3-venv");
        }
        if missing.is_empty() { Ok(python) } else { Err(missing) }
    };
    search().or_else(|missing| {
        let how = format!("apt-get install {}", missing.join(" "));
        install.install(&missing).map_err(|why| format!("{} not installed ({why}); {how}", missing.join(", ")))?;
        search().map_err(|missing| format!("{} not installed; {how}", missing.join(", ")))
    })
}

/// The interpreter of this name, in `PATH` or among pyenv's: its programs in `PATH` may be there and refuse to run.
fn find_interpreter(name: &str) -> Option<PathBuf> {
    let home = |variable| std::env::var_os(variable).map(PathBuf::from);
    let pyenv = home("PYENV_ROOT").or_else(|| home("HOME").map(|home| home.join(".pyenv")));
    let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let installed =
        versions.into_iter().flatten().filter_map(|version| Some(version.ok()?.path().join("bin").join(name)));
    let mut found = process::find(name, &[]).into_iter().chain(installed);
    found.find(|python| process::succeeds(Command::new(python).args(["-c", "import ensurepip, venv"])))
}

impl Environment<'_> {
    /// Makes the environment where it is not there, and installs the package as it stands.
    fn prepare(&self, python: &Path) -> io::Result<bool> {
        if !process::succeeds(&mut self.python(&["-m", "pip", "--version"])) {
            let mut make = Command::new(python);
            make.args(["-m", "venv", "--clear"]).arg(self.folder.join(self.name));
            if !process::run(&mut make)?.success() {
                return Ok(false);
            }
        }
        let pip = |args: &[&str]| self.python(&[&["-m", "pip", "install", "--quiet"], args].concat());
        let mut needs = pip(&["--requirement", "python/tests/requirements.txt"]);
        let mut package = pip(&["--no-build-isolation", "--no-deps", "--force-reinstall", "./python"]);
        package.env("CARGO_TARGET_DIR", process::target_folder(self.workspace.root()));
        // Tools are asked for by name: cargo by maturin, and maturin by pip.
        let cargo = std::env::var_os("CARGO").map(PathBuf::from);
        let cargo = cargo.as_deref().and_then(Path::parent).map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.folder.join(self.name).join("bin")].into_iter().chain(cargo);
        package
            .env("PATH", std::env::join_paths(folders.chain(std::env::split_paths(&path))).map_err(io::Error::other)?);
        let mut in_paho_s_place = pip(&["--no-deps", "--force-reinstall", "./python/paho-dropin"]);
        for command in [&mut needs, &mut package, &mut in_paho_s_place] {
            if !process::run(command)?.success() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The project's tests, which compare the package with the original too.
    fn own_tests(&self) -> io::Result<Command> {
        let reference = self.folder.join("reference");
        if !reference.join("paho").is_dir() {
            let target = reference.to_string_lossy();
            let mut fetch =
                self.python(&["-m", "pip", "install", "--quiet", "--no-deps", "--target", &target, REFERENCE]);
            if !process::run(&mut fetch)?.success() {
                return Err(io::Error::other(format!("{REFERENCE} could not be fetched")));
            }
        }
        let mut tests =
            self.python(&["-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "120", "python/tests"]);
        tests.env("KARERE_REFERENCE_PAHO", reference);
        Ok(tests)
    }

    /// The environment's Python, at the root of the repository.
    fn python(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(self.folder.join(self.name).join("bin/python"));
        command.args(args).current_dir(self.workspace.root());
        if let Some(found) = self.mosquitto {
            found.describe_to(&mut command);
        }
        // A user's own settings must not find another package of the same name.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}
