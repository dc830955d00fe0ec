//! What the threads of a program share of a client: its state under one lock, and who drives the transport.
//!
//! The lock is held for nanoseconds, never over a system call or anything of Python. Whoever drives *has* the transport:
//! it is taken out of the slot, so that no lock is needed to use it.

use std::{
    io::{self, IoSlice},
    os::fd::RawFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::BytesMut;
use karere_proto::{SendBuf, Version, session::CloseCause};

use crate::{
    flow::Flow,
    scratch,
    socket::{self, Interest, Wake},
    state::{Fetched, State, Transport},
    told::Told,
};

/// Read at once, at most.
const READ: usize = 64 * 1024;
/// A remainder of the read buffer below this is given up for a fresh one.
const READ_LEAST: usize = 8 * 1024;
/// Slices of one write.
const SLICES: usize = 64;
/// Rounds in which events are held back because there is still something to write.
const ROUNDS: usize = 8;

/// Shared by all threads that use a client.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// The transport came back to its slot.
    returned: Condvar,
    wake: Wake,
}

struct Inner {
    state: State,
    slot: Slot,
    /// Which transport this is: one that comes back late is dropped.
    epoch: u64,
    /// Whoever drives sleeps, and wants to be woken for work.
    parked: bool,
    /// Threads that wait for the transport.
    queueing: usize,
    /// `wake` was called.
    woken: bool,
    /// The caller waits for the wake descriptor itself.
    watched: bool,
    /// The wake descriptor is readable.
    signalled: bool,
}

/// Where the native transport is.
enum Slot {
    Empty,
    Here(Io),
    /// Someone drives.
    Away,
}

/// A native transport.
struct Io {
    fd: RawFd,
    epoch: u64,
    send: SendBuf,
    /// Taken by the socket, not yet told to the session.
    sent: usize,
    /// Writing has to wait for the socket.
    blocked: bool,
    /// The last read filled the buffer.
    more: bool,
    write_error: Option<io::Error>,
}

/// What is worth returning to the interpreter for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Bytes that were moved: the caller looks at its messages itself.
    UntilMoved,
    /// Events only.
    UntilTold,
}

/// Why driving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drove {
    /// There is something to tell, or nothing to do any more.
    Done,
    /// A signal came, or another thread drives: signals are to be looked at.
    Interrupted,
}

/// Whether there is a transport to be had.
enum Taken {
    Here(Io),
    /// There is none, or something else is to be done first.
    No,
    /// Another thread has had it for a while.
    Busy,
}

/// What is to be done after one look at the state.
enum Step {
    /// The transport is not this one any more.
    Gone,
    /// Look again.
    Again,
    Told,
    Wait(Option<Instant>),
    Write,
}

impl Shared {
    pub(crate) fn new() -> io::Result<Self> {
        let inner = Inner {
            state: State::new(Instant::now()),
            slot: Slot::Empty,
            epoch: 0,
            parked: false,
            queueing: 0,
            woken: false,
            watched: false,
            signalled: false,
        };
        Ok(Self { inner: Mutex::new(inner), returned: Condvar::new(), wake: Wake::new()? })
    }

