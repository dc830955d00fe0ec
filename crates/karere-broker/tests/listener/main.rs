//! The broker behind real sockets, with all that may lie between them and MQTT.
#![cfg(test)]

mod client;
#[cfg(all(feature = "tls", feature = "websocket"))]
mod secure_websocket;
mod sockets;
#[cfg(feature = "tls")]
mod tls;
#[cfg(any(feature = "tls", feature = "websocket"))]
mod transport;
#[cfg(feature = "websocket")]
mod websocket;
