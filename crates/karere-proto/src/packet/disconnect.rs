//! DISCONNECT (§3.14).

use super::{Context, Encode, PacketType, Side, properties_len, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::{ProtocolError, Rule},
    properties::Properties,
    reason::ReasonCode,
    version::WireRules,
};

/// The last packet of a connection, from either side in 5.0, else from the client only (§3.14).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Disconnect {
    /// Why; only [`ReasonCode::Success`] on 3.1 and 3.1.1.
    pub reason: ReasonCode,
    /// MQTT 5 properties.
    pub properties: Properties,
    /// How much of it stood in a received packet. Not compared: what was left out has its default.
    pub form: DisconnectForm,
}

/// How much a received DISCONNECT says outright (§3.14.2.1, §3.14.2.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete for §3.14.2")]
pub enum DisconnectForm {
    /// Nothing: normal disconnection, no properties.
    Empty,
    /// A reason code.
    Reason,
    /// A reason code and properties.
    #[default]
    Full,
}

impl PartialEq for Disconnect {
    fn eq(&self, other: &Self) -> bool {
        let Self { reason, properties, form: _ } = self;
        (reason, properties) == (&other.reason, &other.properties)
    }
}

impl Eq for Disconnect {}

impl Disconnect {
    /// Normal disconnection: the server deletes the will [MQTT-3.14.4-3].
    pub const NORMAL: Self = Self::new(ReasonCode::Success);
    /// The server publishes the will all the same (5.0).
    pub const WITH_WILL: Self = Self::new(ReasonCode::DisconnectWithWillMessage);

    /// A DISCONNECT without properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::new(), form: DisconnectForm::Full }
    }

    /// Sets the properties (5.0).
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<Self, ProtocolError> {
        let mut disconnect = Self { form: DisconnectForm::Empty, ..Self::NORMAL };
        if context.rules.ack_reasons && reader.remaining() > 0 {
            disconnect.reason = context.reason(reader)?;
            disconnect.form = DisconnectForm::Reason;
            if reader.remaining() > 0 {
                disconnect.properties = context.properties(reader)?;
                disconnect.form = DisconnectForm::Full;
            }
        }
        if context.sender == Side::Server && disconnect.properties.session_expiry_interval().is_some() {
            return Err(reader.error(Rule::DisconnectExpiry));
        }
        Ok(disconnect)
    }
}

impl Encode for Disconnect {
    fn first_byte(&self) -> u8 {
        PacketType::Disconnect.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        match (rules.ack_reasons, self.properties.is_empty(), self.reason) {
            (false, ..) | (true, true, ReasonCode::Success) => 0,
            (true, true, _) => 1,
            (true, false, _) => 1 + properties_len(&self.properties, rules),
        }
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        let len = self.body_len(rules);
        if len > 0 {
            out.put_slice(&[self.reason.as_byte()]);
        }
        if len > 1 {
            put_properties(&self.properties, rules, out);
        }
    }
}
