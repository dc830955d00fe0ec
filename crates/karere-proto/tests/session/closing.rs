//! How a connection ends: on request, drained, by the server, by an error; and that nothing follows.

use karere_proto::{
    InvalidProperty, PropertyId, ReasonCode, Rule, Value, Version,
    packet::Disconnect,
    session::{Cause, CloseCause, CommandError, Config, Event, SessionExpiry},
};

use super::kit::*;

fn disconnect_is_the_last_packet(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 x");
    talk.server_says("PUBLISH q2 8 y");
    talk.publishes("a", Q1);
    talk.disconnects(Disconnect::NORMAL);
    talk.publishes("b", Q1);
    talk.publishes("c", Q0);
    talk.subscribes("z");
    talk.acknowledges("x");
    talk.acknowledges("y");
    talk.server_says("PUBLISH q1 9 late");
    talk.server_says("PUBREL 8");
    talk.passes(SECOND * 1000);
    talk.client_says(["PUBLISH q1 1 a", "DISCONNECT"]);
    talk.told(["message q1 x", "message q2 y"]);
    assert_eq!(talk.close(), Cause::Requested);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["SUBSCRIBE 2 z", "PUBLISH q1 1 dup a", "PUBLISH q1 3 b", "PUBLISH q0 c"]);
}

fn disconnect_does_not_wait_for_the_queue(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says(["PUBLISH q1 1 a", "DISCONNECT"]);
    talk.close();
    assert_eq!(talk.session.queued().0, 1);
}

fn disconnect_without_a_connection_does_nothing(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.disconnects(Disconnect::NORMAL);
    talk.told([]);
    assert!(talk.session.is_offline() && talk.session.close_request().is_none());
}

fn disconnect_before_connack_gives_the_attempt_up(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.opens();
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says(["DISCONNECT"]);
    assert_eq!(talk.close(), Cause::Requested);
}

#[test]
fn only_reasons_of_a_client_are_sent() {
    for reason in [ReasonCode::DisconnectWithWillMessage, ReasonCode::UnspecifiedError, ReasonCode::QuotaExceeded] {
        let mut talk = Talk::connected(Version::V5);
        talk.disconnects(Disconnect::new(reason));
        assert_eq!(talk.said(), [format!("DISCONNECT 0x{:02X}", reason.as_byte())]);
    }
    for reason in [
        ReasonCode::GrantedQoS1,
        ReasonCode::NotAuthorized,
        ReasonCode::ServerBusy,
        ReasonCode::ServerShuttingDown,
        ReasonCode::KeepAliveTimeout,
        ReasonCode::SessionTakenOver,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::RetainNotSupported,
        ReasonCode::UseAnotherServer,
    ] {
        let mut talk = Talk::connected(Version::V5);
        assert_eq!(talk.session.disconnect(Disconnect::new(reason)), Err(CommandError::Reason(reason)));
        assert!(talk.session.is_connected(), "the connection goes on");
        talk.client_says([]);
    }
}

fn only_normal_disconnection_exists_before_5(version: Version) {
    let mut talk = Talk::connected(version);
    let refused = talk.session.disconnect(Disconnect::WITH_WILL);
    assert_eq!(refused, Err(CommandError::NotInVersion("reason or properties in DISCONNECT", version)));
    assert!(talk.session.is_connected());
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says(["DISCONNECT"]);
}

fn with_expiry(seconds: u32) -> Disconnect {
    Disconnect::NORMAL.properties(properties([(PropertyId::SessionExpiryInterval, Value::U32(seconds))]))
}

#[test]
fn session_that_ends_with_its_connection_cannot_be_kept_by_disconnect() {
    let mut config = config(Version::V5);
    config.session_expiry = SessionExpiry::AtClose;
    let mut talk = Talk::connected_with(config);
    assert_eq!(talk.session.disconnect(with_expiry(5)), Err(CommandError::ExpiryFromZero));
    talk.client_says([]);
    talk.disconnects(with_expiry(0));
    talk.client_says(["DISCONNECT"]);
}

#[test]
fn disconnect_with_expiry_0_ends_the_session_here_too() {
    let mut talk = Talk::connected(Version::V5);
    talk.disconnects(with_expiry(0));
    talk.sent();
    talk.close();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_closes_for(Rule::SessionPresent);
}

