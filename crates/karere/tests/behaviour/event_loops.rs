//! Loops that belong to the application: by readiness, by notifications.

use core::time::Duration;
use std::{
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
    time::Instant,
};

use karere::{
    Outcome, QoS, Subscribe, Version,
    sync::{Client, Driver, Handler, Interest, Message, Published, Ready, SocketId},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    common::{
        PATIENCE,
        peer::text,
        proxy::{Proxy, Way},
        server::{Server, Setup, options},
    },
    development::Development,
};

/// A loop around plain `poll`; waits for no longer than the driver says, and is woken by other threads.
struct Loop {
    woken: std::io::PipeReader,
    ready: Ready,
    turns: usize,
}

impl Loop {
    fn new(client: &Client) -> Self {
        let (woken, wake) = std::io::pipe().expect("a pipe");
        let wake = Mutex::new(wake);
        client.wake_with(Some(Arc::new(move || {
            let _ = wake.lock().expect("whole").write(&[0]);
        })));
        Self { woken, ready: Ready::NONE, turns: 0 }
    }

    /// Turns, and waits unless that was all.
    fn turn(&mut self, driver: &mut Driver, handler: &mut dyn Handler, done: &mut dyn FnMut() -> bool) {
        self.turns += 1;
        driver.turn(self.ready, handler);
        self.ready = Ready::NONE;
        if done() || driver.fd().is_none() && driver.deadline().is_none() {
            return;
        }
        let flags = match driver.interest() {
            Interest::Read => PollFlags::IN,
            Interest::ReadWrite => PollFlags::IN | PollFlags::OUT,
        };
        self.wait(driver, flags);
    }

    fn wait(&mut self, driver: &Driver, flags: PollFlags) {
        let until = driver.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = Timespec::try_from(until.unwrap_or(PATIENCE).min(PATIENCE)).expect("short");
        let mut watched = vec![PollFd::new(&self.woken, PollFlags::IN)];
        watched.extend(driver.socket().map(|socket| PollFd::from_borrowed_fd(socket, flags)));
        let events = poll(&mut watched, Some(&wait)).expect("can wait");
        assert!(events > 0 || until.is_some(), "a driver without a deadline was not woken");
        let socket = watched.get(1).map_or(PollFlags::empty(), PollFd::revents);
        let woken = !watched[0].revents().is_empty();
        self.ready = Ready::NONE;
        self.ready.readable = socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        self.ready.writable = socket.contains(PollFlags::OUT);
        if woken {
            let _ = self.woken.read(&mut [0; 64]).expect("readable");
        }
    }

    fn until(&mut self, driver: &mut Driver, handler: &mut dyn Handler, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited in vain");
            self.turn(driver, handler, &mut done);
        }
    }
}

#[test]
fn driver_is_turned_by_a_loop_of_the_application() {
    const MESSAGES: usize = 200;
    let server = Development::start(Setup::default());
    let (client, mut driver) = Client::new(server.options(Version::V5, "one")).expect("legal");
    let received = Arc::<Mutex<Vec<usize>>>::default();
    let sink = Arc::clone(&received);
    client
        .add_route("a", move |_, message| {
            let number = core::str::from_utf8(&message.payload).expect("text").parse().expect("a number");
            sink.lock().expect("whole").push(number);
        })
        .expect("legal");
    let mut own = Loop::new(&client);
    assert_eq!((driver.fd(), driver.deadline(), driver.interest()), (None, None, Interest::Read));
    client.connect();
    assert!(driver.deadline().is_some_and(|at| at <= Instant::now()), "there is something to do");
    own.until(&mut driver, &mut (), || client.is_connected());
    assert!(driver.fd().is_some());
    assert!(driver.deadline().is_some_and(|at| at > Instant::now() + Duration::from_secs(30)), "keep alive");

    let subscribing = client.subscribe(Subscribe::new("a", QoS::ExactlyOnce).expect("legal")).expect("taken");
    own.until(&mut driver, &mut (), || subscribing.is_done());
    // Another thread's publishes wake the loop.
    std::thread::scope(|scope| {
        let publisher = client.clone();
        scope.spawn(move || {
            for number in 0..MESSAGES {
                let message = text("a", &number.to_string(), QoS::ExactlyOnce);
                let outcome = publisher.publish(message).expect("taken").wait(PATIENCE).expect("done");
                assert!(outcome.is_acknowledged());
            }
        });
        own.until(&mut driver, &mut (), || received.lock().expect("whole").len() == MESSAGES);
        let last = client.publish(text("b", "x", QoS::AtLeastOnce)).expect("taken");
        own.until(&mut driver, &mut (), || last.is_done());
    });
    assert_eq!(*received.lock().expect("whole"), (0..MESSAGES).collect::<Vec<_>>());
    assert!(own.turns < 40 * MESSAGES, "it sleeps between events: {} turns", own.turns);

    client.disconnect().expect("may be said");
    while driver.fd().is_some() {
        own.turn(&mut driver, &mut (), &mut || false);
    }
    assert!(!client.is_connected());
}

