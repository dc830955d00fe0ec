//! What fuzzing has found, each as the shortest conversation that shows it.
#![cfg(test)]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use karere_proto::{
    Packet, Properties, PropertyId, Publish, QoS, ReasonCode, SendBuf, Session, Utf8String, Value, Version,
    packet::{Auth, ConnAck},
    session::{CommandError, Config, Event},
};

#[expect(clippy::disallowed_methods, reason = "some instant to count from; no test reads the clock again")]
fn beginning() -> Instant {
    Instant::now()
}

fn config(version: Version) -> Config {
    Config::new(version, Utf8String::new("client").unwrap())
}

/// A session that a server has accepted with this CONNACK.
fn connected(now: Instant, config: Config, connack: ConnAck) -> Session {
    let rules = config.connect.version.rules();
    let mut session = Session::new(now, config).unwrap();
    session.handle_opened(now);
    let mut out = SendBuf::new();
    Packet::ConnAck(connack).encode(rules, &mut out);
    session.handle_bytes(now, &mut BytesMut::from(&out.to_vec()[..]));
    assert!(matches!(session.poll_event(now), Some(Event::Connected(_))));
    session
}

fn accepted() -> ConnAck {
    ConnAck::new(ReasonCode::Success)
}

/// Everything the session says now.
fn said(session: &mut Session) -> Vec<u8> {
    let mut out = SendBuf::new();
    session.poll_bytes(&mut out);
    out.to_vec()
}

#[test]
fn a_message_that_lives_for_ever_does_not_expire() {
    // Rounding up overflowed: a panic, or a lifetime of no seconds.
    let message = Publish::new("a", "x").unwrap().message_expiry(Duration::MAX);
    assert_eq!(message.properties.message_expiry(), None);
}

#[test]
fn timeouts_for_ever_do_not_overflow() {
    for version in Version::ALL {
        let mut now = beginning();
        let mut config = config(version);
        config.connack_timeout = Duration::MAX;
        config.ping_timeout = Duration::MAX;
        config.ack_timeout = Some(Duration::MAX);
        let mut session = connected(now, config.clone(), accepted());
        session.publish(now, Publish::new("a", "x").unwrap().qos(QoS::AtLeastOnce)).unwrap();
        for _ in 0..3 {
            now = session.poll_timeout().unwrap();
            session.handle_timeout(now);
        }
        session.reconfigure(config).unwrap();
        session.handle_opened(now);
    }
}

#[test]
fn an_ack_timeout_of_zero_is_none() {
    // It was due again as often as it was looked at, and looking never ended.
    for version in Version::ALL {
        let now = beginning();
        let mut config = config(version);
        config.ack_timeout = Some(Duration::ZERO);
        let mut session = connected(now, config, accepted());
        session.handle_timeout(now);
        assert!(session.poll_timeout() > Some(now) && session.is_connected());
    }
}

#[test]
fn auth_larger_than_the_server_takes_is_refused() {
    let now = beginning();
    let mut config = config(Version::V5);
    let method = |properties: &mut Properties| {
        properties.set(PropertyId::AuthenticationMethod, Value::Str("M")).unwrap();
    };
    method(&mut config.connect.properties);
    let mut connack = accepted();
    method(&mut connack.properties);
    connack.properties.set(PropertyId::MaximumPacketSize, Value::U32(20)).unwrap();
    let mut session = connected(now, config, connack);
    said(&mut session);

    let mut properties = Properties::new();
    method(&mut properties);
    properties.set(PropertyId::AuthenticationData, Value::Bin(&[0; 10])).unwrap();
    let refused = session.authenticate(Auth::new(ReasonCode::ReAuthenticate, properties.clone()));
    assert_eq!(refused, Err(CommandError::TooLarge { size: 21, maximum: 20 }));
    assert!(said(&mut session).is_empty());

    properties.set(PropertyId::AuthenticationData, Value::Bin(&[0; 9])).unwrap();
    assert_eq!(session.authenticate(Auth::new(ReasonCode::ReAuthenticate, properties)), Ok(()));
    assert_eq!(said(&mut session).len(), 20);
}

#[test]
fn auth_with_a_property_of_another_packet_is_refused() {
    let now = beginning();
    let mut config = config(Version::V5);
    config.connect.properties.set(PropertyId::AuthenticationMethod, Value::Str("M")).unwrap();
    let mut session = Session::new(now, config.clone()).unwrap();
    session.handle_opened(now);
    let mut properties = config.connect.properties;
    properties.set(PropertyId::ReceiveMaximum, Value::U16(5)).unwrap();
    let refused = session.authenticate(Auth::new(ReasonCode::ContinueAuthentication, properties));
    assert!(matches!(refused, Err(CommandError::Property(_))), "{refused:?}");
}
