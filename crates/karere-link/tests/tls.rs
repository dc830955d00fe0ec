//! TLS between buffers, against rustls' server.

#![cfg(test)]
#![cfg(feature = "tls")]

#[path = "tls/handshake.rs"]
mod handshake;
#[path = "tls/lab.rs"]
mod lab;
#[path = "tls/nonsense.rs"]
mod nonsense;
#[path = "tls/stream.rs"]
mod stream;
