//! AUTH: enhanced authentication (§3.15, §4.12).

use super::{Context, Encode, PacketType, properties_len, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::{ProtocolError, Rule},
    properties::Properties,
    reason::ReasonCode,
    version::WireRules,
};

/// One step of enhanced authentication (§3.15). 5.0 only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auth {
    /// Success, Continue authentication, or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method (which must be there) and Authentication Data, among others.
    pub properties: Properties,
}

impl Auth {
    /// A step with these properties.
    pub const fn new(reason: ReasonCode, properties: Properties) -> Self {
        Self { reason, properties }
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<Self, ProtocolError> {
        let mut auth = Self::new(ReasonCode::Success, Properties::new());
        if reader.remaining() > 0 {
            auth.reason = context.reason(reader)?;
            if reader.remaining() > 0 {
                auth.properties = context.properties(reader)?;
            }
        }
        if auth.properties.authentication_method().is_none() {
            return Err(reader.error(Rule::AuthMethod));
        }
        Ok(auth)
    }
}

impl Encode for Auth {
    fn first_byte(&self) -> u8 {
        PacketType::Auth.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        1 + properties_len(&self.properties, rules)
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        out.put_slice(&[self.reason.as_byte()]);
        put_properties(&self.properties, rules, out);
    }
}
