//! What a client does over TLS, WebSocket and both, against mosquitto: real sockets, OpenSSL and libwebsockets at the
//! other end, certificates made for each test.

#![cfg(all(feature = "tls", feature = "websocket"))]

mod certificates;
#[path = "../common/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "what the suite tests apart from transports is left out")]
mod common;
mod doors;
mod event_loop;
mod mosquitto;
mod payloads;
#[cfg(feature = "openssl")]
mod psk;
mod suites;
mod trust;
