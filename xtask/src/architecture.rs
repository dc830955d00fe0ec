//! What must hold in every file of the workspace?
//!
//! Each rule is a function from a file to its findings, so that the tests can show it bad samples.

use crate::manifest::Manifest;
use crate::source::{Source, WordEnd};
use crate::workspace::TextFile;
use std::fmt;

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, from the workspace's root.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub what: String,
}

impl Finding {
    fn new(file: &TextFile, line: usize, what: String) -> Self {
        Self { path: file.path.clone(), line, what }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Which crates a crate may be built with. Tests (`[dev-dependencies]`) may use any.
///
/// ```text
/// proto ◄─ link ◄─ karere ◄─ cli        proto ◄─ broker ◄─ cli
/// proto ◄─ store ◄─ karere              proto, link, broker ◄─ sim (never published)
/// ```
const DIRECTIONS: &[Direction] = &[
    Direction { member: "karere-proto", own: &[], outside: Outside::Only(&["bytes"]) },
    Direction {
        member: "karere-link",
        own: &["karere-proto"],
        outside: Outside::Only(&["base64", "bytes", "openssl", "rustls", "tungstenite"]),
    },
    Direction { member: "karere-store", own: &["karere-proto"], outside: Outside::Only(&["bytes", "redb"]) },
    Direction { member: "karere", own: &["karere-proto", "karere-link", "karere-store"], outside: Outside::Any },
    Direction { member: "karere-broker", own: &["karere-proto"], outside: Outside::Any },
    Direction { member: "karere-sim", own: &["karere-proto", "karere-link", "karere-broker"], outside: Outside::Any },
    Direction {
        member: "karere-cli",
        own: &["karere", "karere-broker", "karere-proto", "karere-store"],
        outside: Outside::Any,
    },
    Direction { member: "xtask", own: &[], outside: Outside::Only(&[]) },
];

struct Direction {
    member: &'static str,
    own: &'static [&'static str],
    outside: Outside,
}

enum Outside {
    Any,
    Only(&'static [&'static str]),
}

/// Checks a member's `Cargo.toml` against the allowed directions. `root` is the workspace's manifest.
pub fn check_dependencies(file: &TextFile, root: &Manifest) -> Vec<Finding> {
    let member = member_of(&file.path);
    let Some(direction) = DIRECTIONS.iter().find(|direction| direction.member == member) else {
        let what =
            format!("{member} has no line in DIRECTIONS of xtask/src/architecture.rs: say what it may depend on");
        return vec![Finding::new(file, 1, what)];
    };
    let is_own =
        |package: &str| package.starts_with("karere") || DIRECTIONS.iter().any(|direction| direction.member == package);
    let dependencies = Manifest::new(&file.text).dependencies(root);
    let refused = dependencies.iter().filter(|dependency| {
        let package = dependency.package.as_str();
        match direction.outside {
            _ if is_own(package) => !direction.own.contains(&package),
            Outside::Any => false,
            Outside::Only(allowed) => !allowed.contains(&package),
        }
    });
    let what =
        |package: &str| format!("{member} may not depend on {package} (DIRECTIONS in xtask/src/architecture.rs)");
    refused.map(|dependency| Finding::new(file, dependency.line, what(&dependency.package))).collect()
}

/// `crates/x/Cargo.toml` is of `x`: packages are named as their directories.
fn member_of(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

/// The crates that know neither clock nor socket, file or thread, and where they keep what differs between versions.
pub const PURE: &[&str] = &["crates/karere-proto/src", "crates/karere-link/src"];

const VERSION_FILES: &[&str] = &[
    "crates/karere-proto/src/session/handshake.rs",
    "crates/karere-proto/src/session/negotiated.rs",
    "crates/karere-proto/src/version.rs",
];

const OUTSIDE_WORLD: &[(&str, &str)] = &[
    ("std::net", "sockets belong to the drivers (addresses are in core::net)"),
    ("TcpListener", "sockets belong to the drivers"),
    ("TcpStream", "sockets belong to the drivers"),
    ("UdpSocket", "sockets belong to the drivers"),
    ("UnixListener", "sockets belong to the drivers"),
    ("UnixStream", "sockets belong to the drivers"),
    ("std::fs", "files belong to the store"),
    ("File::", "files belong to the store"),
    ("std::thread", "threads belong to the drivers"),
    ("thread::spawn", "threads belong to the drivers"),
    ("Instant::now", "time comes in as an argument"),
    ("SystemTime::now", "time comes in as an argument"),
];

/// Checks a file of a [`PURE`] crate: no outside world, and no version but in the tables.
///
/// Clippy's `disallowed_methods` and `disallowed_types` see through aliases; this sees all platforms and features.
pub fn check_purity(file: &TextFile) -> Vec<Finding> {
    let source = Source::new(&file.text);
    let outside = OUTSIDE_WORLD.iter().flat_map(|(name, why)| {
        let places = source.find(name, WordEnd::Here);
        places.into_iter().map(move |place| Finding::new(file, place.line, format!("{name}: {why}")))
    });
    let mut findings: Vec<Finding> = outside.collect();
    if !VERSION_FILES.contains(&file.path.as_str()) {
        let variants = source.find("Version::V", WordEnd::Open).into_iter();
        let places = variants.chain(source.find("Version::*", WordEnd::Open));
        let what = "names a version: ask WireRules or Negotiated what this connection can do";
        findings.extend(places.map(|place| Finding::new(file, place.line, what.to_owned())));
    }
    findings
}

const MOST_CODE_LINES: usize = 600;

/// Files that may be longer: path and reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Checks that a file answers one question: at most 600 lines of code, tests and comments not counted.
pub fn check_length(file: &TextFile) -> Option<Finding> {
    let lines = Source::new(&file.text).code_lines();
    let excepted = LONG_FILES.iter().any(|(path, _)| *path == file.path);
    match (lines > MOST_CODE_LINES, excepted) {
        (true, false) => {
            let what = format!("{lines} lines of code, {MOST_CODE_LINES} at most: it is asking to be two files");
            Some(Finding::new(file, 1, what))
        }
        (false, true) => {
            Some(Finding::new(file, 1, "no longer too long: remove it from LONG_FILES in xtask".to_owned()))
        }
        (true, true) | (false, false) => None,
    }
}

// Written in two parts, as this file is checked too.
const FOREIGN_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.org", "/simple"),
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("proxy.", "golang.org"),
    concat!("sum.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("[source", ".crates-io]"),
    concat!("replace", "-with"),
];
const PUBLIC_INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks that a text file speaks of the product only: no one's directories, no package registry's hosts.
pub fn check_wording(file: &TextFile) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    let findings = lines.flat_map(|(index, line)| {
        let path = FOREIGN_PATHS.iter().find(|path| names_directory(line, path));
        let path = path.map(|path| format!("{path} is a directory of somebody's machine"));
        let host = REGISTRY_HOSTS.iter().find(|host| line.contains(**host));
        let host = host.map(|host| format!("{host}: where packages come from is the builder's matter"));
        let found = [path, host, locked_elsewhere(file, line)].into_iter().flatten();
        found.map(move |what| Finding::new(file, index + 1, what))
    });
    findings.collect()
}

/// `site/work/lamp` is a topic, not a directory.
fn names_directory(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || "_-.+#".contains(char))
    })
}

fn locked_elsewhere(file: &TextFile, line: &str) -> Option<String> {
    let source = line.strip_prefix("source = \"")?.strip_suffix('"')?;
    (file.path.ends_with("Cargo.lock") && source != PUBLIC_INDEX)
        .then(|| format!("{source}: packages are locked to the public index only"))
}
