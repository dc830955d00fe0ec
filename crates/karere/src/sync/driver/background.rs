//! A driver on a thread of its own.

use core::fmt;
use std::{
    any::Any,
    io,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
};

use karere_link::FirstConnection;

use super::{super::shared::Shared, Driver, Handler, Rest, RunError};

impl Driver {
    /// Gives the driver a thread of its own and connects; attempts are repeated until one succeeds. Paho's
    /// `loop_start`.
    ///
    /// The thread goes on after the application disconnects, and connects again when it is asked to.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn spawn<H: Handler + Send + 'static>(self, handler: H) -> io::Result<Background<H>> {
        let shared = Arc::clone(&self.client.shared);
        shared.stop.store(false, Ordering::SeqCst);
        let name = format!("karere {}", self.client.client_id());
        let mut driver = self;
        let mut handler = handler;
        let thread = thread::Builder::new().name(name).spawn(move || {
            let ended = driver.run_until(&mut handler, FirstConnection::Retry, Rest::Wait);
            Returned { driver, handler, ended }
        })?;
        Ok(Background { thread: Some(thread), shared })
    }
}

struct Returned<H> {
    driver: Driver,
    handler: H,
    ended: Result<(), RunError>,
}

/// A driver on a thread of its own. Dropping it stops the thread and waits for its end.
#[must_use = "dropping it stops the client's thread at once"]
pub struct Background<H> {
    thread: Option<JoinHandle<Returned<H>>>,
    shared: Arc<Shared>,
}

impl<H> Background<H> {
    /// Stops the thread, which wakes at once, and gives driver and handler back. The connection is left as it is.
    ///
    /// A handler that is running is waited for; from within one, see [`Background::is_own_thread`].
    ///
    /// # Errors
    ///
    /// [`Panicked`] when a handler panicked.
    pub fn stop(mut self) -> Result<(Driver, H), Panicked> {
        self.signal();
        let thread = self.thread.take().expect("invariant: taken only here and in drop");
        match thread.join() {
            Ok(Returned { driver, handler, ended }) => {
                if let Err(error) = ended {
                    let log = &driver.client.shared.log;
                    log.line(crate::Level::Error, format_args!("the thread had ended: {error}"));
                }
                Ok((driver, handler))
            }
            Err(panic) => Err(Panicked(panic)),
        }
    }

    /// True when the thread has ended by itself: a handler panicked, or sockets cannot be waited for.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// True when called on the client's own thread: in a handler.
    pub fn is_own_thread(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.thread().id() == thread::current().id())
    }

    fn signal(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake.wake();
    }
}

impl<H> Drop for Background<H> {
    fn drop(&mut self) {
        self.signal();
        // A thread cannot wait for its own end; it ends once the handler that drops this returns.
        if !self.is_own_thread()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

impl<H> fmt::Debug for Background<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// A handler panicked, and its thread ended with it.
pub struct Panicked(Box<dyn Any + Send>);

impl Panicked {
    /// What it panicked with.
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.0
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            self.0.downcast_ref::<&str>().copied().or_else(|| self.0.downcast_ref::<String>().map(String::as_str));
        write!(f, "a handler panicked: {}", text.unwrap_or("(no message)"))
    }
}

impl std::error::Error for Panicked {}
