//! What sockets are set to before they are connected.

use core::{net::SocketAddr, time::Duration};

/// What sockets are set to before they are connected. TCP_NODELAY is always on: a packet that ends a batch must not wait for
/// the server's delayed acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// The local address and port to dial from; port 0 is any.
    pub bind: Option<SocketAddr>,
    /// The network interface to dial over, by name; needs privileges on some systems.
    pub interface: Option<String>,
    /// Bytes of the system's send buffer; the system chooses when it is not given, and may round.
    pub send_buffer: Option<usize>,
    /// Bytes of the system's receive buffer, likewise.
    pub receive_buffer: Option<usize>,
    /// TCP's own keep alive, beside MQTT's.
    pub keep_alive: Option<TcpKeepAlive>,
}

/// TCP's keep alive: notices a dead path while MQTT has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpKeepAlive {
    /// How long a connection is silent before it is probed. Whole seconds, at least one.
    pub idle: Duration,
    /// From one probe to the next. Whole seconds, at least one.
    pub interval: Duration,
    /// Probes without an answer before the connection is given up.
    pub probes: u32,
}

impl TcpKeepAlive {
    /// These times.
    pub const fn new(idle: Duration, interval: Duration, probes: u32) -> Self {
        Self { idle, interval, probes }
    }
}
