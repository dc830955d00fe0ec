//! WebSocket against bytes written by hand, and against tungstenite's server.

mod closing;
mod frames;
mod opening;
mod peer;

use super::*;
use crate::clock;

/// A layer between an application and a server, all in memory.
struct World {
    layer: WebSocketLayer,
    /// What the server sent and the layer has not consumed, as a stack keeps it.
    input: BytesMut,
    /// What came of it for the application.
    output: BytesMut,
    /// What the application wants to send.
    plain: SendBuf,
}

const TARGET: Target<'_> = Target { host: "h", port: 8080, path: "/mqtt", security: Security::None };

impl World {
    fn new(options: &WebSocketOptions, target: &Target<'_>) -> Self {
        let layer = WebSocketLayer::new(options, target).expect("a legal request");
        Self { layer, input: BytesMut::new(), output: BytesMut::new(), plain: SendBuf::new() }
    }

    /// Nothing said yet.
    fn fresh() -> Self {
        Self::new(&WebSocketOptions::new(), &TARGET)
    }

    /// The handshake is over.
    fn opened() -> Self {
        Self::opened_with(&WebSocketOptions::new())
    }

    fn opened_with(options: &WebSocketOptions) -> Self {
        let mut world = Self::new(options, &TARGET);
        let answer = accepting(&world.request());
        assert_eq!(world.hear(&answer), Ok(Progress::Open));
        world
    }

    fn request(&mut self) -> String {
        String::from_utf8(self.said().expect("a request")).expect("text")
    }

    /// The server sends this.
    fn hear(&mut self, bytes: &[u8]) -> Result<Progress, String> {
        self.input.extend_from_slice(bytes);
        self.layer.open(clock(), &mut self.input, &mut self.output).map_err(|error| error.to_string())
    }

    /// What the layer has to say now.
    fn said(&mut self) -> Result<Vec<u8>, String> {
        let mut wire = SendBuf::new();
        self.layer.seal(clock(), &mut self.plain, &mut wire).map_err(|error| error.to_string())?;
        Ok(wire.to_vec())
    }

    fn frames(&mut self) -> Vec<(u8, Vec<u8>)> {
        unmasked(&self.said().expect("frames"))
    }

    fn close(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut wire = SendBuf::new();
        self.layer.close(&mut wire);
        unmasked(&wire.to_vec())
    }
}

/// The answer that opens a WebSocket for this request.
fn accepting(request: &str) -> Vec<u8> {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    .into_bytes()
}

/// A frame as a server writes it; `first` is FIN, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, len: u64) -> Vec<u8> {
    let mut header = vec![first];
    match len {
        0..=125 => header.push(len as u8),
        126..=65_535 => {
            header.push(126);
            header.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&len.to_be_bytes());
        }
    }
    header
}

/// Frames as a client has to write them: first byte and payload of each.
fn unmasked(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[1] & 0x80, 0x80, "a client masks");
        let (len, header) = match bytes[1] & 0x7F {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().expect("8 bytes")) as usize, 10),
            len => (usize::from(len), 2),
        };
        let mask = &bytes[header..header + 4];
        let payload = &bytes[header + 4..header + 4 + len];
        frames.push((bytes[0], payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect()));
        bytes = &bytes[header + 4 + len..];
    }
    frames
}

/// Bytes of which each differs from its neighbours, and from those a power of two further on.
fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}
