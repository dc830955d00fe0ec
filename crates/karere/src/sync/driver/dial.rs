//! The part of a driver's step that reaches the server: questions, sockets that are being connected.

use core::net::SocketAddr;
use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        mpsc::{self, Receiver, TryRecvError},
    },
    thread,
    time::Instant,
};

use karere_link::{Address, Attempt, Connector, Dial, Domain, Endpoint, Server, ServiceProblem, ServiceRecord, Use};
use mio::Token;

use super::{
    super::{Handler, completion::Handling, shared::Shared, socket::Socket},
    Driver, Ready, Registered, names,
};
use crate::log::Level;

/// A socket of one attempt.
#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) attempt: Attempt,
    pub(super) address: Address,
    pub(super) stream: Socket,
    /// What events of the driver's own poll are told by.
    pub(super) token: Token,
}

/// A question that was asked on a thread of its own: the answer may take many seconds.
#[derive(Debug)]
pub(super) enum Asked {
    Access(Attempt, Receiver<Result<Server, String>>),
    Addresses(Attempt, Receiver<io::Result<Vec<SocketAddr>>>),
    Services(Attempt, Receiver<Result<Vec<ServiceRecord>, ServiceProblem>>),
    Socket(Attempt, Endpoint, Receiver<io::Result<OwnedFd>>),
}

impl Driver {
    /// Does what the link wants done, and tells it what has come of what it wanted before.
    pub(super) fn dial(&mut self, now: Instant, handler: &mut dyn Handler) {
        self.take_answers(now, handler);
        self.follow_orders(now, handler);
        let mut at = 0;
        while let Some(dialed) = self.dialing.get(at) {
            // Local sockets are connected at once. Readiness does not matter here: to look is cheap and always right.
            match dialed.stream.connected() {
                None => at += 1,
                Some(outcome) => {
                    let dialed = self.dialing.remove(at);
                    self.finish(now, dialed, outcome, handler);
                    self.follow_orders(now, handler);
                    at = 0; // orders add sockets and drop them
                }
            }
        }
    }

    /// Does what the link wants done.
    pub(super) fn follow_orders(&mut self, now: Instant, handler: &mut dyn Handler) {
        self.tell_link_events(handler);
        while let Some(dial) = self.link.poll_dial() {
            match dial {
                Dial::Refresh { attempt, server } => self.ask_access(now, attempt, server),
                Dial::Resolve { attempt, host, port } => self.resolve(now, attempt, host, port),
                Dial::Services { attempt, service, domain } => self.ask_services(now, attempt, service, domain),
                Dial::Obtain { attempt, connector, endpoint } => self.obtain(now, attempt, connector, endpoint),
                Dial::Connect { attempt, address } => {
                    let connecting = Socket::connect(&address, &self.sockets);
                    self.begin(now, attempt, address, connecting, handler);
                }
                Dial::Abandon(attempt) => self.drop_attempt(attempt, handler),
                other => {
                    let log = &self.client.shared.log;
                    log.line(Level::Error, format_args!("an order was not followed: {other:?}"));
                }
            }
            self.tell_link_events(handler);
        }
    }

    /// Closes all sockets that are being connected, and forgets what was asked.
    pub(super) fn drop_attempts(&mut self, handler: &mut dyn Handler) {
        self.asked.clear();
        while let Some(dialed) = self.dialing.pop() {
            self.tell_closed(&dialed, Registered::Yes, handler);
        }
    }

    /// The handler stops watching a socket, which is closed after that.
    pub(super) fn tell_closed(&self, socket: &Dialed, registered: Registered, handler: &mut dyn Handler) {
        let _handling = Handling::of(&self.client.shared);
        if registered == Registered::Yes {
            handler.on_socket_unregister_write(&self.client, socket.stream.fd());
        }
        handler.on_socket_close(&self.client, socket.stream.fd());
    }

    fn begin(
        &mut self,
        now: Instant,
        attempt: Attempt,
        address: Address,
        connecting: io::Result<Socket>,
        handler: &mut dyn Handler,
    ) {
        self.last_token += 1;
        let token = Token(self.last_token);
        let connecting = connecting.and_then(|mut stream| {
            if let Some((poll, _)) = &self.poll {
                stream.register(poll.registry(), token)?;
            }
            Ok(stream)
        });
        match connecting {
            Ok(stream) => {
                let fd = stream.fd();
                self.dialing.push(Dialed { attempt, address, stream, token });
                let _handling = Handling::of(&self.client.shared);
                handler.on_socket_open(&self.client, fd);
                handler.on_socket_register_write(&self.client, fd);
            }
            Err(error) => {
                let _ = self.link.handle_dialed(now, attempt, Err(error));
            }
        }
    }

    fn finish(&mut self, now: Instant, dialed: Dialed, outcome: io::Result<()>, handler: &mut dyn Handler) {
        if outcome.is_err() {
            self.tell_closed(&dialed, Registered::Yes, handler);
            let _ = self.link.handle_dialed(now, dialed.attempt, outcome);
            return;
        }
        match self.link.handle_dialed(now, dialed.attempt, outcome) {
            Use::Connection => {
                self.ready = Ready::BOTH;
                self.write_registered = Registered::Yes;
                self.client.shared.lock().peer = Some(dialed.address.clone());
                self.socket = Some(dialed);
            }
            Use::None => self.tell_closed(&dialed, Registered::Yes, handler),
        }
    }

