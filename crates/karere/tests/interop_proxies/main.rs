//! Ways through real proxies: microsocks and Dante for SOCKS, tinyproxy for HTTP.

#![cfg(test)]
#![cfg(all(feature = "tls", feature = "websocket"))]

mod client;
mod echo;
mod layers;
mod real;
