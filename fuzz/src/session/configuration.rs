//! How bytes become the configuration of a session.

use crate::input::Input;
use core::{num::NonZeroU16, time::Duration};
use karere_proto::{
    PropertyId, Publish, QoS, Utf8String, Value, Version,
    packet::Will,
    session::{CleanStart, Config, Journal, LostSession, QueueLimits, Resubscribe, SessionExpiry},
};

/// Six bytes of switches, of which some are read only when others say so.
pub(super) fn read(input: &mut Input<'_>) -> Config {
    let version = input.one_of(&Version::ALL);
    let switches = input.byte();
    let is_on = |bit: u8| switches & 1 << bit != 0;
    let id = if is_on(0) { "" } else { "client" };
    let mut config = Config::new(version, Utf8String::new(id).expect("a string"));
    config.journal = if is_on(1) { Journal::Off } else { Journal::On };
    config.lost_session = if is_on(2) { LostSession::Report } else { LostSession::Republish };
    if is_on(3) {
        config.queue = QueueLimits::new(4, 200);
    }
    if is_on(4) {
        let will = Publish::new("will", "x").expect("a topic").qos(QoS::AtLeastOnce);
        config.connect.will = Some(Will::from(will));
    }
    if is_on(5) {
        config.connect.keep_alive = u16::from(input.byte());
        config.connack_timeout = timeout(input);
        config.ping_timeout = timeout(input);
    }
    let more = input.byte();
    config.session_expiry = match more & 3 {
        0 | 1 => SessionExpiry::Never,
        2 => SessionExpiry::AtClose,
        _ => SessionExpiry::After(Duration::from_secs(100)),
    };
    config.clean_start = match more >> 2 & 3 {
        0 => CleanStart::FirstOnly,
        1 => CleanStart::Never,
        2 => CleanStart::Adopt,
        _ => CleanStart::Always,
    };
    config.max_in_flight =
        [1, 2, 4, 65_535].map(|count| NonZeroU16::new(count).expect("not 0"))[usize::from(more >> 4 & 3)];
    if more & 64 != 0 {
        properties(&mut config, input);
    }
    if more & 128 != 0 {
        let how = input.byte();
        config.resubscribe = [Resubscribe::WhenLost, Resubscribe::Never, Resubscribe::Always][usize::from(how) % 3];
        config.ack_timeout = (how & 4 != 0).then(|| timeout(input));
        config.topic_aliases = [64, 0, 1, 2][usize::from(how >> 3 & 3)];
    }
    config
}

fn properties(config: &mut Config, input: &mut Input<'_>) {
    let which = input.byte();
    let choices = [
        (PropertyId::ReceiveMaximum, Value::U16(1 + u16::from(input.byte() & 3))),
        (PropertyId::TopicAliasMaximum, Value::U16(2)),
        (PropertyId::MaximumPacketSize, Value::U32(30)),
        (PropertyId::AuthenticationMethod, Value::Str("M")),
        (PropertyId::RequestProblemInformation, Value::Byte(0)),
        (PropertyId::RequestResponseInformation, Value::Byte(1)),
        (PropertyId::UserProperty, Value::Pair("a", "b")),
    ];
    for (bit, (id, value)) in choices.into_iter().enumerate() {
        if which & 1 << bit != 0 {
            config.connect.properties.set(id, value).expect("a legal value");
        }
    }
}

fn timeout(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        255 => Duration::MAX,
        seconds => Duration::from_secs(u64::from(seconds)),
    }
}
