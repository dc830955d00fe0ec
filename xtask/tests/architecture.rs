//! Does the workspace keep its architecture, and would each rule notice if it did not?
#![cfg(test)]

use std::fmt::Write;
use xtask::architecture::{Finding, PURE, check_dependencies, check_length, check_purity, check_wording};
use xtask::manifest::Manifest;
use xtask::workspace::{TextFile, Workspace};

fn workspace() -> Workspace {
    Workspace::open().unwrap()
}

#[track_caller]
fn assert_none(findings: &[Finding]) {
    let list = findings.iter().fold(String::new(), |mut list, finding| {
        writeln!(list, "  {finding}").unwrap();
        list
    });
    assert!(findings.is_empty(), "the architecture is broken in {} places:\n{list}", findings.len());
}

#[track_caller]
fn assert_lines(findings: &[Finding], lines: &[usize]) {
    let mut found: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, lines, "{findings:?}");
}

#[test]
fn dependencies_point_one_way() {
    let workspace = workspace();
    let manifests = workspace.member_manifests().unwrap();
    assert!(manifests.len() >= 6, "members were not found: {manifests:?}");
    let findings: Vec<Finding> =
        manifests.iter().flat_map(|file| check_dependencies(file, workspace.manifest())).collect();
    assert_none(&findings);
}

#[test]
fn proto_and_link_know_no_outside_world_and_name_no_version() {
    let folders: Vec<String> = PURE.iter().map(|&folder| folder.to_owned()).collect();
    let sources = workspace().sources(&folders).unwrap();
    for folder in PURE {
        assert!(sources.iter().any(|file| file.path.starts_with(folder)), "no sources in {folder}");
    }
    assert_none(&sources.iter().flat_map(check_purity).collect::<Vec<_>>());
}

#[test]
fn files_answer_one_question() {
    let workspace = workspace();
    let sources = workspace.sources(&workspace.members().unwrap()).unwrap();
    assert!(sources.len() >= 10, "sources were not found");
    assert_none(&sources.iter().filter_map(check_length).collect::<Vec<_>>());
}

#[test]
fn texts_speak_of_the_product_only() {
    let texts = workspace().texts().unwrap();
    assert!(texts.iter().any(|file| file.path == "Cargo.lock"), "texts were not found");
    assert_none(&texts.iter().flat_map(check_wording).collect::<Vec<_>>());
}

fn dependencies_of(member: &str, text: &str) -> Vec<Finding> {
    let root = Manifest::new("[workspace.dependencies]\nalias = { package = \"karere-broker\", path = \"x\" }\n");
    check_dependencies(&TextFile::new(&format!("crates/{member}/Cargo.toml"), text.to_owned()), &root)
}

#[test]
fn a_wrong_direction_is_noticed() {
    let good = "[dependencies]\nkarere-proto.workspace = true\nbytes = \"1\"\n[dev-dependencies]\nkarere-sim = \"0\"\n";
    assert_lines(&dependencies_of("karere-link", good), &[]);
    assert_lines(&dependencies_of("karere-proto", good), &[2]);
    assert_lines(&dependencies_of("karere", "[dependencies]\nkarere-sim.workspace = true\n"), &[2]);
    assert_lines(&dependencies_of("karere", "[dependencies.karere-broker]\nworkspace = true\n"), &[1]);
    assert_lines(&dependencies_of("karere", "[target.'cfg(unix)'.dependencies]\nalias.workspace = true\n"), &[2]);
    assert_lines(&dependencies_of("karere-broker", "[build-dependencies]\nkarere-link = \"0\"\n"), &[2]);
    assert_lines(&dependencies_of("karere-broker", "[dependencies]\nx = { package = \"karere\" }\n"), &[2]);
}

#[test]
fn an_unlisted_crate_is_noticed() {
    assert_lines(&dependencies_of("karere-proto", "[dependencies]\nbytes = \"1\"\nmemchr = \"2\"\n"), &[3]);
    assert_lines(&dependencies_of("karere-new", "[package]\nname = \"karere-new\"\n"), &[1]);
    assert_lines(&dependencies_of("karere", "[dependencies]\nkarere-new = \"0\"\n"), &[2]);
}

fn purity_of(path: &str, text: &str) -> Vec<Finding> {
    check_purity(&TextFile::new(path, text.to_owned()))
}

#[test]
fn the_outside_world_is_noticed() {
    let path = "crates/karere-link/src/link.rs";
    for line in [
        "use std::net::SocketAddr;",
        "use std::{io, net::TcpStream};",
        "use std::fs;",
        "use std::thread;",
        "let now = Instant::now();",
        "let now = std::time::SystemTime::now();",
        "thread::spawn(run);",
        "fn f(stream: &mut TcpStream) {}",
        "fn f(stream: UnixStream) {}",
        "let file = File::open(path);",
    ] {
        assert_lines(&purity_of(path, &format!("//! Dials.\n{line}\n")), &[2]);
    }
}

#[test]
fn talk_and_tests_may_name_the_outside_world() {
    let text = "//! Unlike std::net, knows no TcpStream.\nconst WHY: &str = \"std::fs\";\n\
                #[cfg(test)]\nmod tests {\n    use std::time::Instant;\n    fn now() -> Instant { Instant::now() }\n}\n";
    assert_lines(&purity_of("crates/karere-proto/src/session/mod.rs", text), &[]);
}

#[test]
fn a_version_outside_the_tables_is_noticed() {
    let text = "fn f(version: Version) {\n    if version == Version::V5 {}\n}\n";
    assert_lines(&purity_of("crates/karere-proto/src/packet/publish.rs", text), &[2]);
    assert_lines(&purity_of("crates/karere-link/src/options.rs", text), &[2]);
    assert_lines(&purity_of("crates/karere-proto/src/version.rs", text), &[]);
    assert_lines(&purity_of("crates/karere-proto/src/session/negotiated.rs", text), &[]);
    assert_lines(&purity_of("crates/karere-proto/src/session/handshake.rs", text), &[]);
    let imported = "use crate::version::Version::{self, V5};\nuse crate::Version::*;\n";
    assert_lines(&purity_of("crates/karere-proto/src/packet/publish.rs", imported), &[1, 2]);
}

#[test]
fn a_long_file_is_noticed() {
    let file = |code: usize| {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn t() {}\n".repeat(900));
        let text = format!("{}{}{tests}", "// why\n\n".repeat(500), "fn f() {}\n".repeat(code));
        TextFile::new("crates/karere/src/lib.rs", text)
    };
    assert_eq!(check_length(&file(600)), None);
    assert_lines(&check_length(&file(601)).into_iter().collect::<Vec<_>>(), &[1]);
}

#[test]
fn talk_of_other_things_is_noticed() {
    let wording = |text: &str| check_wording(&TextFile::new("docs/a.md", text.to_owned()));
    let (work, root) = ("/work", "/root");
    assert_lines(&wording(&format!("see `{work}/notes`\n{root}/.cargo\nfile://{work}/x\n")), &[1, 2, 3]);
    assert_lines(&wording("home/work/lamp and +/work/# are topics; /workshop is a directory\n"), &[]);
    assert_lines(&wording(concat!("https://index.", "crates.io/config.json\nhttps://crates.io/crates/karere\n")), &[1]);
    let lock = |source: &str| {
        check_wording(&TextFile::new("fuzz/Cargo.lock", format!("[[package]]\nsource = \"{source}\"\n")))
    };
    assert_lines(&lock("registry+https://github.com/rust-lang/crates.io-index"), &[]);
    assert_lines(&lock("sparse+https://packages.example/index/"), &[2]);
}