#[test]
fn properties_that_a_client_may_not_send_are_refused() {
    let mut talk = Talk::connected(Version::V5);
    for (id, value) in [(PropertyId::ServerReference, Value::Str("other")), (PropertyId::ReceiveMaximum, Value::U16(1))]
    {
        let refused = talk.session.disconnect(Disconnect::NORMAL.properties(properties([(id, value)])));
        let Err(CommandError::Property(InvalidProperty::NotAllowed(named, _))) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(named, id);
    }
    talk.client_says([]);
}

#[test]
fn disconnect_too_large_for_the_server_goes_without_its_properties() {
    let mut talk = Talk::connected_to(config(Version::V5), [(PropertyId::MaximumPacketSize, Value::U32(20))]);
    let why = properties([(PropertyId::ReasonString, Value::Str("because the moon is full tonight"))]);
    talk.disconnects(Disconnect::WITH_WILL.properties(why));
    let sent = talk.sent();
    assert_eq!(sent, [karere_proto::Packet::Disconnect(Disconnect::WITH_WILL)]);
}

#[test]
fn disconnect_of_the_server_is_told_and_not_answered() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q1);
    talk.sent();
    let because = properties([
        (PropertyId::ReasonString, Value::Str("maintenance")),
        (PropertyId::ServerReference, Value::Str("other")),
    ]);
    let disconnect = Disconnect::new(ReasonCode::UseAnotherServer).properties(because);
    talk.server_sends(&karere_proto::Packet::Disconnect(disconnect.clone()));
    talk.publishes("b", Q1);
    talk.client_says([]);
    let cause = talk.close();
    assert_eq!(cause, Cause::Server(disconnect));
    assert!(cause.to_string().contains("maintenance"), "{cause}");
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 b"]);
}

#[test]
fn disconnect_of_the_server_with_an_expiry_closes() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_sends(&karere_proto::Packet::Disconnect(with_expiry(5)));
    talk.client_closes_for(Rule::DisconnectExpiry);
}

fn malformed_packet_closes_with_its_reason(version: Version) {
    for (bytes, rule) in [
        (&[0x41, 2, 0, 1][..], Rule::FixedHeaderFlags),
        (&[0x36, 5, 0, 1, b'a', 0, 1], Rule::QoSBits),
        (&[0x40, 1, 0], Rule::Truncated),
        (&[0x40, 0xFF, 0xFF, 0xFF, 0xFF], Rule::RemainingLength),
        (&[0x30, 4, 0, 2, 0xC3, 0x28], Rule::Utf8),
    ] {
        let mut talk = Talk::connected(version);
        talk.publishes("a", Q1);
        talk.client_says(["PUBLISH q1 1 a"]);
        talk.server_sends_bytes(bytes);
        talk.client_closes_for(rule);
        talk.told([]);
        talk.opens();
        talk.server_says("CONNACK present");
        talk.client_says(["PUBLISH q1 1 dup a"]);
    }
}

fn what_came_before_the_end_is_told_first(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.sent();
    let mut out = karere_proto::SendBuf::new();
    for line in ["PUBACK 1", "PUBLISH q0 x"] {
        parse(line).encode(version.rules(), &mut out);
    }
    talk.session.handle_bytes(talk.now, &mut bytes::BytesMut::from(&out.to_vec()[..]));
    talk.session.handle_closed(CloseCause::Failed("reset".to_owned()));
    talk.told(["a 1 acknowledged", "message q0 x", "disconnected: the connection failed: reset"]);
}

#[test]
fn reason_that_came_before_the_end_is_the_cause() {
    let mut talk = Talk::connected(Version::V5);
    talk.session.handle_bytes(talk.now, &mut bytes::BytesMut::from(&[0xE0, 1, 0x8B][..]));
    talk.session.handle_closed(CloseCause::Failed("reset".to_owned()));
    let heard = talk.take_heard();
    let [Heard::Other(Event::Disconnected(cause))] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(cause.reason(), Some(ReasonCode::ServerShuttingDown));
}

fn end_is_told_once(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.session.handle_closed(CloseCause::Closed);
    talk.told([]);
    talk.opens();
    talk.session.handle_closed(CloseCause::Closed);
    talk.session.handle_closed(CloseCause::Abandoned);
    talk.told(["disconnected: the server closed the connection"]);
    talk.session.handle_closed(CloseCause::Closed);
    talk.told([]);
}