#[test]
fn large_message_leaves_through_a_loop_of_the_application() {
    let server = Development::start(Setup::default());
    let (client, mut driver) = Client::new(server.options(Version::V311, "one")).expect("legal");
    let mut own = Loop::new(&client);
    client.connect();
    let big = client.publish(text("a", &"x".repeat(20 << 20), QoS::AtLeastOnce)).expect("taken");
    own.until(&mut driver, &mut (), || big.is_done());
    assert!(big.outcome().is_some_and(|outcome: Outcome| outcome.is_acknowledged()));
}

/// Watches for writing when told to, as loops do that are driven by notifications; publishes at awkward times.
#[derive(Debug, Default)]
struct Notified {
    socket: Option<SocketId>,
    writing: bool,
    order: Vec<&'static str>,
    left: usize,
    published: usize,
}

impl Notified {
    fn publish(&mut self, client: &Client) {
        if client.is_connected() && self.left > 0 {
            self.left -= 1;
            let _ = client.publish(text("a", "from a notification", QoS::AtMostOnce)).expect("taken");
        }
    }
}

impl Handler for Notified {
    fn on_socket_open(&mut self, _: &Client, socket: SocketId) {
        assert_eq!(self.socket.replace(socket), None);
        self.order.push("open");
    }

    fn on_socket_register_write(&mut self, _: &Client, socket: SocketId) {
        assert_eq!(self.socket, Some(socket));
        assert!(!core::mem::replace(&mut self.writing, true));
        self.order.push("register");
    }

    fn on_socket_unregister_write(&mut self, client: &Client, socket: SocketId) {
        assert_eq!(self.socket, Some(socket));
        assert!(core::mem::replace(&mut self.writing, false));
        self.order.push("unregister");
        self.publish(client); // after the driver has looked for work
    }

    fn on_socket_close(&mut self, _: &Client, socket: SocketId) {
        assert_eq!(self.socket.take(), Some(socket));
        assert!(!self.writing);
        self.order.push("close");
    }

    fn on_published(&mut self, _: &Client, published: &Published) {
        assert!(published.outcome.is_acknowledged());
        self.published += 1;
    }

    fn on_message(&mut self, _: &Client, _: &Message) {}
}

#[test]
fn notifications_alone_drive_a_loop() {
    let server = Development::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let (client, mut driver) = Client::new(options(proxy.address(), Version::V5, "one")).expect("legal");
    let mut own = Loop::new(&client);
    let mut handler = Notified { left: 1, ..Notified::default() };
    client.connect();
    let mut big = None;
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "stuck: {handler:?}");
        driver.turn(own.ready, &mut handler);
        if handler.published == 2 {
            break;
        }
        if client.is_connected() && big.is_none() {
            // Too much for the socket: writing has to be watched for, and then no more.
            proxy.hold(Way::ToServer);
            big = Some(client.publish(text("a", &"x".repeat(20 << 20), QoS::AtLeastOnce)).expect("taken"));
        } else if handler.writing {
            proxy.release();
        }
        let flags = if handler.writing { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        own.wait(&driver, flags);
    }
    client.disconnect().expect("may be said");
    while driver.fd().is_some() {
        driver.turn(own.ready, &mut handler);
        if driver.fd().is_some() {
            let flags = if handler.writing { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            own.wait(&driver, flags);
        }
    }
    assert_eq!(handler.order.first(), Some(&"open"));
    assert_eq!(handler.order.last(), Some(&"close"));
    let middle = &handler.order[1..handler.order.len() - 1];
    assert!(!middle.is_empty() && middle.chunks(2).all(|pair| pair == ["register", "unregister"]), "{middle:?}");
}
