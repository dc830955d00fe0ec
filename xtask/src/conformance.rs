//! Which test shows that a statement of MQTT is kept, and does it exist?
//!
//! The tables in `conformance/` say so, one row a line, cells separated by tabs; `docs/conformance.md` is made of them.
//! A cell of evidence names, separated by `, `:
//!
//! ```text
//! karere-proto/tests/session/resume.rs::nothing_is_sent_before_connack    a test; under "kept by" any item
//! wire::puback                                                            a case of karere-proto/tests/wire
//! Rule::PaddedLength                                                      a rule that breaches are told by
//! pending: websocket: the layer is not there yet                          last: what is missing, and why
//! ```

use crate::workspace::TextFile;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Where the tables are, from the workspace's root.
pub const TABLES: &str = "conformance/";

/// The page that is made of the tables.
pub const PAGE: &str = "docs/conformance.md";

const WIRE: &str = "crates/karere-proto/tests/wire/";
const RULES: &str = "crates/karere-proto/src/error.rs";
const INTRODUCTION: &str = "\
# Conformance

Each duty that MQTT lays on a client, what keeps it, and the test that shows it. Made by `cargo xtask conformance` from the
tables in [`conformance`](../conformance); a test fails when something named here does not exist.
";

/// Rows of a file in `conformance/`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// The file, from the workspace's root.
    pub path: String,
    /// Its first line.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Their cells, as many in each row as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a table: `# title`, the columns' names, the rows.
    ///
    /// Fails with what is wrong and where.
    pub fn parse(file: &TextFile) -> Result<Self, Vec<String>> {
        let split = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = file.text.lines();
        let title = lines.next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default().to_owned();
        let columns = split(lines.next().unwrap_or_default());
        let rows = lines.map(split).collect::<Vec<_>>();
        let mut findings = Vec::new();
        if title.is_empty() || columns.len() < 2 {
            findings.push(format!("{}:1: begins with no title and names of columns", file.path));
        }
        for (number, row) in (3..).zip(&rows) {
            if row.len() != columns.len() || row.iter().any(|cell| cell.trim().is_empty()) {
                findings.push(format!("{}:{number}: has no {} cells, or one is empty", file.path, columns.len()));
            }
        }
        let table = Self { path: file.path.clone(), title, columns, rows };
        if findings.is_empty() { Ok(table) } else { Err(findings) }
    }

    /// The tables among `texts`, in the order of their paths.
    pub fn all(texts: &[TextFile]) -> Result<Vec<Self>, Vec<String>> {
        let files = texts.iter().filter(|file| file.path.starts_with(TABLES) && file.path.ends_with(".tsv"));
        let mut files = files.collect::<Vec<_>>();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files.into_iter().map(Self::parse).collect()
    }

    /// The rows with something pending: the first cell, and what is missing.
    pub fn pending(&self) -> Vec<(&str, &str)> {
        let mut pending = Vec::new();
        for row in &self.rows {
            for (what, _) in row.iter().filter_map(|cell| split_pending(cell).1) {
                pending.push((row[0].as_str(), what));
            }
        }
        pending.dedup();
        pending
    }

    /// What stands in the first column more than once.
    pub fn doubles(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.rows.iter().map(|row| row[0].as_str()).filter(|first| !seen.insert(*first)).collect()
    }

    /// Columns whose cells are evidence, with what may stand in them.
    fn evidence(&self) -> impl Iterator<Item = (usize, Kind)> {
        self.columns.iter().enumerate().filter_map(|(column, name)| match name.as_str() {
            "kept by" => Some((column, Kind::Item)),
            "tests" => Some((column, Kind::Test)),
            _ => None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Item,
    Test,
}

/// The names in a cell of evidence, and what is pending: its name and the reason.
fn split_pending(cell: &str) -> (Vec<&str>, Option<(&str, &str)>) {
    let (names, pending) = match cell.find("pending:") {
        Some(at) => (&cell[..at], Some(cell["pending:".len() + at..].trim())),
        None => (cell, None),
    };
    let names = names.split(", ").map(str::trim).filter(|name| !name.is_empty()).collect();
    (names, pending.map(|pending| pending.split_once(": ").unwrap_or((pending, ""))))
}

/// What the tables may name.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Evidence {
    /// Rust files by their path below `crates/`.
    sources: BTreeMap<String, String>,
    /// Cases by their name, each with its file.
    cases: BTreeMap<String, String>,
    rules: BTreeSet<String>,
}

impl Evidence {
    /// Collects it from the workspace's files.
    pub fn new(texts: &[TextFile]) -> Self {
        let mut evidence = Self::default();
        for file in texts {
            if let Some(path) = file.path.strip_prefix("crates/").filter(|path| path.ends_with(".rs")) {
                evidence.sources.insert(path.to_owned(), file.text.clone());
            }
            if file.path.starts_with(WIRE) {
                let names = file.text.lines().filter_map(|line| line.strip_prefix("case "));
                evidence.cases.extend(names.map(|name| (name.trim().to_owned(), file.path.clone())));
            }
            if file.path == RULES {
                let lines = file.text.lines().filter(|line| line.contains('"') && line.trim_end().ends_with(';'));
                let names = lines.filter_map(|line| line.split_whitespace().next());
                evidence.rules.extend(names.map(str::to_owned));
            }
        }
        evidence
    }

    /// What is named in `table` and does not exist.
    pub fn check(&self, table: &Table) -> Vec<String> {
        let mut findings = Vec::new();
        for row in &table.rows {
            let mut finding = |what: String| findings.push(format!("{}: {}: {what}", table.path, row[0]));
            for (column, kind) in table.evidence() {
                let (names, pending) = split_pending(&row[column]);
                if names.is_empty() && pending.is_none() {
                    finding("names nothing".to_owned());
                }
                if pending.is_some_and(|(what, why)| what.is_empty() || why.is_empty()) {
                    finding("is pending without a name and a reason".to_owned());
                }
                for name in names {
                    if let Err(why) = self.find(name, kind) {
                        finding(format!("{name}: {why}"));
                    }
                }
            }
        }
        findings
    }

    fn find(&self, name: &str, kind: Kind) -> Result<(), &'static str> {
        let (path, item) = name.rsplit_once("::").ok_or("names no place")?;
        match (path, kind) {
            ("Rule", Kind::Item) => self.rules.contains(item).then_some(()).ok_or("there is no such rule"),
            ("Rule", Kind::Test) => Err("a rule is no test"),
            ("wire", _) => self.cases.contains_key(item).then_some(()).ok_or("there is no such case"),
            _ => {
                let text = self.sources.get(path).ok_or("there is no such file")?;
                match kind {
                    Kind::Item => defines(text, item).then_some(()).ok_or("the file has no such item"),
                    Kind::Test => self.find_test(path, text, item),
                }
            }
        }
    }

    /// A function is a test when it says so, or when a macro of the same tests makes one of it.
    fn find_test(&self, path: &str, text: &str, name: &str) -> Result<(), &'static str> {
        let lines = text.lines().collect::<Vec<_>>();
        let at = lines.iter().position(|line| function(line) == Some(name)).ok_or("the file has no such function")?;
        let above = lines[..at].iter().rev().map(|line| line.trim());
        let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        if above.any(|line| line == "#[test]") {
            return Ok(());
        }
        let folder = path.split_once("/tests/").map_or(path, |(member, _)| member);
        let entry = format!("{name},");
        let mut siblings = self.sources.iter().filter(|(other, _)| other.starts_with(folder));
        let made = siblings.any(|(_, text)| text.lines().any(|line| line.trim() == entry));
        made.then_some(()).ok_or("nothing makes a test of the function")
    }

    /// The tables as a page.
    pub fn page(&self, tables: &[Table]) -> String {
        let mut page = INTRODUCTION.to_owned();
        for table in tables {
            let rows = table.rows.len();
            let pending = table.pending().iter().map(|(row, _)| *row).collect::<BTreeSet<_>>().len();
            let title = &table.title;
            let _ = write!(page, "\n## {title}\n\n{rows} rows, {pending} of them pending at least in part.\n\n");
            let rule = table.columns.iter().map(|_| "---").collect::<Vec<_>>();
            let _ = writeln!(page, "| {} |\n|{}|", table.columns.join(" | "), rule.join("|"));
            let evidence = table.evidence().map(|(column, _)| column).collect::<BTreeSet<_>>();
            for row in &table.rows {
                let cells = row.iter().enumerate().map(|(column, cell)| match evidence.contains(&column) {
                    true => self.links(cell),
                    false => cell.clone(),
                });
                let _ = writeln!(page, "| {} |", cells.collect::<Vec<_>>().join(" | "));
            }
        }
        page
    }

    fn links(&self, cell: &str) -> String {
        let (names, pending) = split_pending(cell);
        let link = |name: &str| {
            let (path, item) = name.rsplit_once("::").unwrap_or_default();
            match path {
                "Rule" => format!("[`{name}`](../{RULES})"),
                "wire" => format!("[`{item}`](../{})", self.cases.get(item).map_or(WIRE, String::as_str)),
                _ => format!("[`{item}`](../crates/{path})"),
            }
        };
        let mut parts = names.into_iter().map(link).collect::<Vec<_>>();
        parts.extend(pending.map(|(what, why)| format!("**pending** ({what}): {why}")));
        parts.join("<br>")
    }
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let opens = before.split_whitespace().all(|word| word.starts_with("pub") || matches!(word, "const" | "async"));
    opens.then(|| identifier(after))
}

fn defines(text: &str, item: &str) -> bool {
    let types = |line: &str| {
        ["struct ", "enum ", "const ", "macro_rules! "].iter().any(|word| {
            let at = line.find(word).map(|at| at + word.len());
            at.is_some_and(|at| identifier(&line[at..]) == item)
        })
    };
    text.lines().any(|line| function(line) == Some(item) || types(line))
}

fn identifier(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}
