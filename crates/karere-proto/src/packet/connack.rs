//! CONNACK (§3.2).

use super::{Context, Encode, PacketType, properties_len, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::{ProtocolError, Rule},
    properties::Properties,
    reason::ReasonCode,
    version::WireRules,
};

/// The server's answer to CONNECT (§3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnAck {
    /// The server resumes a session it had (§3.2.2.1.1). Always false on 3.1, which cannot say.
    pub session_present: bool,
    /// Success, or why not. Return codes of 3.1 and 3.1.1 stand as the reason code that says the same.
    pub reason: ReasonCode,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl ConnAck {
    /// An answer without properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: Properties::new() }
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<Self, ProtocolError> {
        let rules = context.rules;
        let flags = reader.u8()?;
        if rules.session_present && flags > 1 {
            return Err(reader.error(Rule::ConnAckFlags));
        }
        let session_present = rules.session_present && flags == 1;
        let ended = reader.remaining() == 1;
        let old = return_code(rules, ended);
        if old.is_empty() {
            let reason = context.reason(reader)?;
            if ended && reason.is_failure() {
                // Refused without Property Length: broken, but what it says is the better news.
                return Ok(Self { session_present: false, ..Self::new(reason) });
            }
            let properties = context.properties(reader)?;
            return Ok(Self { session_present, reason, properties });
        }
        let byte = reader.u8()?;
        let reason = match old.get(usize::from(byte)).copied() {
            Some(ReasonCode::Success) if rules.connect_return_codes.is_empty() => {
                return Err(reader.error(Rule::Truncated)); // Property Length is never left out in 5.0
            }
            Some(reason) => reason,
            None => {
                ReasonCode::from_byte(byte).filter(|code| code.is_failure()).unwrap_or(ReasonCode::UnspecifiedError)
            }
        };
        Ok(Self { session_present, reason, properties: Properties::new() })
    }
}

/// The return codes to read by: the version's own, or those of 3.1.1 for the two-byte answer of a server that does not
/// know 5.0 (§3.2.2.3 of 3.1.1).
const fn return_code(rules: &WireRules, ended: bool) -> &'static [ReasonCode] {
    if ended && rules.connect_return_codes.is_empty() {
        crate::version::RETURN_CODES
    } else {
        rules.connect_return_codes
    }
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
