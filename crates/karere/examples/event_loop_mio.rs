//! Two clients in one event loop that belongs to the application: here mio, which tells of edges.
//!
//! ```sh
//! cargo run --example event_loop_mio                      # with a broker of its own
//! cargo run --example event_loop_mio -- mqtt://localhost  # with yours
//! ```
//!
//! The socket is watched as the driver's notifications say: open, register_write, unregister_write, close.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::{error::Error, process::ExitCode, sync::Arc, time::Instant};

use karere::{
    ConnAck, Options, Publish, QoS, Subscribe,
    sync::{Client, Driver, Handler, Message, Published, Ready, SocketId, Subscribed},
};
use karere_broker::{Config, Server};
use mio::{Events, Interest, Poll, Registry, Token, Waker, unix::SourceFd};

const WAKE: Token = Token(usize::MAX);
const MESSAGES: usize = 5;
const TOPIC: &str = "karere/event-loop";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("event_loop_mio: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One client with its driver and handler, and the token of its socket.
struct Party {
    driver: Driver,
    handler: Watcher,
}

/// Keeps the loop's registrations as the driver says, and has the client's part in the conversation.
struct Watcher {
    token: Token,
    registry: Registry,
    role: Role,
    failed: Option<std::io::Error>,
    subscribed: bool,
    done: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Publisher,
    Subscriber,
}

impl Watcher {
    fn watch(&mut self, change: impl FnOnce(&Registry, Token) -> std::io::Result<()>) {
        if let Err(error) = change(&self.registry, self.token) {
            self.failed.get_or_insert(error);
        }
    }
}

impl Handler for Watcher {
    fn on_connected(&mut self, client: &Client, _: &ConnAck) {
        if self.role == Role::Subscriber {
            let subscribe = Subscribe::new(TOPIC, QoS::AtLeastOnce).expect("a legal filter");
            client.subscribe(subscribe).expect("the server takes any filter");
        }
    }

    fn on_subscribed(&mut self, _: &Client, _: &Subscribed) {
        self.subscribed = true;
    }

    fn on_published(&mut self, _: &Client, published: &Published) {
        println!("{:?}: {}", published.token, published.outcome);
        self.done += 1;
    }

    fn on_message(&mut self, _: &Client, message: &Message) {
        println!("received {:?}", String::from_utf8_lossy(&message.payload));
        self.done += 1;
    }

    fn on_socket_open(&mut self, _: &Client, socket: SocketId) {
        self.watch(|registry, token| registry.register(&mut SourceFd(&socket), token, Interest::READABLE));
    }

    fn on_socket_register_write(&mut self, _: &Client, socket: SocketId) {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.watch(|registry, token| registry.reregister(&mut SourceFd(&socket), token, both));
    }

    fn on_socket_unregister_write(&mut self, _: &Client, socket: SocketId) {
        self.watch(|registry, token| registry.reregister(&mut SourceFd(&socket), token, Interest::READABLE));
    }

    fn on_socket_close(&mut self, _: &Client, socket: SocketId) {
        self.watch(|registry, _| registry.deregister(&mut SourceFd(&socket)));
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (server, url) = match std::env::args().nth(1) {
        Some(url) => (None, url),
        None => {
            let server = Server::start(Config::new())?;
            let address = server.tcp_addr().ok_or("the broker has no TCP address")?;
            (Some(server), format!("mqtt://{address}"))
        }
    };
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    // Other threads may publish too; this wakes the loop for them.
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);

    let mut parties = Vec::new();
    for (number, role) in [Role::Subscriber, Role::Publisher].into_iter().enumerate() {
        let (client, driver) = Client::new(Options::new(&url)?)?;
        let wake = Arc::clone(&waker);
        client.wake_with(Some(Arc::new(move || {
            // Fails only when the loop has been woken a great many times already.
            let _ = wake.wake();
        })));
        client.connect();
        let registry = poll.registry().try_clone()?;
        let handler = Watcher { token: Token(number), registry, role, failed: None, subscribed: false, done: 0 };
        parties.push(Party { driver, handler });
    }

    let mut published = false;
    while parties.iter().any(|party| party.handler.done < MESSAGES) {
        for party in &mut parties {
            party.driver.turn(Ready::NONE, &mut party.handler); // what is due, and what was asked for
            if let Some(error) = party.handler.failed.take() {
                return Err(error.into());
            }
        }
        if parties[0].handler.subscribed && !published {
            published = true;
            for number in 1..=MESSAGES {
                let message = Publish::new(TOPIC, format!("message {number}"))?.qos(QoS::AtLeastOnce);
                parties[1].driver.client().publish(message)?;
            }
            continue;
        }
        let deadline = parties.iter().filter_map(|party| party.driver.deadline()).min();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, timeout)?;
        for event in events.iter().filter(|event| event.token() != WAKE) {
            let Party { driver, handler } = &mut parties[event.token().0];
            let mut ready = Ready::NONE;
            ready.readable = event.is_readable();
            ready.writable = event.is_writable();
            ready.closed = event.is_read_closed();
            driver.turn(ready, handler);
        }
    }
    for party in &mut parties {
        party.driver.client().disconnect()?;
        while party.driver.fd().is_some() {
            party.driver.wait_and_turn(None, &mut party.handler)?;
        }
    }
    if let Some(server) = server {
        server.stop();
    }
    Ok(())
}
