//! A server that does not speak the configured version: the next lower one is tried, and nothing is lost over it.

use std::time::Duration;

use bytes::Bytes;
use karere_proto::{
    Properties, PropertyId, ReasonCode, Rule, Value, Version,
    packet::{ConnAck, Connect, Disconnect, Publish, SubAck, Subscribe, SubscribeOptions},
    session::{
        Cause, CleanStart, CloseCause, CloseRequest, Config, ConfigError, Event, FallBack, NotSent, Outcome,
        PublishError, SessionExpiry, SubscribeError,
    },
};

use super::kit::*;

const V31: Version = Version::V31;
const V311: Version = Version::V311;
const V5: Version = Version::V5;

/// CONNACK with return code 1 in the form of 3.1 and 3.1.1, whatever was asked in.
const OLD_REFUSAL: [u8; 4] = [0x20, 2, 0, 1];

fn downward(version: Version) -> Config {
    let mut config = config(version);
    config.fall_back = FallBack::Downward;
    config
}

/// The transport ends like this; says why the connection did.
#[track_caller]
fn ends(talk: &mut Talk, how: CloseCause) -> Cause {
    talk.session.handle_closed(how);
    match talk.take_heard().pop() {
        Some(Heard::Other(Event::Disconnected(cause))) => cause,
        other => panic!("the end must be told last: {other:?}"),
    }
}

/// An attempt that the server ends without a word.
#[track_caller]
fn is_closed_without_a_word(talk: &mut Talk) -> Cause {
    talk.opens();
    ends(talk, CloseCause::Closed)
}

/// An attempt that is refused for its version, in the form of old servers.
#[track_caller]
fn is_refused(talk: &mut Talk) -> Cause {
    talk.opens();
    talk.server_sends_bytes(&OLD_REFUSAL);
    talk.client_says([]);
    talk.close()
}

fn silent(next: Version) -> Cause {
    Cause::OtherVersion { refused: None, next }
}

const CLOSED: Cause = Cause::Transport(CloseCause::Closed);

/// A client whose server spoke 3.1.1 only, and has accepted it there.
fn fallen(config: Config) -> Talk {
    let mut talk = Talk::new(config);
    assert_eq!(is_closed_without_a_word(&mut talk), silent(V311));
    talk.opens();
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    talk
}

// When

#[test]
fn refusal_of_the_version_makes_the_next_connect_speak_the_next_lower_one() {
    let mut talk = Talk::new(downward(V5));
    for (next, bytes) in [(V311, &[0x20, 3, 0, 0x84, 0][..]), (V31, &OLD_REFUSAL)] {
        let asked = talk.opens().version;
        assert!(asked > next);
        talk.server_sends_bytes(bytes);
        talk.client_says([]);
        let cause = talk.close();
        let refused = Some(ConnAck::new(ReasonCode::UnsupportedProtocolVersion));
        assert_eq!(cause, Cause::OtherVersion { refused, next });
        assert_eq!(cause.reason(), Some(ReasonCode::UnsupportedProtocolVersion));
        assert_eq!(cause.to_string(), format!("the server does not speak MQTT {asked}; trying {next}"));
        assert_eq!(talk.session.negotiated().version, next, "while offline too");
        assert_eq!(talk.session.config().connect.version, V5, "it stays configured as it was");
    }
    assert_eq!(talk.opens().version, V31);
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    assert_eq!(talk.session.negotiated().version, V31);
}

// 30
#[test]
fn answer_in_the_form_of_3_1_1_is_a_refusal_of_5() {
    let mut talk = Talk::new(downward(V5));
    let refused = Some(ConnAck::new(ReasonCode::UnsupportedProtocolVersion));
    assert_eq!(is_refused(&mut talk), Cause::OtherVersion { refused, next: V311 });
}

#[test]
fn closing_without_a_word_makes_the_next_connect_speak_the_next_lower_one() {
    let mut talk = Talk::new(downward(V5));
    let cause = is_closed_without_a_word(&mut talk);
    assert_eq!(cause, silent(V311));
    assert_eq!(cause.to_string(), "the server does not speak MQTT 5.0; trying 3.1.1");
    assert_eq!(is_closed_without_a_word(&mut talk), silent(V31));
    assert_eq!(talk.opens().version, V31);
}

fn by_default_the_version_stays(version: Version) {
    let mut talk = Talk::new(config(version));
    assert_eq!(is_closed_without_a_word(&mut talk), CLOSED);
    assert!(matches!(is_refused(&mut talk), Cause::Refused(_)));
    assert_eq!(talk.opens().version, version);
}

/// How an attempt goes wrong, whatever the version.
type Failure = fn(&mut Talk) -> Cause;

