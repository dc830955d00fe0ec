//! Peers that mean harm, or are broken: the client stays small, says which layer is at fault, and comes back.
//!
//! The client of each case is a process of its own, so that the peak of its memory is its own too; the peer is here, on
//! loopback. It misbehaves for the first connections and then serves.

#![cfg(test)]
#![cfg(all(feature = "tls", feature = "websocket"))]

mod case;
mod child;
mod floods;
mod frames;
mod peer;
mod silence;
