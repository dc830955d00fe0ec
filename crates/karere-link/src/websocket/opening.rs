//! The opening handshake: a request, and what a server may answer (RFC 6455, §4).

use core::fmt::Write;

use bytes::BytesMut;
use karere_proto::SendBuf;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::{
    Target,
    head::{EndOfHead, Head, is_token},
    options::{Headers, Selection, WebSocketOptions},
    readable,
};
use crate::transport::Security;

/// A handshake whose answer has not come.
pub(super) struct Opening {
    /// Emptied when it is said.
    request: String,
    /// What the server makes of the request's key.
    accept: String,
    offered: Vec<String>,
    selection: Selection,
    /// For errors; without the query, which may be a secret.
    path: String,
    security: Security,
    message_limit: u64,
    head_limit: usize,
    end: EndOfHead,
}

impl Opening {
    /// Writes the request.
    pub(super) fn new(options: &WebSocketOptions, target: &Target<'_>) -> Result<Self, String> {
        let headers = options.complete(defaults(options, target))?;
        let key = value_of(&headers, KEY).ok_or("the request has no Sec-WebSocket-Key; leave the one that is given")?;
        let offered = value_of(&headers, SUB_PROTOCOL).unwrap_or_default();
        Ok(Self {
            request: request(target.path, &headers)?,
            accept: derive_accept_key(key.as_bytes()),
            offered: offered.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            selection: options.selection,
            path: without_query(target.path).to_owned(),
            security: target.security,
            message_limit: options.message_limit,
            head_limit: options.head_limit,
            end: EndOfHead::default(),
        })
    }

    /// Expects this key instead.
    #[cfg(test)]
    pub(super) fn expect(&mut self, accept: &str) {
        accept.clone_into(&mut self.accept);
    }

    /// Puts the request into `wire`, once.
    pub(super) fn say(&mut self, wire: &mut SendBuf) {
        wire.put_slice(core::mem::take(&mut self.request).as_bytes());
    }

    /// Takes the server's answer from `input`, and returns the limit of messages when it is the right one; `None` when
    /// there is more to come, and an error that says what to do when it is a wrong one.
    pub(super) fn hear(&mut self, input: &mut BytesMut) -> Result<Option<u64>, String> {
        if let Some((&first, _)) = input.iter().zip(HTTP).find(|(byte, expected)| byte != expected) {
            return Err(self.not_http(first, input[0]));
        }
        let end = match self.end.find(input) {
            Some(end) if end <= self.head_limit => end,
            None if input.len() <= self.head_limit => return Ok(None),
            _ => {
                let limit = self.head_limit;
                return Err(format!("the head of the server's answer has more than {limit} bytes: raise the limit"));
            }
        };
        let head = input.split_to(end);
        let head = Head::parse(&head).map_err(|why| format!("the server's answer is no HTTP: {why}"))?;
        if head.status == 101 {
            self.check(&head)?;
            return Ok(Some(self.message_limit));
        }
        let mut why = format!("the server answered {} {}", head.status, readable(&head.reason)).trim_end().to_owned();
        why.push_str(": ");
        why.push_str(&self.cure(&head));
        if let Some(line) = first_line(&head, input) {
            let _ = write!(why, " (it says: {line})");
        }
        Err(why)
    }

    /// The answer must fit the request (RFC 6455, §4.1).
    fn check(&self, head: &Head) -> Result<(), String> {
        if !head.has("upgrade", "websocket") || !head.has("connection", "upgrade") {
            return Err("the server answered 101, but not for a WebSocket (Upgrade or Connection header): \
                        a web server, but no WebSocket here; try another path or port"
                .to_owned());
        }
        if head.only("sec-websocket-accept") != Some(&self.accept) {
            return Err("the server's Sec-WebSocket-Accept does not belong to this request: \
                        something between repeats an old answer, or it is no WebSocket server"
                .to_owned());
        }
        if head.all("sec-websocket-extensions").any(|extensions| !extensions.is_empty()) {
            return Err("the server uses a WebSocket extension that nobody asked for: \
                        this is a fault of the server"
                .to_owned());
        }
        let selected = head.all("sec-websocket-protocol").filter(|name| !name.is_empty()).collect::<Vec<_>>();
        match selected[..] {
            [selected] if self.offered.iter().any(|offered| offered == selected) => Ok(()),
            [] if self.selection == Selection::Optional || self.offered.is_empty() => Ok(()),
            [] => Err(format!(
                "the server selected no sub-protocol, and must select {:?} [MQTT-6.0.0-4]: this is a WebSocket, but \
                 perhaps not for MQTT; try another path, or let the sub-protocol be optional",
                self.offered.join(", ")
            )),
            _ => Err(format!(
                "the server selected the sub-protocol {:?}, but {:?} was offered [MQTT-6.0.0-4]: it does not speak \
                 MQTT at this path, or knows it by another name",
                readable(&selected.join(", ")),
                self.offered.join(", ")
            )),
        }
    }

