//! CONNECT and its answer, keep alive, takeover, and what ends a connection.

use karere_broker::Config;
use karere_proto::{
    Packet, PropertyId, ReasonCode, Utf8String, Value, Version,
    packet::{AckKind, Disconnect},
};

use crate::lab::*;

#[test]
fn every_version_is_let_in_on_one_port() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.send(peer, Packet::PingReq);
        assert_eq!(lab.heard(peer), ["PINGRESP"]);
        assert_eq!(lab.broker.connection_of("a"), Some(peer.id));
        lab.disconnect(peer);
        assert_eq!(lab.heard(peer), ["closed"]);
        assert_eq!(lab.broker.connection_of("a"), None);
    }
}

#[test]
fn connect_may_come_in_any_pieces() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.open(version);
        let mut out = karere_proto::SendBuf::new();
        Packet::Connect(Box::new(connect(version, "a"))).encode(version.rules(), &mut out);
        let bytes = [out.to_vec(), vec![0xC0, 0]].concat();
        for byte in bytes {
            lab.send_raw(peer, &[byte]);
        }
        assert_eq!(lab.heard(peer), ["CONNACK 00", "PINGRESP"]);
    }
}

#[test]
fn a_second_connect_closes() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.send(peer, Packet::Connect(Box::new(connect(version, "a"))));
        let expected: &[&str] = if version == V5 { &["DISCONNECT 82", "closed"] } else { &["closed"] };
        assert_eq!(lab.heard(peer), expected);
    }
}

#[test]
fn anything_before_connect_closes_without_a_word() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.open(version);
        lab.send(peer, Packet::PingReq);
        assert_eq!(lab.heard(peer), ["closed"]);
    }
}

#[test]
fn a_connection_without_connect_is_closed_in_time() {
    let mut lab = Lab::new(Config::new().connect_timeout(seconds(3)));
    let peer = lab.open(V5);
    lab.pass(seconds(2));
    assert!(lab.heard(peer).is_empty());
    lab.pass(seconds(1));
    assert_eq!(lab.heard(peer), ["closed"]);
    assert_eq!(lab.broker.poll_timeout(), None);
}

#[test]
fn an_unknown_protocol_level_is_refused() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.open(V5);
    lab.send_raw(peer, b"\x10\x0E\x00\x04MQTT\x06\x02\x00\x3C\x00\x00\x01a");
    assert_eq!(lab.heard(peer), ["CONNACK 84", "closed"]);
}

#[test]
fn a_server_without_5_answers_it_as_3_1_1_does() {
    let mut lab = Lab::new(Config::new().versions([Version::V31, Version::V311]));
    let peer = lab.open(V5);
    lab.send_raw(peer, b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01a");
    assert_eq!(lab.raw(peer), [0x20, 2, 0, 1]);
    lab.connect(Version::V311, "a");
}

#[test]
fn malformed_connect_is_explained_in_5_only() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.open(version);
        let rules = version.rules();
        let mut body = vec![0, rules.protocol_name.len() as u8];
        body.extend_from_slice(rules.protocol_name);
        body.extend_from_slice(&[rules.protocol_level, 0x03, 0, 60]); // reserved flag
        body.extend_from_slice(if version == V5 { &[0, 0, 1, b'a'] } else { &[0, 1, b'a'] });
        lab.send_raw(peer, &[&[0x10, body.len() as u8], body.as_slice()].concat());
        let expected: &[&str] = if version == V5 { &["CONNACK 81", "closed"] } else { &["closed"] };
        assert_eq!(lab.heard(peer), expected);
    }
}

