//! Elements of DER, as far as keys need them.

/// An element, and what follows it.
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) contents: &'a [u8],
    pub(super) rest: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

impl<'a> Element<'a> {
    /// The first element of `input`.
    pub(super) fn first(input: &'a [u8]) -> Option<Self> {
        let (&[tag, short], rest) = input.split_first_chunk::<2>()?;
        let (len, rest) = match short {
            0..=0x7F => (usize::from(short), rest),
            0x81..=0x83 => {
                let (len, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
                (len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
            }
            0x80 | 0x84.. => return None, // of indefinite length, which DER does not have; or no key or certificate
        };
        let (contents, rest) = rest.split_at_checked(len)?;
        Some(Self { tag, contents, rest })
    }
}

/// Takes the contents of an element of this kind from the front of `input`.
pub(super) fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let element = Element::first(input).filter(|element| element.tag == tag)?;
    *input = element.rest;
    Some(element.contents)
}

/// True when `bytes` are one sequence and nothing else.
pub(super) fn is_sequence(bytes: &[u8]) -> bool {
    Element::first(bytes).is_some_and(|element| element.tag == SEQUENCE && element.rest.is_empty())
}

/// A sequence that begins with the number 3 (RFC 7292 §4).
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    Element::first(bytes).is_some_and(|element| element.contents.starts_with(&[INTEGER, 1, 3]))
}
