//! MQTT in binary frames of a WebSocket (§6), by tungstenite.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
};

pub(super) use super::upgrade::Rules;
use super::{
    layer::{End, Layer},
    upgrade::{Answer, Upgrade},
};

/// The server's side of one WebSocket.
pub(super) struct WebSocket {
    state: State,
}

enum State {
    /// Before and while the client asks for it.
    Upgrading(Upgrade),
    /// Frames go both ways, the closing ones included.
    Framing(Box<tungstenite::WebSocket<Pipe>>),
    /// The client asked in vain.
    Refused,
}

impl WebSocket {
    pub(super) const fn new(rules: Arc<Rules>) -> Self {
        Self { state: State::Upgrading(Upgrade::new(rules)) }
    }
}

impl Layer for WebSocket {
    fn handle_received(&mut self, bytes: &[u8], inner: &mut BytesMut, outer: &mut BytesMut) -> Result<(), End> {
        match &mut self.state {
            State::Upgrading(upgrade) => match upgrade.handle_received(bytes, outer) {
                Answer::None => Ok(()),
                Answer::Accepted => {
                    let socket = tungstenite::WebSocket::from_raw_socket(Pipe::default(), Role::Server, Some(config()));
                    self.state = State::Framing(Box::new(socket));
                    Ok(())
                }
                Answer::Refused(why) => {
                    self.state = State::Refused;
                    Err(End::Broken(format!("WebSocket: {why}")))
                }
            },
            State::Framing(socket) => {
                socket.get_mut().input.extend_from_slice(bytes);
                let outcome = read_frames(socket, inner);
                outer.unsplit(socket.get_mut().output.split());
                outcome
            }
            State::Refused => Ok(()),
        }
    }

    fn seal(&mut self, bytes: &[u8], outer: &mut BytesMut) {
        if let State::Framing(socket) = &mut self.state {
            // Fails after a closing frame only: nothing may follow it.
            let _ = socket.write(Message::Binary(Bytes::copy_from_slice(bytes)));
            outer.unsplit(socket.get_mut().output.split());
        }
    }

    fn close(&mut self, outer: &mut BytesMut) {
        if let State::Framing(socket) = &mut self.state {
            close(socket, CloseCode::Normal, "");
            outer.unsplit(socket.get_mut().output.split());
        }
    }

    fn is_open(&self) -> bool {
        matches!(&self.state, State::Framing(socket) if socket.can_write())
    }
}

/// Reads all frames that have come, answers pings and closing frames.
fn read_frames(socket: &mut tungstenite::WebSocket<Pipe>, inner: &mut BytesMut) -> Result<(), End> {
    loop {
        let (code, why) = match socket.read() {
            Ok(Message::Binary(payload)) => {
                inner.extend_from_slice(&payload);
                continue;
            }
            // The answers to these are sent by the next read.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => continue,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Err(End::Orderly),
            Ok(Message::Text(_)) => (CloseCode::Unsupported, "a text frame; MQTT is binary [MQTT-6.0.0-1]".to_owned()),
            Err(error @ Error::Capacity(_)) => (CloseCode::Size, error.to_string()),
            Err(error @ Error::Utf8(_)) => (CloseCode::Invalid, error.to_string()),
            Err(error) => (CloseCode::Protocol, error.to_string()),
        };
        close(socket, code, &why);
        return Err(End::Broken(format!("WebSocket: {why}")));
    }
}

/// Sends a closing frame, unless there was one.
fn close(socket: &mut tungstenite::WebSocket<Pipe>, code: CloseCode, why: &str) {
    let mut end = why.len().min(LONGEST_REASON);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    // Fails when the closing handshake is over, which is as good.
    let _ = socket.close(Some(CloseFrame { code, reason: why[..end].into() }));
}

/// A control frame holds 125 bytes, two of them for the code (RFC 6455, 5.5).
const LONGEST_REASON: usize = 123;

/// Small buffers: connections may be many, and bytes come in reads of their own anyway.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_frame_size(Some(MAXIMUM_MESSAGE))
        .max_message_size(Some(MAXIMUM_MESSAGE))
}

/// The largest message, in bytes: tungstenite hands it on as a whole, and a client may put a large packet in one.
const MAXIMUM_MESSAGE: usize = 64 * 1024 * 1024;

/// What tungstenite takes for a socket.
#[derive(Default)]
struct Pipe {
    input: BytesMut,
    output: BytesMut,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(self.input.len());
        self.input.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
