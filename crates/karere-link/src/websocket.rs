//! WebSocket over buffers.

/// What the opening handshake says.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WebSocketOptions {}
