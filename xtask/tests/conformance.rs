//! Is there a test for each hard case and each statement that binds a client, and would the check notice if there was not?
#![cfg(test)]

use std::collections::BTreeSet;
use xtask::conformance::{Evidence, PAGE, Table};
use xtask::workspace::{TextFile, Workspace};

/// What waits for something that is not there yet: table, row, and what is missing. Once that is there, its line is taken
/// out here, and the row must have its test.
const PENDING: &[(&str, &str, &str)] = &[];

/// Rows of each table: what is known to go wrong, the statements that lay a duty on a client or that it can see broken, and
/// what its state machines do.
const ROWS: &[(&str, usize)] = &[("hard-cases", 128), ("mqtt311", 84), ("mqtt5", 166), ("state-machines", 174)];

/// The sections of the state machines, each with its rows: `.` is a statement, others name the columns in which the machine
/// does something. Row 3 of section 1 in column P is `1.3-P`.
const CELLS: &[(&str, &str)] = &[
    ("outbound QoS 1", "Q P P P Q|P Q|P Q|P Q|P Q|P"),
    ("outbound QoS 2", "P|R P|R P|R P|R P|R P|R P|R P|R P|R P|R ."),
    ("inbound QoS 1", "0|A A A . ."),
    ("inbound QoS 2", "0|H 0|H 0|H 0|H H H H H . . ."),
    ("answers that fit nothing", "v5|v3 v5|v3 v5 v5|v3 v5|v3 v5|v3 v5|v3 v5|v3"),
    ("identifiers", ". . . . ."),
    ("what becomes of the session", "v5|v3 v5|v3 v5|v3 v5|v3 v5|v3 v5|v3 . . . . . . . . ."),
    (
        "connection",
        "sent|up sent|up sent sent|up sent|up sent|up sent|up sent|up sent|up sent|up sent|up sent up up sent|up sent|up .",
    ),
    ("requests", ". . . . . ."),
    (
        "what survives",
        "resumed|lost|restart resumed|lost|restart resumed|lost|restart resumed|lost|restart resumed|lost|restart \
         resumed|lost|restart resumed|lost|restart resumed|lost|restart .",
    ),
    ("order", ". . . ."),
    ("quota", ". . . . . . ."),
    ("keep alive", ". . . . . ."),
];

fn texts() -> Vec<TextFile> {
    Workspace::open().unwrap().texts().unwrap()
}

fn tables(texts: &[TextFile]) -> Vec<Table> {
    Table::all(texts).unwrap_or_else(|findings| panic!("the tables cannot be read:\n{}", findings.join("\n")))
}

fn name(table: &Table) -> &str {
    table.path.strip_prefix("conformance/").and_then(|path| path.strip_suffix(".tsv")).unwrap()
}

