//! A loop of the application around plain `poll`, with layers between socket and MQTT: what the driver says about interest
//! and deadlines is enough.

use std::{
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use karere::{
    Publish, QoS, Subscribe, Version,
    sync::{Client, Driver, Interest, Ready},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    common::{
        PATIENCE,
        server::{Server, Setup},
    },
    mosquitto::{SecureWebSocket, Tls, WebSocket},
};

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

    /// Turns and waits until `done`.
    fn until(&mut self, driver: &mut Driver, mut done: impl FnMut(&Driver) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < give_up, "waited in vain");
            self.turns += 1;
            driver.turn(self.ready, &mut ());
            if done(driver) {
                self.ready = Ready::NONE;
                return;
            }
            self.wait(driver);
        }
    }

    fn wait(&mut self, driver: &Driver) {
        let flags = match driver.interest() {
            Interest::Read => PollFlags::IN,
            Interest::ReadWrite => PollFlags::IN | PollFlags::OUT,
        };
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
}

fn a_thousand_messages_pass<S: Server>() {
    const MESSAGES: usize = 1000;
    let server = S::start(Setup::default());
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
    client.connect();
    own.until(&mut driver, |_| client.is_connected());
    assert!(own.turns < 60, "handshakes sleep between events: {} turns", own.turns);
    assert_eq!(driver.interest(), Interest::Read, "nothing is left to write");
    let keep_alive = driver.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    assert!(keep_alive.is_some_and(|left| left > Duration::from_secs(30)), "{keep_alive:?}");

    let subscribing = client.subscribe(Subscribe::new("a", QoS::AtLeastOnce).expect("legal")).expect("taken");
    own.until(&mut driver, |_| subscribing.is_done());
    let before = own.turns;
    // Another thread's publishes wake the loop, one after the other.
    std::thread::scope(|scope| {
        let publisher = client.clone();
        scope.spawn(move || {
            for number in 0..MESSAGES {
                let message = Publish::new("a", number).expect("legal").qos(QoS::AtLeastOnce);
                let outcome = publisher.publish(message).expect("taken").wait(PATIENCE).expect("done");
                assert!(outcome.is_acknowledged(), "{outcome}");
            }
        });
        own.until(&mut driver, |_| received.lock().expect("whole").len() == MESSAGES);
        let last = client.publish(Publish::new("b", "x").expect("legal").qos(QoS::AtLeastOnce)).expect("taken");
        own.until(&mut driver, |_| last.is_done());
    });
    assert_eq!(*received.lock().expect("whole"), (0..MESSAGES).collect::<Vec<_>>());
    let turns = own.turns - before;
    assert!(turns < 20 * MESSAGES, "it sleeps between events: {turns} turns");

    client.disconnect().expect("may be said");
    own.until(&mut driver, |driver| driver.fd().is_none());
    assert!(!client.is_connected());
}

#[test]
fn driver_is_turned_by_a_loop_of_the_application_over_tls() {
    a_thousand_messages_pass::<Tls>();
}

#[test]
fn driver_is_turned_by_a_loop_of_the_application_over_a_websocket() {
    a_thousand_messages_pass::<WebSocket>();
}

#[test]
fn driver_is_turned_by_a_loop_of_the_application_over_a_secure_websocket() {
    a_thousand_messages_pass::<SecureWebSocket>();
}
