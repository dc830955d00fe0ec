//! Handlers that use the client they are called by.

use core::time::Duration;
use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex},
    time::Instant,
};

use karere::{
    Cause, ConnAck, DialError, Endpoint, QoS, Subscribe, Unsubscribe, Version,
    sync::{Client, Handler, Message, Published, SocketId, Subscribed, Unsubscribed, WaitError},
};

use crate::common::{
    PATIENCE, eventually,
    peer::{peer, text},
    proxy::{Proxy, Way},
    server::{Server, Setup, options},
};

/// Calls everything from everywhere, a few times from each place.
#[derive(Debug, Default)]
struct Busybody {
    places: Arc<(Mutex<BTreeSet<&'static str>>, Condvar)>,
    visits: std::collections::BTreeMap<&'static str, usize>,
}

impl Busybody {
    fn meddle(&mut self, client: &Client, place: &'static str) {
        self.places.0.lock().expect("whole").insert(place);
        self.places.1.notify_all();
        let visits = self.visits.entry(place).or_default();
        *visits += 1;
        if *visits > 2 {
            return;
        }
        let visit = *visits;
        let filter = format!("from/{place}");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let publishing = client.publish(text(&filter, place, qos)).expect("taken");
            let _ = (publishing.outcome(), publishing.is_done(), publishing.packet_id());
        }
        let _ = client.subscribe(Subscribe::new(filter.as_str(), QoS::AtLeastOnce).expect("legal")).expect("taken");
        let _ = client.unsubscribe(Unsubscribe::new("from/nowhere").expect("legal")).expect("taken");
        let route = filter.clone();
        client
            .add_route(filter.as_str(), move |client, _| {
                // A route that removes itself while it runs, and makes another.
                let _ = client.remove_route(route.as_str()).expect("legal");
                client.add_route("from/route", |_, _| {}).expect("legal");
            })
            .expect("legal");
        let _ = client.remove_route("from/nowhere").expect("legal");
        client.configure(|config| config.connect.keep_alive = 30).expect("legal");
        client.set_will(Some(text("will", place, QoS::AtMostOnce))).expect("legal");
        client.set_reconnect_policy({
            let mut policy = karere::Policy::default();
            policy.minimum_delay = Duration::from_millis(1);
            policy.maximum_delay = Duration::from_millis(5);
            policy
        });
        client.log_to(None);
        let _ = (client.is_connected(), client.negotiated(), client.client_id(), client.queued());
        let _ = (client.in_flight(), client.peer(), format!("{client:?}"));
        client.connect();
        // The second visit everywhere ends the connection, in one way or the other.
        if visit == 2 {
            if place.len().is_multiple_of(2) {
                client.reconnect();
            } else {
                client.disconnect().expect("may be said");
                client.connect();
            }
        }
    }
}

impl Handler for Busybody {
    fn on_pre_connect(&mut self, client: &Client) {
        self.meddle(client, "pre-connect");
    }
    fn on_connected(&mut self, client: &Client, _: &ConnAck) {
        self.meddle(client, "connected");
    }
    fn on_connect_failed(&mut self, client: &Client, _: &DialError) {
        self.meddle(client, "connect-failed");
    }
    fn on_disconnected(&mut self, client: &Client, _: &Cause) {
        self.meddle(client, "disconnected");
    }
    fn on_message(&mut self, client: &Client, _: &Message) {
        self.meddle(client, "message");
    }
    fn on_published(&mut self, client: &Client, _: &Published) {
        self.meddle(client, "published");
    }
    fn on_subscribed(&mut self, client: &Client, _: &Subscribed) {
        self.meddle(client, "subscribed");
    }
    fn on_unsubscribed(&mut self, client: &Client, _: &Unsubscribed) {
        self.meddle(client, "unsubscribed");
    }
    fn on_socket_open(&mut self, client: &Client, _: SocketId) {
        self.meddle(client, "open");
    }
    fn on_socket_register_write(&mut self, client: &Client, _: SocketId) {
        self.meddle(client, "register-write");
    }
    fn on_socket_unregister_write(&mut self, client: &Client, _: SocketId) {
        self.meddle(client, "unregister-write");
    }
    fn on_socket_close(&mut self, client: &Client, _: SocketId) {
        self.meddle(client, "close");
    }
}

