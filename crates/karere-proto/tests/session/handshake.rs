//! CONNECT, CONNACK, and what becomes of the session; enhanced authentication.

use karere_proto::{
    Packet, PropertyId, ReasonCode, Rule, Value, Version,
    packet::{Attempt, ConnAck, PublishPacket, SubAck},
    session::{Cause, CleanStart, CommandError, Config, SessionExpiry},
};

use super::kit::*;

// What is asked

#[test]
fn clean_start_is_asked_as_configured() {
    use CleanStart::{Adopt, Always, FirstOnly, Never};
    for (policy, first, later) in
        [(Always, true, true), (FirstOnly, true, false), (Never, false, false), (Adopt, false, false)]
    {
        let mut config = config(Version::V5);
        config.clean_start = policy;
        let mut talk = Talk::new(config);
        assert_eq!(talk.opens().clean_start, first, "{policy:?}");
        talk.server_says("CONNACK");
        talk.drops_connection();
        assert_eq!(talk.opens().clean_start, later, "{policy:?}");
    }
}

#[test]
fn clean_start_first_only_lasts_until_a_connection_was_accepted() {
    let mut talk = Talk::new(config(Version::V5));
    assert!(talk.opens().clean_start);
    talk.drops_connection();
    assert!(talk.opens().clean_start);
    talk.server_says("CONNACK 0x88");
    talk.close();
    assert!(talk.opens().clean_start);
    talk.server_says("CONNACK");
    talk.drops_connection();
    assert!(!talk.opens().clean_start);
    talk.drops_connection();
    assert!(!talk.opens().clean_start);
}

fn clean_session_says_whether_the_session_is_kept(version: Version) {
    for (expiry, clean) in [(SessionExpiry::AtClose, true), (SessionExpiry::Never, false)] {
        let mut config = config(version);
        config.session_expiry = expiry;
        let mut talk = Talk::new(config);
        for _ in 0..3 {
            assert_eq!(talk.opens().clean_start, clean);
            talk.server_says("CONNACK");
            talk.drops_connection();
        }
    }
}

#[test]
fn session_expiry_is_asked_for() {
    use std::time::Duration;
    for (expiry, asked) in [
        (SessionExpiry::AtClose, None),
        (SessionExpiry::After(Duration::from_secs(90)), Some(90)),
        (SessionExpiry::Never, Some(u32::MAX)),
    ] {
        let mut config = config(Version::V5);
        config.session_expiry = expiry;
        let connect = Talk::new(config).opens();
        assert_eq!(connect.properties.session_expiry_interval(), asked);
    }
}

fn connect_says_what_was_configured(version: Version) {
    let mut config = config(version);
    config.connect.keep_alive = 17;
    config.connect.user_name = Some(text("user"));
    config.connect.password = Some(bytes::Bytes::from_static(b"secret"));
    config.connect.will = Some(message("gone", Q1).retained().into());
    let asked = config.connect.clone();
    let connect = Talk::new(config).opens();
    assert_eq!((connect.version, connect.keep_alive, &connect.client_id), (version, 17, &asked.client_id));
    assert_eq!((connect.user_name, connect.password, connect.will), (asked.user_name, asked.password, asked.will));
}

// What becomes of the session: the table

/// What a client knows before it asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Knows {
    Nothing,
    Session,
}

/// A client with one message of each state in flight and a held identifier, or one that knows nothing; disconnected.
fn before(version: Version, knows: Knows, policy: CleanStart) -> Talk {
    let mut config = config(version);
    config.clean_start = CleanStart::Never;
    let mut talk = Talk::new(config);
    if knows == Knows::Session {
        talk.opens();
        talk.server_says("CONNACK");
        talk.publishes("p", Q1);
        talk.publishes("r", Q2);
        talk.server_says("PUBREC 2");
        talk.server_says("PUBLISH q2 9 h");
        talk.acknowledges("h");
        talk.sent();
        talk.drops_connection();
        talk.tidings();
    }
    talk.reconfigures(|config| config.clean_start = policy).unwrap();
    talk
}

const RESUMED: [&str; 2] = ["PUBREL 2", "PUBLISH q1 1 dup p"];
const ANEW: [&str; 1] = ["PUBLISH q1 3 p"];

