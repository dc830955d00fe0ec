//! One line about a packet for a log: names and numbers, never payloads and secrets.

use super::{
    Ack, Attempt, Auth, ConnAck, Connect, Disconnect, Packet, PublishPacket, Subscribe, Unsubscribe, publish::Outgoing,
};
use crate::{PacketId, Properties, QoS, ReasonCode};

/// What can be told about a packet in one line.
pub(crate) trait Summary {
    fn summary(&self) -> String;
}

impl Summary for Packet {
    fn summary(&self) -> String {
        match self {
            Self::Connect(connect) => connect.summary(),
            Self::ConnAck(ack) => ack.summary(),
            Self::Publish(publish) => publish.summary(),
            Self::Ack(ack) => ack.summary(),
            Self::Subscribe(id, subscribe) => (*id, subscribe).summary(),
            Self::SubAck(id, ack) => format!("SUBACK m{id}{}{}", reasons(&ack.reasons), properties(&ack.properties)),
            Self::Unsubscribe(id, unsubscribe) => (*id, unsubscribe).summary(),
            Self::UnsubAck(id, ack) => {
                format!("UNSUBACK m{id}{}{}", reasons(&ack.reasons), properties(&ack.properties))
            }
            Self::PingReq | Self::PingResp => self.packet_type().to_string(),
            Self::Disconnect(disconnect) => disconnect.summary(),
            Self::Auth(auth) => auth.summary(),
        }
    }
}

impl Summary for Connect {
    fn summary(&self) -> String {
        let Self { version, client_id, clean_start, keep_alive, .. } = self;
        format!(
            "CONNECT {version} client {client_id:?}{} keep alive {keep_alive} s{}{}{}{}",
            flag(" clean", *clean_start),
            flag(" will", self.will.is_some()),
            flag(" user name", self.user_name.is_some()),
            flag(" password", self.password.is_some()),
            properties(&self.properties)
        )
    }
}

impl Summary for ConnAck {
    fn summary(&self) -> String {
        format!(
            "CONNACK {}{}{}",
            self.reason,
            flag(" session present", self.session_present),
            properties(&self.properties)
        )
    }
}

impl Summary for PublishPacket {
    fn summary(&self) -> String {
        let topic = self.topic.as_ref().map_or("", |topic| topic.as_str());
        publish(self.qos, self.retain, self.attempt, self.id, topic, self.payload.len(), &self.properties)
    }
}

impl Summary for Outgoing<'_> {
    fn summary(&self) -> String {
        let message = self.publish;
        let topic = message.topic.as_str();
        let size = message.payload.len();
        publish(message.qos, message.retain, self.attempt, self.id, topic, size, &message.properties)
    }
}

impl Summary for Ack {
    fn summary(&self) -> String {
        let reason = if self.reason == ReasonCode::Success { String::new() } else { format!(" {}", self.reason) };
        format!("{} m{}{reason}{}", self.kind.packet_type(), self.id, properties(&self.properties))
    }
}

impl Summary for (PacketId, &Subscribe) {
    fn summary(&self) -> String {
        let filters = self.1.subscriptions.iter().map(|one| format!(" {:?} q{}", one.filter, one.options.qos));
        format!("SUBSCRIBE m{}{}{}", self.0, filters.collect::<String>(), properties(&self.1.properties))
    }
}

impl Summary for (PacketId, &Unsubscribe) {
    fn summary(&self) -> String {
        let filters = self.1.filters.iter().map(|filter| format!(" {filter:?}"));
        format!("UNSUBSCRIBE m{}{}{}", self.0, filters.collect::<String>(), properties(&self.1.properties))
    }
}

impl Summary for Disconnect {
    fn summary(&self) -> String {
        format!("DISCONNECT {}{}", self.reason, properties(&self.properties))
    }
}

impl Summary for Auth {
    fn summary(&self) -> String {
        format!("AUTH {}{}", self.reason, properties(&self.properties))
    }
}

fn publish(
    qos: QoS,
    retain: bool,
    attempt: Attempt,
    id: Option<PacketId>,
    topic: &str,
    size: usize,
    set: &Properties,
) -> String {
    let id = id.map_or_else(String::new, |id| format!(" m{id}"));
    let (dup, retain) = (flag(" dup", attempt == Attempt::Again), flag(" retain", retain));
    format!("PUBLISH q{qos}{id}{dup}{retain} {topic:?} ({size} bytes){}", properties(set))
}

fn reasons(reasons: &[ReasonCode]) -> String {
    reasons.iter().map(|reason| format!(" {reason}")).collect()
}

fn properties(properties: &Properties) -> String {
    if properties.is_empty() { String::new() } else { format!(" {properties:?}") }
}

const fn flag(text: &'static str, set: bool) -> &'static str {
    if set { text } else { "" }
}