pub(crate) fn every_method_can_be_called_from_every_handler<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let busybody = Busybody::default();
    let places = Arc::clone(&busybody.places);
    let (client, driver) = Client::new(options(proxy.address(), version, "one").max_in_flight(2)).expect("legal");
    let background = driver.spawn(busybody).expect("a thread");
    let await_places = |wanted: &[&str]| {
        let deadline = Instant::now() + PATIENCE;
        let mut visited = places.0.lock().expect("whole");
        while !wanted.iter().all(|place| visited.contains(place)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "a deadlock, or never called: only {visited:?}");
            visited = places.1.wait_timeout(visited, left).expect("whole").0;
        }
    };
    await_places(&["pre-connect", "connected", "published", "subscribed", "unsubscribed", "open", "close"]);
    await_places(&["disconnected"]);
    let _ = client.subscribe(Subscribe::new("general", QoS::AtLeastOnce).expect("legal")).expect("taken");
    let speaker = peer(server.options(version, "speaker")).connect();
    let deadline = Instant::now() + PATIENCE;
    while !places.0.lock().expect("whole").contains("message") {
        assert!(Instant::now() < deadline, "no message came");
        client.connect();
        let _ = client.subscribe(Subscribe::new("general", QoS::AtLeastOnce).expect("legal")).expect("taken");
        assert!(speaker.say(text("general", "x", QoS::AtLeastOnce)).is_acknowledged());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(speaker);
    // More than a socket takes, so that writing has to be waited for. A visit may end the connection meanwhile: again then.
    let deadline = Instant::now() + PATIENCE;
    while !places.0.lock().expect("whole").contains("register-write") {
        assert!(Instant::now() < deadline, "writing never had to be waited for");
        proxy.release();
        eventually("connected", || {
            client.connect();
            client.is_connected()
        });
        proxy.hold(Way::ToServer);
        let _ = client.publish(text("big", &"x".repeat(20 << 20), QoS::AtLeastOnce)).expect("taken");
        let visited = places.0.lock().expect("whole");
        let moment = Duration::from_millis(500);
        let unvisited = |visited: &mut BTreeSet<_>| !visited.contains("register-write");
        drop(places.1.wait_timeout_while(visited, moment, unvisited).expect("whole"));
    }
    proxy.release();
    await_places(&["unregister-write"]);
    drop(proxy);
    await_places(&["connect-failed"]);
    let direct = server.address();
    client.set_endpoint(Endpoint::Tcp { host: direct.ip().to_string(), port: direct.port() });
    client.connect();
    let publishing = client.publish(text("end", "x", QoS::AtLeastOnce)).expect("taken");
    assert!(publishing.wait(PATIENCE).expect("it works as before").is_acknowledged());
    background.stop().expect("no handler panicked");
}

pub(crate) fn waiting_in_a_handler_is_an_error<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let outcome = Arc::<(Mutex<Option<[WaitError; 2]>>, Condvar)>::default();
    let sink = Arc::clone(&outcome);
    let route = move |client: &Client, _: &Message| {
        let began = Instant::now();
        let publishing = client.publish(text("b", "x", QoS::AtLeastOnce)).expect("taken");
        let first = publishing.wait(PATIENCE).expect_err("would wait for ever");
        let subscribing = client.subscribe(Subscribe::new("b", QoS::AtLeastOnce).expect("legal")).expect("taken");
        let second = subscribing.wait(PATIENCE).expect_err("would wait for ever");
        assert!(began.elapsed() < Duration::from_secs(5));
        *sink.0.lock().expect("whole") = Some([first, second]);
        sink.1.notify_all();
    };
    one.client.add_route("a", route).expect("legal");
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    assert!(one.say(text("a", "x", QoS::AtLeastOnce)).is_acknowledged());
    let mut told = outcome.0.lock().expect("whole");
    while told.is_none() {
        told = outcome.1.wait_timeout(told, PATIENCE).expect("whole").0;
    }
    assert_eq!(*told, Some([WaitError::InHandler; 2]));
    drop(told);

    // Elsewhere a wait that comes to nothing says so, and the message goes on.
    one.disconnect();
    let publishing = one.publish(text("c", "x", QoS::AtLeastOnce));
    assert_eq!(publishing.wait(Duration::from_millis(10)), Err(WaitError::TimedOut));
    one.client.connect();
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    one.disconnect();
    let orphan = one.publish(text("c", "x", QoS::AtLeastOnce));
    drop(one.stop());
    assert_eq!(orphan.wait(PATIENCE), Err(WaitError::DriverGone));
}