#[test]
fn everything_that_is_named_exists() {
    let texts = texts();
    let evidence = Evidence::new(&texts);
    let findings = tables(&texts).iter().flat_map(|table| evidence.check(table)).collect::<Vec<_>>();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn every_hard_case_has_one_row() {
    let texts = texts();
    let tables = tables(&texts);
    let hard = tables.iter().find(|table| name(table) == "hard-cases").expect("the hard cases have a table");
    let numbers = hard.rows.iter().map(|row| row[0].parse::<usize>().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers, (1..=128).collect::<Vec<_>>());
}

#[test]
fn every_cell_of_the_state_machines_has_one_row() {
    let texts = texts();
    let tables = tables(&texts);
    let machines =
        tables.iter().find(|table| name(table) == "state-machines").expect("the state machines have a table");
    let mut expected = Vec::new();
    for (section, (_, rows)) in (1..).zip(CELLS) {
        for (row, columns) in (1..).zip(rows.split(' ')) {
            expected.extend(columns.split('|').map(|column| match column {
                "." => format!("{section}.{row}"),
                _ => format!("{section}.{row}-{column}"),
            }));
        }
    }
    let numbers = machines.rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>();
    assert_eq!(numbers, expected);
}

#[test]
fn tables_are_whole() {
    let texts = texts();
    let tables = tables(&texts);
    let rows = tables.iter().map(|table| (name(table), table.rows.len())).collect::<Vec<_>>();
    assert_eq!(rows, ROWS);
    for table in &tables {
        assert_eq!(table.doubles(), [""; 0], "{}", table.path);
    }
}

#[test]
fn what_is_pending_is_known_by_name() {
    let texts = texts();
    let tables = tables(&texts);
    let pending =
        tables.iter().flat_map(|table| table.pending().into_iter().map(|(row, what)| (name(table), row, what)));
    assert_eq!(pending.collect::<BTreeSet<_>>(), PENDING.iter().copied().collect());
}

#[test]
fn the_page_is_up_to_date() {
    let texts = texts();
    let page = texts.iter().find(|file| file.path == PAGE).map_or("", |file| &file.text);
    assert!(
        page == Evidence::new(&texts).page(&tables(&texts)),
        "{PAGE} is out of date: run `cargo xtask conformance`"
    );
}

// The check notices

const SOURCES: &[(&str, &str)] = &[
    ("crates/one/src/lib.rs", "pub struct Topic;\npub(super) const fn keep<T>() {}\n#[test]\nfn works() {}\n"),
    (
        "crates/one/tests/a.rs",
        "fn each(version: Version) {}\nfn forgotten(version: Version) {}\nevery! {\n    each,\n}\n",
    ),
    ("crates/karere-proto/tests/wire/a.txt", "case puback\nbytes 40\n"),
    ("crates/karere-proto/src/error.rs", "rules! {\n    QoSBits \"MQTT-3.3.1-4\" MalformedPacket \"with QoS 3\";\n}\n"),
];

fn evidence() -> Evidence {
    let files = SOURCES.iter().map(|&(path, text)| TextFile::new(path, text.to_owned())).collect::<Vec<_>>();
    Evidence::new(&files)
}

fn table(rows: &str) -> Result<Table, Vec<String>> {
    let text = format!("# Title\nstatement\tkept by\ttests\n{rows}\n");
    Table::parse(&TextFile::new("conformance/a.tsv", text))
}

#[track_caller]
fn findings(row: &str) -> usize {
    evidence().check(&table(row).unwrap()).len()
}

#[test]
fn what_exists_is_found() {
    assert_eq!(findings("1\tone/src/lib.rs::Topic\tone/src/lib.rs::works"), 0);
    assert_eq!(findings("1\tone/src/lib.rs::keep, Rule::QoSBits\tone/tests/a.rs::each, wire::puback"), 0);
    assert_eq!(findings("1\tRule::QoSBits\twire::puback, pending: store: there is none"), 0);
}

#[test]
fn what_does_not_exist_is_noticed() {
    for wrong in ["one/src/lib.rs::Topi", "one/src/other.rs::Topic", "Rule::QoSBit", "wire::pubac", "Topic"] {
        assert_eq!(findings(&format!("1\t{wrong}\twire::puback")), 1, "{wrong}");
    }
    for wrong in [
        "one/tests/a.rs::forgotten",
        "one/src/lib.rs::keep",
        "one/src/lib.rs::Topic",
        "Rule::QoSBits",
        "one/tests/a.rs::eac",
        ",",
        "pending:",
        "pending: store",
    ] {
        assert_eq!(findings(&format!("1\tRule::QoSBits\t{wrong}")), 1, "{wrong}");
    }
}

#[test]
fn empty_cells_and_missing_ones_are_noticed() {
    for row in
        ["1\tRule::QoSBits", "1\tRule::QoSBits\t", "1\t\twire::puback", "1\tRule::QoSBits\twire::puback\tmore", ""]
    {
        assert!(table(row).is_err(), "{row}");
    }
    assert!(Table::parse(&TextFile::new("conformance/a.tsv", "statement\ttests\n".to_owned())).is_err());
}

#[test]
fn doubles_and_pending_rows_are_noticed() {
    let table = table("1\tRule::QoSBits\tpending: store: no\n2\tRule::A\twire::a\n1\tRule::A\twire::a").unwrap();
    assert_eq!(table.doubles(), ["1"]);
    assert_eq!(table.pending(), [("1", "store")]);
}

#[test]
fn the_page_links_what_the_tables_name() {
    let table = table("1\tRule::QoSBits\tone/tests/a.rs::each, wire::puback, pending: store: no").unwrap();
    let page = evidence().page(&[table]);
    for part in [
        "## Title",
        "[`Rule::QoSBits`](../crates/karere-proto/src/error.rs)",
        "[`each`](../crates/one/tests/a.rs)",
        "[`puback`](../crates/karere-proto/tests/wire/a.txt)",
        "**pending** (store): no",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}