/// Attempts in which the server says nothing, and does not end the connection in order either.
const UNANSWERED: [Failure; 4] = [
    |talk| {
        talk.opens();
        ends(talk, CloseCause::Failed("reset by peer".to_owned()))
    },
    |talk| {
        talk.opens();
        ends(talk, CloseCause::Abandoned)
    },
    |talk| {
        talk.opens();
        talk.passes(SECOND * 10);
        talk.close()
    },
    // The server cannot have looked at what it was not sent.
    |talk| {
        talk.session.handle_opened(talk.now);
        ends(talk, CloseCause::Closed)
    },
];

#[test]
fn what_says_nothing_of_the_version_does_not_change_it() {
    let answered: [Failure; 4] = [
        |talk| {
            talk.opens();
            talk.server_says("CONNACK 0x88");
            talk.close()
        },
        |talk| {
            talk.opens();
            talk.server_sends_bytes(&[0x20]);
            ends(talk, CloseCause::Closed)
        },
        |talk| {
            talk.opens();
            talk.server_says("PINGRESP");
            talk.close()
        },
        |talk| {
            talk.opens();
            talk.disconnects(Disconnect::NORMAL);
            talk.close()
        },
    ];
    for (number, failure) in UNANSWERED.iter().chain(&answered).enumerate() {
        let mut talk = Talk::new(downward(V5));
        let cause = failure(&mut talk);
        assert!(!matches!(cause, Cause::OtherVersion { .. }), "{number}: {cause}");
        assert_eq!(talk.opens().version, V5, "{number}: {cause}");
    }
}

#[test]
fn bytes_that_were_not_looked_at_are_an_answer() {
    let mut talk = Talk::new(downward(V5));
    talk.opens();
    talk.session.handle_bytes(talk.now, &mut bytes::BytesMut::from(&[0x20, 3, 0, 0, 0][..]));
    talk.session.handle_closed(CloseCause::Closed);
    assert_eq!(talk.opens().version, V5);
}

fn version_that_was_accepted_once_stays(version: Version) {
    let mut talk = Talk::connected_with(downward(version));
    for _ in 0..3 {
        ends(&mut talk, CloseCause::Closed);
        assert_eq!(is_closed_without_a_word(&mut talk), CLOSED);
        assert!(matches!(is_refused(&mut talk), Cause::Refused(_)));
        assert_eq!(talk.opens().version, version);
    }
}

#[test]
fn server_that_accepts_and_breaks_a_rule_speaks_the_version_all_the_same() {
    let mut config = downward(V5);
    config.clean_start = CleanStart::Never;
    let mut talk = Talk::new(config);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_closes_for(Rule::SessionPresent);
    assert_eq!(is_closed_without_a_word(&mut talk), CLOSED);
    let connect = talk.opens();
    assert_eq!((connect.version, connect.clean_start), (V5, true));
}

#[test]
fn lower_version_stays_once_it_was_accepted() {
    let mut talk = fallen(downward(V5));
    assert_eq!(ends(&mut talk, CloseCause::Closed), CLOSED);
    for failure in UNANSWERED {
        failure(&mut talk);
        assert_eq!(is_closed_without_a_word(&mut talk), CLOSED);
        assert!(matches!(is_refused(&mut talk), Cause::Refused(_)));
        assert_eq!((talk.opens().version, talk.session.negotiated().version), (V311, V311));
        ends(&mut talk, CloseCause::Abandoned);
    }
}

#[test]
fn server_that_answers_to_no_version_is_asked_in_the_configured_one_again() {
    let mut talk = Talk::new(downward(V5));
    for _ in 0..3 {
        assert_eq!(is_closed_without_a_word(&mut talk), silent(V311));
        assert_eq!(is_closed_without_a_word(&mut talk), silent(V31));
        assert_eq!(is_closed_without_a_word(&mut talk), CLOSED);
        assert_eq!(talk.session.negotiated().version, V5);
    }
    is_refused(&mut talk);
    is_refused(&mut talk);
    assert!(matches!(is_refused(&mut talk), Cause::Refused(_)));
    assert_eq!(talk.opens().version, V5);
}

#[test]
fn lower_version_that_gets_no_answer_proves_nothing() {
    for failure in UNANSWERED {
        let mut talk = Talk::new(downward(V5));
        is_closed_without_a_word(&mut talk);
        let cause = failure(&mut talk);
        assert!(!matches!(cause, Cause::OtherVersion { .. }), "{cause}");
        assert_eq!(talk.opens().version, V5, "{cause}");
    }
}