    /// Nothing of the caller's runs under this lock, so only a bug of ours poisons it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::with`], and then looks at deadlines and fetches all there is to tell.
    pub(crate) fn settle<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = Instant::now();
        let mut inner = self.lock();
        let value = act(&mut inner.state, now);
        inner.state.due(now);
        while inner.state.fetch(now, usize::MAX) == Fetched::Some {
            self.release(inner);
            inner = self.lock();
        }
        if !matches!(inner.slot, Slot::Away) && inner.state.wants_close(now) {
            if let Slot::Here(io) = &inner.slot {
                socket::finish_sending(io.fd);
            }
            inner.finish(CloseCause::Abandoned);
            inner.slot = Slot::Empty;
        }
        self.release(inner);
        value
    }

    /// Does something with the state; afterwards, outside the lock, wakes whoever has to know.
    #[inline]
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut inner = self.lock();
        let value = act(&mut inner.state);
        self.release(inner);
        value
    }

    #[inline]
    fn release(&self, mut inner: MutexGuard<'_, Inner>) {
        let ended = inner.state.take_ended();
        let wakes = inner.wakes();
        drop(inner);
        if wakes {
            self.wake.wake();
        }
        notify(&ended);
    }

    // The transport.

    /// Takes over a descriptor, or the promise to carry bytes. Waits for whoever still drives the transport before.
    pub(crate) fn open(&self, fd: Option<RawFd>) {
        let now = Instant::now();
        let mut inner = self.revoke();
        inner.state.abandoned(now);
        inner.state.opened(now, if fd.is_some() { Transport::Native } else { Transport::Fed });
        inner.slot = match fd {
            Some(fd) => Slot::Here(Io {
                fd,
                epoch: inner.epoch,
                send: SendBuf::new(),
                sent: 0,
                blocked: false,
                more: false,
                write_error: None,
            }),
            None => Slot::Empty,
        };
        self.release(inner);
    }

    /// Ends the transport as `end` says. When this returns, nobody uses the descriptor any more.
    pub(crate) fn end<T>(&self, end: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut inner = self.revoke();
        let value = end(&mut inner.state, Instant::now());
        self.release(inner);
        value
    }

    /// Takes the transport from whoever has it.
    fn revoke(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.queueing += 1;
        while matches!(inner.slot, Slot::Away) {
            self.wake.wake(); // a system call under the lock, and the only one: it comes once in the life of a connection
            inner = self.returned.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.queueing -= 1;
        inner.slot = Slot::Empty;
        inner
    }

    /// The version that messages are checked for.
    pub(crate) fn version(&self) -> Version {
        self.lock().state.version()
    }

    /// Takes what is to be told; the wake descriptor is silent from here on.
    pub(crate) fn take_told(&self, into: &mut Vec<Told>) {
        let mut inner = self.lock();
        inner.woken = false;
        if core::mem::replace(&mut inner.signalled, false) {
            // Under the lock: else the signal of who comes in between would be lost. It does not block.
            self.wake.reset();
        }
        inner.state.take_told(into);
        self.release(inner);
    }

    // Waking.

    /// Makes whoever waits return, or the next one.
    pub(crate) fn wake(&self) {
        let mut inner = self.lock();
        inner.woken = true;
        inner.parked = false;
        let signals = !core::mem::replace(&mut inner.signalled, true);
        drop(inner);
        if signals {
            self.wake.wake();
        }
    }

    pub(crate) fn wake_fd(&self) -> RawFd {
        use std::os::fd::AsRawFd;
        self.lock().watched = true;
        self.wake.as_raw_fd()
    }

    // Driving.

    /// Waits until something is to be told, or for the impatient until bytes were moved, at the longest until `until`.
    pub(crate) fn turn(&self, until: Instant, patience: Patience, limit: usize) -> Drove {
        let mut io = match self.take_transport(until) {
            Taken::Here(io) => io,
            Taken::No => return Drove::Done,
            Taken::Busy => return Drove::Interrupted,
        };
        let drove = scratch::with_buffer(|buffer| self.drive(&mut io, until, patience, limit, buffer));
        self.put_back(io);
        drove
    }

    /// Reads once, without waiting.
    pub(crate) fn read(&self) {
        if let Some(mut io) = self.take_transport_if_free() {
            scratch::with_buffer(|buffer| self.receive(&mut io, buffer));
            self.put_back(io);
        }
    }

    /// Writes what the socket takes, without waiting; whoever drives is woken to do it.
    pub(crate) fn write(&self) {
        if let Some(mut io) = self.take_transport_if_free() {
            io.blocked = false; // the caller may know better
            for _ in 0..ROUNDS {
                let step = self.step(&mut io, Instant::now(), usize::MAX, None);
                if !matches!(step, Step::Write) || !self.send(&mut io) {
                    break;
                }
            }
            self.put_back(io);
        }
    }

    /// The transport, as soon as nobody else has it.
    fn take_transport(&self, until: Instant) -> Taken {
        let mut inner = self.lock();
        loop {
            match core::mem::replace(&mut inner.slot, Slot::Away) {
                Slot::Here(io) => return Taken::Here(io),
                Slot::Empty => {
                    inner.slot = Slot::Empty;
                    return Taken::No;
                }
                Slot::Away => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.woken || inner.state.is_telling() {
                return Taken::No;
            }
            inner.queueing += 1;
            let patience = left.min(PATIENCE);
            inner = self.returned.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner).0;
            inner.queueing -= 1;
            if left > PATIENCE && matches!(inner.slot, Slot::Away) {
                return Taken::Busy;
            }
        }
    }

    fn take_transport_if_free(&self) -> Option<Io> {
        let mut inner = self.lock();
        match core::mem::replace(&mut inner.slot, Slot::Away) {
            Slot::Here(io) => Some(io),
            Slot::Empty => {
                inner.slot = Slot::Empty;
                None
            }
            Slot::Away => {
                self.release(inner);
                None
            }
        }
    }

    fn put_back(&self, io: Io) {
        let mut inner = self.lock();
        inner.parked = false;
        let lives = io.epoch == inner.epoch && inner.state.transport == Transport::Native;
        inner.state.set_backlog(if lives { io.send.len() } else { 0 });
        inner.slot = if lives { Slot::Here(io) } else { Slot::Empty };
        let queueing = inner.queueing > 0;
        drop(inner);
        if queueing {
            self.returned.notify_all();
        }
    }

    fn drive(&self, io: &mut Io, mut until: Instant, patience: Patience, limit: usize, buffer: &mut BytesMut) -> Drove {
        let mut rounds = 0;
        let mut received = false;
        loop {
            let now = Instant::now();
            match self.step(io, now, limit, Some(until)) {
                Step::Gone => return Drove::Done,
                Step::Again => {}
                Step::Told => return Drove::Done,
                Step::Write => {
                    if self.send(io) && patience == Patience::UntilMoved {
                        until = now; // what is there may be read
                    }
                    rounds += 1;
                    if rounds > ROUNDS && self.lock().state.is_telling() {
                        return Drove::Done;
                    }
                }
                Step::Wait(_) if received && patience == Patience::UntilMoved => {
                    self.lock().parked = false;
                    return Drove::Done;
                }
                Step::Wait(deadline) => {
                    let interest = if io.blocked { Interest::ReadWrite } else { Interest::Read };
                    if !io.more {
                        let deadline = deadline.map_or(until, |deadline| deadline.min(until));
                        let ready = match socket::wait(io.fd, interest, &self.wake, Some(deadline)) {
                            Ok(ready) => ready,
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                                self.lock().parked = false;
                                return Drove::Interrupted;
                            }
                            Err(error) => {
                                self.lose(io, &error);
                                return Drove::Done;
                            }
                        };
                        self.unpark(ready.woken);
                        io.blocked &= !ready.writable;
                        if !ready.readable {
                            if Instant::now() >= until {
                                // One more look, without waiting: deadlines may have come.
                                if matches!(self.step(io, Instant::now(), limit, None), Step::Write) {
                                    self.send(io);
                                }
                                return Drove::Done;
                            }
                            continue;
                        }
                    }
                    self.receive(io, buffer);
                    received = true;
                }
            }
        }
    }

    /// One look at the state: what was sent is noted, deadlines are minded, events fetched, bytes taken over. With a
    /// time to wait until, whoever drives counts as asleep when there is nothing to do.
    fn step(&self, io: &mut Io, now: Instant, limit: usize, until: Option<Instant>) -> Step {
        let mut inner = self.lock();
        let step = inner.step(io, now, limit, until);
        let ended = inner.state.take_ended();
        drop(inner);
        notify(&ended);
        step
    }

    fn unpark(&self, woken: bool) {
        let mut inner = self.lock();
        inner.parked = false;
        if woken {
            inner.signalled = false;
            self.wake.reset();
        }
    }

    /// Reads once. What was read is the session's; what it means is asked in the next step.
    fn receive(&self, io: &mut Io, buffer: &mut BytesMut) {
        if buffer.len() < READ_LEAST {
            *buffer = BytesMut::zeroed(READ);
        }
        match socket::receive(io.fd, buffer) {
            Ok(0) => {
                let cause = match io.write_error.take() {
                    Some(error) => CloseCause::Failed(error.to_string()),
                    None => CloseCause::Closed,
                };
                self.lost(io, cause);
            }
            Ok(count) => {
                io.more = count == buffer.len();
                let mut bytes = buffer.split_to(count);
                let mut inner = self.lock();
                inner.parked = false;
                if io.epoch == inner.epoch {
                    inner.state.received(Instant::now(), &mut bytes);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                io.more = false;
                if let Some(error) = io.write_error.take() {
                    self.lose(io, &error);
                }
            }
            Err(error) => self.lose(io, &error),
        }
    }

    /// Writes until all is written or the socket is full; true when something was.
    fn send(&self, io: &mut Io) -> bool {
        let mut any = false;
        while !io.send.is_empty() && io.write_error.is_none() {
            let mut slices = core::array::from_fn::<_, SLICES, _>(|_| IoSlice::new(&[]));
            let filled = io.send.slices(&mut slices);
            match socket::send(io.fd, &slices[..filled]) {
                Ok(count) => {
                    io.send.advance(count);
                    io.sent += count;
                    any = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    io.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The server may have said why before it closed: that is read first.
                    io.write_error = Some(error);
                    io.send.clear();
                    io.more = true;
                }
            }
        }
        any
    }

    fn lose(&self, io: &Io, error: &io::Error) {
        self.lost(io, CloseCause::Failed(error.to_string()));
    }

    fn lost(&self, io: &Io, cause: CloseCause) {
        let mut inner = self.lock();
        if io.epoch == inner.epoch {
            inner.finish(cause);
        }
        self.release(inner);
    }
}

