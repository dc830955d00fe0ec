//! What the documents promise: each test they name exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_named_in_from_paho_exists() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&workspace.join("crates"), &mut files);
    let mut functions = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).expect("text");
        let names = text.lines().filter_map(|line| line.trim_start().split_once("fn ").map(|(_, rest)| rest));
        functions.extend(names.filter_map(|rest| rest.split(['(', '<']).next().map(str::to_owned)));
    }
    let document = fs::read_to_string(workspace.join("docs/from-paho.md")).expect("the document");
    let mut named = 0;
    for row in document.lines().filter(|line| line.starts_with('|')) {
        let proof = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        for name in proof.split('`').skip(1).step_by(2) {
            assert!(functions.contains(name), "there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 60, "only {named} tests named");
}
