//! How does a program that is missing get here?

use crate::out;
use crate::process;
use std::process::Command;

/// Whether what is missing may be installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Install {
    Never,
    #[default]
    WhenPossible,
}

impl Install {
    /// Installs Debian's packages when that is allowed and possible; else says in a few words why not.
    pub(crate) fn install(self, packages: &[&str]) -> Result<(), &'static str> {
        if self == Self::Never {
            return Err("--no-install");
        }
        if process::find("apt-get", &["/usr/bin"]).is_none() {
            return Err("no apt-get here");
        }
        if !is_root() {
            return Err("only root may install");
        }
        out::line(&format!("installing Debian's {} (--no-install prevents it)", packages.join(", ")));
        let succeeds = |words: &[&str]| process::run(&mut apt_get(words)).is_ok_and(|status| status.success());
        let get = || succeeds(&[&["install", "--no-install-recommends"], packages].concat());
        // Package lists may be absent (fresh container) or too old; fetching them costs seconds, so only when needed.
        match get() || succeeds(&["update"]) && get() {
            true => Ok(()),
            false => Err("apt-get failed, see above"),
        }
    }
}

fn apt_get(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--yes", "--quiet"]).args(words);
    // RUNLEVEL=1: services are not started; the tests start theirs.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// Asked of `id`, since std does not know and a dependency for it is not worth it.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