/// How long a thread waits for the transport before it looks at signals.
const PATIENCE: core::time::Duration = core::time::Duration::from_millis(50);

impl Inner {
    fn step(&mut self, io: &mut Io, now: Instant, limit: usize, until: Option<Instant>) -> Step {
        if io.epoch != self.epoch {
            return Step::Gone;
        }
        self.state.sent(now, core::mem::take(&mut io.sent));
        self.state.due(now);
        let fetched = self.state.fetch(now, limit);
        let staged = self.state.stage();
        if io.send.is_empty() {
            core::mem::swap(&mut io.send, staged);
        }
        self.state.set_backlog(io.send.len());
        if self.state.wants_close(now) {
            if io.send.is_empty() {
                socket::finish_sending(io.fd);
            }
            self.finish(CloseCause::Abandoned);
            return Step::Gone;
        }
        if !io.send.is_empty() && !io.blocked && io.write_error.is_none() {
            return Step::Write;
        }
        if fetched == Fetched::Some {
            return Step::Again;
        }
        if self.state.is_telling() || self.woken {
            return Step::Told;
        }
        self.parked = until.is_some();
        Step::Wait(self.state.deadline())
    }

    /// The connection is over, and the transport with it.
    fn finish(&mut self, cause: CloseCause) {
        self.epoch += 1;
        self.state.closed(Instant::now(), cause);
    }

    /// Whether the descriptor is to be made readable.
    fn wakes(&mut self) -> bool {
        let wakes = self.parked && self.state.has_work()
            || self.watched && self.state.transport == Transport::Fed && self.state.has_work();
        if !wakes {
            return false;
        }
        self.parked = false;
        !core::mem::replace(&mut self.signalled, true)
    }
}

fn notify(ended: &[Arc<Flow>]) {
    for flow in ended {
        flow.notify();
    }
}
