//! Connections that are cut in the middle of packets, again and again.

use std::collections::BTreeSet;

use karere::{Options, Publish, QoS, SessionExpiry, Version};

use crate::common::{
    Dice, PATIENCE, eventually,
    peer::{Peer, peer},
    proxy::{Cut, Proxy, Way},
    server::{Server, Setup, options},
};

const MESSAGES: usize = 60;
const CUTS: usize = 25;

/// CONNECT and CONNACK pass nearly always, and something of what follows.
fn cuts(seed: u64) -> Vec<Cut> {
    let mut dice = Dice::new(seed);
    let mut cut = || {
        let way = if dice.below(2) == 0 { Way::ToServer } else { Way::ToClient };
        Cut(way, 4 + dice.below(if way == Way::ToServer { 500 } else { 160 }))
    };
    (0..CUTS).map(|_| cut()).collect()
}

fn kept(options: Options) -> Options {
    options.session_expiry(SessionExpiry::Never)
}

fn publish_all(publisher: &Peer, qos: QoS) {
    let sent = (0..MESSAGES)
        .map(|number| publisher.publish(Publish::new("a", number).expect("legal").qos(qos)))
        .collect::<Vec<_>>();
    for publishing in sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
}

/// Numbers in the order of their first arrival, and how many arrived in all.
fn numbers(subscriber: &Peer) -> (Vec<usize>, usize) {
    let mut first = Vec::new();
    let messages = subscriber.messages(0);
    for message in &messages {
        let number = message.text().parse().expect("a number");
        if !first.contains(&number) {
            first.push(number);
        }
    }
    (first, messages.len())
}

fn publisher_is_cut<S: Server>(version: Version, qos: QoS, seed: u64) -> (Vec<usize>, usize) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let subscriber = peer(server.options(version, "subscriber")).connect();
    let _ = subscriber.subscribe("a", qos);
    proxy.plan(cuts(seed));
    let publisher = peer(kept(options(proxy.address(), version, "publisher")).max_in_flight(7)).start();
    publish_all(&publisher, qos);
    eprintln!("{} cuts left", proxy.cuts_left());
    eventually("all have arrived", || numbers(&subscriber).0.len() == MESSAGES);
    // What is behind them would be duplicates.
    let _ = subscriber.unsubscribe("a");
    numbers(&subscriber)
}

/// Messages that the server delivered a second time although it had released their identifier.
///
/// Mosquitto 2.0.11 does, with DUP, when a connection ends between its CONNACK and its PUBREL.
fn released_and_sent_again(subscriber: &Peer) -> usize {
    let mut released = BTreeSet::new();
    let mut again = 0;
    for (_, line) in &subscriber.seen.record().lines {
        if let Some(id) = line.strip_prefix("received PUBREL ") {
            released.insert(id.to_owned());
        } else if let Some(publish) = line.strip_prefix("received PUBLISH q2 ") {
            let id = publish.split(' ').next().unwrap_or_default();
            again += usize::from(released.remove(id) && publish.contains(" dup "));
        }
    }
    again
}

fn subscriber_is_cut<S: Server>(version: Version, qos: QoS, seed: u64) -> (Vec<usize>, usize) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let subscriber = peer(kept(options(proxy.address(), version, "subscriber"))).traced().connect();
    let _ = subscriber.subscribe("a", qos);
    // The other way round: what is big goes to this client.
    proxy.plan(cuts(seed).into_iter().map(|Cut(way, bytes)| match way {
        Way::ToServer => Cut(Way::ToClient, bytes),
        Way::ToClient => Cut(Way::ToServer, bytes),
    }));
    proxy.cut();
    let publisher = peer(server.options(version, "publisher")).connect();
    publish_all(&publisher, qos);
    eventually("all have arrived", || numbers(&subscriber).0.len() == MESSAGES);
    let _ = subscriber.unsubscribe("a");
    eprintln!("{} cuts left", proxy.cuts_left());
    let (first, all) = numbers(&subscriber);
    let mistaken = released_and_sent_again(&subscriber);
    assert!(S::RESENDS_RELEASED || mistaken == 0);
    (first, all - mistaken)
}

fn in_order() -> Vec<usize> {
    (0..MESSAGES).collect()
}

pub(crate) fn qos_2_is_exactly_once_when_the_publisher_is_cut_anywhere<S: Server>(version: Version) {
    for seed in 1..=3 {
        assert_eq!(publisher_is_cut::<S>(version, QoS::ExactlyOnce, seed), (in_order(), MESSAGES));
    }
}

pub(crate) fn qos_2_is_exactly_once_when_the_subscriber_is_cut_anywhere<S: Server>(version: Version) {
    for seed in 11..=13 {
        assert_eq!(subscriber_is_cut::<S>(version, QoS::ExactlyOnce, seed), (in_order(), MESSAGES));
    }
}

pub(crate) fn qos_1_is_at_least_once_and_in_order_when_the_publisher_is_cut_anywhere<S: Server>(version: Version) {
    for seed in 21..=23 {
        let (first, all) = publisher_is_cut::<S>(version, QoS::AtLeastOnce, seed);
        assert_eq!(first, in_order(), "each for the first time in order [MQTT-4.6.0-5]");
        assert!(all >= MESSAGES);
    }
}

pub(crate) fn qos_1_is_at_least_once_when_the_subscriber_is_cut_anywhere<S: Server>(version: Version) {
    for seed in 31..=33 {
        let (first, all) = subscriber_is_cut::<S>(version, QoS::AtLeastOnce, seed);
        assert_eq!(first, in_order());
        assert!(all >= MESSAGES);
    }
}
