//! How MQTT bytes travel, without I/O: endpoints, layers, dialing, back-off.
//!
//! A [`Link`] keeps a session reachable: it says what to resolve and to dial, passes bytes through its [`Stack`] of
//! layers, and waits between attempts. A driver owns the socket and does as it says.

mod access;
mod backoff;
mod class;
mod connector;
mod dialer;
mod endpoint;
mod layer;
mod link;
mod options;
mod policy;
mod problem;
mod proxy;
mod route;
mod service;
mod socket;
mod stack;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod url;
#[cfg(feature = "websocket")]
mod websocket;

pub use access::AccessHook;
pub use backoff::{Backoff, Jitter, Rng};
pub use connector::{Connector, OwnedSocket};
pub use dialer::{Attempt, Dial};
pub use endpoint::{Address, Endpoint, InvalidUrl};
pub use layer::{Layer, LayerError, Progress};
pub use link::{Close, Event, Link, Resting, Use};
pub use options::{Acknowledge, FirstConnection, Options, OptionsError, Parts};
pub use policy::{Policy, Reconnect, Redirect, Refresh};
pub use problem::{DialError, DialProblem, Failure};
pub use proxy::{InvalidVariable, NameLookup, Proxies, Proxy, ProxyKind, ProxyTarget};
pub use route::{Credentials, Rank, Server};
pub use service::{Domain, InvalidDomain, ServiceProblem, ServiceRecord};
pub use socket::{SocketOptions, TcpKeepAlive};
pub use stack::Stack;
#[cfg(feature = "openssl")]
pub use tls::Psk;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use transport::{Framing, Security, Transport, Ways};
pub use url::Url;
#[cfg(feature = "websocket")]
pub use websocket::WebSocketOptions;

/// A point in time to count from; tests have no other clock.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs one real point to begin at")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
