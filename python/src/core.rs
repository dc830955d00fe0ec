//! `Core`: the methods Python calls.

use core::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    os::fd::RawFd,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use bytes::BytesMut;
use karere_proto::{
    Carrier, Filter, PacketType, Properties, QoS, ReasonCode,
    packet::{Auth, Disconnect, Subscribe, SubscribeOptions, Subscription, Unsubscribe},
    session::CloseCause,
};
use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
    types::{PyBytes, PyList, PyString},
};

use crate::{
    arguments,
    configuration::{Asked, AskedWill},
    events,
    fork::Birthplace,
    info::MQTTMessageInfo,
    message::MQTTMessage,
    scratch,
    shared::{Drove, Patience, Shared},
    state::{Refused, State, Transport},
    wire,
};

#[pyclass(frozen, module = "karere._core")]
pub(crate) struct Core {
    shared: Shared,
    born: Birthplace,
    pace: Pace,
}

type Will<'a> = (&'a [u8], &'a [u8], u8, bool, Option<&'a [u8]>);

#[pymethods]
impl Core {
    #[new]
    fn new() -> PyResult<Self> {
        let shared = Shared::new().map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self { shared, born: Birthplace::here(), pace: Pace::default() })
    }

    // What the next CONNECT says, and limits.

    #[pyo3(signature = (*, protocol, client_id, clean, keepalive, username, password, will, properties, bridge, connack_timeout))]
    #[expect(clippy::too_many_arguments, reason = "keywords, named by the caller")]
    fn configure(
        &self,
        protocol: u8,
        client_id: &[u8],
        clean: bool,
        keepalive: u16,
        username: Option<&[u8]>,
        password: Option<&[u8]>,
        will: Option<Will<'_>>,
        properties: Option<&[u8]>,
        bridge: bool,
        connack_timeout: f64,
    ) -> PyResult<()> {
        self.born.check()?;
        let asked = Asked {
            protocol,
            client_id,
            clean,
            keep_alive: keepalive,
            user_name: username,
            password,
            will: will.map(|(topic, payload, qos, retain, properties)| AskedWill {
                topic,
                payload,
                qos,
                retain,
                properties,
            }),
            properties,
            bridge,
            connack_timeout: if connack_timeout > 0.0 { seconds(connack_timeout) } else { Duration::MAX },
        };
        let config = asked.config().map_err(PyValueError::new_err)?;
        self.shared.with(|state| state.configure(config)).map_err(invalid)
    }

    #[pyo3(signature = (*, inflight, queued))]
    fn limit(&self, inflight: usize, queued: usize) -> PyResult<()> {
        self.born.check()?;
        let inflight = u16::try_from(inflight).unwrap_or(u16::MAX);
        self.shared.with(|state| state.limit(inflight, queued));
        Ok(())
    }

    fn tell_published(&self, on: bool) -> PyResult<()> {
        self.ask(|state| state.tell_published(on))
    }

    fn tell_packets(&self, on: bool) -> PyResult<()> {
        self.ask(|state| state.tell_packets(on))
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, |state, now| {
            state.abandoned(now);
            state.reset(now);
        })
    }

    // The transport.

    fn open(&self, py: Python<'_>, fd: Option<RawFd>) -> PyResult<()> {
        self.born.check()?;
        py.detach(|| self.shared.open(fd));
        Ok(())
    }

    fn close(&self, py: Python<'_>, failed: Option<String>) -> PyResult<()> {
        self.end(py, |state, now| state.closed(now, failed.map_or(CloseCause::Closed, CloseCause::Failed)))
    }

    fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, State::abandoned)
    }

    fn has_transport(&self) -> PyResult<bool> {
        self.ask(|state| state.transport != Transport::None)
    }

    fn is_connected(&self) -> PyResult<bool> {
        self.ask(|state| state.is_connected())
    }

    // Commands.

    #[expect(clippy::too_many_arguments, reason = "paho's arguments")]
    fn publish(
        &self,
        py: Python<'_>,
        topic: &Bound<'_, PyAny>,
        payload: &Bound<'_, PyAny>,
        qos: &Bound<'_, PyAny>,
        retain: &Bound<'_, PyAny>,
        properties: Option<&[u8]>,
        flush: bool,
    ) -> PyResult<MQTTMessageInfo> {
        self.born.check()?;
        let version = self.shared.version();
        let message = arguments::message(version, topic, payload, qos, retain, properties)?;
        let now = Instant::now();
        let published = self.shared.with(|state| state.publish(now, message));
        let (mid, flow) = published.map_err(|refused| match refused {
            Refused::Topic(why) => invalid(why),
            Refused::Publish(why) => invalid(why),
        })?;
        if flush {
            py.detach(|| self.shared.write());
        }
        Ok(MQTTMessageInfo::of(mid, flow))
    }

    fn subscribe(&self, filters: Vec<(Bound<'_, PyString>, u8)>, properties: Option<&[u8]>) -> PyResult<u16> {
        self.born.check()?;
        let mut subscriptions = Vec::with_capacity(filters.len());
        for (filter, byte) in filters {
            let options = SubscribeOptions::from_byte(byte).map_err(invalid)?;
            subscriptions.push(Subscription::new(self::filter(&filter)?, options));
        }
        let mut subscribe = Subscribe::many(subscriptions);
        subscribe.properties = self::properties(properties, PacketType::Subscribe)?;
        self.shared.with(|state| state.subscribe(Instant::now(), subscribe)).map_err(invalid)
    }

    fn unsubscribe(&self, filters: Vec<Bound<'_, PyString>>, properties: Option<&[u8]>) -> PyResult<u16> {
        self.born.check()?;
        let filters = filters.iter().map(filter).collect::<PyResult<Vec<_>>>()?;
        let mut unsubscribe = Unsubscribe::many(filters);
        unsubscribe.properties = self::properties(properties, PacketType::Unsubscribe)?;
        self.shared.with(|state| state.unsubscribe(Instant::now(), unsubscribe)).map_err(invalid)
    }

    fn disconnect(&self, code: Option<u8>, properties: Option<&[u8]>) -> PyResult<()> {
        self.born.check()?;
        let mut disconnect = Disconnect::new(reason(code.unwrap_or(0))?);
        disconnect.properties = self::properties(properties, PacketType::Disconnect)?;
        self.shared.with(|state| state.disconnect(disconnect)).map_err(invalid)
    }

    fn done(&self, message: PyRef<'_, MQTTMessage>) -> PyResult<()> {
        let (mid, serial) = message.received_as;
        if serial == 0 {
            return Ok(());
        }
        self.ask(|state| state.done(mid, serial))
    }

    fn ack(&self, mid: u16, qos: u8) -> PyResult<bool> {
        match QoS::from_bits(qos) {
            Some(qos) => self.ask(|state| state.acknowledge_mid(mid, qos)),
            None => Ok(false),
        }
    }

    fn auth(&self, code: u8, properties: Option<&[u8]>) -> PyResult<()> {
        self.born.check()?;
        let auth = Auth::new(reason(code)?, self::properties(properties, PacketType::Auth)?);
        self.shared.with(|state| state.authenticate(auth)).map_err(invalid)
    }

    fn drop_out_messages(&self) -> PyResult<()> {
        self.ask(|state| state.drop_out(Instant::now()))
    }

    // What waits.

    fn out_messages(&self, py: Python<'_>) -> PyResult<Vec<(u16, MQTTMessage)>> {
        let all = self.ask(|state| state.out_messages())?;
        Ok(all.into_iter().map(|(mid, publish, flow)| (mid, MQTTMessage::outgoing(py, mid, &publish, flow))).collect())
    }

    fn in_messages(&self) -> PyResult<Vec<u16>> {
        self.ask(|state| state.in_messages())
    }

    fn out_len(&self) -> PyResult<usize> {
        self.ask(|state| state.out_len())
    }

    fn clear_in_messages(&self) -> PyResult<()> {
        self.ask(State::clear_inbox)
    }

    fn drop_unsent(&self) -> PyResult<()> {
        self.ask(|state| state.drop_unsent(Instant::now()))
    }

    fn inflight(&self) -> PyResult<usize> {
        self.ask(|state| state.inflight())
    }

    fn unsent(&self) -> PyResult<usize> {
        self.ask(State::unsent)
    }

    fn last_mid(&self) -> PyResult<u16> {
        self.ask(|state| state.last_mid())
    }

    // The loop.

    #[pyo3(signature = (timeout, patient=false))]
    fn turn<'py>(&self, py: Python<'py>, timeout: f64, patient: bool) -> PyResult<Bound<'py, PyList>> {
        self.born.check()?;
        let patience = if patient { Patience::UntilTold } else { Patience::UntilMoved };
        let until = deadline(timeout);
        let limit = self.pace.begin();
        while py.detach(|| self.shared.turn(until, patience, limit)) == Drove::Interrupted {
            py.check_signals()?;
            if Instant::now() >= until {
                break;
            }
        }
        let events = self.tell(py)?;
        self.pace.end(events.len());
        Ok(events)
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.born.check()?;
        py.detach(|| self.shared.read());
        self.settled(py)
    }

    fn write<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.born.check()?;
        py.detach(|| self.shared.write());
        self.settled(py)
    }

    fn feed<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        self.born.check()?;
        let mut bytes = BytesMut::from(data);
        self.shared.settle(|state, now| {
            if state.transport == Transport::Fed {
                state.received(now, &mut bytes);
            }
        });
        self.tell(py)
    }

    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes =
            self.ask(|state| if state.transport == Transport::Fed { state.next_bytes() } else { Vec::new() })?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn sent<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, PyList>> {
        self.born.check()?;
        let taken = self.shared.settle(|state, now| state.transport != Transport::Fed || state.take_sent(now, count));
        if !taken {
            return Err(PyValueError::new_err("more bytes sent than drain() gave"));
        }
        self.tell(py)
    }

    fn misc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.settled(py)
    }

    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.settled(py)
    }

    fn has_events(&self) -> PyResult<bool> {
        self.ask(|state| state.has_told())
    }

    fn deadline(&self) -> PyResult<Option<f64>> {
        let deadline = self.ask(|state| state.deadline())?;
        Ok(deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64()))
    }

    fn want_write(&self) -> PyResult<bool> {
        self.ask(|state| state.unsent() > 0)
    }

    fn wake(&self) -> PyResult<()> {
        self.born.check()?;
        self.shared.wake();
        Ok(())
    }

    fn wake_fd(&self) -> PyResult<RawFd> {
        self.born.check()?;
        Ok(self.shared.wake_fd())
    }
}

