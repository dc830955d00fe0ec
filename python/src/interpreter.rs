//! Objects of one interpreter must not meet those of another: what this module caches belongs to the main one.

use pyo3::{exceptions::PyImportError, ffi, prelude::*};

/// Fails in any but the main interpreter. Since CPython 3.12 the import system does so itself.
pub(crate) fn check(_: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter, whose state lives as long as it is.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "module karere._core does not support loading in subinterpreters: use it in the main one",
    ))
}
