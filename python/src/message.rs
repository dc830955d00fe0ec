//! `MQTTMessage`: a message that came, or one that waits to leave.

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyString, PyType},
};

use crate::{codes, flow::Flow, info::MQTTMessageInfo, told::Received, topics, wire};

#[pyclass(subclass, weakref, module = "karere.paho.client")]
pub(crate) struct MQTTMessage {
    #[pyo3(get, set)]
    timestamp: f64,
    #[pyo3(get, set)]
    state: i64,
    #[pyo3(get)]
    dup: bool,
    #[pyo3(get, set)]
    mid: i64,
    topic: Topic,
    #[pyo3(get, set)]
    payload: Py<PyAny>,
    #[pyo3(get, set)]
    qos: i64,
    #[pyo3(get)]
    retain: bool,
    info: Option<Py<PyAny>>,
    /// How an outgoing one fares.
    flow: Option<Arc<Flow>>,
    properties: Properties,
    /// What the session calls it, whatever was made of `mid`.
    pub(crate) received_as: (u16, u64),
}

enum Topic {
    Text(Py<PyString>),
    /// Bytes that are decoded when asked for, or whatever was set.
    Raw(Py<PyAny>),
}

enum Properties {
    None,
    Encoded(Box<[u8]>),
    Object(Py<PyAny>),
}

/// paho's `MessageState`.
pub(crate) mod state {
    pub(crate) const INVALID: i64 = 0;
    pub(crate) const WAIT_FOR_PUBACK: i64 = 2;
    pub(crate) const WAIT_FOR_PUBREC: i64 = 3;
}

impl MQTTMessage {
    /// A message that came at `timestamp`.
    pub(crate) fn received(py: Python<'_>, received: &Received, timestamp: f64) -> PyResult<Self> {
        let publish = &received.publish;
        let topic = match &received.undecoded {
            None => Topic::Text(topics::received(py, publish.topic.as_str())),
            Some(bytes) => Topic::Raw(PyBytes::new(py, bytes).into_any().unbind()),
        };
        let properties = if received.has_properties {
            Properties::Encoded(wire::encode(&publish.properties).into_boxed_slice())
        } else {
            Properties::None
        };
        Ok(Self {
            timestamp,
            state: state::INVALID,
            dup: received.dup,
            mid: received.mid.into(),
            topic,
            payload: PyBytes::new(py, &publish.payload).into_any().unbind(),
            qos: publish.qos.level().into(),
            retain: publish.retain,
            info: None,
            flow: None,
            properties,
            received_as: (received.mid, received.serial),
        })
    }

    /// A message that is not done.
    pub(crate) fn outgoing(py: Python<'_>, mid: u16, publish: &karere_proto::Publish, flow: Arc<Flow>) -> Self {
        let state =
            if publish.qos == karere_proto::QoS::ExactlyOnce { state::WAIT_FOR_PUBREC } else { state::WAIT_FOR_PUBACK };
        let properties = if publish.properties.is_empty() {
            Properties::None
        } else {
            Properties::Encoded(wire::encode(&publish.properties).into_boxed_slice())
        };
        Self {
            timestamp: 0.0,
            state,
            dup: false,
            mid: mid.into(),
            topic: Topic::Text(PyString::new(py, publish.topic.as_str()).unbind()),
            payload: PyBytes::new(py, &publish.payload).into_any().unbind(),
            qos: publish.qos.level().into(),
            retain: publish.retain,
            info: None,
            flow: Some(flow),
            properties,
            received_as: (0, 0),
        }
    }
}

#[pymethods]
impl MQTTMessage {
    #[new]
    #[pyo3(signature = (mid=0, topic=None), text_signature = "(mid=0, topic=b'')")]
    fn new(py: Python<'_>, mid: i64, topic: Option<Py<PyAny>>) -> Self {
        let nothing = || PyBytes::new(py, b"").into_any().unbind();
        Self {
            timestamp: 0.0,
            state: state::INVALID,
            dup: false,
            mid,
            topic: Topic::Raw(topic.unwrap_or_else(nothing)),
            payload: nothing(),
            qos: 0,
            retain: false,
            info: None,
            flow: None,
            properties: Properties::None,
            received_as: (0, 0),
        }
    }

    #[setter]
    fn set_dup(&mut self, dup: &Bound<'_, PyAny>) -> PyResult<()> {
        self.dup = dup.is_truthy()?;
        Ok(())
    }

    #[setter]
    fn set_retain(&mut self, retain: &Bound<'_, PyAny>) -> PyResult<()> {
        self.retain = retain.is_truthy()?;
        Ok(())
    }

    #[getter]
    fn topic(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.topic {
            Topic::Text(text) => Ok(text.clone_ref(py).into_any()),
            Topic::Raw(raw) => Ok(raw.bind(py).call_method1("decode", ("utf-8",))?.unbind()),
        }
    }

    #[setter]
    fn set_topic(&mut self, topic: Py<PyAny>) {
        self.topic = Topic::Raw(topic);
    }

    #[getter]
    fn info(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(info) = &self.info {
            return Ok(info.clone_ref(py));
        }
        let mid = u16::try_from(self.mid).unwrap_or_default();
        let flow = self.flow.clone().unwrap_or_else(|| Arc::new(Flow::new(0)));
        let info = Py::new(py, MQTTMessageInfo::of(mid, flow))?.into_any();
        Ok(self.info.insert(info).clone_ref(py))
    }

    #[setter]
    fn set_info(&mut self, info: Py<PyAny>) {
        self.info = Some(info);
    }

    #[getter]
    fn properties(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        // Not borrowed while Python runs.
        let encoded = match &mut slf.borrow_mut().properties {
            Properties::None => return Ok(py.None()),
            Properties::Object(object) => return Ok(object.clone_ref(py)),
            Properties::Encoded(encoded) => core::mem::take(encoded),
        };
        let decoded = codes::publish_properties(py, &encoded);
        let properties = &mut slf.borrow_mut().properties;
        *properties = match &decoded {
            Ok(object) => Properties::Object(object.clone_ref(py)),
            Err(_) => Properties::Encoded(encoded),
        };
        decoded
    }

    #[setter]
    fn set_properties(&mut self, properties: Option<Py<PyAny>>) {
        self.properties = properties.map_or(Properties::None, Properties::Object);
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class: Bound<'_, PyType> = slf.get_type();
        if !other.is_instance(&class)? {
            return Ok(false);
        }
        other.getattr("mid")?.eq(slf.borrow().mid)
    }

    fn __ne__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        Self::__eq__(slf, other).map(|equal| !equal)
    }
}