fn holds_9(talk: &mut Talk) -> bool {
    talk.server_says("PUBLISH q2 9 dup h");
    let delivered = talk.tidings().contains(&"message q2 dup h".to_owned());
    !delivered
}

#[test]
fn clean_and_absent_starts_anew() {
    for knows in [Knows::Nothing, Knows::Session] {
        let mut talk = before(Version::V5, knows, CleanStart::Always);
        assert!(talk.opens().clean_start);
        talk.server_says("CONNACK");
        if knows == Knows::Session {
            talk.client_says(ANEW);
            talk.told(["connected", "r 2 acknowledged"]);
        }
        assert!(!holds_9(&mut talk));
    }
}

fn clean_and_absent_starts_anew_before_5(version: Version) {
    let mut talk = before(version, Knows::Session, CleanStart::FirstOnly);
    talk.reconfigures(|config| config.session_expiry = SessionExpiry::AtClose).unwrap();
    assert!(talk.opens().clean_start);
    talk.server_says("CONNACK");
    talk.client_says(ANEW);
    assert!(!holds_9(&mut talk));
}

#[test]
fn clean_and_present_closes() {
    for knows in [Knows::Nothing, Knows::Session] {
        let mut talk = before(Version::V5, knows, CleanStart::Always);
        talk.opens();
        talk.server_says("CONNACK present");
        talk.client_closes_for(Rule::SessionPresent);
        talk.told([]);
        // The session is as it was: the next server may still have it.
        talk.reconfigures(|config| config.clean_start = CleanStart::Never).unwrap();
        if knows == Knows::Session {
            assert!(!talk.opens().clean_start);
            talk.server_says("CONNACK present");
            talk.client_says(RESUMED);
        }
    }
}

#[test]
fn clean_and_present_closes_on_3_1_1() {
    let mut talk = before(Version::V311, Knows::Session, CleanStart::FirstOnly);
    talk.reconfigures(|config| config.session_expiry = SessionExpiry::AtClose).unwrap();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_closes_for(Rule::SessionPresent);
}

fn resume_known_and_present_resumes(version: Version) {
    for policy in [CleanStart::FirstOnly, CleanStart::Never, CleanStart::Adopt] {
        let mut talk = before(version, Knows::Session, policy);
        assert!(!talk.opens().clean_start);
        talk.server_says("CONNACK present");
        talk.client_says(RESUMED);
        assert!(holds_9(&mut talk), "{policy:?}");
        talk.client_says(["PUBREC 9"]);
    }
}

fn resume_known_and_absent_starts_anew(version: Version) {
    for policy in [CleanStart::FirstOnly, CleanStart::Never, CleanStart::Adopt] {
        let mut talk = before(version, Knows::Session, policy);
        assert!(!talk.opens().clean_start);
        talk.server_says("CONNACK");
        talk.client_says(ANEW);
        talk.told(["connected", "r 2 acknowledged"]);
        assert!(!holds_9(&mut talk), "{policy:?}");
    }
}

