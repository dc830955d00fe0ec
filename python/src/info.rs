//! `MQTTMessageInfo`: what became of a published message.

use core::{
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    time::Duration,
};
use std::{sync::Arc, time::Instant};

use pyo3::{
    exceptions::{PyIndexError, PyRuntimeError, PyStopIteration, PyValueError},
    prelude::*,
};

use crate::{
    codes,
    flow::{Flow, Rc},
};

/// How long a wait goes without a look at signals.
const PATIENCE: Duration = Duration::from_millis(100);
/// A wait without end, in pieces.
const LONG: Duration = Duration::from_secs(3600);

#[pyclass(frozen, subclass, weakref, module = "karere.paho.client")]
pub(crate) struct MQTTMessageInfo {
    flow: Arc<Flow>,
    mid: AtomicI64,
    /// Where iteration is.
    position: AtomicUsize,
}

impl MQTTMessageInfo {
    pub(crate) const fn of(mid: u16, flow: Arc<Flow>) -> Self {
        Self { flow, mid: AtomicI64::new(mid as i64), position: AtomicUsize::new(0) }
    }

    fn field(&self, py: Python<'_>, index: usize) -> PyResult<Option<Py<PyAny>>> {
        match index {
            0 => codes::error_code(py, self.flow.rc()).map(Some),
            1 => Ok(Some(self.mid().into_pyobject(py)?.into_any().unbind())),
            _ => Ok(None),
        }
    }

    /// Raises what paho raises for a message that will not be published.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let rc = self.flow.rc();
        if rc == Rc::QueueSize as i32 {
            return Err(PyValueError::new_err("Message is not queued due to ERR_QUEUE_SIZE"));
        }
        if rc > 0 {
            let text = codes::error_string(py, rc)?;
            return Err(PyRuntimeError::new_err(format!("Message publish failed: {text}")));
        }
        Ok(())
    }
}

#[pymethods]
impl MQTTMessageInfo {
    #[new]
    fn new(mid: i64) -> Self {
        let flow = Arc::new(Flow::new(Rc::Success as i32));
        Self { flow, mid: AtomicI64::new(mid), position: AtomicUsize::new(0) }
    }

    #[getter]
    fn mid(&self) -> i64 {
        self.mid.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_mid(&self, mid: i64) {
        self.mid.store(mid, Ordering::Relaxed);
    }

    #[getter]
    fn rc(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        codes::error_code(py, self.flow.rc())
    }

    #[setter]
    fn set_rc(&self, rc: i32) {
        self.flow.set_rc(rc);
        self.flow.notify();
    }

    fn __str__(&self) -> String {
        format!("({}, {})", self.flow.rc(), self.mid())
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this.position.store(0, Ordering::Relaxed);
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.field(py, self.position.fetch_add(1, Ordering::Relaxed))
    }

    fn next(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.__next__(py)?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    fn __getitem__(&self, py: Python<'_>, index: isize) -> PyResult<Py<PyAny>> {
        let field = usize::try_from(index).ok().map_or(Ok(None), |index| self.field(py, index))?;
        field.ok_or_else(|| PyIndexError::new_err("index out of range"))
    }

    #[pyo3(signature = (timeout=None))]
    fn wait_for_publish(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.check(py)?;
        let now = Instant::now();
        let until = timeout.and_then(|seconds| now.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?));
        let patience = if codes::is_main_thread(py)? { PATIENCE } else { LONG };
        while !self.flow.has_ended() {
            let left = until.map_or(LONG, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            py.detach(|| self.flow.wait(left.min(patience)));
            py.check_signals()?;
        }
        self.check(py)
    }

    fn is_published(&self, py: Python<'_>) -> PyResult<bool> {
        self.check(py)?;
        Ok(self.flow.is_published())
    }
}
