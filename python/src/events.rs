//! Events as Python sees them.

use std::{sync::OnceLock, time::Instant};

use karere_proto::Properties;
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList, PyTuple},
};

use crate::{
    message::MQTTMessage,
    told::{Told, kind},
    wire,
};

/// Makes a list of what happened.
pub(crate) fn to_list<'py>(py: Python<'py>, told: &mut Vec<Told>) -> PyResult<Bound<'py, PyList>> {
    let timestamp = monotonic();
    let mut events = Vec::with_capacity(told.len());
    for event in told.drain(..) {
        events.push(to_object(py, event, timestamp)?);
    }
    PyList::new(py, events)
}

fn to_object<'py>(py: Python<'py>, event: Told, timestamp: f64) -> PyResult<Bound<'py, PyAny>> {
    let some = |properties: &Properties| (!properties.is_empty()).then(|| PyBytes::new(py, &wire::encode(properties)));
    let tuple = match event {
        Told::Message(received) => {
            return Ok(Bound::new(py, MQTTMessage::received(py, &received, timestamp)?)?.into_any());
        }
        Told::Published { mid, code, properties, outcome, packet } => {
            (kind::PUBLISHED, mid, code, some(&properties), outcome, packet as u8).into_pyobject(py)?
        }
        Told::ConnAck { accepted, session_present, code, properties, short } => {
            (kind::CONNACK, accepted, session_present, code, some(&properties), short).into_pyobject(py)?
        }
        Told::SubAck { mid, codes, properties } => {
            (kind::SUBACK, mid, PyTuple::new(py, codes)?, some(&properties)).into_pyobject(py)?
        }
        Told::UnsubAck { mid, codes, properties } => {
            (kind::UNSUBACK, mid, PyTuple::new(py, codes)?, some(&properties)).into_pyobject(py)?
        }
        Told::Disconnected { cause, code, properties, text } => {
            let properties = properties.map(|properties| PyBytes::new(py, &wire::encode(&properties)));
            (kind::DISCONNECTED, cause as u8, code, properties, text).into_pyobject(py)?
        }
        Told::Auth { code, properties } => (kind::AUTH, code, some(&properties)).into_pyobject(py)?,
        Told::Log { level, text } => (kind::LOG, level, text).into_pyobject(py)?,
    };
    Ok(tuple.into_any())
}

static CLOCK: OnceLock<(Instant, f64)> = OnceLock::new();

/// Notes what Python's monotonic clock says now; both clocks are the system's.
pub(crate) fn set_clock(py: Python<'_>) -> PyResult<()> {
    let monotonic = py.import("time")?.call_method0("monotonic")?.extract()?;
    CLOCK.get_or_init(|| (Instant::now(), monotonic));
    Ok(())
}

fn monotonic() -> f64 {
    CLOCK.get().map_or(0.0, |(then, monotonic)| monotonic + then.elapsed().as_secs_f64())
}
