//! What does a `Cargo.toml` say?
//!
//! Reads as much of TOML as this workspace's manifests use, so that `xtask` needs no dependency.

/// One `Cargo.toml`, as a flat list of its keys.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Manifest {
    entries: Vec<Entry>,
}

/// A section's header has an empty key.
#[derive(Debug)]
struct Entry {
    section: String,
    key: String,
    value: String,
    line: usize,
}

/// A crate that another one is built with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependency {
    /// The package's own name, whatever it is renamed to.
    pub package: String,
    /// Counted from 1.
    pub line: usize,
}

impl Manifest {
    /// Reads sections, `key = value` and values that go on over several lines.
    pub fn new(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut section = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut statement = without_comment(line).trim().to_owned();
            while statement.contains('=') && is_open(&statement) {
                let Some((_, more)) = lines.next() else { break };
                statement.push_str(without_comment(more).trim());
            }
            let (key, value) = match statement.split_once('=') {
                Some((key, value)) if !statement.starts_with('[') => (key.trim(), value.trim()),
                _ if statement.starts_with('[') => {
                    section = statement.trim_matches(['[', ']']).trim().to_owned();
                    ("", "")
                }
                _ => continue,
            };
            manifest.entries.push(Entry {
                section: section.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
                line: index + 1,
            });
        }
        manifest
    }

    /// What the crate is built with, on every platform and in build scripts, but not for its tests.
    ///
    /// `root` is the workspace's manifest, which knows the real names of `x.workspace = true`.
    pub fn dependencies(&self, root: &Self) -> Vec<Dependency> {
        let renamed = root.packages(&|table| table == "workspace.dependencies");
        let mut dependencies = Vec::new();
        for named in self.packages(&is_dependency_table) {
            let package = renamed
                .iter()
                .find(|other| other.alias == named.alias && named.package == named.alias)
                .map_or(named.package, |other| other.package.clone());
            if !dependencies.iter().any(|known: &Dependency| known.package == package) {
                dependencies.push(Dependency { package, line: named.line });
            }
        }
        dependencies
    }

    /// True when there is such a table, an empty one included.
    pub fn has_table(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.section == name)
    }

    /// The strings of a list such as `members`.
    pub fn list(&self, section: &str, key: &str) -> Vec<String> {
        let value = self.entries.iter().find(|entry| entry.section == section && entry.key == key);
        value.map(|entry| strings(&entry.value)).unwrap_or_default()
    }

    /// The keys of a table, in order.
    pub fn keys<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        let entries = self.entries.iter().filter(move |entry| entry.section == table && !entry.key.is_empty());
        entries.map(|entry| entry.key.as_str())
    }

    /// The names in `[[test]]` sections.
    pub fn named_tests(&self) -> Vec<String> {
        let names = self.entries.iter().filter(|entry| entry.section == "test" && entry.key == "name");
        names.flat_map(|entry| strings(&entry.value)).collect()
    }

    /// Everything in the tables that `is_table` picks, each under its alias and its package name.
    fn packages(&self, is_table: &dyn Fn(&str) -> bool) -> Vec<Named> {
        let mut packages: Vec<Named> = Vec::new();
        for entry in &self.entries {
            // `[dependencies] x.package = ".."` and `[dependencies.x] package = ".."` say the same.
            let (alias, key) = match entry.section.rsplit_once('.') {
                _ if is_table(&entry.section) => match entry.key.split_once('.') {
                    Some((alias, key)) => (alias, key),
                    None => (entry.key.as_str(), ""),
                },
                Some((table, alias)) if is_table(table) => (alias, entry.key.as_str()),
                _ => continue,
            };
            let alias = alias.trim_matches('"');
            if alias.is_empty() {
                continue;
            }
            let position = packages.iter().position(|known| known.alias == alias).unwrap_or_else(|| {
                packages.push(Named { alias: alias.to_owned(), package: alias.to_owned(), line: entry.line });
                packages.len() - 1
            });
            let package = match key {
                "package" => strings(&entry.value).into_iter().next(),
                _ => entry.value.split_once("package").and_then(|(_, rest)| strings(rest).into_iter().next()),
            };
            if let Some(package) = package {
                packages[position].package = package;
            }
        }
        packages
    }
}

struct Named {
    alias: String,
    package: String,
    line: usize,
}

fn is_dependency_table(section: &str) -> bool {
    let table = match section.strip_prefix("target.") {
        Some(target) => target.rsplit_once('.').map_or(target, |(_, table)| table),
        None => section,
    };
    matches!(table, "dependencies" | "build-dependencies")
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let end = line.find(|char| {
        quoted ^= char == '"';
        char == '#' && !quoted
    });
    &line[..end.unwrap_or(line.len())]
}

fn is_open(statement: &str) -> bool {
    let count = |open: char, close: char| statement.matches(open).count() > statement.matches(close).count();
    count('[', ']') || count('{', '}')
}

fn strings(value: &str) -> Vec<String> {
    value.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(text: &str, root: &str) -> Vec<String> {
        let dependencies = Manifest::new(text).dependencies(&Manifest::new(root));
        dependencies.into_iter().map(|dependency| dependency.package).collect()
    }

    #[test]
    fn every_spelling_of_a_dependency_is_seen() {
        let text = r#"
[package]
name = "x" # not = "this"
[dependencies]
a = "1"
b.workspace = true
"c" = { version = "1", features = [
    "std", # more
] }
[dependencies.d]
version = "1"
[target.'cfg(unix)'.dependencies]
e = "1"
[target.'cfg(any(unix, windows))'.dependencies.f]
version = "1"
[build-dependencies]
g = "1"
[dev-dependencies]
h = "1"
[target.'cfg(unix)'.dev-dependencies]
i = "1"
[features]
j = []
"#;
        assert_eq!(packages(text, ""), ["a", "b", "c", "d", "e", "f", "g"]);
    }

    #[test]
    fn renaming_hides_nothing() {
        let root = "[workspace.dependencies]\nc = { package = \"real-c\", version = \"1\" }\n";
        let text = "[dependencies]\na = { package = \"real-a\" }\nc.workspace = true\n[dependencies.b]\npackage = \"real-b\"\n";
        assert_eq!(packages(text, root), ["real-a", "real-c", "real-b"]);
    }

    #[test]
    fn lists_and_named_tests() {
        let manifest =
            Manifest::new("[workspace]\nmembers = [\n  \"crates/*\",\n  \"xtask\",\n]\n[[test]]\nname = \"wire\"\n");
        assert_eq!(manifest.list("workspace", "members"), ["crates/*", "xtask"]);
        assert_eq!(manifest.named_tests(), ["wire"]);
        assert!(manifest.has_table("workspace") && !manifest.has_table("package"));
        assert!(Manifest::new("[workspace]\n").has_table("workspace"));
    }
}