fn connection_that_is_opened_over_another_ends_it(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("x");
    talk.publishes("a", Q0);
    talk.session.handle_opened(talk.now);
    talk.told(["a unknown", "disconnected: the connection was given up by this side"]);
    talk.drops_connection();
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["SUBSCRIBE 2 x"]);
}

// Draining

fn draining(version: Version) -> Config {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    config.connect.keep_alive = 0;
    config
}

fn drained_session_disconnects(version: Version) {
    let mut talk = Talk::connected_with(draining(version));
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q0);
    talk.subscribes("x");
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND * 60).unwrap();
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q0 c", "SUBSCRIBE 2 x"]);
    talk.server_says("PUBACK 1");
    talk.server_says("SUBACK 2 0x02");
    talk.client_says(["PUBLISH q2 3 b"]);
    talk.server_says("PUBREC 3");
    talk.client_says(["PUBREL 3"]);
    talk.server_says("PUBCOMP 3");
    talk.client_says(["DISCONNECT"]);
    assert_eq!(talk.tidings().len(), 4);
    assert_eq!(talk.close(), Cause::Requested);
    assert_eq!(talk.session.poll_timeout(), None);
}

fn idle_session_drains_at_once(version: Version) {
    let mut talk = Talk::connected(version);
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND).unwrap();
    talk.client_says(["DISCONNECT"]);
}

fn qos_0_is_drained_when_the_transport_has_taken_it(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q0);
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND).unwrap();
    assert!(talk.session.close_request().is_none());
    talk.client_says(["PUBLISH q0 a", "DISCONNECT"]);
    talk.told(["a acknowledged"]);
}

fn deadline_ends_the_wait(version: Version) {
    let mut talk = Talk::connected_with(draining(version));
    talk.publishes("a", Q1);
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND * 5).unwrap();
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.passes(SECOND * 4);
    talk.client_says([]);
    talk.passes(SECOND);
    talk.client_says(["DISCONNECT"]);
    assert_eq!(talk.close(), Cause::Requested);
    talk.told([]); // it stays in flight
    assert_eq!(talk.session.in_flight(), 1);
}

fn draining_goes_on_over_a_lost_connection(version: Version) {
    let mut talk = Talk::connected_with(draining(version));
    talk.publishes("a", Q1);
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND * 60).unwrap();
    talk.sent();
    talk.resumes();
    talk.client_says(["PUBLISH q1 1 dup a"]);
    talk.server_says("PUBACK 1");
    talk.client_says(["DISCONNECT"]);
}

fn messages_given_up_are_drained(version: Version) {
    let mut talk = Talk::connected_with(draining(version));
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND * 60).unwrap();
    talk.server_says("PUBACK 1");
    talk.sent();
    talk.drops_connection();
    talk.session.drop_messages();
    talk.told(["a 1 acknowledged", "b 2 unknown"]);
    talk.opens();
    talk.server_says("CONNACK"); // the session is lost, and with it all that was waited for
    if version != Version::V31 {
        talk.client_says(["DISCONNECT"]);
    }
}

#[test]
fn drained_disconnect_is_checked_when_it_is_asked_for() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q1);
    let refused = talk.session.disconnect_when_drained(Disconnect::new(ReasonCode::ServerBusy), talk.now + SECOND);
    assert_eq!(refused, Err(CommandError::Reason(ReasonCode::ServerBusy)));
    talk.server_says("PUBACK 1");
    assert!(talk.session.is_connected());
}

every_version! {
    connection_that_is_opened_over_another_ends_it,
    deadline_ends_the_wait,
    disconnect_before_connack_gives_the_attempt_up,
    disconnect_does_not_wait_for_the_queue,
    disconnect_is_the_last_packet,
    disconnect_without_a_connection_does_nothing,
    drained_session_disconnects,
    draining_goes_on_over_a_lost_connection,
    end_is_told_once,
    idle_session_drains_at_once,
    malformed_packet_closes_with_its_reason,
    messages_given_up_are_drained,
    qos_0_is_drained_when_the_transport_has_taken_it,
    what_came_before_the_end_is_told_first,
}

before_5! {
    only_normal_disconnection_exists_before_5,
}
