//! What the suite asks of a server, and of the clients it makes for it.

use core::{net::SocketAddr, time::Duration};
use std::path::PathBuf;

use karere::{Options, Version};

/// A server the suite runs against; it ends when it is dropped.
pub(crate) trait Server: Sized {
    /// It may send a QoS 2 message again although it has sent its PUBREL: a mistake that no client can make good.
    const RESENDS_RELEASED: bool;

    /// Starts on a free port of 127.0.0.1.
    fn start(setup: Setup) -> Self;

    fn address(&self) -> SocketAddr;

    /// A Unix socket it listens on, too.
    fn unix_path(&self) -> PathBuf;

    /// Ends it as an administrator would; sessions and retained messages are kept.
    fn stop(&mut self);

    /// Starts it again at the same address.
    fn resume(&mut self);

    /// Has something at `$SYS/broker/version`.
    fn provide_system_topic(&self);

    fn options(&self, version: Version, id: &str) -> Options {
        options(self.address(), version, id)
    }
}

/// What a test wants of a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    /// Only this user is let in.
    pub(crate) user: Option<(&'static str, &'static str)>,
    /// Messages in flight towards each client, and the Receive Maximum it announces.
    pub(crate) in_flight: Option<u16>,
}

/// Options for a test: reconnects come quickly.
pub(crate) fn options(address: SocketAddr, version: Version, id: &str) -> Options {
    Options::tcp(address.ip().to_string(), address.port())
        .version(version)
        .client_id(id)
        .reconnect_delay(Duration::from_millis(5), Duration::from_millis(40))
}
