//! What CONNECT says, from the words of the wire.

use core::time::Duration;

use bytes::Bytes;
use karere_proto::{
    Carrier, PacketType, PropertyId, Publish, QoS, Topic, Utf8String, Version,
    packet::{Bridge, Connect, Will},
    session::{
        AckOrder, CleanStart, ClientIdLength, Config, FallBack, FirstPackets, LostSession, ReceivedTopics, Resubscribe,
        SessionExpiry, UnexpectedAnswers,
    },
};

use crate::{state::text, wire};

/// What `configure` is told.
pub(crate) struct Asked<'a> {
    pub(crate) protocol: u8,
    pub(crate) client_id: &'a [u8],
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) user_name: Option<&'a [u8]>,
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) will: Option<AskedWill<'a>>,
    pub(crate) properties: Option<&'a [u8]>,
    pub(crate) bridge: bool,
    pub(crate) connack_timeout: Duration,
}

/// The will of it.
pub(crate) struct AskedWill<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Option<&'a [u8]>,
}

/// What a client is before it is configured: 3.1.1, without a name.
pub(crate) fn default() -> Config {
    as_paho(Config::new(Version::V311, Utf8String::default()))
}

/// paho's ways.
fn as_paho(mut config: Config) -> Config {
    config.fall_back = FallBack::Never; // the client's own business
    config.lost_session = LostSession::Continue;
    config.resubscribe = Resubscribe::Never;
    config.received_topics = ReceivedTopics::Lenient;
    config.client_id_length = ClientIdLength::Any;
    config.unexpected_answers = UnexpectedAnswers::Tell;
    config.first_packets = FirstPackets::WithConnect;
    config.ack_order = AckOrder::Given;
    config.topic_aliases = 0; // messages are compared byte by byte with paho's
    config
}

impl Asked<'_> {
    /// The session's configuration, or what cannot be said.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let version = match self.protocol {
            3 => Version::V31,
            4 => Version::V311,
            5 => Version::V5,
            other => return Err(format!("unknown protocol version {other}")),
        };
        let mut connect = Connect::new(version, text(self.client_id)?);
        connect.keep_alive = self.keep_alive;
        connect.user_name = self.user_name.map(text).transpose()?;
        connect.password = self.password.map(Bytes::copy_from_slice);
        connect.bridge = if self.bridge { Bridge::Yes } else { Bridge::No };
        connect.will = self.will.as_ref().map(AskedWill::will).transpose()?;
        let mut expiry = None;
        if let Some(encoded) = self.properties {
            let mut properties = wire::properties(encoded, Carrier::Packet(PacketType::Connect))?;
            expiry = properties.session_expiry_interval();
            properties.remove(PropertyId::SessionExpiryInterval);
            connect.properties = properties;
        }
        let mut config = as_paho(Config::new(version, Utf8String::default()));
        config.connect = connect;
        config.connack_timeout = self.connack_timeout;
        config.clean_start = if self.clean { CleanStart::Always } else { CleanStart::Adopt };
        config.session_expiry = if version.rules().properties {
            match expiry {
                None | Some(0) => SessionExpiry::AtClose,
                Some(u32::MAX) => SessionExpiry::Never,
                Some(seconds) => SessionExpiry::After(Duration::from_secs(seconds.into())),
            }
        } else if self.clean {
            SessionExpiry::AtClose // one flag says both there
        } else {
            SessionExpiry::Never
        };
        config.check().map_err(|why| why.to_string())?;
        Ok(config)
    }
}

impl AskedWill<'_> {
    fn will(&self) -> Result<Will, String> {
        let topic =
            Topic::from_bytes(Bytes::copy_from_slice(self.topic)).map_err(|why| format!("will topic: {why}"))?;
        let payload = Bytes::copy_from_slice(self.payload);
        let mut will = Will::from(Publish::new(topic, payload).map_err(|why| why.to_string())?);
        will.qos = QoS::from_bits(self.qos).ok_or("Invalid QoS level.")?;
        will.retain = self.retain;
        if let Some(encoded) = self.properties {
            will.properties = wire::properties(encoded, Carrier::Will)?;
        }
        Ok(will)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked<'static> {
        Asked {
            protocol: 5,
            client_id: b"pump",
            clean: false,
            keep_alive: 60,
            user_name: None,
            password: None,
            will: None,
            properties: None,
            bridge: false,
            connack_timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn session_expiry_is_taken_out_of_the_properties() {
        // Session Expiry Interval 10, Receive Maximum 3
        let encoded = [8, 0x11, 0, 0, 0, 10, 0x21, 0, 3];
        let config = Asked { properties: Some(&encoded), ..asked() }.config().expect("legal");
        assert_eq!(config.session_expiry, SessionExpiry::After(Duration::from_secs(10)));
        assert_eq!(config.connect.properties.as_bytes().as_ref(), &encoded[6..]);
        let never = [5, 0x11, 255, 255, 255, 255];
        let config = Asked { properties: Some(&never), ..asked() }.config().expect("legal");
        assert_eq!(config.session_expiry, SessionExpiry::Never);
    }

    #[test]
    fn before_5_a_clean_session_ends_with_its_connection() {
        let clean = Asked { protocol: 4, clean: true, ..asked() }.config().expect("legal");
        assert_eq!(clean.session_expiry, SessionExpiry::AtClose);
        let kept = Asked { protocol: 3, ..asked() }.config().expect("legal");
        assert_eq!(kept.session_expiry, SessionExpiry::Never);
    }

    #[test]
    fn what_cannot_be_said_is_refused_with_a_reason() {
        let refused = |asked: Asked<'_>| asked.config().expect_err("refused");
        assert!(refused(Asked { protocol: 6, ..asked() }).contains("version 6"));
        assert!(refused(Asked { client_id: b"\xFF", ..asked() }).contains("UTF-8"));
        assert!(refused(Asked { protocol: 4, client_id: b"", ..asked() }).contains("identifier"));
        assert!(!refused(Asked { properties: Some(&[9, 1]), ..asked() }).is_empty());
    }
}
