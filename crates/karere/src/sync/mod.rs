//! The callback client: handlers, and a driver that any event loop can turn.
//!
//! [`Client::new`] gives two things. The [`Client`] is a handle: clone it, send it to other threads, publish and
//! subscribe with it. The [`Driver`] moves the bytes and calls the [`Handler`]; give it a thread ([`Driver::spawn`]),
//! this thread ([`Driver::run`]), one step ([`Driver::wait_and_turn`]), or turn it from a loop of your own
//! ([`Driver::turn`]).
//!
//! Handlers run on the thread that turns the driver, and no lock of this library is held meanwhile: every method of
//! [`Client`] may be called from within every handler. Only waiting for an outcome there would wait for ever, so that
//! is an error instead.

mod client;
mod completion;
mod driver;
mod handler;
#[cfg(feature = "store")]
mod keeping;
#[cfg(not(feature = "store"))]
#[path = "not_keeping.rs"]
mod keeping;
mod shared;
mod socket;
mod wake;

pub use client::Client;
pub use completion::{Publishing, Subscribing, Unsubscribing, WaitError};
pub use driver::{Background, ConnectError, Driver, Interest, Panicked, Ready, RunError};
pub use handler::{Callbacks, Handler, Message, Published, SocketId, Subscribed, Unsubscribed};
#[cfg(feature = "store")]
pub use keeping::{Keep, KeepError, StoreFailure};