#[test]
fn refusal_in_a_lower_version_for_another_reason_is_told_and_the_version_stays() {
    let mut talk = Talk::new(downward(V5));
    is_refused(&mut talk);
    talk.opens();
    talk.server_says("CONNACK 0x87");
    assert_eq!(talk.close().reason(), Some(ReasonCode::NotAuthorized));
    assert_eq!(talk.opens().version, V311);
}

// What a lower version cannot say

type Change = fn(&mut Config);

#[test]
fn what_the_lower_version_cannot_say_is_not_tried() {
    let changes: [(Version, Change); 5] = [
        (V5, |config| {
            config.connect.properties = properties([(PropertyId::AuthenticationMethod, Value::Str("SCRAM"))]);
        }),
        (V5, |config| config.connect.password = Some(Bytes::from_static(b"token"))),
        (V5, |config| config.connect.client_id = text("")),
        (V311, |config| config.connect.client_id = text("a-name-of-24-characters.")),
        (V311, |config| {
            config.connect.client_id = text("");
            config.session_expiry = SessionExpiry::AtClose;
        }),
    ];
    for (number, (version, change)) in changes.into_iter().enumerate() {
        let mut config = downward(version);
        change(&mut config);
        let mut talk = Talk::new(config);
        assert_eq!(is_closed_without_a_word(&mut talk), CLOSED, "{number}");
        assert!(matches!(is_refused(&mut talk), Cause::Refused(_)), "{number}");
        assert_eq!(talk.opens().version, version, "{number}");
    }
}

#[test]
fn last_version_that_can_say_it_is_the_lowest() {
    let mut config = downward(V5);
    config.connect.client_id = text("a-name-of-24-characters.");
    let mut talk = Talk::new(config);
    for _ in 0..2 {
        assert_eq!(is_closed_without_a_word(&mut talk), silent(V311));
        assert_eq!(is_closed_without_a_word(&mut talk), CLOSED);
    }
}

#[test]
fn properties_of_connect_and_will_are_left_out() {
    let mut config = downward(V5);
    config.connect.keep_alive = 17;
    config.connect.user_name = Some(text("user"));
    config.connect.password = Some(Bytes::from_static(b"secret"));
    config.connect.properties =
        properties([(PropertyId::ReceiveMaximum, Value::U16(7)), (PropertyId::MaximumPacketSize, Value::U32(99))]);
    let will = message("gone", Q1).retained();
    let delay = properties([(PropertyId::WillDelayInterval, Value::U32(9))]);
    config.connect.will = Some(will.clone().properties(delay).into());
    let mut talk = Talk::new(config.clone());
    is_closed_without_a_word(&mut talk);
    let mut plain = Connect::new(V311, text("client"));
    plain.clean_start = false;
    plain.keep_alive = 17;
    plain.user_name = Some(text("user"));
    plain.password = Some(Bytes::from_static(b"secret"));
    plain.will = Some(will.into());
    assert_eq!(talk.opens(), plain);
    let (own_packet, own_window) = {
        let negotiated = talk.session.negotiated();
        (negotiated.own_maximum_packet_size, negotiated.own_receive_maximum)
    };
    assert_eq!((own_packet, own_window), (u32::MAX, u16::MAX), "the server was not told of any limit");
    // Back to 5.0, and all of it is said again.
    ends(&mut talk, CloseCause::Abandoned);
    let again = talk.opens();
    assert_eq!((again.version, again.will), (V5, config.connect.will));
    assert_eq!(again.properties.receive_maximum(), Some(7));
}

#[test]
fn session_is_kept_for_ever_where_no_time_can_be_said() {
    let after = SessionExpiry::After(Duration::from_secs(90));
    for (expiry, start, clean) in [
        (after, CleanStart::FirstOnly, false),
        (after, CleanStart::Always, true),
        (SessionExpiry::After(Duration::from_millis(999)), CleanStart::FirstOnly, true),
        (SessionExpiry::Never, CleanStart::Never, false),
        (SessionExpiry::Never, CleanStart::Always, true),
        (SessionExpiry::AtClose, CleanStart::Always, true),
        (SessionExpiry::AtClose, CleanStart::FirstOnly, true),
    ] {
        let mut config = downward(V5);
        config.session_expiry = expiry;
        config.clean_start = start;
        let mut talk = Talk::new(config);
        is_closed_without_a_word(&mut talk);
        for _ in 0..2 {
            let connect = talk.opens();
            assert_eq!((connect.version, connect.clean_start), (V311, clean), "{expiry:?} {start:?}");
            talk.server_says("CONNACK");
            ends(&mut talk, CloseCause::Closed);
        }
    }
}

