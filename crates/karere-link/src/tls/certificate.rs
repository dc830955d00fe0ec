//! Who is named in a certificate? For messages to people only: nothing is decided by it.

use core::fmt::Write as _;

/// Whom a certificate is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parties {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) signed_by: SignedBy,
}

/// Whether issuer and subject are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignedBy {
    Another,
    Itself,
}

impl Parties {
    /// Those of a certificate (RFC 5280 §4.1); `None` when it is not readable.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let certificate = Element::read(certificate, SEQUENCE)?.contents;
        let mut rest = Element::read(certificate, SEQUENCE)?.contents;
        if let Some(version) = Element::read(rest, EXPLICIT_0) {
            rest = version.rest;
        }
        let serial = Element::read(rest, INTEGER)?;
        let algorithm = Element::read(serial.rest, SEQUENCE)?;
        let issuer = Element::read(algorithm.rest, SEQUENCE)?;
        let validity = Element::read(issuer.rest, SEQUENCE)?;
        let subject = Element::read(validity.rest, SEQUENCE)?;
        let signed_by = if issuer.contents == subject.contents { SignedBy::Itself } else { SignedBy::Another };
        Some(Self { subject: name(subject.contents), issuer: name(issuer.contents), signed_by })
    }
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xA0;

/// An element of DER, and what follows it.
struct Element<'a> {
    tag: u8,
    contents: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn read(input: &'a [u8], tag: u8) -> Option<Self> {
        Self::read_any(input).filter(|element| element.tag == tag)
    }

    fn read_any(input: &'a [u8]) -> Option<Self> {
        let (&[tag, short], rest) = input.split_first_chunk::<2>()?;
        let (len, rest) = match short {
            0..=0x7F => (usize::from(short), rest),
            0x81..=0x84 => {
                let (len, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
                (len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
            }
            0x80 | 0x85.. => return None, // of indefinite length, which DER does not have; or too long
        };
        let (contents, rest) = rest.split_at_checked(len)?;
        Some(Self { tag, contents, rest })
    }
}

/// `CN=broker, O=Example`; what has no short name is left out.
fn name(mut relative_names: &[u8]) -> String {
    let mut name = String::new();
    while let Some(relative) = Element::read(relative_names, SET) {
        relative_names = relative.rest;
        let mut attributes = relative.contents;
        while let Some(attribute) = Element::read(attributes, SEQUENCE) {
            attributes = attribute.rest;
            if let Some((key, value)) = attribute_of(attribute.contents) {
                let comma = if name.is_empty() { "" } else { ", " };
                // A certificate may be anybody's: neither control characters nor novels get into a log.
                let value = value.chars().take(MOST_CHARACTERS).collect::<String>();
                let _ = write!(name, "{comma}{key}={}", value.escape_debug());
            }
        }
    }
    if name.is_empty() { "(no name)".to_owned() } else { name }
}

const MOST_CHARACTERS: usize = 64;

fn attribute_of(attribute: &[u8]) -> Option<(&'static str, String)> {
    let kind = Element::read(attribute, OBJECT_IDENTIFIER)?;
    let key = match kind.contents {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x0A] => "O",
        [0x55, 0x04, 0x0B] => "OU",
        _ => return None,
    };
    let value = Element::read_any(kind.rest)?;
    Some((key, String::from_utf8_lossy(value.contents).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_certificate_are_those_it_was_made_with() {
        let mut params = rcgen::CertificateParams::new(["x.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Grüße\n");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let parties = Parties::of(certificate.der()).expect("readable");
        assert_eq!((parties.subject.as_str(), parties.signed_by), ("CN=Grüße\\n, O=Example", SignedBy::Itself));
        assert_eq!(parties.subject, parties.issuer);
    }

    #[test]
    fn cut_certificates_have_no_names_and_do_no_harm() {
        let certificate = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap();
        let der = certificate.cert.der();
        for len in 0..der.len() {
            assert_eq!(Parties::of(&der[..len]), None);
        }
        for at in 0..der.len() {
            for value in [0, 0x7F, 0x80, 0x84, 0xFF] {
                let mut der = der.to_vec();
                der[at] = value;
                let _ = Parties::of(&der);
            }
        }
    }
}
