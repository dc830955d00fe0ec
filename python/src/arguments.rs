//! What `publish` is called with: checked as paho checks it, in its order, with its exceptions.

use bytes::Bytes;
use karere_proto::{Carrier, InvalidTopic, PacketType, Properties, PropertyId, QoS, Topic, Version};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyString},
};

use crate::{state::Message, topics, wire};

/// The largest payload a packet may have, by paho's count.
const LARGEST: usize = 268_435_455;

/// Makes a message of the arguments.
pub(crate) fn message(
    version: Version,
    topic: &Bound<'_, PyAny>,
    payload: &Bound<'_, PyAny>,
    qos: &Bound<'_, PyAny>,
    retain: &Bound<'_, PyAny>,
    properties: Option<&[u8]>,
) -> PyResult<Message> {
    let topic = self::topic(version, topic)?;
    let qos = self::qos(qos)?;
    let payload = self::payload(payload)?;
    if payload.len() > LARGEST {
        return Err(PyValueError::new_err("Payload too large."));
    }
    let (mut set, mut alias) = (Properties::new(), None);
    if let Some(encoded) = properties {
        set = wire::properties(encoded, Carrier::Packet(PacketType::Publish)).map_err(PyValueError::new_err)?;
        alias = set.topic_alias();
        if alias.is_some() {
            set.remove(PropertyId::TopicAlias);
        }
    }
    Ok(Message { topic, alias, payload, qos, retain: retain.is_truthy()?, properties: set })
}

/// None when it is empty, which 5.0 allows beside an alias.
fn topic(version: Version, object: &Bound<'_, PyAny>) -> PyResult<Option<Topic>> {
    let Ok(text) = object.cast_exact::<PyString>() else {
        return odd_topic(version, object);
    };
    if let Some(topic) = topics::published(text) {
        return Ok(Some(topic));
    }
    let topic = checked(version, text.encode_utf8()?.as_bytes())?;
    if let Some(topic) = &topic {
        topics::keep_published(text, topic);
    }
    Ok(topic)
}

/// A topic that is no plain string: what paho does with it is what Python does.
#[cold]
fn odd_topic(version: Version, object: &Bound<'_, PyAny>) -> PyResult<Option<Topic>> {
    if !version.rules().properties && (object.is_none() || object.len()? == 0) {
        return Err(invalid_topic());
    }
    let encoded = object.call_method1("encode", ("utf-8",))?;
    checked(version, encoded.cast::<PyBytes>()?.as_bytes())
}

fn checked(version: Version, bytes: &[u8]) -> PyResult<Option<Topic>> {
    match Topic::from_bytes(Bytes::copy_from_slice(bytes)) {
        Ok(topic) => Ok(Some(topic)),
        Err(InvalidTopic::Empty) if version.rules().properties => Ok(None),
        Err(InvalidTopic::Empty) => Err(invalid_topic()),
        Err(InvalidTopic::Wildcard) => Err(PyValueError::new_err("Publish topic cannot contain wildcards.")),
        Err(InvalidTopic::String(_)) if bytes.len() > karere_proto::MAX_FIELD => {
            // paho looks for wildcards first.
            let wildcard = bytes.iter().any(|byte| matches!(byte, b'+' | b'#'));
            let why = if wildcard { "Publish topic cannot contain wildcards." } else { "Publish topic is too long." };
            Err(PyValueError::new_err(why))
        }
        Err(why) => Err(PyValueError::new_err(format!("Invalid topic: {why}."))),
    }
}

#[cold]
fn invalid_topic() -> PyErr {
    PyValueError::new_err("Invalid topic.")
}

fn qos(object: &Bound<'_, PyAny>) -> PyResult<QoS> {
    let level = match object.extract::<u8>() {
        Ok(level) => Some(level),
        // What cannot be compared raises what Python raises for it.
        Err(_) if object.lt(0)? || object.gt(2)? => None,
        Err(why) => return Err(why),
    };
    level.and_then(QoS::from_bits).ok_or_else(|| PyValueError::new_err("Invalid QoS level."))
}

/// Bytes of whatever paho takes for a payload.
pub(crate) fn payload(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Bytes::copy_from_slice(text.encode_utf8()?.as_bytes()));
    }
    if object.is_none() {
        return Ok(Bytes::new());
    }
    if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyBool>() {
        return Ok(Bytes::copy_from_slice(object.str()?.encode_utf8()?.as_bytes()));
    }
    if let Ok(bytes) = object.cast::<PyByteArray>() {
        return Ok(Bytes::from(bytes.to_vec()));
    }
    Err(PyTypeError::new_err("payload must be a string, bytearray, int, float or None."))
}
