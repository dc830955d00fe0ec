//! WebSocket over buffers (RFC 6455, [MQTT-6.0.0-1] to -4).
//!
//! ```text
//!            101 with key and sub-protocol        Close, or what no server may send
//! ┌─────────┐────────────────────────────►┌──────┐────────────────────────────────►┌────────┐ told
//! │ Opening │                             │ Open │                                 │ Ending │───────► error
//! └─────────┘                             └──┬───┘                                 └───┬────┘
//!                                            │ close                                   │ close
//!                                       ┌────▼────┐         Close, or nonsense     ┌───▼────┐
//!                                       │ Leaving │───────────────────────────────►│ Closed │
//!                                       └─────────┘                                └────────┘
//! ```
//!
//! Frames' headers, close codes, keys and masks are tungstenite's; its sockets are not used. They would hold every frame
//! as a whole and reserve its memory on the server's word, and give an answer up that comes in many small pieces.

mod head;
mod incoming;
mod opening;
mod options;
mod outgoing;
#[cfg(test)]
mod tests;

use core::fmt;
use std::time::Instant;

use bytes::BytesMut;
use karere_proto::SendBuf;
use tungstenite::protocol::frame::coding::{CloseCode, Control};

use self::{
    incoming::{Ended, Incoming},
    opening::Opening,
    outgoing::Outgoing,
};
use crate::{
    endpoint::Endpoint,
    layer::{Layer, LayerError, Progress},
    route::Server,
    transport::{Framing, Security},
};

pub use self::options::WebSocketOptions;

/// What the opening handshake asks for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// A name or an IP address (IPv6 without brackets).
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// Path and query, percent-encoded.
    pub(crate) path: &'a str,
    /// What lies beneath: it makes the default port, and the origin.
    pub(crate) security: Security,
}

/// MQTT in the binary frames of a WebSocket.
///
/// Bytes are passed on as they come, before their frame is whole; what is flushed at once leaves in one frame. Between
/// frames it holds no buffer.
pub(crate) struct WebSocketLayer {
    phase: Phase,
    outgoing: Outgoing,
}

enum Phase {
    Opening(Box<Opening>),
    Open {
        incoming: Incoming,
        /// What the last unanswered ping carried. Earlier ones need no answer (RFC 6455, §5.5.3).
        pong: Option<Box<[u8]>>,
    },
    /// The connection cannot go on. The Close frame leaves first, and then it is an error: what has come before, and the
    /// Close frame too, would be lost else.
    Ending {
        ended: Ended,
        goodbye: Goodbye,
    },
    /// A Close frame was sent because we leave: the server's last bytes are still read.
    Leaving(Incoming),
    /// Both have said goodbye.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    Unsaid,
    Said,
}

impl WebSocketLayer {
    /// A WebSocket to `target` that has said nothing yet. Headers are computed here.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when the request cannot be written: a header with line breaks in it, a path that is none, or the
    /// application could not compute its headers.
    pub(crate) fn new(options: &WebSocketOptions, target: &Target<'_>) -> Result<Self, LayerError> {
        let opening = Opening::new(options, target).map_err(error)?;
        Ok(Self { phase: Phase::Opening(Box::new(opening)), outgoing: Outgoing::default() })
    }
}

impl WebSocketOptions {
    /// A WebSocket to `server` that has said nothing yet, for a stack of your own.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when the server is not one over WebSocket, or when the request cannot be written: a header with line
    /// breaks in it, or headers that could not be computed.
    pub fn layer(&self, server: &Server) -> Result<Box<dyn Layer>, LayerError> {
        let Framing::WebSocket { path } = &server.transport.framing else {
            return Err(LayerError::new(NAME, "the server's URL is not one of ws:// or wss://"));
        };
        let (host, port) = match &server.endpoint {
            Endpoint::Tcp { host, port } => (host.as_str(), *port),
            Endpoint::Service(_) | Endpoint::Unix(_) => ("localhost", 80),
        };
        let target = Target { host, port, path, security: server.transport.security };
        Ok(Box::new(WebSocketLayer::new(self, &target)?))
    }
}

