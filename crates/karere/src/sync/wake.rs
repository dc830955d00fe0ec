//! How a sleeping driver learns that there is work.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

type Hook = Arc<dyn Fn() + Send + Sync>;

/// Wakes the driver, but only when it sleeps: a publish while it is busy costs one load.
#[derive(Default)]
pub(super) struct Wake {
    parked: AtomicBool,
    poll: OnceLock<mio::Waker>,
    hook: RwLock<Option<Hook>>,
}

impl Wake {
    /// The driver is about to sleep. It must look for work once more after this, under the lock that work is queued
    /// under: whoever queues after that look sees that it sleeps.
    pub(super) fn park(&self) {
        self.parked.store(true, Ordering::SeqCst);
    }

    pub(super) fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }

    /// There is work. Call it after the work has been queued and its lock released.
    pub(super) fn wake(&self) {
        if self.parked.load(Ordering::SeqCst) && self.parked.swap(false, Ordering::SeqCst) {
            if let Some(waker) = self.poll.get() {
                // Fails only when the eventfd's counter is full, and then the driver is being woken anyway.
                let _ = waker.wake();
            }
            let hook = self.hook.read().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(hook) = hook {
                hook();
            }
        }
    }

    /// Something arrived that is not looked for before sleeping, such as a name's addresses.
    pub(super) fn wake_always(&self) {
        self.parked.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn set_poll(&self, waker: mio::Waker) {
        let _ = self.poll.set(waker);
    }

    pub(super) fn set_hook(&self, hook: Option<Hook>) {
        *self.hook.write().unwrap_or_else(PoisonError::into_inner) = hook;
    }
}

impl core::fmt::Debug for Wake {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Wake").field("parked", &self.parked).finish_non_exhaustive()
    }
}