#[test]
fn empty_client_ids_are_judged_by_version() {
    let mut lab = Lab::new(Config::new());
    let assigned = |packet: Option<Packet>| match packet {
        Some(Packet::ConnAck(ack)) => ack.properties.assigned_client_identifier().map(str::to_owned),
        other => panic!("expected CONNACK, got {other:?}"),
    };
    let first = lab.dial(connect(V5, ""));
    let second = lab.dial(connect(V5, ""));
    let names = [assigned(lab.next_packet(first)), assigned(lab.next_packet(second))];
    assert_eq!(names, [Some("karere-1".to_owned()), Some("karere-2".to_owned())]);
    assert_eq!(lab.broker.connection_of("karere-2"), Some(second.id));

    let clean = lab.dial(connect(Version::V311, ""));
    assert_eq!(lab.heard(clean), ["CONNACK 00"]);
    let keeping = lab.dial(kept(Version::V311, ""));
    assert_eq!(lab.heard(keeping), ["CONNACK 85", "closed"]);
    let old = lab.dial(connect(Version::V31, ""));
    assert_eq!(lab.heard(old), ["CONNACK 85", "closed"]);
    let long = lab.dial(connect(Version::V31, &"x".repeat(24)));
    assert_eq!(lab.heard(long), ["CONNACK 85", "closed"]);
    lab.connect(Version::V31, &"x".repeat(23));
}

#[test]
fn users_need_their_password() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new().user("ada", "secret"));
        let mut try_with = |user: Option<&str>, password: Option<&'static str>| {
            let mut connect = connect(version, "a");
            connect.user_name = user.map(|user| Utf8String::new(user).expect("legal"));
            connect.password = password.map(|password| password.into());
            let peer = lab.dial(connect);
            lab.heard(peer)
        };
        assert_eq!(try_with(Some("ada"), Some("secret")), ["CONNACK 00"]);
        assert_eq!(try_with(Some("ada"), Some("wrong")), ["CONNACK 86", "closed"]);
        assert_eq!(try_with(Some("bob"), Some("secret")), ["CONNACK 86", "closed"]);
        assert_eq!(try_with(Some("ada"), None), ["CONNACK 86", "closed"]);
        assert_eq!(try_with(None, None), ["CONNACK 87", "closed"]);
    }
}

#[test]
fn the_same_client_id_takes_over() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let (old, _) = lab.resume(version, "a");
        let (new, heard) = lab.resume(version, "a");
        // 3.1 cannot say that a session is present.
        assert_eq!(heard, [if version == Version::V31 { "CONNACK 00" } else { "CONNACK 00 present" }]);
        let expected: &[&str] = if version == V5 { &["DISCONNECT 8e", "closed"] } else { &["closed"] };
        assert_eq!(lab.heard(old), expected);
        assert_eq!(lab.broker.connection_of("a"), Some(new.id));
        lab.lose(old);
        assert_eq!(lab.broker.connection_of("a"), Some(new.id), "the old end does not touch the new connection");
    }
}

#[test]
fn silence_of_one_and_a_half_keep_alives_closes() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let mut connect = connect(version, "a");
        connect.keep_alive = 10;
        let peer = lab.dial(connect);
        assert_eq!(lab.heard(peer), ["CONNACK 00"]);
        lab.pass(seconds(14));
        lab.send(peer, Packet::PingReq);
        lab.pass(seconds(14));
        assert_eq!(lab.heard(peer), ["PINGRESP"]);
        lab.pass(seconds(1));
        let expected: &[&str] = if version == V5 { &["DISCONNECT 8d", "closed"] } else { &["closed"] };
        assert_eq!(lab.heard(peer), expected);
    }
}

#[test]
fn server_keep_alive_replaces_the_clients_own() {
    let mut lab = Lab::new(Config::new().server_keep_alive(2));
    let peer = lab.dial(connect(V5, "a"));
    let Some(Packet::ConnAck(ack)) = lab.next_packet(peer) else { panic!("no CONNACK") };
    assert_eq!(ack.properties.server_keep_alive(), Some(2));
    lab.pass(seconds(3));
    assert_eq!(lab.heard(peer), ["DISCONNECT 8d", "closed"]);
    let old = lab.connect(Version::V311, "b");
    lab.pass(seconds(60));
    assert!(lab.heard(old).is_empty(), "3.1.1 cannot be told, so its own keep alive of 0 holds");
}

