//! Properties as they cross to Python and back: encoded, with their length in front.

use bytes::Bytes;
use karere_proto::{Carrier, Properties};

/// Reads what `Properties.pack()` made.
pub(crate) fn properties(encoded: &[u8], carrier: Carrier) -> Result<Properties, String> {
    if encoded == [0] {
        return Ok(Properties::new());
    }
    let (length, at) = length(encoded).ok_or("properties without a length")?;
    let body = &encoded[at..];
    if body.len() != length {
        return Err(format!("properties of {} bytes under a length of {length}", body.len()));
    }
    Properties::from_bytes(Bytes::copy_from_slice(body), carrier).map_err(|rule| rule.to_string())
}

/// Writes what `Properties.unpack()` reads.
pub(crate) fn encode(properties: &Properties) -> Vec<u8> {
    let body = properties.as_bytes();
    let mut encoded = Vec::with_capacity(body.len() + 2);
    let mut rest = body.len();
    loop {
        let digit = (rest % 128) as u8;
        rest /= 128;
        encoded.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    encoded.extend_from_slice(body);
    encoded
}

fn length(encoded: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, &byte) in encoded.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use karere_proto::{PacketType, PropertyId, Value};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 100, 127, 128, 20_000] {
            let mut set = Properties::new();
            let text = "x".repeat(len);
            set.set(PropertyId::ContentType, Value::Str(&text)).expect("legal");
            let encoded = encode(&set);
            assert_eq!(properties(&encoded, Carrier::Packet(PacketType::Publish)), Ok(set));
        }
        assert_eq!(encode(&Properties::new()), [0]);
        assert_eq!(properties(&[0], Carrier::Will), Ok(Properties::new()));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let carrier = Carrier::Packet(PacketType::Publish);
        for wrong in [&[][..], &[0x80], &[5, 1, 1], &[1, 1, 1], &[0xFF, 0xFF, 0xFF, 0xFF, 1]] {
            assert!(properties(wrong, carrier).is_err(), "{wrong:?}");
        }
    }
}
