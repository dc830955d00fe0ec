//! Bytes: frames in, fields in, packets out.

mod frame;
mod reader;
mod send_buf;

pub use frame::{Frame, FrameLimits, next_frame};
pub(crate) use reader::Reader;
pub use send_buf::{Lsn, SendBuf};

/// The largest Variable Byte Integer, and so the largest Remaining Length (§1.5.5): 268,435,455.
pub const MAX_VARINT: u32 = 268_435_455;

/// Bytes that `value` takes as a Variable Byte Integer (§1.5.5).
pub(crate) const fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// `value` as a Variable Byte Integer, and how many of the bytes count. Larger values than [`MAX_VARINT`] do not occur:
/// packets are measured before they are written.
pub(crate) const fn varint(mut value: usize) -> ([u8; 4], usize) {
    let mut bytes = [0; 4];
    let mut len = 0;
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        bytes[len] = if value > 0 { low | 0x80 } else { low };
        len += 1;
        if value == 0 || len == 4 {
            return (bytes, len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_use_the_fewest_bytes() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let (encoded, len) = varint(value);
            assert_eq!(&encoded[..len], bytes);
            assert_eq!(len, varint_len(value));
        }
    }
}
