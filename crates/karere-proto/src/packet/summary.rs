//! One line about a packet for a log: names and numbers, never payloads and secrets.

use core::fmt;

use super::{
    Ack, Attempt, Auth, Connect, Disconnect, Packet, PublishPacket, Subscribe, Unsubscribe, publish::Outgoing,
};
use crate::{PacketId, Properties, ReasonCode};

/// What can be shown as a packet while it is queued for sending.
pub(crate) trait Traced {
    /// A copy; payloads are shared.
    fn to_packet(&self) -> Packet;
}

impl Traced for Connect {
    fn to_packet(&self) -> Packet {
        Packet::Connect(Box::new(self.clone()))
    }
}

impl Traced for Outgoing<'_> {
    fn to_packet(&self) -> Packet {
        Packet::Publish(PublishPacket::new(self.publish.clone(), self.id, self.attempt))
    }
}

impl Traced for Ack {
    fn to_packet(&self) -> Packet {
        Packet::Ack(self.clone())
    }
}

impl Traced for (PacketId, &Subscribe) {
    fn to_packet(&self) -> Packet {
        Packet::Subscribe(self.0, self.1.clone())
    }
}

impl Traced for (PacketId, &Unsubscribe) {
    fn to_packet(&self) -> Packet {
        Packet::Unsubscribe(self.0, self.1.clone())
    }
}

impl Traced for Disconnect {
    fn to_packet(&self) -> Packet {
        Packet::Disconnect(self.clone())
    }
}

impl Traced for Auth {
    fn to_packet(&self) -> Packet {
        Packet::Auth(self.clone())
    }
}

/// One line, with neither payloads nor secrets.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.packet_type();
        match self {
            Self::Connect(connect) => {
                let Connect { version, client_id, clean_start, keep_alive, .. } = connect.as_ref();
                write!(
                    f,
                    "{name} {version} client {client_id:?}{} keep alive {keep_alive} s{}{}{}{}",
                    flag(" clean", *clean_start),
                    flag(" will", connect.will.is_some()),
                    flag(" user name", connect.user_name.is_some()),
                    flag(" password", connect.password.is_some()),
                    After(&connect.properties)
                )
            }
            Self::ConnAck(ack) => {
                let present = flag(" session present", ack.session_present);
                write!(f, "{name} {}{present}{}", ack.reason, After(&ack.properties))
            }
            Self::Publish(publish) => {
                let PublishPacket { qos, retain, attempt, payload, properties, .. } = publish;
                write!(f, "{name} q{qos}")?;
                if let Some(id) = publish.id {
                    write!(f, " m{id}")?;
                }
                let (dup, retain) = (flag(" dup", *attempt == Attempt::Again), flag(" retain", *retain));
                let topic = publish.topic.as_ref().map_or("", |topic| topic.as_str());
                write!(f, "{dup}{retain} {topic:?} ({} bytes){}", payload.len(), After(properties))
            }
            Self::Ack(ack) => {
                write!(f, "{name} m{}", ack.id)?;
                if ack.reason != ReasonCode::Success {
                    write!(f, " {}", ack.reason)?;
                }
                After(&ack.properties).fmt(f)
            }
            Self::Subscribe(id, subscribe) => {
                write!(f, "{name} m{id}")?;
                for one in &subscribe.subscriptions {
                    write!(f, " {:?} q{}", one.filter, one.options.qos)?;
                }
                After(&subscribe.properties).fmt(f)
            }
            Self::SubAck(id, ack) => {
                write!(f, "{name} m{id}{}{}", Reasons(&ack.reasons), After(&ack.properties))
            }
            Self::Unsubscribe(id, unsubscribe) => {
                write!(f, "{name} m{id}")?;
                for filter in &unsubscribe.filters {
                    write!(f, " {filter:?}")?;
                }
                After(&unsubscribe.properties).fmt(f)
            }
            Self::UnsubAck(id, ack) => {
                write!(f, "{name} m{id}{}{}", Reasons(&ack.reasons), After(&ack.properties))
            }
            Self::PingReq | Self::PingResp => name.fmt(f),
            Self::Disconnect(Disconnect { reason, properties, .. }) => {
                write!(f, "{name} {reason}{}", After(properties))
            }
            Self::Auth(Auth { reason, properties, .. }) => write!(f, "{name} {reason}{}", After(properties)),
        }
    }
}

/// Properties behind what was said before, if there are any.
struct After<'a>(&'a Properties);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " {:?}", self.0) }
    }
}

struct Reasons<'a>(&'a [ReasonCode]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|reason| write!(f, " {reason}"))
    }
}

const fn flag(text: &'static str, set: bool) -> &'static str {
    if set { text } else { "" }
}
