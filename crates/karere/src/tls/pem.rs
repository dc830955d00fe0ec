//! Sections of a PEM file (RFC 7468), with the headers of older ones (RFC 1421), and the lines they begin at.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// One section.
pub(super) struct Section {
    /// What stands behind BEGIN.
    pub(super) label: String,
    /// Such as `DEK-Info`.
    pub(super) headers: Vec<(String, String)>,
    pub(super) der: Zeroizing<Vec<u8>>,
    /// Where it begins, counted from 1.
    pub(super) line: usize,
}

impl Section {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// What is wrong, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) why: String,
}

/// True when there is PEM in it at all.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// All sections, in order; what stands between them is not looked at.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section>, Broken> {
    let mut sections = Vec::new();
    let mut open: Option<Reading> = None;
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let text = line.trim_ascii();
        let text = if number == 1 { text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text) } else { text };
        if let Some(label) = label(text, BEGIN) {
            if let Some(open) = open {
                return Err(open.unfinished());
            }
            open = Some(Reading::new(label, number));
        } else if let Some(label) = label(text, END) {
            let Some(finished) = open.take().filter(|open| open.label == label) else {
                return Err(Broken { line: number, why: format!("this END {label} has no BEGIN {label}") });
            };
            sections.push(finished.finish()?);
        } else if let Some(open) = &mut open {
            open.line(text, number)?;
        }
    }
    open.map_or(Ok(sections), |open| Err(open.unfinished()))
}

fn label(line: &[u8], prefix: &[u8]) -> Option<String> {
    let label = line.strip_prefix(prefix)?.strip_suffix(DASHES)?;
    Some(label.escape_ascii().to_string())
}

/// A section whose END has not come.
struct Reading {
    label: String,
    headers: Vec<(String, String)>,
    base64: Zeroizing<Vec<u8>>,
    line: usize,
}

impl Reading {
    fn new(label: String, line: usize) -> Self {
        // Room for the usual key, so that no copies of one are left behind.
        Self { label, headers: Vec::new(), base64: Zeroizing::new(Vec::with_capacity(8192)), line }
    }

    fn line(&mut self, text: &[u8], number: usize) -> Result<(), Broken> {
        if let Some(colon) = text.iter().position(|&byte| byte == b':')
            && self.base64.is_empty()
        {
            let part = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
            self.headers.push((part(&text[..colon]), part(&text[colon + 1..])));
            return Ok(());
        }
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        if !text.iter().all(legal) {
            return Err(Broken { line: number, why: "this line is not Base64".to_owned() });
        }
        self.base64.extend_from_slice(text);
        Ok(())
    }

    fn finish(self) -> Result<Section, Broken> {
        let Self { label, headers, base64, line } = self;
        let der = STANDARD.decode(&base64[..]).map(Zeroizing::new);
        let broken =
            |_| Broken { line, why: format!("what is between BEGIN {label} and its END is not Base64: is it cut?") };
        let der = der.map_err(broken)?;
        Ok(Section { label, headers, der, line })
    }

    fn unfinished(&self) -> Broken {
        Broken { line: self.line, why: format!("BEGIN {} has no END: is the file cut?", self.label) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    type Told = Result<Vec<(String, usize, Vec<u8>)>, (usize, String)>;

    fn told(text: &str) -> Told {
        let sections = sections(text.as_bytes()).map_err(|broken| (broken.line, broken.why))?;
        Ok(sections.into_iter().map(|section| (section.label.clone(), section.line, section.der.to_vec())).collect())
    }

    #[test]
    fn sections_are_found_between_other_text() {
        let text = "\u{FEFF}-----BEGIN A-----\r\nAQID\r\n-----END A-----\r\nsubject: x\n\
                    \x20 -----BEGIN B C-----  \nAQ\n==\n-----END B C-----";
        assert_eq!(told(text), Ok(vec![("A".to_owned(), 1, vec![1, 2, 3]), ("B C".to_owned(), 5, vec![1])]));
        assert_eq!(told(""), Ok(vec![]));
    }

    #[test]
    fn headers_come_before_base64() {
        let text = b"-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\nAQID\n-----END A-----\n";
        let section = sections(text).ok().and_then(|mut sections| sections.pop()).expect("one");
        assert_eq!((section.header("DEK-Info"), &section.der[..]), (Some("X,00"), &[1, 2, 3][..]));
    }

    #[test]
    fn what_is_broken_is_told_with_its_line() {
        let broken = |text| told(text).expect_err("broken");
        assert_eq!(broken("x\n-----BEGIN A-----\nAQID\n"), (2, "BEGIN A has no END: is the file cut?".to_owned()));
        assert_eq!(broken("-----BEGIN A-----\n-----BEGIN A-----\n").0, 1);
        assert_eq!(broken("\n-----END A-----"), (2, "this END A has no BEGIN A".to_owned()));
        assert_eq!(broken("-----BEGIN A-----\n-----END B-----").0, 2);
        assert_eq!(broken("-----BEGIN A-----\nAQID\nA$==\n-----END A-----").0, 3);
        assert!(broken("-----BEGIN A-----\nAQI\n-----END A-----").1.contains("is not Base64"));
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(lines in vec(prop_oneof![
            Just(b"-----BEGIN A-----".to_vec()), Just(b"-----END A-----".to_vec()), Just(b"AQID".to_vec()),
            Just(b"a: b".to_vec()), vec(any::<u8>(), 0..20),
        ], 0..12)) {
            let text = lines.join(&b'\n');
            let _ = sections(&text);
            let _ = is_pem(&text);
        }
    }
}