impl Core {
    fn ask<T>(&self, ask: impl FnOnce(&mut State) -> T) -> PyResult<T> {
        self.born.check()?;
        Ok(self.shared.with(ask))
    }

    fn end(&self, py: Python<'_>, end: impl FnOnce(&mut State, Instant) + Send) -> PyResult<()> {
        self.born.check()?;
        py.detach(|| self.shared.end(end));
        Ok(())
    }

    fn settled<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.born.check()?;
        self.shared.settle(|_, _| ());
        self.tell(py)
    }

    fn tell<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut told = scratch::take_list();
        self.shared.take_told(&mut told);
        let events = events::to_list(py, &mut told);
        scratch::return_list(told);
        events
    }
}

/// How many messages one turn may bring.
///
/// While Python deals with a turn's messages nothing is read, answered or kept alive. So callbacks that take long get few
/// at a time, and quick ones many.
#[derive(Default)]
struct Pace {
    limit: AtomicUsize,
    last: Mutex<Option<(Instant, usize)>>,
}

impl Pace {
    const FIRST: usize = 4;
    const MOST: usize = 1024;
    const QUICK: Duration = Duration::from_millis(50);
    const SLOW: Duration = Duration::from_millis(500);

    fn begin(&self) -> usize {
        let limit = self.limit.load(Ordering::Relaxed).max(Self::FIRST);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let next = match last {
            Some((at, count)) if count >= limit => Self::next(limit, at.elapsed()),
            _ => limit,
        };
        self.limit.store(next, Ordering::Relaxed);
        next
    }

