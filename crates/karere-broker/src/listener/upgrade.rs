//! The HTTP request that asks for a WebSocket, and its answer (RFC 6455, 4.2).
//!
//! tungstenite has a machine for it, which takes a client that sends byte by byte for an attack. Its parser and its
//! check of the request are used here without that machine.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{
        machine::TryParse,
        server::{Request, create_response, write_response},
    },
    http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
};

/// Which sub-protocol of WebSocket a server selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subprotocol {
    /// This one, whatever the client offered: for tests of clients.
    Forced(String),
    /// None, whatever the client offered, as servers do that never heard of sub-protocols: for tests of clients.
    Ignored,
    /// The first of `mqtt` and `mqttv3.1` that the client offers; who offers neither is answered with 400
    /// [MQTT-6.0.0-3].
    #[default]
    Required,
}

/// What is asked of those who ask for a WebSocket.
#[derive(Clone, Debug)]
pub(in crate::listener) struct Rules {
    /// Any if `None`.
    pub(in crate::listener) path: Option<String>,
    pub(in crate::listener) subprotocol: Subprotocol,
}

impl Rules {
    pub(in crate::listener) const fn new() -> Self {
        Self { path: None, subprotocol: Subprotocol::Required }
    }
}

/// A request on its way.
pub(super) struct Upgrade {
    rules: Arc<Rules>,
    request: Vec<u8>,
}

/// What came of what was received.
pub(super) enum Answer {
    /// The request goes on.
    None,
    /// Frames follow.
    Accepted,
    /// The connection is to be closed, for this reason.
    Refused(String),
}

/// What is answered instead, and what people are told.
struct Refusal {
    status: StatusCode,
    why: String,
}

impl Upgrade {
    pub(super) const fn new(rules: Arc<Rules>) -> Self {
        Self { rules, request: Vec::new() }
    }

    /// Takes more of the request; once it is complete, or cannot become one, the answer goes to `out`.
    pub(super) fn handle_received(&mut self, bytes: &[u8], out: &mut BytesMut) -> Answer {
        let outcome = if self.request.len() + bytes.len() > LONGEST_REQUEST {
            Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long"))
        } else {
            // The end may have begun earlier.
            let searched = self.request.len().saturating_sub(END.len() - 1);
            self.request.extend_from_slice(bytes);
            if self.request[searched..].windows(END.len()).any(|window| window == END) {
                self.answer(out)
            } else if self.request.first().is_some_and(|first| !first.is_ascii_uppercase()) {
                // Said at once, since there may never be an empty line in it: CONNECT, for example, or a TLS handshake.
                Err(Refusal::new(StatusCode::BAD_REQUEST, "this is not HTTP"))
            } else {
                return Answer::None;
            }
        };
        match outcome {
            Ok(()) => Answer::Accepted,
            Err(refusal) => {
                refusal.write(out);
                Answer::Refused(refusal.why)
            }
        }
    }

    fn answer(&self, out: &mut BytesMut) -> Result<(), Refusal> {
        let parsed = Request::try_parse(&self.request).map_err(|error| Refusal::of(&error))?;
        let Some((length, request)) = parsed else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request has no end"));
        };
        if length < self.request.len() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "frames came before the answer (RFC 6455, 4.1)"));
        }
        let path = request.uri().path();
        if self.rules.path.as_ref().is_some_and(|only| only != path) {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such path"));
        }
        let mut response = create_response(&request).map_err(|error| Refusal::of(&error))?;
        if let Some(subprotocol) = self.subprotocol(&request)? {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        write_response(out.writer(), &response).map_err(|error| Refusal::of(&error))
    }

    fn subprotocol(&self, request: &Request) -> Result<Option<HeaderValue>, Refusal> {
        match &self.rules.subprotocol {
            Subprotocol::Ignored => Ok(None),
            Subprotocol::Forced(name) => match HeaderValue::from_str(name) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the sub-protocol is no header value")),
            },
            Subprotocol::Required => {
                let headers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
                let mut offers = headers.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
                let known = offers.find_map(|offer| KNOWN.iter().find(|known| **known == offer.trim()));
                match known {
                    Some(known) => Ok(Some(HeaderValue::from_static(known))),
                    None => Err(Refusal::new(
                        StatusCode::BAD_REQUEST,
                        "neither mqtt nor mqttv3.1 is among the sub-protocols [MQTT-6.0.0-3]",
                    )),
                }
            }
        }
    }
}

/// The empty line.
const END: &[u8] = b"\r\n\r\n";

/// In bytes, with all headers.
const LONGEST_REQUEST: usize = 16 * 1024;

/// The names of MQTT: since 3.1.1, and what clients of 3.1 used.
const KNOWN: [&str; 2] = ["mqtt", "mqttv3.1"];

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn of(error: &Error) -> Self {
        let status = match error {
            Error::Protocol(ProtocolError::WrongHttpMethod) => StatusCode::METHOD_NOT_ALLOWED,
            Error::Protocol(
                ProtocolError::MissingUpgradeWebSocketHeader | ProtocolError::MissingSecWebSocketVersionHeader,
            ) => StatusCode::UPGRADE_REQUIRED,
            Error::Capacity(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }

    fn write(&self, out: &mut BytesMut) {
        let header = match self.status {
            StatusCode::METHOD_NOT_ALLOWED => "Allow: GET\r\n",
            StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let Self { status, why } = self;
        let length = why.len() + 1;
        let response = format!(
            "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{why}\n"
        );
        out.extend_from_slice(response.as_bytes());
    }
}
