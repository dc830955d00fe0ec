//! What is left of a Rust file without comments, literals and tests?
//!
//! A scanner, not a parser: it knows as much of the language as `rustfmt`-formatted code needs.

/// A Rust file reduced to its code.
#[derive(Debug)]
#[non_exhaustive]
pub struct Source {
    code: String,
    test_modules: Vec<String>,
}

/// Where in a file something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// The code of that line, or a path that a `use` on that line imports.
    pub text: String,
}

impl Source {
    /// Blanks comments, fills literals with `_` and blanks test items; every line keeps its number.
    pub fn new(text: &str) -> Self {
        let mut code: Vec<char> = blank_comments_and_literals(text).chars().collect();
        let test_modules = blank_tests(&mut code);
        Self { code: code.into_iter().collect(), test_modules }
    }

    /// Lines that hold code: neither empty nor comment nor test.
    pub fn code_lines(&self) -> usize {
        self.code.lines().filter(|line| !line.trim().is_empty()).count()
    }

    /// Modules declared for tests only (`#[cfg(test)] mod name;`), whose files are tests.
    pub fn test_modules(&self) -> &[String] {
        &self.test_modules
    }

    /// Where `name` stands as a whole word: in the code as written, or in a path put together from a grouped `use`.
    ///
    /// `std::net` is found in `use std::{io, net::TcpStream}` too.
    pub fn find(&self, name: &str, end: WordEnd) -> Vec<Place> {
        let mut places: Vec<Place> =
            self.lines().chain(self.imports()).filter(|place| contains_word(&place.text, name, end)).collect();
        places.sort_by_key(|place| place.line);
        places.dedup_by_key(|place| place.line);
        places
    }

    fn lines(&self) -> impl Iterator<Item = Place> {
        self.code.lines().enumerate().map(|(index, line)| Place { line: index + 1, text: line.replace(" :: ", "::") })
    }

    fn imports(&self) -> impl Iterator<Item = Place> {
        let starts = self.code.match_indices("use ").map(|(at, _)| at);
        starts.filter(|&at| is_word_start(&self.code, at)).flat_map(|at| {
            let line = self.code[..at].matches('\n').count() + 1;
            let tree = self.code[at + "use ".len()..].split(';').next().unwrap_or_default();
            let mut paths = Vec::new();
            expand_use("", tree, &mut paths);
            paths.into_iter().map(move |text| Place { line, text })
        })
    }
}

/// What may follow a name that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a name goes on or it does not")]
pub enum WordEnd {
    /// Nothing that would make it a longer name.
    Here,
    /// Anything: the name is a prefix.
    Open,
}

fn contains_word(text: &str, name: &str, end: WordEnd) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let after = text[at + name.len()..].chars().next();
        let ends = match end {
            WordEnd::Here => !name.ends_with(is_name_char) || !after.is_some_and(is_name_char),
            WordEnd::Open => true,
        };
        ends && is_word_start(text, at)
    })
}

fn is_word_start(text: &str, at: usize) -> bool {
    !text[..at].chars().next_back().is_some_and(is_name_char)
}

fn is_name_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Writes out the tree of a `use`: `std::{io, net::{A, B}}` is three paths.
fn expand_use(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    for branch in split_at_commas(tree) {
        match branch.split_once('{') {
            Some((head, group)) => {
                let group = group.rsplit_once('}').map_or(group, |(inner, _)| inner);
                expand_use(&format!("{prefix}{}", head.trim()), group, paths);
            }
            None => paths.push(format!("{prefix}{}", branch.trim())),
        }
    }
}

fn split_at_commas(tree: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let branches = tree.split(move |char| {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == ',' && depth == 0
    });
    branches.filter(|branch| !branch.trim().is_empty())
}

fn blank_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (length, filler) = match rest {
            ['/', '/', ..] => (line_comment(rest), ' '),
            ['/', '*', ..] => (block_comment(rest), ' '),
            ['"', ..] => (string(rest), '_'),
            ['r', ..] => (raw_string(rest), '_'),
            ['\'', ..] => (character(rest), '_'),
            _ => (0, ' '),
        };
        match length {
            0 => {
                code.push(chars[at]);
                at += 1;
            }
            length => {
                code.extend(rest[..length].iter().map(|&char| if char == '\n' { '\n' } else { filler }));
                at += length;
            }
        }
    }
    code
}

