//! Packets that passed, in paho's words: programs look for them in their logs.

use core::fmt::{self, Display, Write};

use karere_proto::{
    Packet, Properties, PropertyId, Value, Version,
    packet::{Attempt, Connect, DisconnectForm, PublishPacket, Subscription},
    session::Trace,
};

const DEBUG: u8 = 16;
pub(crate) const WARNING: u8 = 4;

/// The line for a packet, and its level. `mid` is asked for what a QoS 0 message was called that is being sent.
pub(crate) fn line(trace: &Trace, version: Version, mid: impl FnOnce() -> u16) -> (u8, String) {
    let v5 = version.rules().properties;
    let text = match trace {
        Trace::Received(packet) => received(packet, v5),
        Trace::Sending(packet) => sending(packet, v5, mid),
        other => other.to_string(),
    };
    (DEBUG, text)
}

fn sending(packet: &Packet, v5: bool, mid: impl FnOnce() -> u16) -> String {
    match packet {
        Packet::Connect(connect) => sending_connect(connect, v5),
        Packet::Publish(publish) => {
            let mid = publish.id.map_or_else(mid, karere_proto::PacketId::get);
            let topic = publish.topic.as_ref().map_or(&[][..], |topic| topic.as_bytes());
            let size = publish.payload.len();
            let content = if size == 0 { " (NULL payload)".to_owned() } else { format!(", ... ({size} bytes)") };
            format!(
                "Sending PUBLISH {}, '{}'{}{content}",
                head(publish, mid),
                Bytes(topic),
                More(&publish.properties, v5)
            )
        }
        Packet::Subscribe(id, subscribe) => {
            let filters = list(subscribe.subscriptions.iter().map(|one| Wanted(one, v5)));
            format!("Sending SUBSCRIBE (d0, m{id}) {filters}")
        }
        Packet::Unsubscribe(id, unsubscribe) => {
            let filters = list(unsubscribe.filters.iter().map(|filter| Bytes(filter.as_bytes())));
            let properties = if v5 { format!("{} ", Named(&unsubscribe.properties)) } else { String::new() };
            format!("Sending UNSUBSCRIBE (d0, m{id}) {properties}{filters}")
        }
        Packet::Ack(ack) => format!("Sending {} (Mid: {})", ack.kind.packet_type(), ack.id),
        Packet::Disconnect(disconnect) if v5 && *disconnect != karere_proto::packet::Disconnect::NORMAL => format!(
            "Sending DISCONNECT reasonCode={} properties={}",
            disconnect.reason.name(),
            Named(&disconnect.properties)
        ),
        Packet::Auth(auth) => format!("Sending AUTH {} {}", auth.reason.name(), Named(&auth.properties)),
        Packet::ConnAck(_)
        | Packet::SubAck(..)
        | Packet::UnsubAck(..)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_) => format!("Sending {}", packet.packet_type()),
    }
}

fn sending_connect(connect: &Connect, v5: bool) -> String {
    let will = connect.will.as_ref();
    let properties = if v5 { format!(" properties={}", Named(&connect.properties)) } else { String::new() };
    format!(
        "Sending CONNECT (u{}, p{}, wr{}, wq{}, wf{}, c{}, k{}) client_id={}{properties}",
        u8::from(connect.user_name.is_some()),
        u8::from(connect.password.is_some()),
        u8::from(will.is_some_and(|will| will.retain)),
        will.map_or(0, |will| will.qos.level()),
        u8::from(will.is_some()),
        u8::from(connect.clean_start),
        connect.keep_alive,
        Bytes(connect.client_id.as_bytes()),
    )
}