#[test]
fn resume_unknown_and_present_closes_and_asks_for_a_clean_start() {
    let mut talk = before(Version::V5, Knows::Nothing, CleanStart::Never);
    talk.publishes("a", Q1);
    assert!(!talk.opens().clean_start);
    talk.server_says("CONNACK present");
    talk.client_closes_for(Rule::SessionPresent);
    assert!(talk.opens().clean_start, "only so can it go on [MQTT-3.2.2-4]");
    talk.server_says("CONNACK");
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.drops_connection();
    assert!(!talk.opens().clean_start);
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

#[test]
fn resume_unknown_and_present_is_adopted_when_told_so() {
    let mut talk = before(Version::V5, Knows::Nothing, CleanStart::Adopt);
    assert!(!talk.opens().clean_start);
    talk.server_says("CONNACK present");
    talk.told(["connected present"]);
}

#[test]
fn resume_unknown_and_present_goes_on_with_3_1_1() {
    let mut talk = before(Version::V311, Knows::Nothing, CleanStart::FirstOnly);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.told(["connected present"]);
}

fn resume_unknown_and_absent_is_a_new_session(version: Version) {
    for policy in [CleanStart::Never, CleanStart::Adopt] {
        let mut talk = before(version, Knows::Nothing, policy);
        talk.publishes("a", Q1);
        talk.subscribes("x");
        assert!(!talk.opens().clean_start);
        talk.server_says("CONNACK");
        talk.told(["connected"]);
        talk.client_says(["SUBSCRIBE 1 x", "PUBLISH q1 2 a"]);
    }
}

#[test]
fn without_session_present_3_1_sends_again_what_was_in_flight() {
    let mut talk = before(Version::V31, Knows::Session, CleanStart::FirstOnly);
    talk.opens();
    talk.server_sends_bytes(&[0x20, 2, 1, 0]); // the byte is reserved and means nothing
    talk.told(["connected"]);
    talk.client_says(RESUMED);
}

#[test]
fn session_that_ended_with_its_connection_is_not_known() {
    let mut config = config(Version::V5);
    config.session_expiry = SessionExpiry::AtClose;
    let mut talk = Talk::connected_with(config);
    talk.drops_connection();
    assert!(!talk.opens().clean_start);
    talk.server_says("CONNACK present");
    talk.client_closes_for(Rule::SessionPresent);
}

#[test]
fn session_expiry_of_connack_is_the_one_in_force() {
    let mut talk = Talk::connected_to(config(Version::V5), [(PropertyId::SessionExpiryInterval, Value::U32(0))]);
    assert_eq!(talk.session.negotiated().session_expiry, 0);
    talk.drops_connection();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_closes_for(Rule::SessionPresent);
}

// What is answered

fn connack_must_come_in_time(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.opens();
    talk.passes(SECOND * 10 - SECOND / 1000);
    assert!(talk.session.close_request().is_none());
    talk.passes(SECOND / 1000);
    talk.client_says([]);
    assert_eq!(talk.close(), Cause::ConnAckTimeout);
}

fn refusal_is_told_with_its_reason_and_answered_by_nothing(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.opens();
    talk.server_says("CONNACK 0x87");
    talk.client_says([]);
    let cause = talk.close();
    assert_eq!(cause.reason(), Some(ReasonCode::NotAuthorized), "{cause}");
    talk.told([]);
}

#[test]
fn session_present_of_a_refusal_means_nothing() {
    let mut talk = before(Version::V5, Knows::Session, CleanStart::Never);
    talk.opens();
    let mut ack = ConnAck::new(ReasonCode::ServerBusy);
    ack.session_present = true;
    talk.server_sends(&Packet::ConnAck(ack));
    assert!(matches!(talk.close(), Cause::Refused(_)));
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(RESUMED);
}

#[test]
fn answer_of_a_server_that_knows_only_3_1_1_is_a_refusal() {
    let mut talk = Talk::new(config(Version::V5));
    talk.opens();
    talk.server_sends_bytes(&[0x20, 2, 0, 1]);
    assert_eq!(talk.close().reason(), Some(ReasonCode::UnsupportedProtocolVersion));
}

#[test]
fn connack_of_success_without_property_length_closes() {
    let mut talk = Talk::new(config(Version::V5));
    talk.opens();
    talk.server_sends_bytes(&[0x20, 2, 0, 0]);
    talk.client_closes_for(Rule::Truncated);
}

#[test]
fn reserved_connack_flags_close() {
    for version in [Version::V311, Version::V5] {
        let mut talk = Talk::new(config(version));
        talk.opens();
        let bytes: &[u8] = if version == Version::V5 { &[0x20, 3, 2, 0, 0] } else { &[0x20, 2, 2, 0] };
        talk.server_sends_bytes(bytes);
        talk.client_closes_for(Rule::ConnAckFlags);
    }
}

fn any_packet_before_connack_closes(version: Version) {
    for line in [
        "PUBLISH q0 a",
        "PUBLISH q1 1 a",
        "PUBACK 1",
        "PUBREC 1",
        "PUBREL 1",
        "PUBCOMP 1",
        "SUBACK 1 0x00",
        "UNSUBACK 1 0x00",
        "PINGRESP",
    ] {
        let mut talk = Talk::new(config(version));
        talk.opens();
        talk.server_says(line);
        talk.client_closes_for(Rule::ConnAckFirst);
        talk.told([]);
    }
}

fn second_connack_closes(version: Version) {
    for line in ["CONNACK", "CONNACK present", "CONNACK 0x87"] {
        let mut talk = Talk::connected(version);
        talk.server_says(line);
        talk.client_closes_for(Rule::SecondConnAck);
    }
}

fn packets_that_only_a_client_sends_close(version: Version) {
    for line in ["CONNECT", "SUBSCRIBE 1 a", "UNSUBSCRIBE 1 a", "PINGREQ"] {
        for connected in [false, true] {
            let mut talk = if connected { Talk::connected(version) } else { Talk::new(config(version)) };
            if !connected {
                talk.opens();
            }
            talk.server_says(line);
            talk.client_closes_for(Rule::WrongDirection);
        }
    }
}

fn packets_of_no_type_close(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_sends_bytes(&[0x00, 0]);
    talk.client_closes_for(Rule::ReservedPacketType);
}

fn disconnect_of_the_server_is_a_violation_before_5(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("DISCONNECT");
    talk.client_closes_for(Rule::WrongDirection);
    let mut talk = Talk::connected(version);
    talk.server_sends_bytes(&[0xF0, 0]);
    talk.client_closes_for(Rule::ReservedPacketType);
}

#[test]
fn disconnect_instead_of_connack_is_told() {
    let mut talk = Talk::new(config(Version::V5));
    talk.opens();
    talk.server_says("DISCONNECT 0x89");
    talk.client_says([]);
    assert_eq!(talk.close().reason(), Some(ReasonCode::ServerBusy));
}

#[test]
fn response_information_that_was_not_asked_for_closes() {
    for asked in [false, true] {
        let mut config = config(Version::V5);
        if asked {
            config.connect.properties = properties([(PropertyId::RequestResponseInformation, Value::Byte(1))]);
        }
        let mut talk = Talk::new(config);
        talk.opens();
        talk.server_sends(&connack([(PropertyId::ResponseInformation, Value::Str("r"))]));
        if asked {
            talk.told(["connected"]);
        } else {
            talk.client_closes_for(Rule::ResponseInformation);
        }
    }
}

#[test]
fn limits_of_an_earlier_connection_are_gone() {
    let mut talk = Talk::connected_to(
        config(Version::V5),
        [
            (PropertyId::ReceiveMaximum, Value::U16(1)),
            (PropertyId::MaximumQoS, Value::Byte(0)),
            (PropertyId::RetainAvailable, Value::Byte(0)),
            (PropertyId::ServerKeepAlive, Value::U16(5)),
        ],
    );
    assert!(talk.session.publish(talk.now, message("a", Q1)).is_err());
    talk.resumes();
    for name in ["a", "b"] {
        talk.publishes_message(message(name, Q2).retained());
    }
    talk.client_says(["PUBLISH q2 1 retain a", "PUBLISH q2 2 retain b"]);
    assert_eq!(talk.session.negotiated().keep_alive, SECOND * 60);
}

#[test]
fn nothing_that_the_version_lacks_is_negotiated() {
    for version in [Version::V31, Version::V311] {
        let negotiated = *Talk::connected(version).session.negotiated();
        assert_eq!((negotiated.receive_maximum, negotiated.topic_alias_maximum), (65_535, 0));
        assert!(negotiated.shared_subscription_available && negotiated.retain_available);
        assert_eq!(negotiated.maximum_qos, Q2);
    }
}

// The client identifier

#[test]
fn assigned_client_identifier_is_used_from_then_on() {
    for back in Return::BOTH {
        let mut config = journaled(Version::V5);
        config.connect.client_id = text("");
        let mut talk = Talk::connected_to(config, [(PropertyId::AssignedClientIdentifier, Value::Str("made-up"))]);
        assert_eq!(talk.session.client_id().as_str(), "made-up");
        talk.returns(back); // says CONNACK without Assigned Client Identifier
        assert_eq!(talk.session.client_id().as_str(), "made-up");
        talk.drops_connection();
        assert_eq!(talk.opens().client_id.as_str(), "made-up");
    }
}

#[test]
fn missing_assigned_client_identifier_closes() {
    let mut config = config(Version::V5);
    config.connect.client_id = text("");
    let mut talk = Talk::new(config);
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_closes_for(Rule::AssignedClientId);
}

#[test]
fn empty_client_identifier_is_legal_with_3_1_1_when_the_session_is_not_kept() {
    let mut config = config(Version::V311);
    config.connect.client_id = text("");
    config.session_expiry = SessionExpiry::AtClose;
    let mut talk = Talk::connected_with(config);
    talk.loses_session();
    assert_eq!(talk.session.client_id().as_str(), "");
}

// Changing one's mind

fn reconfigured_session_says_so_with_the_next_connect(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.sent();
    talk.reconfigures(|config| config.connect.keep_alive = 7).unwrap();
    assert_eq!(talk.session.negotiated().keep_alive, SECOND * 60, "this connection goes on as agreed");
    talk.drops_connection();
    assert_eq!(talk.opens().keep_alive, 7);
    talk.server_says("CONNACK present");
    assert_eq!(talk.session.negotiated().keep_alive, SECOND * 7);
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

fn nonsense_does_not_reconfigure(version: Version) {
    let mut talk = Talk::new(config(version));
    let before = talk.session.config().connect.clone();
    let nonsense = talk.reconfigures(|config| {
        config.connect.keep_alive = 1;
        config.connect.password = Some(bytes::Bytes::from(vec![0; 65_536]));
        config.connect.user_name = Some(text("user"));
    });
    assert!(nonsense.is_err());
    assert_eq!(talk.session.config().connect, before);
}

// Enhanced authentication

fn authenticating(method: &str) -> Config {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::AuthenticationMethod, Value::Str(method))]);
    config
}