    fn drop_attempt(&mut self, attempt: Attempt, handler: &mut dyn Handler) {
        self.asked.retain(|asked| asked.attempt() != attempt);
        if let Some(at) = self.dialing.iter().position(|dialed| dialed.attempt == attempt) {
            let dialed = self.dialing.remove(at);
            self.tell_closed(&dialed, Registered::Yes, handler);
        } else if self.socket.as_ref().is_some_and(|socket| socket.attempt == attempt) {
            self.drop_socket(handler);
        }
    }

    fn resolve(&mut self, now: Instant, attempt: Attempt, host: String, port: u16) {
        let name_server = self.name_server;
        let look_up = move || names::addresses(&host, port, name_server);
        match ask(&self.client.shared, "karere resolver", look_up) {
            Ok(answer) => self.asked.push(Asked::Addresses(attempt, answer)),
            Err(error) => self.link.handle_resolved(now, attempt, Err(error)),
        }
    }

    fn ask_access(&mut self, now: Instant, attempt: Attempt, server: Server) {
        let Some(hook) = self.access.clone() else {
            // The policy was set without a hook: nothing is to be changed.
            return self.link.handle_refreshed(now, attempt, Ok(server));
        };
        match ask(&self.client.shared, "karere access", move || hook.ask(server)) {
            Ok(answer) => self.asked.push(Asked::Access(attempt, answer)),
            Err(error) => self.link.handle_refreshed(now, attempt, Err(error.to_string())),
        }
    }

    fn ask_services(&mut self, now: Instant, attempt: Attempt, service: &'static str, domain: Domain) {
        let name_server = self.name_server;
        let question = move || names::services(service, &domain, name_server);
        match ask(&self.client.shared, "karere resolver", question) {
            Ok(answer) => self.asked.push(Asked::Services(attempt, answer)),
            Err(error) => self.link.handle_services(now, attempt, Err(ServiceProblem::NoAnswer(error))),
        }
    }

    fn obtain(&mut self, now: Instant, attempt: Attempt, connector: Connector, endpoint: Endpoint) {
        let place = endpoint.clone();
        match ask(&self.client.shared, "karere connector", move || connector.connect(&place)) {
            Ok(answer) => self.asked.push(Asked::Socket(attempt, endpoint, answer)),
            Err(error) => drop(self.link.handle_dialed(now, attempt, Err(error))),
        }
    }

    fn take_answers(&mut self, now: Instant, handler: &mut dyn Handler) {
        for asked in core::mem::take(&mut self.asked) {
            match asked {
                Asked::Addresses(attempt, answer) => match answer.try_recv() {
                    Ok(outcome) => self.link.handle_resolved(now, attempt, outcome),
                    Err(TryRecvError::Empty) => self.asked.push(Asked::Addresses(attempt, answer)),
                    Err(TryRecvError::Disconnected) => {
                        let died = io::Error::other("the resolver's thread died");
                        self.link.handle_resolved(now, attempt, Err(died));
                    }
                },
                Asked::Services(attempt, answer) => match answer.try_recv() {
                    Ok(outcome) => self.link.handle_services(now, attempt, outcome),
                    Err(TryRecvError::Empty) => self.asked.push(Asked::Services(attempt, answer)),
                    Err(TryRecvError::Disconnected) => {
                        let died = ServiceProblem::NoAnswer(io::Error::other("the resolver's thread died"));
                        self.link.handle_services(now, attempt, Err(died));
                    }
                },
                Asked::Socket(attempt, endpoint, answer) => match answer.try_recv() {
                    Ok(outcome) => {
                        let socket = outcome.and_then(Socket::given);
                        self.begin(now, attempt, Address::Given(endpoint), socket, handler);
                    }
                    Err(TryRecvError::Empty) => self.asked.push(Asked::Socket(attempt, endpoint, answer)),
                    Err(TryRecvError::Disconnected) => {
                        let _ = self.link.handle_dialed(now, attempt, Err(io::Error::other("it panicked")));
                    }
                },
                Asked::Access(attempt, answer) => match answer.try_recv() {
                    Ok(outcome) => self.link.handle_refreshed(now, attempt, outcome),
                    Err(TryRecvError::Empty) => self.asked.push(Asked::Access(attempt, answer)),
                    Err(TryRecvError::Disconnected) => {
                        self.link.handle_refreshed(now, attempt, Err("the access hook panicked".to_owned()));
                    }
                },
            }
        }
    }
}

impl Asked {
    const fn attempt(&self) -> Attempt {
        match self {
            Self::Access(attempt, _)
            | Self::Addresses(attempt, _)
            | Self::Services(attempt, _)
            | Self::Socket(attempt, ..) => *attempt,
        }
    }
}

/// Wakes the driver also when the question panics.
struct WakeOnDrop(Arc<Shared>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake.wake_always();
    }
}

/// Asks on a thread of its own; the driver is woken when the answer is there.
fn ask<T: Send + 'static>(
    shared: &Arc<Shared>,
    name: &str,
    question: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (sender, receiver) = mpsc::channel();
    let wake = WakeOnDrop(Arc::clone(shared));
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let wake = wake; // dropped after the sender: by then the driver sees that no answer will come
        let sender = sender;
        // Nobody listens any more when the attempt was given up.
        let _ = sender.send(question());
        drop(sender);
        drop(wake);
    })?;
    Ok(receiver)
}
