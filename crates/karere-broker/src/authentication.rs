//! Enhanced authentication by a script: what the client must say, and what it is told (§4.12).

use core::fmt;

use bytes::Bytes;
use karere_proto::{InvalidProperty, Properties, PropertyId, Value};

/// A method of enhanced authentication whose every step is written down beforehand.
///
/// Each round is one message of the client and the answer to it. The first message is in CONNECT (or in the AUTH that
/// begins a re-authentication), the last answer in CONNACK (or in the AUTH that ends it); what is between travels in
/// AUTH packets.
#[derive(Clone)]
pub struct Authentication {
    method: String,
    rounds: Vec<Round>,
}

#[derive(Clone)]
struct Round {
    expected: Option<Bytes>,
    answer: Bytes,
}

impl Authentication {
    /// A method that lets everyone in who names it; [`round`](Self::round) makes it stricter.
    pub fn new(method: impl Into<String>) -> Self {
        Self { method: method.into(), rounds: Vec::new() }
    }

    /// Adds a round: the client must say `expected`, `None` being anything, and is told `answer`; an empty answer is
    /// left out.
    #[must_use]
    pub fn round(mut self, expected: Option<&[u8]>, answer: impl Into<Bytes>) -> Self {
        self.rounds.push(Round { expected: expected.map(Bytes::copy_from_slice), answer: answer.into() });
        self
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    fn properties(&self, answer: &Bytes) -> Result<Properties, InvalidProperty> {
        let mut properties = Properties::new();
        properties.set(PropertyId::AuthenticationMethod, Value::Str(&self.method))?;
        if !answer.is_empty() {
            properties.set(PropertyId::AuthenticationData, Value::Bin(answer))?;
        }
        Ok(properties)
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("method", &self.method).field("rounds", &self.rounds.len()).finish()
    }
}

/// How far one authentication has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// This round is next.
    Round(usize),
    /// The client is authenticated.
    Over,
}

/// What a message of the client leads to.
#[derive(Debug)]
pub(crate) enum Step {
    /// AUTH with these properties and reason code 0x18.
    Continue(Exchange, Properties),
    /// The client is in; these properties go with the news.
    Accept(Properties),
    /// It is not.
    Refuse,
}

impl Exchange {
    /// The client said `said`.
    pub(crate) fn step(self, script: &Authentication, said: &[u8]) -> Step {
        let Self::Round(at) = self else {
            return Step::Refuse;
        };
        let nothing = Round { expected: None, answer: Bytes::new() };
        let round = script.rounds.get(at).unwrap_or(&nothing);
        if round.expected.as_ref().is_some_and(|expected| expected != said) {
            return Step::Refuse;
        }
        match script.properties(&round.answer) {
            Ok(properties) if at + 1 < script.rounds.len() => Step::Continue(Self::Round(at + 1), properties),
            Ok(properties) => Step::Accept(properties),
            Err(_) => Step::Refuse, // the script's method or answer is longer than MQTT can carry
        }
    }
}
