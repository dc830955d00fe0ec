//! Questions about names, for threads that may wait for the answer.

#[cfg(feature = "srv")]
mod dns;

use core::net::SocketAddr;
use std::{io, net::ToSocketAddrs};

#[cfg(feature = "srv")]
pub(super) use self::dns::services;

/// The addresses of a host: as the system knows them, unless a name server is to be asked.
pub(super) fn addresses(host: &str, port: u16, name_server: Option<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    match name_server {
        #[cfg(feature = "srv")]
        Some(name_server) => dns::addresses(host, port, name_server),
        // Without the feature nobody can name one.
        _ => (host, port).to_socket_addrs().map(Iterator::collect),
    }
}

/// Without the feature there are no SRV records.
#[cfg(not(feature = "srv"))]
pub(super) fn services(
    _: &str,
    _: &karere_link::Domain,
    _: Option<SocketAddr>,
) -> Result<Vec<karere_link::ServiceRecord>, karere_link::ServiceProblem> {
    let lacking = "this build does not ask for SRV records; turn the feature `srv` on";
    Err(karere_link::ServiceProblem::NoAnswer(io::Error::new(io::ErrorKind::Unsupported, lacking)))
}
