//! Reads the cases beside this file; README.md has their format.

mod packet;

use std::{fs, path::Path};

use karere_proto::{Side, Version};

pub(crate) use packet::Description;

/// What some bytes are.
#[derive(Debug)]
pub(crate) struct Case {
    /// File and name, for messages.
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) versions: Vec<Version>,
    pub(crate) senders: Vec<Side>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) limit: Option<u32>,
    pub(crate) hard_cases: Vec<u32>,
    pub(crate) spec: Option<String>,
    pub(crate) packets: Vec<Description>,
    pub(crate) end: End,
}

/// What comes after the packets of a case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing; encoding the packets gives the bytes.
    Canonical,
    /// Nothing; encoding the packets gives other bytes.
    DecodeOnly,
    /// A breach: the reason code that 5.0 answers with, and the rule's name.
    Error(u8, String),
    /// The beginning of a packet.
    Wait,
}

/// All cases of all files, in the order of their files' names.
#[expect(clippy::disallowed_methods, reason = "the cases are files")]
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut files = fs::read_dir(&folder)
        .expect("folder of the cases")
        .map(|entry| entry.expect("entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect::<Vec<_>>();
    files.sort();
    let cases = files.iter().flat_map(|path| {
        let file = path.file_name().expect("files have names").to_string_lossy().into_owned();
        parse(&file, &fs::read_to_string(path).expect("file of cases"))
    });
    cases.collect()
}

/// A word at the beginning of a line, what follows it, and the number of the line.
struct Entry {
    word: String,
    rest: String,
    line: usize,
}

fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in entries(text) {
        let place = format!("{file}:{}", entry.line);
        if entry.word == "case" {
            cases.push(Case {
                name: format!("{file}: {}", entry.rest),
                about: String::new(),
                versions: Vec::new(),
                senders: Vec::new(),
                bytes: Vec::new(),
                limit: None,
                hard_cases: Vec::new(),
                spec: None,
                packets: Vec::new(),
                end: End::Canonical,
            });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: before the first case"));
        case.add(&entry, &place);
    }
    for case in &cases {
        assert!(!case.about.is_empty(), "{}: says nothing about itself", case.name);
        assert!(!case.versions.is_empty(), "{}: names no version", case.name);
        assert!(!case.senders.is_empty(), "{}: names no sender", case.name);
        let says = !case.packets.is_empty() || matches!(case.end, End::Error(..) | End::Wait);
        assert!(says, "{}: does not say what is expected", case.name);
    }
    cases
}

impl Case {
    fn add(&mut self, entry: &Entry, place: &str) {
        let words = entry.rest.split_whitespace();
        match entry.word.as_str() {
            "about" => self.about.clone_from(&entry.rest),
            "version" => self.versions = words.map(|word| version(word, place)).collect(),
            "sender" => self.senders = words.map(|word| side(word, place)).collect(),
            "bytes" => self.bytes = bytes(&entry.rest, place),
            "limit" => self.limit = Some(number(&entry.rest, place)),
            "hard-case" => self.hard_cases = words.map(|word| number(word, place)).collect(),
            "spec" => self.spec = Some(entry.rest.clone()),
            "packet" => self.packets.push(Description::parse(&entry.rest, place)),
            "decode-only" => self.finish(End::DecodeOnly, place),
            "wait" => self.finish(End::Wait, place),
            "error" => {
                let (code, rule) = entry.rest.split_once(' ').unwrap_or_else(|| panic!("{place}: a code and a rule"));
                let code = code.strip_prefix("0x").and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let code = code.unwrap_or_else(|| panic!("{place}: a reason code as 0x81"));
                self.finish(End::Error(code, rule.trim().to_owned()), place);
            }
            word => panic!("{place}: {word} is no word of the format"),
        }
    }

    fn finish(&mut self, end: End, place: &str) {
        assert_eq!(self.end, End::Canonical, "{place}: the case has ended before");
        self.end = end;
    }
}

/// Joins indented lines with the one they go on with, and drops comments.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line).trim_end();
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with(' ') {
            let last = entries.last_mut().unwrap_or_else(|| panic!("line {} goes on with nothing", index + 1));
            last.rest.push(' ');
            last.rest.push_str(line.trim());
        } else {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            entries.push(Entry { word: word.to_owned(), rest: rest.trim().to_owned(), line: index + 1 });
        }
    }
    entries
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' if !line[..at].ends_with('\\') => quoted = !quoted,
            '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Hexadecimal bytes, of which `61*300` is three hundred.
fn bytes(text: &str, place: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for token in text.split_whitespace() {
        let (hex, times) = token.split_once('*').map_or((token, 1), |(hex, times)| (hex, number(times, place)));
        let byte = if hex.len() == 2 { u8::from_str_radix(hex, 16).ok() } else { None };
        let byte = byte.unwrap_or_else(|| panic!("{place}: {token} is no byte"));
        all.resize(all.len() + times as usize, byte);
    }
    all
}

fn number(text: &str, place: &str) -> u32 {
    text.trim().parse().unwrap_or_else(|_| panic!("{place}: {text} is no number"))
}

fn version(text: &str, place: &str) -> Version {
    let version = Version::ALL.into_iter().find(|version| version.to_string() == text);
    version.unwrap_or_else(|| panic!("{place}: {text} is no version"))
}

fn side(text: &str, place: &str) -> Side {
    match text {
        "client" => Side::Client,
        "server" => Side::Server,
        _ => panic!("{place}: {text} is no sender"),
    }
}
