//! Which features is everything checked with?

use crate::packages::Install;
use crate::process;
use std::io;
use std::path::Path;
use std::process::Command;
use xtask::manifest::Manifest;
use xtask::workspace::Workspace;

/// All features; or all but those that this machine cannot build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// Arguments of cargo, beside `--workspace`.
    pub(crate) arguments: Vec<String>,
    /// What is left out with them, and how to have it.
    pub(crate) left_out: Option<String>,
}

/// The feature that takes the headers of OpenSSL, and Debian's packages with them.
const OPENSSL: &str = "openssl";
const PACKAGES: [&str; 2] = ["libssl-dev", "pkg-config"];

impl Features {
    /// Installs what is missing when `install` and the machine let it.
    pub(crate) fn find(workspace: &Workspace, install: Install) -> io::Result<Self> {
        let why_not = match has_openssl() {
            true => None,
            false => install.install(&PACKAGES).err(),
        };
        match why_not {
            None => Ok(Self { arguments: vec!["--all-features".to_owned()], left_out: None }),
            Some(why) => {
                let manifests = workspace.member_manifests()?;
                let others = manifests.iter().flat_map(|file| others(&Manifest::new(&file.text))).collect::<Vec<_>>();
                let left_out = format!(
                    "the feature {OPENSSL} (pre-shared keys) and its tests: no headers of OpenSSL ({why}); apt-get install {}",
                    PACKAGES.join(" ")
                );
                let arguments = vec!["--features".to_owned(), others.join(",")];
                Ok(Self { arguments, left_out: Some(left_out) })
            }
        }
    }
}

/// Looks where `openssl-sys` looks.
fn has_openssl() -> bool {
    std::env::var_os("OPENSSL_DIR").is_some()
        || process::succeeds(Command::new("pkg-config").args(["--exists", "openssl"]))
        || ["/opt/homebrew/opt/openssl@3", "/usr/local/opt/openssl@3"].iter().any(|folder| Path::new(folder).is_dir())
}

/// A member's features but this one, as cargo wants them at the workspace's root.
fn others(manifest: &Manifest) -> Vec<String> {
    let package = manifest.list("package", "name").concat();
    let features = manifest.keys("features").filter(|&feature| feature != OPENSSL);
    features.map(|feature| format!("{package}/{feature}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_but_one_is_named_with_its_package() {
        let text = "[package]\nname = \"x\"\n[features]\ndefault = [\"a\"]\na = []\nopenssl = [\"a\"]\nb-c = [\n  \"dep:b\",\n]\n";
        assert_eq!(others(&Manifest::new(text)), ["x/default", "x/a", "x/b-c"]);
        assert_eq!(others(&Manifest::new("[package]\nname = \"y\"\n")), [""; 0]);
    }

    #[test]
    fn the_feature_is_there_to_be_left_out() {
        let manifests = Workspace::open().unwrap().member_manifests().unwrap();
        let has =
            |file: &xtask::workspace::TextFile| Manifest::new(&file.text).keys("features").any(|key| key == OPENSSL);
        assert!(manifests.iter().any(has));
    }
}