    /// What to do about a status that is not 101.
    fn cure(&self, head: &Head) -> String {
        let path = &self.path;
        match head.status {
            301 | 302 | 303 | 307 | 308 => match head.only("location") {
                Some(location) => format!("the WebSocket is at {}; use that", readable(without_query(location))),
                None => "the WebSocket is elsewhere, and it does not say where".to_owned(),
            },
            401 | 407 => {
                let wanted = head.all("www-authenticate").chain(head.all("proxy-authenticate")).next();
                let scheme = wanted.and_then(|wanted| wanted.split(' ').next()).filter(|scheme| is_token(scheme));
                format!(
                    "it wants credentials in a header ({}) before MQTT's own; add the header, or check it",
                    scheme.unwrap_or("Authorization")
                )
            }
            403 => "it does not let this client in; check credentials in headers, and whether it takes this Origin"
                .to_owned(),
            404 | 405 | 410 => {
                format!("there is no WebSocket at the path {path}; try another, such as /mqtt, /ws or /")
            }
            400 if self.security == Security::None => {
                "it does not take the request; perhaps the port wants TLS (wss://), or a proxy between them passes no \
                 WebSocket on"
                    .to_owned()
            }
            400 => "it does not take the request; perhaps a proxy between them passes no WebSocket on".to_owned(),
            426 => {
                let version = head.only("sec-websocket-version").unwrap_or("another");
                format!("it wants another version of WebSocket than 13 ({}); it is too old", readable(version))
            }
            200..=299 => format!("a web server, but no WebSocket at the path {path}; try another path or port"),
            429 | 500..=599 => "the server, or the broker behind it, is not ready; try again later".to_owned(),
            _ => "it opened no WebSocket".to_owned(),
        }
    }

    /// The server does not speak HTTP; `wrong` is the first byte that tells.
    fn not_http(&self, wrong: u8, first: u8) -> String {
        match (first, self.security) {
            // CONNACK, DISCONNECT, AUTH
            (0x20 | 0xE0 | 0xF0, Security::None) => {
                "the server speaks MQTT here, without WebSocket: use mqtt://".to_owned()
            }
            (0x20 | 0xE0 | 0xF0, Security::Tls) => {
                "the server speaks MQTT here, without WebSocket: use mqtts://".to_owned()
            }
            // A record of TLS: handshake or alert.
            (0x15 | 0x16, Security::None) => "the server speaks TLS here: use wss://".to_owned(),
            _ => format!("the server does not speak HTTP here (byte 0x{wrong:02X}): try another port"),
        }
    }
}

/// What every answer begins with.
const HTTP: &[u8] = b"HTTP/";

const KEY: &str = "Sec-WebSocket-Key";
const SUB_PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// The headers without which there is no handshake, and where it comes from, which some servers ask for.
fn defaults(options: &WebSocketOptions, target: &Target<'_>) -> Headers {
    let host = authority(target);
    let scheme = match target.security {
        Security::None => "http",
        Security::Tls => "https",
    };
    let origin = format!("{scheme}://{host}");
    let mut headers = vec![
        ("Host", host),
        ("Upgrade", "websocket".to_owned()),
        ("Connection", "Upgrade".to_owned()),
        ("Origin", origin),
        (KEY, generate_key()),
        ("Sec-WebSocket-Version", "13".to_owned()),
    ];
    if !options.sub_protocols.is_empty() {
        headers.push((SUB_PROTOCOL, options.sub_protocols.join(", ")));
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Host and port, which is left out when it is the scheme's own; a zone means nothing to others (RFC 6874, §4).
fn authority(target: &Target<'_>) -> String {
    let host = match target.host.split_once('%') {
        Some((host, _)) if host.contains(':') => host,
        _ => target.host,
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let default_port = match target.security {
        Security::None => 80,
        Security::Tls => 443,
    };
    if target.port == default_port { host } else { format!("{host}:{}", target.port) }
}

/// Only what is one line is written: a line break in it would be a header, or a request, of somebody else's.
fn request(path: &str, headers: &Headers) -> Result<String, String> {
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err("the path does not begin with /, or has characters that must be percent-encoded".to_owned());
    }
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        if !is_token(name) {
            return Err(format!("{name:?} is no name of a header"));
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(format!("the value of the header {name} has a line break or another control character in it"));
        }
        let _ = write!(request, "{name}: {value}\r\n");
    }
    request.push_str("\r\n");
    Ok(request)
}

fn value_of<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn without_query(path: &str) -> &str {
    path.split_once(['?', '#']).map_or(path, |(before, _)| before)
}

/// The first line of the answer's body, if it is one for people. As much of it as has come: there may be no more.
fn first_line(head: &Head, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(MOST_BODY)]);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if head.has("transfer-encoding", "chunked") {
        lines.next(); // a length
    }
    let line = lines.next().filter(|line| !line.starts_with('<'))?;
    Some(readable(line))
}

const MOST_BODY: usize = 1024;
