//! CONNACK (§3.2).

use super::{Context, Encode, PacketType, Side, properties_len, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::{ProtocolError, Rule},
    properties::Properties,
    reason::ReasonCode,
    version::{RETURN_CODES, WireRules},
};

/// The server's answer to CONNECT (§3.2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnAck {
    /// The server resumes a session it had (§3.2.2.1.1). Always false on 3.1, which cannot say.
    pub session_present: bool,
    /// Success, or why not. Return codes of 3.1 and 3.1.1 stand as the reason code that says the same.
    pub reason: ReasonCode,
    /// MQTT 5 properties.
    pub properties: Properties,
    /// The return code as it came, when a CONNACK was received in the two-byte form of 3.1 and 3.1.1. Not compared: `reason`
    /// says the same.
    pub return_code: Option<u8>,
}

impl PartialEq for ConnAck {
    fn eq(&self, other: &Self) -> bool {
        let Self { session_present, reason, properties, return_code: _ } = self;
        (session_present, reason, properties) == (&other.session_present, &other.reason, &other.properties)
    }
}

impl Eq for ConnAck {}

impl ConnAck {
    /// An answer without properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: Properties::new(), return_code: None }
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<Self, ProtocolError> {
        let rules = context.rules;
        let flags = reader.u8()?;
        if rules.session_present && flags > 1 {
            return Err(reader.error(Rule::ConnAckFlags));
        }
        let session_present = rules.session_present && flags == 1;
        // Two bytes are the form of 3.1 and 3.1.1, in which a server that does not know 5.0 refuses it.
        if rules.connect_return_codes.is_empty() && reader.remaining() > 1 {
            let reason = context.reason(reader)?;
            let properties = context.properties(reader)?;
            return Ok(Self { session_present, reason, properties, return_code: None });
        }
        let return_code = reader.u8()?;
        let reason = meaning(return_code);
        if rules.connect_return_codes.is_empty() && reason == ReasonCode::Success {
            return Err(reader.error(Rule::Truncated)); // Property Length is never left out in 5.0
        }
        Ok(Self { session_present, return_code: Some(return_code), ..Self::new(reason) })
    }
}

/// What the return code of a two-byte CONNACK says (v3: §3.2.2.3).
///
/// A reason code of 5.0 is taken at its word, and anything else that is reserved is a refusal without a reason.
fn meaning(return_code: u8) -> ReasonCode {
    let reason_code = || {
        ReasonCode::from_byte(return_code)
            .filter(|code| code.is_failure() && code.allowed_in(PacketType::ConnAck, Side::Server))
    };
    RETURN_CODES.get(usize::from(return_code)).copied().or_else(reason_code).unwrap_or(ReasonCode::UnspecifiedError)
}

impl Encode for ConnAck {
    fn first_byte(&self) -> u8 {
        PacketType::ConnAck.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        2 + properties_len(&self.properties, rules)
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        let code =
            if rules.connect_return_codes.is_empty() { self.reason.as_byte() } else { rules.return_code(self.reason) };
        out.put_slice(&[u8::from(self.session_present && rules.session_present), code]);
        put_properties(&self.properties, rules, out);
    }
}
