//! The fixed header: where a packet begins and ends in a stream of bytes (§2.1).

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    error::{ProtocolError, Rule},
    packet::{PacketType, Side},
    version::WireRules,
};

/// One whole packet, cut out of the stream and not yet decoded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// What the packet is.
    pub packet_type: PacketType,
    /// The low four bits of the first byte (§2.1.3).
    pub flags: u8,
    /// What follows the fixed header.
    pub body: Bytes,
}

/// What a receiver takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FrameLimits<'a> {
    /// The version spoken.
    pub rules: &'a WireRules,
    /// Who sends these packets.
    pub sender: Side,
    /// The receiver's Maximum Packet Size in bytes, fixed header included (§3.1.2.11.4).
    pub max_packet_size: u32,
}

impl<'a> FrameLimits<'a> {
    /// Limits of a receiver that takes any size MQTT can express.
    pub const fn new(rules: &'a WireRules, sender: Side) -> Self {
        Self { rules, sender, max_packet_size: u32::MAX }
    }
}

/// Takes the next whole packet out of `input`; `None` when it has not arrived in full.
///
/// Judges what it can from the first bytes: a packet that is too large or of a wrong type is refused before its body
/// is waited for, let alone buffered.
///
/// # Errors
///
/// [`ProtocolError`] when no packet can begin like this. `input` is left as it was.
#[inline] // with `Packet::decode` and its kin: 77 ns to 50 per PUBLISH, the moves of what they return
pub fn next_frame(input: &mut BytesMut, limits: FrameLimits<'_>) -> Result<Option<Frame>, ProtocolError> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let packet_type = PacketType::from_nibble(first >> 4)
        .filter(|&packet_type| packet_type != PacketType::Auth || limits.rules.server_speaks_up)
        .ok_or(ProtocolError { packet: None, offset: 0, rule: Rule::ReservedPacketType })?;
    let fail = |rule| Err(ProtocolError::new(packet_type, rule));
    let flags = first & 0x0F;
    if !packet_type.sent_by(limits.sender, limits.rules) {
        return fail(Rule::WrongDirection);
    }
    if packet_type == PacketType::Publish {
        if flags & 0b0110 == 0b0110 {
            return fail(Rule::QoSBits);
        }
    } else if flags != packet_type.flags() && !is_retry(packet_type, flags, limits.rules) {
        return fail(Rule::FixedHeaderFlags);
    }
    let mut remaining = 0;
    let mut header = 1;
    loop {
        let Some(&byte) = input.get(header) else {
            return Ok(None);
        };
        remaining |= usize::from(byte & 0x7F) << (7 * (header - 1));
        header += 1;
        if byte & 0x80 == 0 {
            if byte == 0 && header > 2 && limits.rules.shortest_length {
                return fail(Rule::PaddedLength);
            }
            break;
        }
        if header == 5 {
            return fail(Rule::RemainingLength); // do not wait for a fifth byte
        }
    }
    let size = header + remaining;
    if size > limits.max_packet_size as usize {
        return fail(Rule::PacketTooLarge);
    }
    if input.len() < size {
        return Ok(None);
    }
    let mut body = input.split_to(size).freeze();
    body.advance(header);
    Ok(Some(Frame { packet_type, flags, body }))
}

/// In 3.1 a request that is sent again may say so.
const fn is_retry(packet_type: PacketType, flags: u8, rules: &WireRules) -> bool {
    let request = matches!(packet_type, PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe);
    request && rules.dup_on_requests && flags == packet_type.flags() | 0b1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    fn next(bytes: &[u8], version: Version) -> Result<Option<Frame>, Rule> {
        let mut input = BytesMut::from(bytes);
        next_frame(&mut input, FrameLimits::new(version.rules(), Side::Server)).map_err(|error| error.rule)
    }

    #[test]
    fn a_fifth_length_byte_is_refused_at_the_fourth() {
        for version in Version::ALL {
            assert_eq!(next(&[0x30, 0xFF, 0xFF, 0xFF, 0x80], version).err(), Some(Rule::RemainingLength));
        }
    }

    #[test]
    fn four_byte_lengths_are_legal() {
        let mut bytes = vec![0x30, 0x80, 0x80, 0x80, 0x01];
        assert!(next(&bytes, Version::V311).expect("legal").is_none());
        bytes.resize(5 + 2_097_152, 0);
        assert_eq!(next(&bytes, Version::V311).expect("legal").expect("whole").body.len(), 2_097_152);
    }

    #[test]
    fn padded_lengths_are_malformed_in_5_and_accepted_in_3() {
        assert_eq!(next(&[0xD0, 0x80, 0x00], Version::V5).err(), Some(Rule::PaddedLength));
        assert!(next(&[0xD0, 0x80, 0x00], Version::V311).expect("legal").is_some());
    }

    #[test]
    fn size_limit_is_judged_from_the_header_and_is_inclusive() {
        let limits = FrameLimits { max_packet_size: 6, ..FrameLimits::new(Version::V5.rules(), Side::Server) };
        let mut at_limit = BytesMut::from(&[0x30, 0x04, 0, 1, b'a', 0][..]);
        assert!(next_frame(&mut at_limit, limits).expect("fits").is_some());
        let mut header_only = BytesMut::from(&[0x30, 0x05][..]);
        assert_eq!(next_frame(&mut header_only, limits).expect_err("too large").rule, Rule::PacketTooLarge);
    }

    #[test]
    fn wrong_flags_types_and_directions_are_refused() {
        for (bytes, rule) in [
            (&[0x41, 0x02][..], Rule::FixedHeaderFlags),
            (&[0x60, 0x02], Rule::FixedHeaderFlags),
            (&[0x93, 0x02], Rule::FixedHeaderFlags),
            (&[0xD1, 0x00], Rule::FixedHeaderFlags),
            (&[0x36, 0x00], Rule::QoSBits),
            (&[0x00, 0x00], Rule::ReservedPacketType),
            (&[0x10, 0x00], Rule::WrongDirection),
            (&[0x82, 0x00], Rule::WrongDirection),
            (&[0xA2, 0x00], Rule::WrongDirection),
            (&[0xC0, 0x00], Rule::WrongDirection),
        ] {
            assert_eq!(next(bytes, Version::V5).err(), Some(rule), "{bytes:x?}");
        }
        assert!(next(&[0x6A, 0x02, 0, 1], Version::V31).expect("3.1 may say that it is a retry").is_some());
        assert_eq!(next(&[0x6A, 0x02, 0, 1], Version::V311).err(), Some(Rule::FixedHeaderFlags));
        assert_eq!(next(&[0xF0, 0x00], Version::V311).err(), Some(Rule::ReservedPacketType));
        assert_eq!(next(&[0xE0, 0x00], Version::V311).err(), Some(Rule::WrongDirection));
    }
}
