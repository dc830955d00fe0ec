//! What is published for clients that are gone.

use karere_broker::Config;
use karere_proto::{
    Packet, Properties, PropertyId, Publish, QoS, Value, Version,
    packet::{Connect, Disconnect},
};

use crate::lab::*;

const Q0: QoS = QoS::AtMostOnce;

fn gone() -> Publish {
    message("will", "gone", Q0)
}

fn with_delay(delay: u32, expiry: u32) -> Connect {
    let mut connect = kept(V5, "a");
    connect.properties.set(PropertyId::SessionExpiryInterval, Value::U32(expiry)).expect("legal");
    let delayed = gone().property(PropertyId::WillDelayInterval, Value::U32(delay)).expect("legal");
    connect.will = will(delayed);
    connect
}

/// A lab with someone who watches for wills.
fn watched(config: Config) -> (Lab, Peer) {
    let mut lab = Lab::new(config);
    let watcher = lab.connect(V5, "watcher");
    lab.subscribe(watcher, "will", Q0);
    (lab, watcher)
}

#[test]
fn a_lost_connection_publishes_the_will_and_a_normal_end_does_not() {
    for version in VERSIONS {
        let (mut lab, watcher) = watched(Config::new());
        for (normal, expected) in [(true, &[][..]), (false, &["PUBLISH q0 will gone"])] {
            let mut connect = connect(version, "a");
            connect.will = will(gone());
            let peer = lab.dial(connect);
            if normal {
                lab.disconnect(peer)
            } else {
                lab.lose(peer)
            }
            lab.lose(peer);
            assert_eq!(lab.heard(watcher), expected);
        }
    }
}

#[test]
fn a_protocol_error_publishes_the_will() {
    for version in VERSIONS {
        let (mut lab, watcher) = watched(Config::new());
        let mut connect = connect(version, "a");
        connect.will = will(gone());
        let peer = lab.dial(connect);
        lab.send_raw(peer, &[0x20, 0]);
        assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);
    }
}

#[test]
fn a_missed_keep_alive_publishes_the_will() {
    let (mut lab, watcher) = watched(Config::new());
    let mut connect = connect(Version::V311, "a");
    connect.keep_alive = 2;
    connect.will = will(gone());
    lab.dial(connect);
    lab.pass(seconds(3));
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);
}

#[test]
fn disconnect_with_will_publishes_it() {
    let (mut lab, watcher) = watched(Config::new());
    let mut connect = connect(V5, "a");
    connect.will = will(gone());
    let peer = lab.dial(connect);
    lab.send(peer, Packet::Disconnect(Disconnect::WITH_WILL));
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);
}

#[test]
fn a_retained_will_stays() {
    for version in VERSIONS {
        let (mut lab, _) = watched(Config::new());
        let mut connect = connect(version, "a");
        connect.will = will(gone().retained());
        let peer = lab.dial(connect);
        lab.lose(peer);
        let late = lab.connect(version, "late");
        lab.subscribe(late, "will", Q0);
        assert_eq!(lab.heard(late), ["PUBLISH q0 retain will gone"]);
    }
}

#[test]
fn a_delayed_will_waits_and_loses_its_delay_on_the_way() {
    let (mut lab, watcher) = watched(Config::new());
    let peer = lab.dial(with_delay(10, 60));
    lab.lose(peer);
    lab.pass(seconds(9));
    assert!(lab.heard(watcher).is_empty());
    lab.pass(seconds(1));
    assert_eq!(lab.next_publish(watcher).properties, Properties::new());
    lab.pass(seconds(60));
    assert!(lab.heard(watcher).is_empty());
}

#[test]
fn coming_back_in_time_cancels_the_will() {
    let (mut lab, watcher) = watched(Config::new());
    let peer = lab.dial(with_delay(10, 60));
    lab.lose(peer);
    lab.pass(seconds(9));
    let (_, heard) = lab.resume(V5, "a");
    assert_eq!(heard, ["CONNACK 00 present"]);
    lab.pass(seconds(100));
    assert!(lab.heard(watcher).is_empty());
}

#[test]
fn a_new_will_does_not_inherit_the_deadline_of_the_old_one() {
    let (mut lab, watcher) = watched(Config::new());
    let peer = lab.dial(with_delay(10, 60));
    lab.lose(peer);
    lab.pass(seconds(9));
    let peer = lab.dial(with_delay(10, 60));
    lab.pass(seconds(100));
    assert!(lab.heard(watcher).is_empty(), "the client is there");
    lab.lose(peer);
    lab.pass(seconds(10));
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);
}

#[test]
fn the_end_of_the_session_is_the_end_of_the_delay() {
    let (mut lab, watcher) = watched(Config::new());
    let peer = lab.dial(with_delay(100, 5));
    lab.lose(peer);
    lab.pass(seconds(5));
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);

    let peer = lab.dial(with_delay(100, 0));
    lab.lose(peer);
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);

    let peer = lab.dial(with_delay(100, 1000));
    lab.lose(peer);
    lab.connect(V5, "a");
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"], "a clean start ends the session");
}

#[test]
fn a_takeover_publishes_the_will_unless_it_is_delayed() {
    let (mut lab, watcher) = watched(Config::new());
    lab.dial(with_delay(0, 60));
    lab.dial(with_delay(10, 60));
    assert_eq!(lab.heard(watcher), ["PUBLISH q0 will gone"]);
    lab.resume(V5, "a");
    lab.pass(seconds(20));
    assert!(lab.heard(watcher).is_empty());
}