#[test]
fn redirected_clients_learn_where_to() {
    let mut lab = Lab::new(Config::new().redirect(ReasonCode::UseAnotherServer, "other:1883"));
    let peer = lab.dial(connect(V5, "a"));
    let Some(Packet::ConnAck(ack)) = lab.next_packet(peer) else { panic!("no CONNACK") };
    assert_eq!((ack.reason, ack.properties.server_reference()), (ReasonCode::UseAnotherServer, Some("other:1883")));
    assert_eq!(lab.heard(peer), ["closed"]);
    let old = lab.dial(connect(Version::V311, "a"));
    assert_eq!(lab.heard(old), ["CONNACK 88", "closed"]);
}

#[test]
fn response_information_comes_when_asked_for() {
    let mut lab = Lab::new(Config::new().response_information("replies/"));
    for (asks, expected) in [(0, None), (1, Some("replies/"))] {
        let mut connect = connect(V5, "a");
        connect.properties = properties([(PropertyId::RequestResponseInformation, Value::Byte(asks))]);
        let peer = lab.dial(connect);
        let Some(Packet::ConnAck(ack)) = lab.next_packet(peer) else { panic!("no CONNACK") };
        assert_eq!(ack.properties.response_information(), expected);
    }
}

#[test]
fn malformed_packets_are_answered_by_version() {
    for version in VERSIONS {
        for (bytes, code) in [
            (&[0x36, 4, 0, 1, b'a', 0][..], "DISCONNECT 81"),   // QoS 3
            (&[0x82, 2, 0, 1], "DISCONNECT 81"),                // SUBSCRIBE that ends too soon
            (&[0x20, 3, 0, 0, 0], "DISCONNECT 82"),             // only a server sends CONNACK
            (&[0x40, 2, 0, 0], "DISCONNECT 82"),                // packet identifier 0
            (&[0xC0, 0x80, 0x80, 0x80, 0x80], "DISCONNECT 81"), // a fifth byte of Remaining Length
        ] {
            let mut lab = Lab::new(Config::new());
            let peer = lab.connect(version, "a");
            lab.send_raw(peer, bytes);
            match lab.heard(peer).as_slice() {
                [said, closed] if version == V5 => assert_eq!((said.as_str(), closed.as_str()), (code, "closed")),
                [closed] if version != V5 => assert_eq!(closed, "closed"),
                other => panic!("{version} {bytes:x?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_reason_string_says_what_was_wrong() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.send_raw(peer, &[0x36, 4, 0, 1, b'a', 0]);
    let Some(Packet::Disconnect(disconnect)) = lab.next_packet(peer) else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.properties.reason_string(), Some("received PUBLISH with QoS 3 [MQTT-3.3.1-4]"));
}

#[test]
fn the_broker_can_end_a_connection() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.broker.disconnect(lab.now, peer.id, Disconnect::new(ReasonCode::ServerBusy)).expect("open");
    assert_eq!(lab.heard(peer), ["DISCONNECT 89", "closed"]);
    assert!(lab.broker.disconnect(lab.now, peer.id, Disconnect::NORMAL).is_err());
    assert!(lab.broker.inject(peer.id, &b"x"[..]).is_err());

    let peer = lab.connect(V5, "a");
    lab.broker.lose(lab.now, peer.id).expect("open");
    assert_eq!(lab.heard(peer), ["closed"]);
}

#[test]
fn an_acknowledgement_for_nothing_is_counted_and_ignored() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.ack(peer, AckKind::PubAck, 7);
        lab.ack(peer, AckKind::PubComp, 7);
        assert!(lab.heard(peer).is_empty());
        lab.ack(peer, AckKind::PubRec, 7);
        assert_eq!(lab.heard(peer), [if version == V5 { "PUBREL 7 92" } else { "PUBREL 7" }]);
        lab.ack(peer, AckKind::PubRel, 7);
        assert_eq!(lab.heard(peer), [if version == V5 { "PUBCOMP 7 92" } else { "PUBCOMP 7" }]);
        assert_eq!(lab.broker.counters().unknown_acks, 3);
    }
}
