//! A child process inherits every client, and with it the lock of a thread that it has not. None may be used there.

use core::sync::atomic::{AtomicU32, Ordering};

use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyDict};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The process an object was made in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birthplace(u32);

impl Birthplace {
    pub(crate) fn here() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Fails in a child of the process it was made in. Asked before any lock is taken.
    #[inline]
    pub(crate) fn check(self) -> PyResult<()> {
        if self.0 == GENERATION.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(PyRuntimeError::new_err(
                "this client was made before fork() and cannot be used in the child process: its connection belongs to \
                 the parent. Make a new Client in the child.",
            ))
        }
    }
}

#[pyfunction]
pub(crate) fn after_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Lets Python call [`after_fork`], where there is such a thing as fork.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let os = module.py().import("os")?;
    if os.hasattr("register_at_fork")? {
        let arguments = PyDict::new(module.py());
        arguments.set_item("after_in_child", module.getattr("after_fork")?)?;
        os.call_method("register_at_fork", (), Some(&arguments))?;
    }
    Ok(())
}
