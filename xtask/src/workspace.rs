//! Which files make up the workspace?

use crate::manifest::Manifest;
use crate::source::Source;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's files, read from disk; paths are given from its root, with `/`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Workspace {
    root: PathBuf,
    manifest: Manifest,
}

/// A file's path and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextFile {
    /// From the workspace's root, with `/`.
    pub path: String,
    /// Its contents.
    pub text: String,
}

impl TextFile {
    /// A file that need not exist on disk.
    pub fn new(path: &str, text: String) -> Self {
        Self { path: path.to_owned(), text }
    }
}

impl Workspace {
    /// The workspace that this `xtask` was built in.
    pub fn open() -> io::Result<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.parent().unwrap_or(own).to_owned();
        let manifest = Manifest::new(&read(&root.join("Cargo.toml"))?);
        Ok(Self { root, manifest })
    }

    /// The directory that all paths start from.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The workspace's own `Cargo.toml`.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directories of the member crates, `crates/*` written out, in order.
    pub fn members(&self) -> io::Result<Vec<String>> {
        let mut members = Vec::new();
        for member in self.manifest.list("workspace", "members") {
            match member.strip_suffix("/*") {
                Some(parent) => {
                    let crates = entries(&self.root.join(parent))?.into_iter().map(|path| self.name(&path));
                    members.extend(crates.filter(|path| self.root.join(path).join("Cargo.toml").is_file()));
                }
                None => members.push(member),
            }
        }
        Ok(members)
    }

    /// The members' manifests.
    pub fn member_manifests(&self) -> io::Result<Vec<TextFile>> {
        let manifests = self.members()?.into_iter().map(|member| self.file(format!("{member}/Cargo.toml")));
        manifests.collect()
    }

    /// The directories of other workspaces in this repository, each with a lock file of its own.
    pub fn others(&self) -> io::Result<Vec<String>> {
        let texts = self.texts()?;
        let folders = texts.iter().filter_map(|file| {
            let folder = file.path.strip_suffix("/Cargo.toml")?;
            Manifest::new(&file.text).has_table("workspace").then(|| folder.to_owned())
        });
        Ok(folders.collect())
    }

    /// Rust files under `folders` that are not tests: not below `tests/`, not `tests.rs`, not declared for tests only.
    pub fn sources(&self, folders: &[String]) -> io::Result<Vec<TextFile>> {
        let mut paths = Vec::new();
        for folder in folders {
            walk(&self.root.join(folder), &mut paths)?;
        }
        let names = paths.iter().map(|path| self.name(path)).filter(|name| name.ends_with(".rs") && !is_test(name));
        let files = names.map(|name| self.file(name)).collect::<io::Result<Vec<_>>>()?;
        let tests: Vec<String> = files.iter().flat_map(test_module_stems).collect();
        let belongs_to_tests = |file: &TextFile| {
            tests.iter().any(|stem| {
                let rest = file.path.strip_prefix(stem.as_str());
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            })
        };
        Ok(files.into_iter().filter(|file| !belongs_to_tests(file)).collect())
    }

    /// Integration test binaries of all members, by name.
    pub fn test_targets(&self) -> io::Result<Vec<String>> {
        let mut targets = Vec::new();
        for member in self.members()? {
            let folder = self.root.join(&member);
            targets.extend(Manifest::new(&read(&folder.join("Cargo.toml"))?).named_tests());
            let Ok(tests) = entries(&folder.join("tests")) else {
                continue;
            };
            let binaries = tests.iter().filter(|path| {
                path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file()
            });
            targets.extend(binaries.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
        }
        targets.sort();
        targets.dedup();
        Ok(targets)
    }

    /// The text files that are in the repository or about to be.
    ///
    /// Without a git checkout, as in an unpacked archive: all files but build output.
    pub fn texts(&self) -> io::Result<Vec<TextFile>> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let names: Vec<String> = match listed {
            Ok(output) if output.status.success() => {
                let listing = String::from_utf8_lossy(&output.stdout);
                listing.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }
            _ => {
                let mut paths = Vec::new();
                walk(&self.root, &mut paths)?;
                paths.iter().map(|path| self.name(path)).collect()
            }
        };
        // Deleted but still listed, a link, or not text: nothing to read.
        let files = names.into_iter().filter_map(|name| {
            let text = String::from_utf8(fs::read(self.root.join(&name)).ok()?).ok()?;
            Some(TextFile { path: name, text })
        });
        Ok(files.collect())
    }

    fn file(&self, path: String) -> io::Result<TextFile> {
        let text = read(&self.root.join(&path))?;
        Ok(TextFile { path, text })
    }

    fn name(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.to_string_lossy().replace('\\', "/")
    }
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// Where the files of the modules that `file` declares for tests only are, without `.rs`.
fn test_module_stems(file: &TextFile) -> Vec<String> {
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main" | "mod")) => folder,
        _ => stem,
    };
    Source::new(&file.text).test_modules().iter().map(|module| format!("{folder}/{module}")).collect()
}

/// All files below `folder`; none when it is not there. Build output and git's own files are left out.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default();
        if path.is_symlink() || name == "target" || name == ".git" {
            continue;
        }
        match path.is_dir() {
            true => walk(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| at(folder, &error))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_for_tests_are_found_beside_their_parent() {
        let text = "#[cfg(test)]\nmod model;\n";
        let stem = |path: &str| test_module_stems(&TextFile::new(path, text.to_owned()));
        assert_eq!(stem("a/src/lib.rs"), ["a/src/model"]);
        assert_eq!(stem("a/src/session/mod.rs"), ["a/src/session/model"]);
        assert_eq!(stem("a/src/session.rs"), ["a/src/session/model"]);
    }

    #[test]
    fn the_workspace_finds_itself() {
        let workspace = Workspace::open().unwrap();
        assert!(workspace.members().unwrap().contains(&"xtask".to_owned()));
        assert!(workspace.test_targets().unwrap().contains(&"architecture".to_owned()));
        let sources = workspace.sources(&["xtask".to_owned()]).unwrap();
        assert!(sources.iter().any(|file| file.path == "xtask/src/workspace.rs"));
        assert!(!sources.iter().any(|file| file.path.contains("/tests/")));
        assert!(workspace.texts().unwrap().iter().any(|file| file.path == "Cargo.toml"));
        let others = workspace.others().unwrap();
        assert!(["bench/instructions", "fuzz"].iter().all(|other| others.iter().any(|known| known == other)));
        assert!(!others.iter().any(|other| other == "xtask" || other.is_empty()), "{others:?}");
    }
}
