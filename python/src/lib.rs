//! `karere._core`: what Python's `karere.paho` stands on. The contract is `karere/_core.pyi`.

mod alias;
mod arguments;
mod codes;
mod configuration;
mod core;
mod events;
mod flow;
mod fork;
mod info;
mod log;
mod message;
mod mids;
mod scratch;
mod shared;
mod socket;
mod state;
mod told;
mod topics;
mod wire;

use pyo3::prelude::*;

/// Whether a filter matches a topic, by paho's rules.
#[pyfunction]
fn matches(filter: &str, topic: &str) -> bool {
    karere_proto::topic::matches(filter, topic)
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    use told::{Cause, kind};

    events::set_clock(module.py())?;
    module.add_class::<core::Core>()?;
    module.add_class::<message::MQTTMessage>()?;
    module.add_class::<info::MQTTMessageInfo>()?;
    module.add_function(wrap_pyfunction!(fork::after_fork, module)?)?;
    fork::register(module)?;
    module.add_function(wrap_pyfunction!(matches, module)?)?;
    for (name, value) in [
        ("CONNACK", kind::CONNACK),
        ("PUBLISHED", kind::PUBLISHED),
        ("SUBACK", kind::SUBACK),
        ("UNSUBACK", kind::UNSUBACK),
        ("DISCONNECTED", kind::DISCONNECTED),
        ("AUTH", kind::AUTH),
        ("LOG", kind::LOG),
        ("REQUESTED", Cause::Requested as u8),
        ("LOST", Cause::Lost as u8),
        ("KEEPALIVE", Cause::KeepAlive as u8),
        ("PROTOCOL", Cause::Protocol as u8),
        ("REFUSED", Cause::Refused as u8),
        ("DISCONNECTED_BY_SERVER", Cause::Server as u8),
        ("TIMED_OUT", Cause::TimedOut as u8),
    ] {
        module.add(name, value)?;
    }
    Ok(())
}