fn received(packet: &Packet, v5: bool) -> String {
    match packet {
        Packet::ConnAck(ack) => {
            let present = u8::from(ack.session_present);
            match ack.return_code {
                Some(code) => format!("Received CONNACK ({present}, {code})"),
                None => {
                    format!("Received CONNACK ({present}, {}) properties={}", ack.reason.name(), Named(&ack.properties))
                }
            }
        }
        Packet::Publish(publish) => {
            let mid = publish.id.map_or(0, karere_proto::PacketId::get);
            let topic = publish.topic.as_ref().map_or("", |topic| topic.as_str());
            let more = More(&publish.properties, v5);
            format!("Received PUBLISH {}, '{topic}'{more}, ...  ({} bytes)", head(publish, mid), publish.payload.len())
        }
        Packet::Ack(ack) => format!("Received {} (Mid: {})", ack.kind.packet_type(), ack.id),
        Packet::UnsubAck(id, _) => format!("Received UNSUBACK (Mid: {id})"),
        Packet::Disconnect(disconnect) => match disconnect.form {
            DisconnectForm::Empty => "Received DISCONNECT None None".to_owned(),
            DisconnectForm::Reason => format!("Received DISCONNECT {} None", disconnect.reason.name()),
            DisconnectForm::Full => {
                format!("Received DISCONNECT {} {}", disconnect.reason.name(), Named(&disconnect.properties))
            }
        },
        Packet::Auth(auth) => format!("Received AUTH {} {}", auth.reason.name(), Named(&auth.properties)),
        Packet::Connect(_)
        | Packet::Subscribe(..)
        | Packet::SubAck(..)
        | Packet::Unsubscribe(..)
        | Packet::PingReq
        | Packet::PingResp => format!("Received {}", packet.packet_type()),
    }
}

fn head(publish: &PublishPacket, mid: u16) -> String {
    let dup = u8::from(publish.attempt == Attempt::Again);
    format!("(d{dup}, q{}, r{}, m{mid})", publish.qos.level(), u8::from(publish.retain))
}

fn list(items: impl Iterator<Item = impl Display>) -> String {
    format!("[{}]", items.map(|item| item.to_string()).collect::<Vec<_>>().join(", "))
}

/// A filter and what it was asked with, as Python prints the pair.
struct Wanted<'a>(&'a Subscription, bool);

impl Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Subscription { filter, options, .. }, v5) = self;
        let (filter, qos) = (Bytes(filter.as_bytes()), options.qos.level());
        if !v5 {
            return write!(f, "({filter}, {qos})");
        }
        let handling = options.retain_handling as u8;
        let (no_local, as_published) = (Bool(options.no_local), Bool(options.retain_as_published));
        write!(
            f,
            "({filter}, {{QoS={qos}, noLocal={no_local}, retainAsPublished={as_published}, retainHandling={handling}}})"
        )
    }
}

struct Bool(bool);

impl Display for Bool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "True" } else { "False" })
    }
}

/// Bytes as Python prints them.
struct Bytes<'a>(&'a [u8]);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains(&b'\'') && !self.0.contains(&b'"') { '"' } else { '\'' };
        write!(f, "b{quote}")?;
        for &byte in self.0 {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                b'\'' if quote == '\'' => f.write_str("\\'")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_char(quote)
    }
}

/// The properties of a PUBLISH, in its line.
struct More<'a>(&'a Properties, bool);

impl Display for More<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 { write!(f, ", properties={}", Named(self.0)) } else { Ok(()) }
    }
}

/// Properties as paho prints them.
struct Named<'a>(&'a Properties);

impl Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = Vec::new();
        for &id in PropertyId::ALL {
            let mut values = self.0.iter().filter(|&(there, _)| there == id).map(|(_, value)| shown(value));
            let entry = match id {
                PropertyId::UserProperty | PropertyId::SubscriptionIdentifier => {
                    let all = values.collect::<Vec<_>>();
                    (!all.is_empty()).then(|| list(all.iter()))
                }
                _ => values.next(),
            };
            if let Some(entry) = entry {
                entries.push(format!("{} : {entry}", id.name().replace(' ', "")));
            }
        }
        f.write_str(&list(entries.iter()))
    }
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Byte(number) => number.to_string(),
        Value::U16(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::Str(text) => text.to_owned(),
        Value::Bin(bytes) => Bytes(bytes).to_string(),
        Value::Pair(name, text) => format!("('{name}', '{text}')"),
    }
}

