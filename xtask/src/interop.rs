//! Which servers do the interop tests run against, and how do they get here?

use crate::outcome::Outcome;
use crate::packages::Install;
use crate::process;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use xtask::workspace::Workspace;

/// A server that is found on this machine or installed, and the tests that need it or its programs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// The binaries of its tests.
    pub(crate) targets: &'static [&'static str],
    packages: &'static [&'static str],
    /// The variable that tells the tests where a program is, and the program.
    pub(crate) programs: &'static [(&'static str, &'static str)],
}

/// Where a server's programs are.
#[derive(Debug)]
pub(crate) struct Found(Vec<(&'static str, PathBuf)>);

/// Why there is no such server, in words for the user.
#[derive(Debug)]
pub(crate) enum Absence {
    /// The environment names a program that is not there: a mistake, not a lack.
    Misnamed(String),
    NotInstalled(String),
}

impl Server {
    pub(crate) const ALL: [Self; 3] = [
        Self {
            name: "mosquitto",
            targets: &[
                "interop_mosquitto",
                "interop_mosquitto_clients",
                "interop_mosquitto_crash",
                "interop_mosquitto_tls",
                "interop_mosquitto_transports",
            ],
            packages: &["mosquitto", "mosquitto-clients"],
            programs: &[
                ("KARERE_MOSQUITTO", "mosquitto"),
                ("KARERE_MOSQUITTO_PUB", "mosquitto_pub"),
                ("KARERE_MOSQUITTO_SUB", "mosquitto_sub"),
            ],
        },
        Self {
            name: "ejabberd",
            targets: &["interop_ejabberd"],
            packages: &["ejabberd"],
            programs: &[("KARERE_EJABBERD", "ejabberdctl")],
        },
        Self {
            name: "proxies",
            targets: &["interop_proxies"],
            packages: &["microsocks", "tinyproxy-bin", "dante-server"],
            programs: &[
                ("KARERE_MICROSOCKS", "microsocks"),
                ("KARERE_TINYPROXY", "tinyproxy"),
                ("KARERE_DANTED", "danted"),
            ],
        },
    ];

    /// Debian keeps servers in `sbin`, which the `PATH` of most users does not have.
    const FOLDERS: &[&str] =
        &["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin"];

    /// Finds its programs; installs them first when they are missing and `install` and the machine let it.
    pub(crate) fn find(&self, install: Install) -> Result<Found, Absence> {
        let missing = match self.search() {
            Err(Absence::NotInstalled(missing)) => missing,
            found => return found,
        };
        let how = || format!("apt-get install {}", self.packages.join(" "));
        let installed = install.install(self.packages);
        installed.map_err(|why| Absence::NotInstalled(format!("{missing} ({why}); {}", how())))?;
        self.search()
    }

    fn search(&self) -> Result<Found, Absence> {
        let mut programs = Vec::new();
        let mut missing = Vec::new();
        for &(variable, name) in self.programs {
            match std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) {
                Some(path) if path.is_file() => programs.push((variable, path)),
                Some(path) => {
                    return Err(Absence::Misnamed(format!("{variable} names {}, which is not there", path.display())));
                }
                None => match process::find(name, Self::FOLDERS) {
                    Some(path) => programs.push((variable, path)),
                    None => missing.push(name),
                },
            }
        }
        match missing.is_empty() {
            true => Ok(Found(programs)),
            false => Err(Absence::NotInstalled(format!("{} not installed", missing.join(", ")))),
        }
    }
}

impl Found {
    /// Tells a test command where the programs are.
    pub(crate) fn describe_to(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(variable, path)| (variable, path)));
    }
}

/// `cargo xtask interop`: runs the workspace `interop`, whose server is built from a crate. That takes minutes the first
/// time.
pub(crate) fn run(workspace: &Workspace) -> io::Result<Outcome> {
    let mut tests = process::cargo(workspace.root());
    tests.args(["test", "--manifest-path", "interop/Cargo.toml", "--no-fail-fast"]);
    process::run(&mut tests).map(Outcome::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::is_interop;

    #[test]
    fn every_interop_test_binary_has_its_server() {
        let targets = Workspace::open().unwrap().test_targets().unwrap();
        let mut there: Vec<&str> = targets.iter().map(String::as_str).filter(|target| is_interop(target)).collect();
        let mut known: Vec<&str> = Server::ALL.iter().flat_map(|server| server.targets).copied().collect();
        there.sort_unstable();
        known.sort_unstable();
        assert_eq!(there, known, "tests/interop_* (left) and Server::ALL (right): what is in one only is not run");
    }
}