#[test]
fn identifier_that_the_server_assigned_goes_along() {
    let mut config = journaled(V5);
    config.fall_back = FallBack::Downward;
    config.connect.client_id = text("");
    let mut talk = Talk::connected_to(config, [(PropertyId::AssignedClientIdentifier, Value::Str("made-up"))]);
    talk.commits();
    talk.restarts();
    assert_eq!(is_closed_without_a_word(&mut talk), silent(V311));
    assert_eq!(talk.opens().client_id, text("made-up"));
    talk.server_says("CONNACK present");
    talk.told(["connected present"]);
    assert_eq!(talk.session.config().connect.client_id, text(""));
    talk.reconfigures(|config| config.connect.keep_alive = 9).unwrap();
    ends(&mut talk, CloseCause::Closed);
    assert_eq!(talk.opens().client_id, text("made-up"));
}

// What waits

fn rich(name: &str) -> Publish {
    message(name, Q1).properties(properties([(PropertyId::ContentType, Value::Str("text"))]))
}

#[test]
fn message_that_cannot_be_said_is_told_so_and_never_stripped() {
    let mut talk = Talk::new(downward(V5));
    talk.publishes("plain", Q1);
    let token = talk.publishes_message(rich("rich"));
    talk.publishes_message(message("short-lived", Q0).message_expiry(SECOND * 60));
    talk.publishes("after", Q1);
    is_closed_without_a_word(&mut talk);
    talk.told([]);
    assert_eq!(talk.session.queued().0, 4, "the next server may take them");
    talk.opens();
    talk.server_says("CONNACK");
    let why = NotSent::Refused(PublishError::NotInVersion("properties", V311));
    let told = talk.take_heard();
    assert!(told.iter().any(|heard| matches!(
        heard,
        Heard::Other(Event::Published { token: of, id: None, outcome: Outcome::NotSent(told) })
            if *of == token && *told == why
    )));
    assert_eq!(told.len(), 3, "{told:?}");
    talk.client_says(["PUBLISH q1 1 plain", "PUBLISH q1 2 after"]);
}

#[test]
fn message_waits_for_the_configured_version_while_no_lower_one_was_accepted() {
    let mut talk = Talk::new(downward(V5));
    talk.publishes_message(rich("rich"));
    for _ in 0..3 {
        is_closed_without_a_word(&mut talk);
    }
    talk.opens();
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    talk.client_says(["PUBLISH q1 1 rich"]);
}

#[test]
fn what_is_published_offline_is_checked_by_the_version_in_use() {
    let mut talk = fallen(downward(V5));
    let refused = Err(PublishError::NotInVersion("properties", V311));
    assert_eq!(talk.session.publish(talk.now, rich("a")), refused);
    ends(&mut talk, CloseCause::Closed);
    assert_eq!(talk.session.publish(talk.now, rich("a")), refused);
    let no_local = Subscribe::new("a", SubscribeOptions::new(Q1).no_local()).unwrap();
    let refused = talk.session.subscribe(talk.now, no_local);
    assert_eq!(refused, Err(SubscribeError::NotInVersion("subscription options", V311)));
}

#[test]
fn request_that_cannot_be_said_has_no_answer_and_the_others_are_asked() {
    let mut talk = Talk::new(downward(V5));
    talk.subscribes("a");
    talk.subscribes_with(Subscribe::new("b", SubscribeOptions::new(Q1).no_local()).unwrap());
    talk.unsubscribes("c");
    is_closed_without_a_word(&mut talk);
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 c"]);
    talk.told(["connected", "b subscribed no answer"]);
}

#[test]
fn granted_subscriptions_that_can_be_said_are_asked_again() {
    let mut config = journaled(V5);
    config.fall_back = FallBack::Downward;
    let mut talk = Talk::connected_with(config);
    for (number, filter) in (1..).zip(["a", "b", "c", "d"]) {
        let mut subscribe = Subscribe::new(filter, Q1).unwrap();
        if filter == "b" {
            subscribe.subscriptions[0].options = SubscribeOptions::new(Q1).no_local();
        }
        if filter == "d" {
            subscribe.properties = properties([(PropertyId::SubscriptionIdentifier, Value::U32(7))]);
        }
        talk.subscribes_with(subscribe);
        talk.server_sends(&karere_proto::Packet::SubAck(id(number), SubAck::new(vec![ReasonCode::GrantedQoS1])));
    }
    talk.sent();
    talk.tidings();
    talk.commits();
    talk.restarts();
    is_closed_without_a_word(&mut talk);
    talk.opens();
    talk.server_says("CONNACK");
    talk.commits();
    talk.client_says(["SUBSCRIBE 1 a c"]);
    let unanswered = talk.tidings().iter().filter(|told| told.ends_with("subscribed no answer")).count();
    assert_eq!(unanswered, 2, "b and d are told to be missing");
    assert_eq!(talk.session.subscriptions().count(), 4, "a server of 5.0 will be asked for all of them");
}

