//! Members of paho's enumerations, fetched once.

use pyo3::{prelude::*, sync::PyOnceLock};

static CODES: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();

/// -1 to 16, in order.
const FIRST: i32 = -1;
const LAST: i32 = 16;

/// The MQTTErrorCode of this number; the number itself when there is none.
pub(crate) fn error_code(py: Python<'_>, rc: i32) -> PyResult<Py<PyAny>> {
    let codes = CODES.get_or_try_init(py, || {
        let code = py.import("karere.paho.enums")?.getattr("MQTTErrorCode")?;
        (FIRST..=LAST).map(|rc| Ok(code.call1((rc,))?.unbind())).collect::<PyResult<_>>()
    })?;
    match usize::try_from(rc - FIRST).ok().and_then(|at| codes.get(at)) {
        Some(code) => Ok(code.clone_ref(py)),
        None => Ok(rc.into_pyobject(py)?.into_any().unbind()),
    }
}

/// What paho says about a code.
pub(crate) fn error_string(py: Python<'_>, rc: i32) -> PyResult<String> {
    py.import("karere.paho._words")?.call_method1("error_string", (rc,))?.extract()
}

static UNPACK: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();

/// The `Properties` of a PUBLISH, from their encoded form with its length in front.
pub(crate) fn publish_properties(py: Python<'_>, encoded: &[u8]) -> PyResult<Py<PyAny>> {
    let (class, publish) = UNPACK.get_or_try_init(py, || {
        let class = py.import("karere.paho.properties")?.getattr("Properties")?.unbind();
        let types = py.import("karere.paho.packettypes")?.getattr("PacketTypes")?;
        PyResult::Ok((class, types.getattr("PUBLISH")?.unbind()))
    })?;
    let properties = class.bind(py).call1((publish,))?;
    properties.call_method1("unpack", (pyo3::types::PyBytes::new(py, encoded),))?;
    Ok(properties.unbind())
}

static MAIN: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();

/// Whether this is the thread to which Python delivers signals.
pub(crate) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let (main, this) = MAIN.get_or_try_init(py, || {
        let threading = py.import("threading")?;
        PyResult::Ok((threading.getattr("main_thread")?.unbind(), threading.getattr("get_ident")?.unbind()))
    })?;
    main.bind(py).call0()?.getattr("ident")?.eq(this.bind(py).call0()?)
}
