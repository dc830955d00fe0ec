//! How a published message fares, for those who hold its `MQTTMessageInfo`: told and awaited without the GIL.

use core::{
    sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering},
    time::Duration,
};
use std::sync::{Condvar, Mutex, PoisonError};

/// paho's MQTTErrorCode, as far as a message can have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Rc {
    Success = 0,
    NoConn = 4,
    ConnLost = 7,
    PayloadSize = 9,
    NotSupported = 10,
    QueueSize = 15,
}

/// One published message.
#[derive(Debug)]
pub(crate) struct Flow {
    rc: AtomicI32,
    published: AtomicBool,
    waiting: AtomicU32,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Flow {
    pub(crate) const fn new(rc: i32) -> Self {
        Self {
            rc: AtomicI32::new(rc),
            published: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn rc(&self) -> i32 {
        self.rc.load(Ordering::SeqCst)
    }

    pub(crate) fn set_rc(&self, rc: i32) {
        self.rc.store(rc, Ordering::SeqCst);
    }

    /// Notes the end. True when someone waits, who is to be told by [`Flow::notify`].
    #[must_use]
    pub(crate) fn end(&self, end: End) -> bool {
        match end {
            End::Published => self.published.store(true, Ordering::SeqCst),
            End::Failed(rc) => self.set_rc(rc as i32),
        }
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Wakes who waits.
    pub(crate) fn notify(&self) {
        // Whoever has looked and not slept yet holds this.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    pub(crate) fn is_published(&self) -> bool {
        self.published.load(Ordering::SeqCst)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.is_published() || self.rc() > 0
    }

    /// Waits until it has ended, at most so long; true when it has.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_ended() {
            guard = self.changed.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(guard);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.has_ended()
    }
}

/// How a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server has answered it; at QoS 0 the socket has it.
    Published,
    /// It will not be published.
    Failed(Rc),
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Instant};

    use super::*;

    #[test]
    fn who_waits_is_woken_by_the_end() {
        for end in [End::Published, End::Failed(Rc::ConnLost)] {
            let flow = Arc::new(Flow::new(0));
            let waiter = thread::spawn({
                let flow = Arc::clone(&flow);
                move || flow.wait(Duration::from_secs(10))
            });
            while flow.waiting.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            assert!(flow.end(end), "someone waits");
            flow.notify();
            assert!(waiter.join().expect("no panic"));
            assert_eq!(flow.is_published(), end == End::Published);
        }
    }

    #[test]
    fn waiting_ends_in_time() {
        let flow = Flow::new(0);
        let before = Instant::now();
        assert!(!flow.wait(Duration::from_millis(20)));
        assert!(before.elapsed() >= Duration::from_millis(20));
        assert!(!flow.end(End::Published), "nobody waits any more");
        assert!(flow.wait(Duration::from_secs(10)), "what has ended is not waited for");
    }
}
