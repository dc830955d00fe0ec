//! Several servers over real sockets: fail-over, fail-back, references, versions, access data, refusals for good.

use core::{net::SocketAddr, time::Duration};
use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use karere::{
    Cause, Credentials, Endpoint, FallBack, LostSession, Outcome, Publish, QoS, Rank, ReasonCode, Redirect,
    SessionExpiry, Utf8String, Version,
    sync::{Client, ConnectError, RunError},
};
use karere_broker::Config;

use crate::{
    common::{
        PATIENCE, eventually,
        peer::{Happening, Peer, peer, text},
        server::{Server, Setup, options},
    },
    development::Development,
};

fn url(server: &Development) -> String {
    format!("mqtt://{}", server.address())
}

fn of(config: Config) -> Development {
    Development::of(config)
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn port_of(one: &Peer) -> u16 {
    match one.client.peer() {
        Some(karere::Address::Tcp(address)) => address.port(),
        other => panic!("{other:?}"),
    }
}

fn attempts(one: &Peer) -> usize {
    one.count(|happening| matches!(happening, Happening::Attempt))
}

#[test]
fn server_that_is_not_there_gives_way_to_the_next_at_once() {
    let server = Development::start(Setup::default());
    let options = options(nobody(), Version::V5, "one").reconnect_delay(PATIENCE, PATIENCE);
    let one = peer(options.server(&url(&server)).expect("legal")).connect();
    assert_eq!(port_of(&one), server.address().port());
    assert_eq!(one.count(|happening| matches!(happening, Happening::ConnectFailed(_))), 1);
}

#[test]
fn connecting_goes_over_all_servers_before_it_fails() {
    let options = options(nobody(), Version::V5, "one");
    let (client, mut driver) =
        Client::new(options.server(&format!("mqtt://{}", nobody())).expect("legal")).expect("legal");
    let tried = Arc::new(AtomicUsize::new(0));
    struct Count(Arc<AtomicUsize>);
    impl karere::sync::Handler for Count {
        fn on_connect_failed(&mut self, _: &Client, _: &karere::DialError) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let outcome = driver.connect(&mut Count(Arc::clone(&tried)));
    assert!(matches!(outcome, Err(ConnectError::Dial(_))), "{outcome:?}");
    assert_eq!(tried.load(Ordering::SeqCst), 2);
    drop(client);
}

#[test]
fn messages_go_to_the_other_server_when_one_dies_and_to_the_first_when_it_is_back() {
    let (mut first, second) = (Development::start(Setup::default()), Development::start(Setup::default()));
    let options = options(first.address(), Version::V5, "one").fail_back(Some(Duration::from_secs(1)));
    let one = peer(options.server(&url(&second)).expect("legal")).connect();
    assert_eq!(port_of(&one), first.address().port());
    first.stop();
    let _ = one.connected(2);
    assert_eq!(port_of(&one), second.address().port());
    assert!(one.say(text("a", "while it is away", QoS::ExactlyOnce)).is_acknowledged());

    first.resume();
    let _ = one.connected(3);
    assert_eq!(one.disconnected(2), Cause::Moving);
    assert_eq!(port_of(&one), first.address().port());
    assert!(one.say(text("a", "back again", QoS::ExactlyOnce)).is_acknowledged());
}

#[test]
fn moving_back_loses_and_doubles_nothing() {
    const MESSAGES: usize = 3000;
    let (mut first, second) = (Development::start(Setup::default()), Development::start(Setup::default()));
    let witnesses = [&first, &second].map(|server| {
        let witness = peer(options(server.address(), Version::V5, "witness")).connect();
        let _ = witness.subscribe("a", QoS::ExactlyOnce);
        witness
    });
    let options = options(first.address(), Version::V5, "one")
        .fail_back(Some(Duration::from_secs(1)))
        .lost_session(LostSession::Report)
        .session_expiry(SessionExpiry::Never);
    first.stop();
    let one = peer(options.server(&url(&second)).expect("legal")).connect();
    first.resume();
    let _ = witnesses[0].connected(2); // its session was new: it subscribes again by itself
    let publishing = (0..MESSAGES)
        .map(|number| {
            std::thread::sleep(Duration::from_micros(500)); // so that the move falls into the midst of it
            one.publish(text("a", &number.to_string(), QoS::ExactlyOnce))
        })
        .collect::<Vec<_>>();
    for publishing in publishing {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged(), "none had to be given up");
    }
    assert_eq!(one.disconnected(1), Cause::Moving);
    eventually("each message at one of the servers", || {
        witnesses.iter().map(|witness| witness.seen.record().messages.len()).sum::<usize>() >= MESSAGES
    });
    let mut numbers = witnesses
        .iter()
        .flat_map(|witness| witness.messages(0).into_iter().map(|message| message.text().parse().expect("a number")))
        .collect::<Vec<usize>>();
    assert!(witnesses.iter().all(|witness| !witness.messages(0).is_empty()), "both had their part");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
}

#[test]
fn reference_in_connack_is_followed() {
    for reason in [ReasonCode::UseAnotherServer, ReasonCode::ServerMoved] {
        let target = Development::start(Setup::default());
        let busy = of(Config::new().redirect(reason, target.address().to_string()));
        let one = peer(options(busy.address(), Version::V5, "one").reconnect_delay(PATIENCE, PATIENCE)).connect();
        assert_eq!(port_of(&one), target.address().port());
        let Cause::Refused(ack) = one.disconnected(1) else { panic!("{:?}", one.disconnected(1)) };
        assert_eq!(ack.reason, reason);
    }
}

#[test]
fn reference_in_disconnect_is_followed() {
    let (target, old) = (Development::start(Setup::default()), Development::start(Setup::default()));
    let one = peer(options(old.address(), Version::V5, "one").reconnect_delay(PATIENCE, PATIENCE)).connect();
    let reference = target.address().to_string();
    let mut packet = vec![0xE0, 0, 0x9C, 0, 0x1C, 0, u8::try_from(reference.len()).expect("short")];
    packet.extend(reference.as_bytes());
    packet[1] = u8::try_from(packet.len() - 2).expect("short");
    packet[3] = u8::try_from(packet.len() - 4).expect("short");
    old.with(move |broker| {
        let connection = broker.connection_of("one").expect("connected");
        broker.inject(connection, packet).expect("open");
    });
    let _ = one.connected(2);
    assert_eq!(port_of(&one), target.address().port());
}

#[test]
fn reference_is_reported_and_not_followed_when_that_is_the_policy() {
    let target = Development::start(Setup::default());
    let busy = of(Config::new().redirect(ReasonCode::UseAnotherServer, target.address().to_string()));
    let options = options(busy.address(), Version::V5, "one").redirect(Redirect::Never);
    let (_client, mut driver) = Client::new(options).expect("legal");
    let Err(ConnectError::Ended(Cause::Refused(ack))) = driver.connect(&mut ()) else { panic!("followed") };
    assert_eq!(ack.properties.server_reference(), Some(&*target.address().to_string()));
}

#[test]
fn servers_that_refer_to_each_other_end_the_attempt() {
    let (one, other) = (nobody(), nobody());
    let redirect = |to: SocketAddr| Config::new().redirect(ReasonCode::UseAnotherServer, to.to_string());
    let listen = |at: SocketAddr, to: SocketAddr| {
        let broker = karere_broker::Broker::new(redirect(to));
        karere_broker::Server::options(broker).tcp(at).start().expect("a free port")
    };
    let (_first, _second) = (listen(one, other), listen(other, one));
    let (_client, mut driver) = Client::new(options(one, Version::V5, "one")).expect("legal");
    let outcome = driver.connect(&mut ());
    assert!(matches!(outcome, Err(ConnectError::Ended(Cause::Refused(_)))), "{outcome:?}");
}

#[test]
fn server_of_an_older_version_is_asked_again_in_that_version() {
    for (spoken, attempts_needed) in [(Version::V311, 2), (Version::V31, 3)] {
        let server = of(Config::new().versions([spoken]));
        let options = options(server.address(), Version::V5, "one").version_fall_back(FallBack::Downward);
        let one = peer(options.reconnect_delay(PATIENCE, PATIENCE)).connect();
        assert_eq!(one.client.negotiated().version, spoken);
        assert_eq!(attempts(&one), attempts_needed, "at once, not after a wait");
        assert!(matches!(one.disconnected(1), Cause::OtherVersion { next: Version::V311, .. }));
        assert!(one.say(text("a", "b", QoS::ExactlyOnce)).is_acknowledged());
    }
}

#[test]
fn connecting_does_not_fail_for_a_version_that_is_fallen_back_from() {
    let server = of(Config::new().versions([Version::V31]));
    let options = options(server.address(), Version::V5, "one").version_fall_back(FallBack::Downward);
    let (client, mut driver) = Client::new(options).expect("legal");
    driver.connect(&mut ()).expect("in 3.1");
    assert!(client.is_connected());
}

#[test]
fn access_data_are_fetched_before_each_attempt_without_holding_up_the_client() {
    let server = of(Config::new().user("me", "token 3"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let options = options(nobody(), Version::V5, "one").access_hook({
        let right = server.address();
        move |server| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            std::thread::sleep(Duration::from_millis(100));
            match number {
                1 => return Err("the token service is away"),
                2 => panic!("a bug in the application's hook"),
                _ => {}
            }
            server.endpoint = Endpoint::tcp(right.ip().to_string(), right.port());
            server.credentials =
                Some(Credentials::new(Utf8String::new("me").ok(), Some(format!("token {number}").into())));
            Ok(())
        }
    });
    let one = peer(options).start();
    let slow = Instant::now();
    let _ = one.client.queued(); // the client answers meanwhile
    assert!(slow.elapsed() < Duration::from_millis(90));
    let _ = one.connected(1);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let said = one.nth(1, "a failure", |happening| match happening {
        Happening::ConnectFailed(why) => Some(why.clone()),
        _ => None,
    });
    assert!(said.contains("token service"), "{said}");
    let said = one.nth(2, "a failure", |happening| match happening {
        Happening::ConnectFailed(why) => Some(why.clone()),
        _ => None,
    });
    assert!(said.contains("panicked"), "{said}");
    one.client.reconnect();
    let refused = one.disconnected(2);
    assert!(matches!(&refused, Cause::Refused(ack) if ack.reason == ReasonCode::BadUserNameOrPassword), "{refused}");
}

#[test]
fn each_server_sees_its_own_credentials() {
    let (first, second) = (of(Config::new().user("a", "1")), of(Config::new().user("b", "2")));
    let refusing = options(first.address(), Version::V5, "one").credentials("a", "wrong");
    let one = peer(refusing.server(&format!("mqtt://b:2@{}", second.address())).expect("legal")).connect();
    assert_eq!(port_of(&one), second.address().port());
    let refused = one.disconnected(1);
    assert!(matches!(&refused, Cause::Refused(ack) if ack.reason == ReasonCode::BadUserNameOrPassword), "{refused}");
}

#[test]
fn equal_servers_share_the_clients() {
    let servers = [Development::start(Setup::default()), Development::start(Setup::default())];
    let mut at_first = 0;
    for number in 0..24 {
        let options = options(servers[0].address(), Version::V5, &number.to_string());
        let one = peer(options.server_with_rank(&url(&servers[1]), Rank::new(0, 1)).expect("legal")).connect();
        at_first += usize::from(port_of(&one) == servers[0].address().port());
    }
    assert!((1..24).contains(&at_first), "{at_first} of 24");
}

#[test]
fn refusal_of_what_stands_in_connect_ends_the_loop_and_a_change_helps() {
    let server = of(Config::new().without_retain());
    let will = Publish::new("gone", "x").expect("legal").retained();
    let options = options(server.address(), Version::V5, "one").will(will);
    let (client, mut driver) =
        Client::new(options.clone().first_connection(karere::FirstConnection::Retry)).expect("legal");
    let Err(RunError::Lost(Cause::Refused(ack))) = driver.run(&mut ()) else { panic!("it goes on") };
    assert_eq!(ack.reason, ReasonCode::RetainNotSupported);
    assert!(!client.is_connected());

    let one = peer(options).traced().start();
    let line = one.line("no further attempt");
    assert!(line.contains("change the options"), "{line}");
    std::thread::sleep(Duration::from_millis(200)); // several of the waits that were configured
    assert_eq!(attempts(&one), 1, "it is not sent again unchanged");
    one.client.set_will(None).expect("legal");
    one.client.connect();
    let _ = one.connected(1);
}

#[test]
fn client_that_was_replaced_does_not_fight_for_its_place() {
    let server = Development::start(Setup::default());
    let options = options(server.address(), Version::V5, "one").reconnect_delay(Duration::from_millis(1), PATIENCE);
    let first = peer(options.clone()).connect();
    let second = peer(options).connect();
    assert!(matches!(first.disconnected(1), Cause::Server(bye) if bye.reason == ReasonCode::SessionTakenOver));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(attempts(&first), 1);
    assert!(second.client.is_connected());
}

#[test]
fn what_is_published_while_all_servers_are_away_arrives_at_the_one_that_comes_back() {
    let (mut first, mut second) = (Development::start(Setup::default()), Development::start(Setup::default()));
    let options = options(first.address(), Version::V5, "one");
    let one = peer(options.server(&url(&second)).expect("legal")).connect();
    first.stop();
    let _ = one.connected(2);
    second.stop();
    let _ = one.disconnected(2);
    let publishing = (0..50).map(|number| one.publish(text("a", &number.to_string(), QoS::AtLeastOnce)));
    let publishing = publishing.collect::<Vec<_>>();
    first.resume();
    let outcomes = publishing.iter().map(|publishing| publishing.wait(PATIENCE).expect("done"));
    assert!(outcomes.into_iter().all(|outcome: Outcome| outcome.is_acknowledged()));
}

#[test]
fn servers_can_be_changed_while_the_client_runs() {
    let (first, second) = (Development::start(Setup::default()), Development::start(Setup::default()));
    let one = peer(options(first.address(), Version::V5, "one")).connect();
    let server = karere::Server::parse(&url(&second)).expect("legal");
    one.client.set_servers(vec![server]).expect("no TLS is wanted");
    one.client.reconnect();
    let _ = one.connected(2);
    assert_eq!(port_of(&one), second.address().port());
}