#[test]
fn what_was_in_flight_goes_on_in_the_lower_version_where_it_can() {
    let mut config = journaled(V5);
    config.fall_back = FallBack::Downward;
    let mut talk = Talk::connected_with(config);
    talk.publishes("plain", Q1);
    talk.publishes_message(rich("rich"));
    talk.commits();
    talk.sent();
    talk.tidings();
    talk.restarts();
    assert!(matches!(is_refused(&mut talk), Cause::OtherVersion { .. }));
    assert!(talk.session.poll_journal().is_none(), "that is nothing to record");
    assert!(!talk.opens().clean_start);
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 dup plain"]);
    let told = talk.tidings();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&"rich 2 unknown".to_owned()), "{told:?}");
}

#[test]
fn farewell_that_cannot_be_said_is_not_replaced_by_one_that_deletes_the_will() {
    let (without, with) = (&["PUBLISH q0 a"][..], &["PUBLISH q0 a", "DISCONNECT"][..]);
    for (goodbye, said) in [(Disconnect::WITH_WILL, without), (Disconnect::NORMAL, with)] {
        let mut talk = Talk::new(downward(V5));
        talk.publishes("a", Q0);
        talk.session.disconnect_when_drained(goodbye, talk.now + SECOND * 60).unwrap();
        is_closed_without_a_word(&mut talk);
        talk.opens();
        talk.server_says("CONNACK");
        assert_eq!(talk.said(), said);
        assert_eq!(talk.session.close_request(), Some(CloseRequest::AfterFlush));
        assert_eq!(talk.close(), Cause::Requested);
    }
}

// Changing one's mind

#[test]
fn reconfigured_session_starts_again_from_the_configured_version() {
    let mut talk = fallen(downward(V5));
    talk.reconfigures(|config| config.connect.keep_alive = 7).unwrap();
    assert_eq!(talk.session.config().connect.keep_alive, 7);
    assert_eq!(talk.session.negotiated().version, V311, "this connection goes on as agreed");
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    ends(&mut talk, CloseCause::Closed);
    assert_eq!(talk.session.negotiated().version, V5);
    assert!(matches!(is_refused(&mut talk), Cause::OtherVersion { next: V311, .. }));
    assert_eq!(talk.opens().keep_alive, 7);
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

#[test]
fn answer_is_read_in_the_version_that_was_asked_in() {
    let mut talk = Talk::new(downward(V5));
    is_refused(&mut talk);
    talk.opens();
    let method = properties([(PropertyId::AuthenticationMethod, Value::Str("SCRAM"))]);
    talk.reconfigures(|config| config.connect.properties = method.clone()).unwrap();
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    assert_eq!(talk.session.negotiated().version, V311);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    ends(&mut talk, CloseCause::Closed);
    let connect = talk.opens();
    assert_eq!((connect.version, connect.properties.authentication_method()), (V5, Some("SCRAM")));
}

#[test]
fn refusal_says_nothing_of_a_version_that_was_configured_since() {
    let mut talk = Talk::new(downward(V5));
    is_refused(&mut talk);
    talk.opens();
    talk.reconfigures(|config| config.connect.keep_alive = 9).unwrap();
    talk.server_sends_bytes(&OLD_REFUSAL);
    assert!(matches!(talk.close(), Cause::Refused(_)));
    assert_eq!(talk.opens().version, V5);
}

#[test]
fn renewed_session_starts_from_the_configured_version_and_may_fall_again() {
    let mut talk = fallen(downward(V5));
    talk.session = talk.session.renew(talk.now, downward(V311)).unwrap();
    assert_eq!(is_closed_without_a_word(&mut talk), silent(V31), "3.1.1 was accepted by another session");
}

#[test]
fn nonsense_does_not_end_the_fall() {
    let mut talk = fallen(downward(V5));
    let nonsense = talk.reconfigures(|config| {
        config.connect.properties = properties([(PropertyId::AuthenticationData, Value::Bin(b"x"))]);
    });
    assert_eq!(nonsense, Err(ConfigError::AuthenticationDataWithoutMethod));
    assert_eq!(talk.session.config().connect.properties, Properties::new());
    ends(&mut talk, CloseCause::Closed);
    assert_eq!(talk.opens().version, V311);
}

every_version! { by_default_the_version_stays, version_that_was_accepted_once_stays }
