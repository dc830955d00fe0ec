//! What does the server speak, if not TLS?

/// The first bytes a server has sent.
#[derive(Debug, Default)]
pub(super) struct First {
    bytes: [u8; 16],
    len: usize,
}

impl First {
    pub(super) fn note(&mut self, input: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let len = room.len().min(input.len());
        room[..len].copy_from_slice(&input[..len]);
        self.len += len;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What the server speaks, if that is certainly not TLS: its records begin with their type (RFC 8446 §5.1).
    ///
    /// rustls and OpenSSL would wait for five bytes, and the CONNACK of MQTT 3.1.1 has but four.
    pub(super) fn speaks_otherwise(&self) -> Option<String> {
        let bytes = self.bytes();
        let what = match bytes.first()? {
            20..=24 => return None,
            0x20 => "MQTT without TLS: use mqtt:// or the server's port for TLS, usually 8883",
            b'H' if bytes.starts_with(b"HTTP/") || b"HTTP/".starts_with(bytes) => {
                "HTTP without TLS: use ws://, or the server's port for TLS"
            }
            0xD0 | 0xE0 | 0xF0 => "MQTT without TLS, it seems: use mqtt:// or the server's port for TLS, usually 8883",
            _ => "something else: check host and port",
        };
        Some(format!("the server does not speak TLS here (it answered with \"{}\"), but {what}", bytes.escape_ascii()))
    }
}