/// How people call it in errors.
const NAME: &str = "WebSocket";

fn error(why: String) -> LayerError {
    LayerError::new(NAME, why)
}

impl Layer for WebSocketLayer {
    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        if let Phase::Opening(opening) = &mut self.phase {
            let Some(limit) = opening.hear(input).map_err(error)? else {
                return Ok(Progress::Handshaking);
            };
            self.phase = Phase::Open { incoming: Incoming::new(limit), pong: None };
        }
        match &mut self.phase {
            Phase::Opening(_) => {}
            Phase::Open { incoming, pong } => {
                if let Err(ended) = incoming.read(input, output, pong) {
                    self.phase = Phase::Ending { ended, goodbye: Goodbye::Unsaid };
                    input.clear();
                }
            }
            Phase::Leaving(incoming) => {
                if incoming.read(input, output, &mut None).is_err() {
                    self.phase = Phase::Closed;
                    input.clear();
                }
            }
            Phase::Ending { goodbye: Goodbye::Unsaid, .. } | Phase::Closed => input.clear(),
            Phase::Ending { ended, goodbye: Goodbye::Said } => return Err(error(ended.why.clone())),
        }
        release(input);
        Ok(Progress::Open)
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        match &mut self.phase {
            Phase::Opening(opening) => opening.say(wire),
            Phase::Open { pong, .. } => {
                if let Some(payload) = pong.take() {
                    self.outgoing.put_control(Control::Pong, &payload, wire);
                }
                self.outgoing.put_data(plain, wire);
            }
            Phase::Ending { ended, goodbye: goodbye @ Goodbye::Unsaid } => {
                *goodbye = Goodbye::Said;
                self.outgoing.put_close(ended.answer, wire);
            }
            Phase::Ending { ended, goodbye: Goodbye::Said } => return Err(error(ended.why.clone())),
            Phase::Leaving(_) | Phase::Closed => {}
        }
        Ok(())
    }

    fn ended_early(&self) -> &'static str {
        "the server closed the connection instead of opening a WebSocket: perhaps this port speaks MQTT without it (mqtt://), or \
         wants TLS (wss://)"
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn close(&mut self, wire: &mut SendBuf) {
        let phase = core::mem::replace(&mut self.phase, Phase::Closed);
        match phase {
            Phase::Open { incoming, .. } => {
                self.outgoing.put_close(Some(CloseCode::Normal), wire);
                self.phase = Phase::Leaving(incoming);
            }
            Phase::Ending { ended, goodbye: Goodbye::Unsaid } => self.outgoing.put_close(ended.answer, wire),
            Phase::Leaving(incoming) => self.phase = Phase::Leaving(incoming),
            // A WebSocket that was never open has no goodbye: the connection just ends.
            Phase::Opening(_) | Phase::Ending { goodbye: Goodbye::Said, .. } | Phase::Closed => {}
        }
    }
}

/// Lets go of the driver's read buffer, of which an empty or nearly empty rest is still a part: an idle connection would
/// hold all its 64 KiB.
fn release(input: &mut BytesMut) {
    *input = if input.is_empty() { BytesMut::new() } else { BytesMut::from(&input[..]) };
}

/// Text of the server's, made fit for one line of an error.
fn readable(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    let line = line.trim();
    match line.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// In characters.
const LONGEST_SHOWN: usize = 120;

/// Requests carry secrets: the phase alone is shown.
impl fmt::Debug for WebSocketLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Opening(_) => "Opening",
            Phase::Open { .. } => "Open",
            Phase::Ending { .. } => "Ending",
            Phase::Leaving(_) => "Leaving",
            Phase::Closed => "Closed",
        };
        f.debug_tuple("WebSocketLayer").field(&format_args!("{phase}")).finish()
    }
}