#[test]
fn authentication_goes_to_and_fro_before_connack() {
    let mut talk = Talk::new(authenticating("m"));
    talk.opens();
    for _ in 0..2 {
        talk.server_sends(&Packet::Auth(auth(ReasonCode::ContinueAuthentication, "m")));
        talk.told(["auth 0x18"]);
        talk.session.authenticate(auth(ReasonCode::ContinueAuthentication, "m")).unwrap();
        talk.client_says(["AUTH 0x18"]);
    }
    talk.publishes("a", Q0);
    talk.client_says([]); // nothing but AUTH and DISCONNECT before CONNACK [MQTT-3.1.2-30]
    talk.server_sends(&connack([(PropertyId::AuthenticationMethod, Value::Str("m"))]));
    talk.told(["connected"]);
    talk.client_says(["PUBLISH q0 a"]);
}

#[test]
fn authentication_goes_to_and_fro_again_when_the_client_asks() {
    let mut talk = Talk::connected_to(authenticating("m"), [(PropertyId::AuthenticationMethod, Value::Str("m"))]);
    talk.session.authenticate(auth(ReasonCode::ReAuthenticate, "m")).unwrap();
    talk.publishes("a", Q1);
    talk.client_says(["AUTH 0x19", "PUBLISH q1 1 a"]);
    talk.server_sends(&Packet::Auth(auth(ReasonCode::ContinueAuthentication, "m")));
    talk.session.authenticate(auth(ReasonCode::ContinueAuthentication, "m")).unwrap();
    talk.server_says("PUBACK 1");
    talk.server_sends(&Packet::Auth(auth(ReasonCode::Success, "m")));
    talk.told(["auth 0x18", "a 1 acknowledged", "auth 0x00"]);
    talk.client_says(["AUTH 0x18"]);
    talk.server_sends(&Packet::Auth(auth(ReasonCode::Success, "m"))); // it is over
    talk.client_closes_for(Rule::AuthReason);
}

