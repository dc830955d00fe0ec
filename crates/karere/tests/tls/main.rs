//! Options for TLS, against rustls' server in memory.

#![cfg(test)]
#![cfg(feature = "tls")]

mod authorities;
mod certificates;
mod identity;
mod lab;
mod nonsense;
mod options;
#[cfg(feature = "openssl")]
mod psk;
#[cfg(feature = "openssl")]
mod psk_ways;