    fn end(&self, count: usize) {
        if count > 0 {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), count));
        }
    }

    /// After a full turn whose messages took so long.
    fn next(limit: usize, took: Duration) -> usize {
        if took < Self::QUICK {
            (limit * 2).min(Self::MOST)
        } else if took > Self::SLOW {
            (limit / 2).max(1)
        } else {
            limit
        }
    }
}

fn invalid(why: impl core::fmt::Display) -> PyErr {
    PyValueError::new_err(why.to_string())
}

fn filter(text: &Bound<'_, PyString>) -> PyResult<Filter> {
    Filter::from_bytes(bytes::Bytes::copy_from_slice(text.encode_utf8()?.as_bytes())).map_err(invalid)
}

fn properties(encoded: Option<&[u8]>, packet: PacketType) -> PyResult<Properties> {
    let read = |encoded| wire::properties(encoded, Carrier::Packet(packet)).map_err(PyValueError::new_err);
    encoded.map_or_else(|| Ok(Properties::new()), read)
}

fn reason(code: u8) -> PyResult<ReasonCode> {
    ReasonCode::from_byte(code).ok_or_else(|| PyValueError::new_err(format!("unknown reason code {code}")))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

fn deadline(timeout: f64) -> Instant {
    let day = Duration::from_secs(24 * 60 * 60);
    Instant::now() + seconds(timeout).min(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_callbacks_get_fewer_messages_at_a_time() {
        assert_eq!(Pace::next(4, Duration::from_millis(1)), 8);
        assert_eq!(Pace::next(1024, Duration::ZERO), 1024);
        assert_eq!(Pace::next(8, Duration::from_millis(200)), 8);
        assert_eq!(Pace::next(8, Duration::from_secs(4)), 4);
        assert_eq!(Pace::next(1, Duration::from_secs(4)), 1);
    }
}