#[test]
fn auth_that_nobody_asked_for_closes() {
    for reason in [ReasonCode::Success, ReasonCode::ContinueAuthentication] {
        let mut talk = Talk::connected(Version::V5);
        talk.server_sends(&Packet::Auth(auth(reason, "m")));
        talk.client_closes_for(Rule::AuthUnexpected);

        let mut talk = Talk::new(config(Version::V5));
        talk.opens();
        talk.server_sends(&Packet::Auth(auth(reason, "m")));
        talk.client_closes_for(Rule::AuthUnexpected);

        let mut talk = Talk::connected_to(authenticating("m"), [(PropertyId::AuthenticationMethod, Value::Str("m"))]);
        talk.server_sends(&Packet::Auth(auth(reason, "m")));
        talk.client_closes_for(Rule::AuthReason);
    }
}

#[test]
fn auth_of_success_before_connack_closes() {
    let mut talk = Talk::new(authenticating("m"));
    talk.opens();
    talk.server_sends(&Packet::Auth(auth(ReasonCode::Success, "m")));
    talk.client_closes_for(Rule::AuthReason);
}

#[test]
fn auth_to_re_authenticate_from_the_server_closes() {
    let mut talk = Talk::connected_to(authenticating("m"), [(PropertyId::AuthenticationMethod, Value::Str("m"))]);
    talk.server_sends(&Packet::Auth(auth(ReasonCode::ReAuthenticate, "m")));
    talk.client_closes_for(Rule::ReasonCodeNotAllowed);
}

