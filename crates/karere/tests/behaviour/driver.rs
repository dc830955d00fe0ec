//! Threads and loops: started, stopped, started again, ended; attempts, waits and failures.

use core::time::Duration;
use std::{
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

use karere::{
    Cause, Endpoint, FirstConnection, Jitter, Options, QoS, Reconnect, SessionExpiry, Version,
    oneshot::{Oneshot, OneshotError},
    session::CloseCause,
    sync::{Callbacks, Client, ConnectError, RunError},
};

use crate::{
    common::{
        PATIENCE, eventually,
        peer::{Happening, peer, text},
        server::{Server, Setup, options},
    },
    development::Development,
};

/// For what must not take long, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_millis(500);

fn server() -> Development {
    Development::start(Setup::default())
}

/// A port that nobody listens on.
fn nowhere() -> Options {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    options(free, Version::V5, "one")
}

#[test]
fn stopping_the_thread_wakes_it_at_once() {
    let server = server();
    let idle = peer(server.options(Version::V5, "idle")).connect();
    let minute = Duration::from_secs(60);
    let waiting = peer(nowhere().reconnect_delay(minute, minute)).traced().start();
    let _ = waiting.line("next attempt in 60");
    for peer in [idle, waiting] {
        let began = Instant::now();
        let _ = peer.stop();
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
}

#[test]
fn stopped_client_keeps_its_connection_and_can_be_started_again() {
    let server = server();
    let one = peer(server.options(Version::V5, "one")).connect();
    let client = one.client.clone();
    let (driver, recorder) = one.stop();
    assert!(client.is_connected());
    let publishing = client.publish(text("a", "x", QoS::AtLeastOnce)).expect("taken");
    assert!(publishing.wait(Duration::from_millis(20)).is_err(), "nobody moves the bytes");
    let seen = Arc::clone(&recorder.seen);
    let background = driver.spawn(recorder).expect("a thread");
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    let connections = seen.record().happenings.iter().filter(|one| matches!(one, Happening::Connected(_))).count();
    assert_eq!(connections, 1);
    assert!(!background.is_finished());
    drop(background); // stops it, too
    assert!(client.is_connected() || client.peer().is_none());
}

#[test]
fn thread_goes_on_after_disconnect_and_connects_again_when_asked() {
    let server = server();
    let one = peer(server.options(Version::V5, "one")).connect();
    one.disconnect();
    assert!(!one.background.is_finished());
    one.client.connect();
    let _ = one.connected(2);
    // Asked for while the last connection is still being closed.
    one.client.disconnect().expect("may be said");
    one.client.connect();
    let _ = one.connected(3);
    one.client.connect();
    assert!(one.say(text("a", "x", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(one.count(|happening| matches!(happening, Happening::Attempt)), 3, "nothing to do when connected");
}

#[test]
fn panic_in_a_handler_ends_the_thread_and_is_handed_back() {
    let server = server();
    let (_client, driver) = Client::new(server.options(Version::V5, "one")).expect("legal");
    let handler = Callbacks::new().on_connected(|_, _| panic!("as asked for"));
    let background = driver.spawn(handler).expect("a thread");
    eventually("the thread's end", || background.is_finished());
    let panicked = background.stop().expect_err("it panicked");
    assert_eq!(panicked.to_string(), "a handler panicked: as asked for");
    assert_eq!(panicked.into_panic().downcast_ref(), Some(&"as asked for"));
}

#[test]
fn thread_can_be_stopped_from_its_own_handler() {
    let server = server();
    let (_client, driver) = Client::new(server.options(Version::V5, "one")).expect("legal");
    let slot = Arc::<Mutex<Option<karere::sync::Background<Callbacks>>>>::default();
    let (tell, told) = mpsc::channel();
    let own = Arc::clone(&slot);
    let handler = Callbacks::new().on_published(move |_, _| {
        if let Some(background) = own.lock().expect("whole").take() {
            assert!(background.is_own_thread());
            drop(background);
            tell.send(()).expect("listened to");
        }
    });
    let client = driver.client();
    *slot.lock().expect("whole") = Some(driver.spawn(handler).expect("a thread"));
    let publishing = client.publish(text("a", "x", QoS::AtLeastOnce)).expect("taken");
    told.recv_timeout(PATIENCE).expect("the handler went on");
    assert!(publishing.is_done());
    eventually("the thread and its driver are gone", || {
        client.publish(text("a", "x", QoS::AtLeastOnce)).expect("queued").wait(Duration::ZERO)
            == Err(karere::sync::WaitError::DriverGone)
    });
}

#[test]
fn run_ends_when_the_application_disconnects() {
    let server = server();
    let (client, mut driver) = Client::new(server.options(Version::V5, "one")).expect("legal");
    let mut calls = Callbacks::new().on_connected(|client, _| client.disconnect().expect("may be said"));
    for _ in 0..2 {
        driver.run(&mut calls).expect("disconnected by the application");
        assert!(!client.is_connected());
    }
    assert_eq!(server.with(|broker| broker.counters().accepted), 2);
}

#[test]
fn run_fails_when_the_first_connection_does() {
    let (_, mut driver) = Client::new(nowhere()).expect("legal");
    let error = driver.run(&mut ()).expect_err("nobody is there");
    let RunError::FirstConnection(failure) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
    assert!(error.to_string().contains("cannot connect to 127.0.0.1:"), "{error}");
}

#[test]
fn run_retries_the_first_connection_when_told_to() {
    let mut server = server();
    server.stop();
    let options = server.options(Version::V5, "one").first_connection(FirstConnection::Retry);
    let (client, mut driver) = Client::new(options).expect("legal");
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut failures = 0;
        let mut calls = Callbacks::new()
            .on_connect_failed(move |_, _| {
                failures += 1;
                if failures == 3 {
                    tell.send(()).expect("listened to");
                }
            })
            .on_connected(|client, _| client.disconnect().expect("may be said"));
        driver.run(&mut calls)
    });
    told.recv_timeout(PATIENCE).expect("three attempts");
    assert!(!client.is_connected());
    server.resume();
    thread.join().expect("no panic").expect("connected in the end");
}

#[test]
fn run_reconnects_after_a_loss_also_when_it_found_the_client_connected() {
    let server = server();
    for connect_first in [false, true] {
        let (client, mut driver) = Client::new(server.options(Version::V5, "one")).expect("legal");
        let mut connections = 0;
        if connect_first {
            driver.connect(&mut ()).expect("there");
            let id = server.with(|broker| broker.connection_of("one").expect("connected"));
            server.with(|broker| broker.lose(Instant::now(), id)).expect("open");
            connections += 1;
        }
        let (tell, told) = mpsc::channel();
        let mut calls = Callbacks::new().on_connected(move |client, _| {
            connections += 1;
            tell.send(connections).expect("listened to");
            if connections == 2 {
                client.disconnect().expect("may be said");
            }
        });
        if !connect_first {
            let client = client.clone();
            std::thread::scope(|scope| {
                let server = &server;
                scope.spawn(move || {
                    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
                    let id = server.with(|broker| broker.connection_of("one").expect("connected"));
                    server.with(|broker| broker.lose(Instant::now(), id)).expect("open");
                    assert_eq!(told.recv_timeout(PATIENCE), Ok(2));
                });
                driver.run(&mut calls).expect("a loss is no end");
            });
            assert!(!client.is_connected());
        } else {
            driver.run(&mut calls).expect("a loss is no end");
            assert_eq!(told.try_recv(), Ok(2));
        }
    }
}

#[test]
fn run_ends_with_the_cause_when_it_is_not_to_reconnect() {
    let server = server();
    let (_, mut driver) = Client::new(server.options(Version::V5, "one").reconnect(Reconnect::Never)).expect("legal");
    driver.connect(&mut ()).expect("there");
    let id = server.with(|broker| broker.connection_of("one").expect("connected"));
    server.with(|broker| broker.lose(Instant::now(), id)).expect("open");
    let error = driver.run(&mut ()).expect_err("lost");
    assert!(matches!(error, RunError::Lost(Cause::Transport(CloseCause::Closed))), "{error:?}");

    let never = nowhere().reconnect(Reconnect::Never).first_connection(FirstConnection::Retry);
    let (_, mut driver) = Client::new(never).expect("legal");
    let error = driver.run(&mut ()).expect_err("it was never connected, and no attempt will follow");
    assert!(matches!(error, RunError::FirstConnection(_)), "{error:?}");
}

#[test]
fn run_ends_when_draining_takes_too_long_also_without_a_server() {
    let mut server = server();
    let options = server.options(Version::V5, "one").session_expiry(SessionExpiry::Never);
    let (client, mut driver) = Client::new(options).expect("legal");
    driver.connect(&mut ()).expect("there");
    server.stop();
    let publishing = client.publish(text("a", "x", QoS::AtLeastOnce)).expect("taken");
    let began = Instant::now();
    client.disconnect_when_drained(Duration::from_millis(50)).expect("taken");
    let mut losses = 0;
    let handler = &mut Callbacks::new().on_connect_failed(move |_, _| {
        losses += 1;
        assert!(losses < 10_000, "goes on for ever");
    });
    driver.run(handler).expect("the application wanted to leave");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!publishing.is_done(), "it stays queued");
    assert_eq!(client.queued().0 + client.in_flight(), 1);
}

#[test]
fn draining_a_client_that_has_nothing_to_say_ends_it_at_once() {
    let (client, mut driver) = Client::new(nowhere().first_connection(FirstConnection::Retry)).expect("legal");
    let began = Instant::now();
    let mut failures = 0;
    let handler = &mut Callbacks::new().on_connect_failed(move |_, _| {
        failures += 1;
        if failures == 1 {
            client.disconnect_when_drained(PATIENCE).expect("taken");
        }
        assert!(failures < 10_000, "goes on for ever");
    });
    driver.run(handler).expect("the application wanted to leave");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn connecting_makes_one_attempt_and_says_what_was_wrong() {
    let (client, mut driver) = Client::new(nowhere()).expect("legal");
    let mut attempts = Callbacks::new();
    let error = driver.connect(&mut attempts).expect_err("nobody is there");
    assert!(matches!(error, ConnectError::Dial(_)), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
    let rests = Duration::from_millis(100);
    let began = Instant::now();
    driver.wait_and_turn(Some(rests), &mut attempts).expect("can wait");
    assert!(began.elapsed() >= rests, "no further attempt is made");

    let server = server();
    let address = server.address();
    client.set_endpoint(Endpoint::Tcp { host: address.ip().to_string(), port: address.port() });
    driver.connect(&mut ()).expect("there");
    driver.connect(&mut ()).expect("still there");
    client.disconnect().expect("may be said");
    driver.connect(&mut ()).expect("a new connection, not the end of the old one");
    assert!(client.is_connected());
    assert_eq!(server.with(|broker| broker.counters().accepted), 2);
}

#[test]
fn waits_between_attempts_double_up_to_the_maximum() {
    let waits = (Duration::from_millis(100), Duration::from_millis(400));
    let options = nowhere().reconnect_delay(waits.0, waits.1).reconnect_jitter(Jitter::None);
    let one = peer(options).traced().start();
    let waits = one.seen.wait("four waits", |record| {
        let waits = record.lines.iter().filter_map(|(_, line)| line.strip_prefix("next attempt in "));
        let waits = waits.map(str::to_owned).collect::<Vec<_>>();
        (waits.len() >= 4).then_some(waits)
    });
    assert_eq!(waits[..4], ["100.0ms", "200.0ms", "400.0ms", "400.0ms"]);
    // Asked for, the next attempt is made at once.
    let before = one.count(|happening| matches!(happening, Happening::ConnectFailed(_)));
    let began = Instant::now();
    one.client.connect();
    one.nth(before + 1, "an attempt", |happening| matches!(happening, Happening::ConnectFailed(_)).then_some(()));
    assert!(began.elapsed() < Duration::from_millis(300));
}

#[test]
fn reconnecting_policy_and_endpoint_can_change_while_it_runs() {
    let (first, second) = (server(), server());
    let one = peer(first.options(Version::V5, "one")).connect();
    let address = second.address();
    one.client.set_endpoint(Endpoint::Tcp { host: address.ip().to_string(), port: address.port() });
    one.client.reconnect();
    let _ = one.connected(2);
    assert_eq!(one.disconnected(1), Cause::Transport(CloseCause::Abandoned));
    assert_eq!(second.with(|broker| broker.counters().accepted), 1);

    let mut policy = karere::Policy::default();
    policy.reconnect = Reconnect::Never;
    one.client.set_reconnect_policy(policy);
    assert!(one.say(text("a", "x", QoS::AtLeastOnce)).is_acknowledged());
    let id = second.with(|broker| broker.connection_of("one").expect("connected"));
    second.with(|broker| broker.lose(Instant::now(), id)).expect("open");
    let _ = one.disconnected(2);
    assert!(one.lines("next attempt").is_empty());
    one.client.connect();
    let _ = one.connected(3);
}

#[test]
fn silent_acceptor_is_given_up_and_tried_again() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = mute.local_addr().expect("bound");
    let options = options(address, Version::V5, "one").connack_timeout(Duration::from_millis(50));
    let one = peer(options).start();
    assert_eq!(one.disconnected(1), Cause::ConnAckTimeout);
    assert_eq!(one.disconnected(2), Cause::ConnAckTimeout);
}

/// What a client asks for may bring news without a byte having moved, and the driver may not have slept yet.
#[test]
fn driver_does_not_sleep_while_there_is_something_to_tell() {
    let (client, mut driver) = Client::new(nowhere()).expect("legal options");
    let given_up = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&given_up);
    let mut handler = Callbacks::new().on_published(move |_, _| *counter.lock().expect("whole") += 1);
    let _ = client.publish(text("a", "x", QoS::AtLeastOnce)).expect("taken");
    client.drop_messages();
    assert!(driver.deadline().is_some_and(|deadline| deadline <= Instant::now()));
    let began = Instant::now();
    driver.wait_and_turn(Some(PATIENCE), &mut handler).expect("can wait");
    assert_eq!(*given_up.lock().expect("whole"), 1);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// A server that takes the connection and never says a word.
#[test]
fn one_shot_with_a_time_limit_does_not_wait_for_a_server_that_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let options = options(silent.local_addr().expect("bound"), Version::V5, "one");
    let began = Instant::now();
    let error = Oneshot::new(options).timeout(AT_ONCE).publish(("a", "x")).expect_err("nobody answers");
    assert!(matches!(error, OneshotError::TimedOut), "{error}");
    assert!((AT_ONCE..PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
}
