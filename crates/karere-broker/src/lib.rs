//! A small MQTT broker for development and tests.
//!
//! **Not for production.** All it knows is in memory and gone when it ends; it trusts its clients with its memory, knows
//! users but no permissions, and can be told to misbehave. What it is good for: starting in a few
//! microseconds on any port, in the same process as the code under test; repeating a run exactly; losing, delaying,
//! doubling or mutilating any packet on request; and speaking 3.1, 3.1.1 and 5.0 on one port.
//!
//! [`Broker`] is a state machine without I/O, clock and randomness: bytes and time come in, bytes and deadlines are
//! asked for, and the same inputs give the same outputs. [`Server`] puts it behind TCP and Unix sockets, with the features
//! `tls` and `websocket` also behind TLS, WebSocket, and WebSocket over TLS:
//!
//! ```
//! use std::{io::{Read, Write}, net::TcpStream};
//! use karere_broker::{Config, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Config::new())?; // on a free port of 127.0.0.1
//! let mut client = TcpStream::connect(server.tcp_addr().expect("listens on TCP"))?;
//! client.write_all(b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01a")?; // CONNECT of 3.1.1, client id "a"
//! let mut connack = [0; 4];
//! client.read_exact(&mut connack)?;
//! assert_eq!(connack, [0x20, 2, 0, 0]);
//! assert_eq!(server.with(|broker| broker.counters().accepted), 1);
//! let broker = server.stop(); // ends the thread; sessions and retained messages can be served again
//! assert!(broker.connection_of("a").is_none());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod authentication;
mod broker;
mod config;
mod connection;
mod counters;
mod ending;
mod faults;
mod handshake;
mod incoming;
pub mod listener;
mod message;
mod outbox;
mod outgoing;
mod publishing;
mod requests;
mod retained;
mod session;
mod subscriptions;
mod timer;
mod will;

pub use authentication::Authentication;
pub use broker::{Broker, SessionStatus, Then, UnknownConnection};
pub use config::Config;
pub use connection::ConnectionId;
pub use counters::Counters;
pub use faults::{Direction, Fault, FaultId, Faults, Trigger};
pub use listener::Server;
