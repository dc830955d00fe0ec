//! One layer between the socket and MQTT: TLS, WebSocket, a proxy's handshake.

use core::fmt;
use std::time::Instant;

use bytes::BytesMut;
use karere_proto::SendBuf;

/// A mapping of buffers to buffers; handshakes are layers too.
pub trait Layer: Send + fmt::Debug {
    /// Consumes `input` (socket side) and appends what it carried to `output` (MQTT side).
    ///
    /// # Errors
    ///
    /// [`LayerError`] ends the connection.
    fn open(&mut self, now: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError>;

    /// Takes what may leave from `plain` (MQTT side) and appends its wire form to `wire`. Called with an empty `plain`
    /// too: a handshake has things of its own to say.
    ///
    /// # Errors
    ///
    /// [`LayerError`] ends the connection.
    fn seal(&mut self, now: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError>;

    /// What people call it: "TLS", "WebSocket", "HTTP proxy".
    fn name(&self) -> &'static str;

    /// What to say when the other side has closed before this layer's handshake was over, and what may be the matter.
    fn ended_early(&self) -> &'static str {
        "the other side closed during the handshake"
    }

    /// Queues an orderly goodbye, such as close_notify or a Close frame.
    fn close(&mut self, wire: &mut SendBuf);
}

/// How far a layer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: a layer opens, is open, or has done its work")]
pub enum Progress {
    /// Its handshake is not over: nothing of MQTT may pass.
    Handshaking,
    /// Bytes pass.
    Open,
    /// Its work is done; from now on bytes pass unchanged and the layer is dropped.
    Transparent,
}

/// Why a layer cannot go on.
#[derive(Debug)]
#[non_exhaustive]
pub struct LayerError {
    /// Which layer, as people call it: "TLS", "WebSocket", "HTTP proxy".
    pub layer: &'static str,
    /// What went wrong and what to do about it.
    pub why: String,
}

impl LayerError {
    /// An error of the layer people call `layer`.
    pub fn new(layer: &'static str, why: impl Into<String>) -> Self {
        Self { layer, why: why.into() }
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.why)
    }
}

impl core::error::Error for LayerError {}