#[test]
fn another_authentication_method_closes() {
    let mut talk = Talk::new(authenticating("m"));
    talk.opens();
    talk.server_sends(&Packet::Auth(auth(ReasonCode::ContinueAuthentication, "other")));
    talk.client_closes_for(Rule::AuthOtherMethod);
    for list in [&[][..], &[(PropertyId::AuthenticationMethod, Value::Str("other"))]] {
        let mut talk = Talk::new(authenticating("m"));
        talk.opens();
        let mut ack = ConnAck::new(ReasonCode::Success);
        for &(id, value) in list {
            ack.properties.set(id, value).unwrap();
        }
        talk.server_sends(&Packet::ConnAck(ack));
        talk.client_closes_for(Rule::AuthOtherMethod);
    }
    let mut talk = Talk::new(config(Version::V5));
    talk.opens();
    talk.server_sends(&connack([(PropertyId::AuthenticationMethod, Value::Str("m"))]));
    talk.client_closes_for(Rule::AuthUnexpected);
}

#[test]
fn client_cannot_authenticate_out_of_turn() {
    let go_on = || auth(ReasonCode::ContinueAuthentication, "m");
    let again = || auth(ReasonCode::ReAuthenticate, "m");
    let mut talk = Talk::new(authenticating("m"));
    assert_eq!(talk.session.authenticate(go_on()), Err(CommandError::NotConnected));
    talk.opens();
    let early = talk.session.authenticate(again());
    assert_eq!(early, Err(CommandError::Reason(ReasonCode::ReAuthenticate)));
    let other = talk.session.authenticate(auth(ReasonCode::ContinueAuthentication, "other"));
    assert_eq!(other, Err(CommandError::AuthenticationMethod));
    let success = talk.session.authenticate(auth(ReasonCode::Success, "m"));
    assert_eq!(success, Err(CommandError::Reason(ReasonCode::Success)));
    talk.server_sends(&connack([(PropertyId::AuthenticationMethod, Value::Str("m"))]));
    assert_eq!(talk.session.authenticate(go_on()), Err(CommandError::Reason(ReasonCode::ContinueAuthentication)));
    talk.client_says([]);
    let mut talk = Talk::connected(Version::V5);
    assert_eq!(talk.session.authenticate(again()), Err(CommandError::AuthenticationMethod));
    let mut talk = Talk::connected(Version::V311);
    assert_eq!(talk.session.authenticate(again()), Err(CommandError::NotInVersion("AUTH", Version::V311)));
}

every_version! {
    any_packet_before_connack_closes,
    connack_must_come_in_time,
    connect_says_what_was_configured,
    nonsense_does_not_reconfigure,
    packets_of_no_type_close,
    packets_that_only_a_client_sends_close,
    reconfigured_session_says_so_with_the_next_connect,
    refusal_is_told_with_its_reason_and_answered_by_nothing,
    resume_known_and_present_resumes,
    resume_unknown_and_absent_is_a_new_session,
    second_connack_closes,
}

since_311! {
    resume_known_and_absent_starts_anew,
}

before_5! {
    clean_and_absent_starts_anew_before_5,
    clean_session_says_whether_the_session_is_kept,
    disconnect_of_the_server_is_a_violation_before_5,
}

#[test]
fn problem_information_that_was_declined_is_a_breach_except_where_it_may_always_stand() {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::RequestProblemInformation, Value::Byte(0))]);
    let why = || properties([(PropertyId::ReasonString, Value::Str("because"))]);
    let mut talk = Talk::connected_with(config);
    let mut publish = message("a", Q0);
    publish.properties = properties([(PropertyId::UserProperty, Value::Pair("k", "v"))]);
    talk.server_sends(&Packet::Publish(PublishPacket::new(publish, None, Attempt::First)));
    talk.told(["message q0 a"]);
    talk.subscribes("a");
    talk.sent();
    let mut ack = SubAck::new(vec![ReasonCode::Success]);
    ack.properties = why();
    talk.server_sends(&Packet::SubAck(id(1), ack));
    talk.client_closes_for(Rule::ProblemInformation);
}
