//! Which mosquitto do the interop tests run against, and how does it get here?

use crate::out;
use crate::process;
use std::path::PathBuf;
use std::process::Command;

/// Whether a missing mosquitto may be installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Install {
    Never,
    #[default]
    WhenPossible,
}

/// Where mosquitto's programs are.
#[derive(Debug)]
pub(crate) struct Mosquitto(Vec<(&'static str, PathBuf)>);

/// Why there is no mosquitto, in words for the user.
#[derive(Debug)]
pub(crate) enum Absence {
    /// The environment names a program that is not there: a mistake, not a lack.
    Misnamed(String),
    NotInstalled(String),
}

impl Mosquitto {
    const HOW: &str = "apt-get install mosquitto mosquitto-clients";
    const PROGRAMS: [(&str, &str); 3] = [
        ("KARERE_MOSQUITTO", "mosquitto"),
        ("KARERE_MOSQUITTO_PUB", "mosquitto_pub"),
        ("KARERE_MOSQUITTO_SUB", "mosquitto_sub"),
    ];
    /// Debian keeps the broker in `sbin`, which the `PATH` of most users does not have.
    const FOLDERS: &[&str] =
        &["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin"];

    /// Finds the three programs; installs them first when they are missing and `install` and the machine let it.
    pub(crate) fn find(install: Install) -> Result<Self, Absence> {
        let missing = match Self::search() {
            Err(Absence::NotInstalled(missing)) => missing,
            found => return found,
        };
        match install {
            Install::Never => Err(format!("{missing} (--no-install); {}", Self::HOW)),
            Install::WhenPossible => Self::install().map_err(|why| format!("{missing}{why}; {}", Self::HOW)),
        }
        .map_err(Absence::NotInstalled)?;
        Self::search()
    }

    /// Tells a test command where the programs are.
    pub(crate) fn describe_to(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(variable, path)| (variable, path)));
    }

    fn search() -> Result<Self, Absence> {
        let mut programs = Vec::new();
        let mut missing = Vec::new();
        for (variable, name) in Self::PROGRAMS {
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
            true => Ok(Self(programs)),
            false => Err(Absence::NotInstalled(format!("{} not installed", missing.join(", ")))),
        }
    }

    /// Says in a few words why not.
    fn install() -> Result<(), &'static str> {
        if process::find("apt-get", &["/usr/bin"]).is_none() {
            return Err(" (no apt-get here)");
        }
        if !is_root() {
            return Err(" (only root may install)");
        }
        out::line("mosquitto is missing: installing Debian's packages (--no-install prevents it)");
        // Package lists may be absent (fresh container) or too old; fetching them costs seconds, so only when needed.
        let get =
            || process::run(&mut apt_get(&["install", "--no-install-recommends", "mosquitto", "mosquitto-clients"]));
        let installed = get().and_then(|status| match status.success() {
            true => Ok(status),
            false => process::run(&mut apt_get(&["update"])).and_then(|_| get()),
        });
        match installed {
            Ok(status) if status.success() => Ok(()),
            Ok(_) | Err(_) => Err(" (apt-get failed, see above)"),
        }
    }
}

fn apt_get(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--yes", "--quiet"]).args(words);
    // RUNLEVEL=1: the package's own broker is not started; the tests start theirs.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// Asked of `id`, since std does not know and a dependency for it is not worth it.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