#[cfg(test)]
mod tests {
    use karere_proto::{
        Filter, PacketId, Publish, QoS, ReasonCode, Utf8String,
        packet::{Ack, AckKind, ConnAck, Disconnect, Subscribe, SubscribeOptions, Will},
    };

    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).expect("an identifier")
    }

    fn said(packet: Packet, version: Version) -> String {
        line(&Trace::Sending(packet), version, || 7).1
    }

    fn heard(packet: Packet, version: Version) -> String {
        line(&Trace::Received(packet), version, || 0).1
    }

    #[test]
    fn connect_tells_its_flags_and_no_secret() {
        let mut connect = Connect::new(Version::V311, Utf8String::new("pump").expect("text"));
        connect.password = Some(bytes::Bytes::from_static(b"secret"));
        connect.will = Some(Will::from(Publish::new("w", "x").expect("legal").qos(QoS::ExactlyOnce)));
        let packet = Packet::Connect(Box::new(connect.clone()));
        let expected = "Sending CONNECT (u0, p1, wr0, wq2, wf1, c1, k60) client_id=b'pump'";
        assert_eq!(said(packet, Version::V311), expected);
        connect.properties.set(PropertyId::ReceiveMaximum, Value::U16(3)).expect("legal");
        let packet = Packet::Connect(Box::new(connect));
        assert_eq!(said(packet, Version::V5), format!("{expected} properties=[ReceiveMaximum : 3]"));
    }

    #[test]
    fn publish_is_told_both_ways() {
        let publish = Publish::new("a/ä", "12345").expect("legal");
        let packet = |publish, id, attempt| Packet::Publish(PublishPacket::new(publish, id, attempt));
        let first = packet(publish.clone(), None, Attempt::First);
        assert_eq!(
            said(first.clone(), Version::V311),
            r"Sending PUBLISH (d0, q0, r0, m7), 'b'a/\xc3\xa4'', ... (5 bytes)"
        );
        assert_eq!(heard(first, Version::V31), "Received PUBLISH (d0, q0, r0, m0), 'a/ä', ...  (5 bytes)");
        let empty = Publish::new("a", ()).expect("legal").qos(QoS::AtLeastOnce).retained();
        let empty = empty.property(PropertyId::UserProperty, Value::Pair("k", "v")).expect("legal");
        let again = packet(empty, Some(id(3)), Attempt::Again);
        assert_eq!(
            said(again, Version::V5),
            "Sending PUBLISH (d1, q1, r1, m3), 'b'a'', properties=[UserProperty : [('k', 'v')]] (NULL payload)"
        );
    }

    #[test]
    fn requests_and_answers_are_told() {
        let filter = Filter::new("a/+").expect("legal");
        let wanted = Subscription::new(filter.clone(), SubscribeOptions::new(QoS::AtLeastOnce).no_local());
        let subscribe = Packet::Subscribe(id(2), Subscribe::many([wanted]));
        assert_eq!(said(subscribe.clone(), Version::V311), "Sending SUBSCRIBE (d0, m2) [(b'a/+', 1)]");
        assert_eq!(
            said(subscribe, Version::V5),
            "Sending SUBSCRIBE (d0, m2) [(b'a/+', {QoS=1, noLocal=True, retainAsPublished=False, retainHandling=0})]"
        );
        let unsubscribe = Packet::Unsubscribe(id(4), karere_proto::packet::Unsubscribe::many([filter]));
        assert_eq!(said(unsubscribe, Version::V311), "Sending UNSUBSCRIBE (d0, m4) [b'a/+']");
        let ack = Packet::Ack(Ack::new(AckKind::PubRec, id(9)));
        assert_eq!(heard(ack, Version::V311), "Received PUBREC (Mid: 9)");
        assert_eq!(said(Packet::PingReq, Version::V311), "Sending PINGREQ");
    }

    #[test]
    fn the_ends_of_a_connection_are_told() {
        let mut ack = ConnAck::new(ReasonCode::Success);
        assert_eq!(heard(Packet::ConnAck(ack.clone()), Version::V5), "Received CONNACK (0, Success) properties=[]");
        ack.return_code = Some(0);
        assert_eq!(heard(Packet::ConnAck(ack), Version::V311), "Received CONNACK (0, 0)");
        assert_eq!(said(Packet::Disconnect(Disconnect::NORMAL), Version::V5), "Sending DISCONNECT");
        let left = Packet::Disconnect(Disconnect::new(ReasonCode::ServerMoved));
        assert_eq!(heard(left, Version::V5), "Received DISCONNECT Server moved []");
    }

    #[test]
    fn bytes_look_as_python_prints_them() {
        assert_eq!(Bytes(b"it's").to_string(), "b\"it's\"");
        assert_eq!(Bytes(b"it's \"x\"\n").to_string(), r#"b'it\'s "x"\n'"#);
        assert_eq!(Bytes(&[0, 127, 255]).to_string(), r"b'\x00\x7f\xff'");
    }
}
