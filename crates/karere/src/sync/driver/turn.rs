//! One step of a driver: commands, reading, handlers, writing, closing. Dialing stands in `dial`.

use core::cell::Cell;
use std::{
    io::{self, IoSlice},
    sync::PoisonError,
    time::Instant,
};

use bytes::BytesMut;
use karere_link::{Close, Event as LinkEvent, Resting};
use karere_proto::{
    packet::Disconnect,
    session::{Cause, CloseCause, Event, Trace},
};

use super::{
    super::{
        Handler, Message, Published, Subscribed, Unsubscribed,
        completion::{Handling, complete},
        shared::Command,
    },
    Acknowledge, Again, Driver, Failed, Hope, LastAttempt, Ready, Registered,
};
use crate::{log::Level, router::Route};

/// Read at once, at most.
const READ: usize = 64 * 1024;
/// A remainder of the read buffer below this is given up for a fresh one.
const READ_LEAST: usize = 8 * 1024;
/// Events fetched under one lock.
const EVENTS: usize = 64;
/// Slices of one write.
const SLICES: usize = 64;
/// Rounds of reading and writing in one turn, so that other work of the thread gets its share.
const ROUNDS: usize = 32;

/// Buffers of the loop, not of the client: one set for each thread, so that an idle client holds none.
#[derive(Default)]
struct Scratch {
    read: BytesMut,
    events: Vec<Event>,
    routes: Vec<Route>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Driver {
    /// Takes one step with what the socket is ready for; never waits.
    ///
    /// Call it when the socket is ready for what [`Driver::interest`] says, when [`Driver::deadline`] has come, and when
    /// the hook of [`super::super::Client::wake_with`] was called. A lost connection is no error: the handler is told.
    pub fn turn(&mut self, ready: Ready, handler: &mut dyn Handler) {
        // A handler may turn another driver of this thread: that one makes buffers of its own.
        let mut scratch = SCRATCH.take().unwrap_or_default();
        self.step(ready, handler, &mut scratch);
        SCRATCH.set(Some(scratch));
        self.client.shared.wake.park();
        // After that: what is published from now on, by this handler too, calls the hook; what came before is seen here.
        self.tell_write_interest(handler);
    }

    fn step(&mut self, ready: Ready, handler: &mut dyn Handler, scratch: &mut Scratch) {
        self.client.shared.wake.unpark();
        if self.socket.is_some() {
            self.ready = self.ready.and(ready);
            self.ready.readable |= ready.closed;
        }
        for _ in 0..ROUNDS {
            let now = Instant::now();
            self.obey(now, handler);
            self.link.handle_timeout(now);
            self.leave(now);
            self.dial(now, handler);
            let received = self.read(now, handler, scratch);
            let told = self.exchange(now, handler, scratch);
            let sent = self.write(now, handler);
            self.close(now, handler, scratch);
            self.tell_link_events(handler);
            if !(received || told || sent || self.has_commands()) {
                break;
            }
        }
    }

    fn has_commands(&self) -> bool {
        !self.client.shared.lock().commands.is_empty()
    }

    /// Does what clients have asked for.
    fn obey(&mut self, now: Instant, handler: &mut dyn Handler) {
        let commands = core::mem::take(&mut self.client.shared.lock().commands);
        for command in commands {
            match command {
                Command::Connect => {
                    let closing = self.client.shared.lock().session.close_request().is_some();
                    if closing {
                        self.again = Again::Yes;
                    } else {
                        self.link.connect(now);
                    }
                }
                Command::Reconnect => {
                    self.abandon(now, handler);
                    self.link.connect(now);
                }
                Command::Stop => self.stop(),
                Command::Leave(deadline) => self.leave_at = Some(deadline),
                Command::Policy(policy) => {
                    self.reconnect = policy.reconnect;
                    self.link.set_policy(*policy);
                }
                #[cfg(feature = "tls")]
                Command::Tls(tls) => self.link.provide_tls(tls),
                Command::Endpoint(endpoint) => self.link.set_endpoint(endpoint),
                Command::Servers(servers) => self.link.set_servers(servers),
            }
        }
    }

    fn stop(&mut self) {
        self.again = Again::No;
        self.leave_at = None;
        self.link.stop();
    }

    /// Ends what was to end once drained and is not: a session without a connection has nobody to say goodbye to.
    fn leave(&mut self, now: Instant) {
        if self.leave_at.is_some_and(|at| at <= now) {
            let goodbye = self.client.shared.lock().session.disconnect(Disconnect::NORMAL);
            debug_assert!(goodbye.is_ok(), "a normal DISCONNECT may always be said");
            self.stop();
        }
    }

    /// Reads once; true when there was something.
    fn read(&mut self, now: Instant, handler: &mut dyn Handler, scratch: &mut Scratch) -> bool {
        if !self.ready.readable {
            return false;
        }
        let Some(socket) = &mut self.socket else {
            return false;
        };
        if scratch.read.len() < READ_LEAST {
            scratch.read = BytesMut::zeroed(READ);
        }
        match socket.stream.read(&mut scratch.read) {
            Ok(0) => {
                self.ready.readable = false;
                let cause = self.write_error.take().map_or(CloseCause::Closed, |error| failed(&error));
                self.lost(now, cause, handler, scratch);
                true
            }
            Ok(received) => {
                // A short read has emptied the socket, unless its end is still to be seen.
                self.ready.readable = received == scratch.read.len() || self.ready.closed;
                let mut bytes = scratch.read.split_to(received);
                if let Err(error) = self.link.handle_received(now, &mut bytes) {
                    self.failed(now, error.to_string(), handler, scratch);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.readable = false;
                if let Some(error) = self.write_error.take() {
                    self.lost(now, failed(&error), handler, scratch);
                }
                false
            }
            Err(error) => {
                self.lost(now, failed(&error), handler, scratch);
                true
            }
        }
    }

    /// Exchanges bytes with the session and tells what happened; true when something did.
    fn exchange(&mut self, now: Instant, handler: &mut dyn Handler, scratch: &mut Scratch) -> bool {
        let mut told = false;
        loop {
            let shared = &self.client.shared;
            let wants_packets = shared.log.wants_packets();
            let mut traces = Vec::new();
            {
                let mut core = shared.lock();
                let core = &mut *core;
                for delivery in self.done.drain(..) {
                    core.session.acknowledge(delivery);
                }
                if wants_packets {
                    core.session.trace_on();
                } else {
                    core.session.trace_off();
                }
                self.link.exchange(now, &mut core.session);
                core.session.handle_timeout(now);
                while scratch.events.len() < EVENTS
                    && let Some(event) = core.poll_event(now)
                {
                    complete(core, &event);
                    scratch.events.push(event);
                }
                self.link.exchange(now, &mut core.session);
                while let Some(trace) = core.session.poll_trace() {
                    traces.push(trace);
                }
            }
            shared.notify();
            for trace in &traces {
                log_trace(&shared.log, trace);
            }
            if scratch.events.is_empty() {
                return told;
            }
            told = true;
            // The buffer is taken out: should a handler panic, its events are dropped with it.
            let mut events = core::mem::take(&mut scratch.events);
            let more = events.len() == EVENTS;
            for event in events.drain(..) {
                self.tell(event, handler, &mut scratch.routes);
            }
            scratch.events = events;
            if more {
                // The server works on these answers while the handler gets the rest: else both would wait in turn, each
                // for a whole window of the other.
                self.hand_over(now);
                self.write(now, handler);
            }
        }
    }

    /// Acknowledges what is done with, and takes over what may leave.
    fn hand_over(&mut self, now: Instant) {
        let mut core = self.client.shared.lock();
        for delivery in self.done.drain(..) {
            core.session.acknowledge(delivery);
        }
        self.link.exchange(now, &mut core.session);
    }

    pub(super) fn tell(&mut self, event: Event, handler: &mut dyn Handler, routes: &mut Vec<Route>) {
        let client = &self.client;
        let log = &client.shared.log;
        let _handling = Handling::of(&client.shared);
        match event {
            Event::Message { publish, delivery, attempt } => {
                let message = Message::new(publish, attempt, delivery);
                client.shared.router.matching(message.topic.as_str(), routes);
                if routes.is_empty() {
                    handler.on_message(client, &message);
                }
                for route in routes.drain(..) {
                    let mut route = route.lock().unwrap_or_else(PoisonError::into_inner);
                    (*route)(client, &message);
                }
                if self.acknowledge == Acknowledge::Automatic
                    && let Some(delivery) = message.take_delivery()
                {
                    self.done.push(delivery);
                }
            }
            Event::Published { token, id, outcome } => {
                handler.on_published(client, &Published { token, id, outcome });
            }
            Event::Subscribed { token, id, ack } => handler.on_subscribed(client, &Subscribed { token, id, ack }),
            Event::Unsubscribed { token, id, ack } => {
                handler.on_unsubscribed(client, &Unsubscribed { token, id, ack });
            }
            Event::Connected(ack) => {
                log.line(Level::Info, format_args!("connected to {}", self.link.endpoint()));
                self.last = LastAttempt::Connected;
                self.accepted += 1;
                handler.on_connected(client, &ack);
            }
            Event::Disconnected(cause) => {
                let level = if cause == Cause::Requested { Level::Info } else { Level::Warning };
                log.line(level, format_args!("disconnected from {}: {cause}", self.link.endpoint()));
                if cause == Cause::Requested {
                    self.link.stop(); // the time to drain may have run out between two connections
                    self.last = LastAttempt::Ended(Cause::Requested);
                }
                self.ended = Some(cause.clone());
                handler.on_disconnected(client, &cause);
            }
            Event::Auth(auth) => handler.on_auth(client, &auth),
            other => log.line(Level::Error, format_args!("an event was not told: {other:?}")),
        }
    }

    /// Writes what may leave; true when something did.
    fn write(&mut self, now: Instant, handler: &mut dyn Handler) -> bool {
        if !self.ready.writable
            && self.socket.is_some()
            && let Err(error) = self.link.seal(now)
        {
            self.failed(now, error.to_string(), handler, &mut Scratch::default());
            return true;
        }
        let mut sent = false;
        while self.ready.writable
            && self.write_error.is_none()
            && let Some(socket) = &mut self.socket
        {
            let mut slices = core::array::from_fn::<_, SLICES, _>(|_| IoSlice::new(&[]));
            let written = match self.link.poll_transmit(now, &mut slices) {
                Ok(0) => break,
                Ok(filled) => socket.stream.write_vectored(&slices[..filled]),
                Err(error) => {
                    self.failed(now, error.to_string(), handler, &mut Scratch::default());
                    return true;
                }
            };
            match written {
                Ok(count) => {
                    self.link.handle_sent(count);
                    sent = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The server may have said why before it closed: read that first.
                    self.write_error = Some(error);
                    self.ready.readable = true;
                    sent = true;
                }
            }
        }
        sent
    }

    fn close(&mut self, now: Instant, handler: &mut dyn Handler, scratch: &mut Scratch) {
        match self.link.poll_close(now) {
            None => {}
            Some(Close::ShutWrite) => {
                // It fails only when the server is gone already, and then reading tells.
                if let Some(socket) = &self.socket {
                    let _ = socket.stream.shut_write();
                    self.ready.readable = true;
                }
            }
            Some(Close::Drop) => self.lost(now, CloseCause::Abandoned, handler, scratch),
        }
    }

    /// The connection has ended: the session is told, the handler is told, the socket is closed, the link waits.
    fn lost(&mut self, now: Instant, cause: CloseCause, handler: &mut dyn Handler, scratch: &mut Scratch) {
        let cause = match (cause, self.link.suspicion()) {
            (CloseCause::Failed(why), Some(suspicion)) => CloseCause::Failed(format!("{why}, {suspicion}")),
            (cause, _) => cause,
        };
        {
            // What was received last still stands before the end.
            let mut core = self.client.shared.lock();
            self.link.exchange(now, &mut core.session);
            core.session.handle_closed(cause.clone());
        }
        self.ended = None;
        self.exchange(now, handler, scratch);
        self.drop_socket(handler);
        let cause = self.ended.take().unwrap_or(Cause::Transport(cause)); // no layer of MQTT was open yet
        if cause == Cause::Requested {
            self.leave_at = None;
        }
        self.link.handle_lost(now, &cause);
        self.failed = Some(Failed::Ended(cause));
        if core::mem::replace(&mut self.again, Again::No) == Again::Yes {
            self.link.connect(now);
        }
        self.tell_link_events(handler);
    }

    /// A layer cannot go on. What it has to say of that, such as an alert, is said as far as the socket takes it.
    fn failed(&mut self, now: Instant, why: String, handler: &mut dyn Handler, scratch: &mut Scratch) {
        let mut slices = core::array::from_fn::<_, SLICES, _>(|_| IoSlice::new(&[]));
        if let Some(socket) = &mut self.socket
            && let Ok(filled) = self.link.poll_transmit(now, &mut slices)
        {
            let _ = socket.stream.write_vectored(&slices[..filled]);
        }
        if self.link.is_handshaking() {
            self.drop_socket(handler);
            self.link.handle_failed(now, why);
        } else {
            self.lost(now, CloseCause::Failed(why), handler, scratch);
        }
    }

    /// Drops the connection, or what was to become one.
    pub(super) fn abandon(&mut self, now: Instant, handler: &mut dyn Handler) {
        let online = !self.client.shared.lock().session.is_offline();
        if online {
            self.lost(now, CloseCause::Abandoned, handler, &mut Scratch::default());
        }
        self.link.stop();
        self.follow_orders(now, handler);
    }

    /// Closes the socket of the connection.
    pub(super) fn drop_socket(&mut self, handler: &mut dyn Handler) {
        self.ready = Ready::NONE;
        self.write_error = None;
        if let Some(socket) = self.socket.take() {
            self.client.shared.lock().peer = None;
            self.tell_closed(&socket, self.write_registered, handler);
            self.write_registered = Registered::No;
        }
    }

    fn tell_write_interest(&mut self, handler: &mut dyn Handler) {
        let Some(fd) = self.socket.as_ref().map(|socket| socket.stream.fd()) else {
            return; // those that are being dialed are watched for writing all the time
        };
        let wanted = match self.interest() {
            super::Interest::ReadWrite => Registered::Yes,
            super::Interest::Read => Registered::No,
        };
        if wanted != self.write_registered {
            self.write_registered = wanted;
            let _handling = Handling::of(&self.client.shared);
            match wanted {
                Registered::Yes => handler.on_socket_register_write(&self.client, fd),
                Registered::No => handler.on_socket_unregister_write(&self.client, fd),
            }
        }
    }

    pub(super) fn tell_link_events(&mut self, handler: &mut dyn Handler) {
        while let Some(event) = self.link.poll_event() {
            let client = &self.client;
            let log = &client.shared.log;
            let _handling = Handling::of(&client.shared);
            match event {
                LinkEvent::Attempting(endpoint) => {
                    log.line(Level::Debug, format_args!("connecting to {endpoint}"));
                    handler.on_pre_connect(client);
                }
                LinkEvent::Failed(error) => {
                    log.line(Level::Warning, format_args!("{error}"));
                    handler.on_connect_failed(client, &error);
                    self.failed = Some(Failed::Dial(error));
                }
                LinkEvent::Outdated(error) => {
                    log.line(Level::Warning, format_args!("{error}; the servers named before are tried"));
                }
                LinkEvent::Waiting(delay) => {
                    log.line(Level::Debug, format_args!("next attempt in {delay:.1?}"));
                    self.round_over(Hope::Yes);
                }
                LinkEvent::Resting(why) => {
                    let hope = if why == Resting::Unacceptable { Hope::No } else { Hope::Yes };
                    let level = if hope == Hope::No { Level::Error } else { Level::Debug };
                    log.line(level, format_args!("no further attempt: {why}"));
                    self.round_over(hope);
                }
                other => log.line(Level::Error, format_args!("an event was not told: {other:?}")),
            }
        }
    }
}

impl Driver {
    /// No attempt has led to a connection, or the connection has ended and is not followed by another one at once.
    fn round_over(&mut self, hope: Hope) {
        self.last = match self.failed.take() {
            Some(Failed::Ended(cause)) if hope == Hope::No => LastAttempt::GivenUp(cause),
            Some(Failed::Ended(cause)) => LastAttempt::Ended(cause),
            Some(Failed::Dial(error)) => LastAttempt::Failed(error),
            None => return,
        };
    }
}

fn failed(error: &io::Error) -> CloseCause {
    CloseCause::Failed(error.to_string())
}

fn log_trace(log: &crate::log::Log, trace: &Trace) {
    log.line(Level::Debug, format_args!("{trace}"));
}