fn line_comment(rest: &[char]) -> usize {
    rest.iter().position(|&char| char == '\n').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// 0 when this `r` begins no raw string. In today's editions no name stands right before `"` or `#"`: no look back.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&char| char == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = 2 + hashes;
    let end = rest[body..].windows(closing.len()).position(|window| window == closing);
    end.map_or(rest.len(), |end| body + end + closing.len())
}

/// 0 for a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => 4 + tail.iter().position(|&char| char == '\'').unwrap_or(0),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

/// Blanks what is compiled for tests only; names the modules among it that have a file of their own.
fn blank_tests(code: &mut [char]) -> Vec<String> {
    const WHOLE_FILE: &str = "#![cfg(test)]";
    const MARKS: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test", "#[test]"];
    let mut modules = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let here = &code[at..];
        if starts_with(here, WHOLE_FILE) {
            blank(code);
            return modules;
        }
        if !MARKS.iter().any(|mark| starts_with(here, mark)) {
            at += 1;
            continue;
        }
        let end = at + item_length(here);
        let item: String = code[at..end].iter().collect();
        modules.extend(module_in_own_file(&item));
        blank(&mut code[at..end]);
        at = end;
    }
    modules
}

fn starts_with(code: &[char], mark: &str) -> bool {
    mark.chars().enumerate().all(|(index, char)| code.get(index) == Some(&char))
}

fn blank(code: &mut [char]) {
    for char in code.iter_mut().filter(|char| **char != '\n') {
        *char = ' ';
    }
}

/// An item with its attributes: up to its `;` or the end of its block.
fn item_length(code: &[char]) -> usize {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for (at, char) in code.iter().enumerate() {
        match char {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            // The enclosing block ends: this was a field or an arm without a `;`.
            '}' if braces == 0 => return at,
            '}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return at + 1;
                }
            }
            ';' if braces == 0 && brackets == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn module_in_own_file(item: &str) -> Option<String> {
    let head = item.strip_suffix(';')?;
    let (before, name) = head.rsplit_once(' ')?;
    (before.split_whitespace().next_back() == Some("mod")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = Source::new(
            "/// std::net\n// std::net\n/* a /* std::net */ b */\nlet a = \"std::net \\\" std::net\";\n\
             let b = br#\"std::net \" std::net\"#;\nlet c = ('\"', '\\'', 'x');\nfn f<'a>(x: &'a str) { std::net }\n",
        );
        let lines: Vec<usize> = source.find("std::net", WordEnd::Here).iter().map(|place| place.line).collect();
        assert_eq!(lines, [7]);
        assert_eq!(source.code_lines(), 4);
    }

    #[test]
    fn tests_are_no_code() {
        let source = Source::new(
            "fn a() {}\n#[cfg(test)]\n#[path = \"x\"]\npub(crate) mod model;\n#[cfg(test)]\nmod tests {\n    fn b() { if x { y[1] } }\n}\nfn c() {}\n",
        );
        assert_eq!(source.code_lines(), 2);
        assert_eq!(source.test_modules(), ["model"]);
        assert_eq!(Source::new("#![cfg(test)]\nfn a() {}\n").code_lines(), 0);
    }

    #[test]
    fn code_after_an_item_for_tests_is_still_seen() {
        let source =
            Source::new("#[cfg(test)]\nuse a::{b, c};\nstruct S {\n    #[cfg(test)]\n    x: u8,\n}\nuse std::fs;\n");
        assert_eq!(source.find("std::fs", WordEnd::Here).len(), 1);
    }

    #[test]
    fn grouped_imports_are_written_out() {
        let source = Source::new("use std::{\n    io,\n    net::{IpAddr, TcpStream},\n    fs as files,\n};\n");
        assert_eq!(source.find("std::net", WordEnd::Here), [Place { line: 1, text: "std::net::IpAddr".to_owned() }]);
        assert_eq!(source.find("std::fs", WordEnd::Here).len(), 1);
        assert_eq!(source.find("std::thread", WordEnd::Here).len(), 0);
    }

    #[test]
    fn only_whole_words_are_found() {
        let source = Source::new("TlsVersion::V12; Version::V5; LogFile::new(); std::network;\n");
        assert_eq!(source.find("Version::V", WordEnd::Open).len(), 1);
        assert_eq!(source.find("File::", WordEnd::Here).len(), 0);
        assert_eq!(source.find("std::net", WordEnd::Here).len(), 0);
    }
}
