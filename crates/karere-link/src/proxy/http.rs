//! What does an HTTP proxy have to be told to open a way, and what does its answer mean?

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use karere_proto::SendBuf;

use super::{
    Credentials,
    target::{Destination, Host, Way},
};
use crate::layer::{Layer, LayerError, Progress};

/// CONNECT (RFC 9110, §9.3.6).
pub(super) struct HttpConnect {
    way: Way,
    /// Until it is sent; it has the password in it.
    request: Vec<u8>,
    identity: Identity,
    step: Step,
    /// Bytes of the answer that were consumed.
    consumed: usize,
    /// Bytes of the unfinished line that are known to have no end of line.
    scanned: usize,
    /// What the proxy wants instead of the credentials it got, by name.
    schemes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Given,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask,
    StatusLine,
    /// The header of an answer with this status.
    Header(u16),
    Through,
}

impl HttpConnect {
    pub(super) fn new(way: Way, destination: &Destination, credentials: Option<Credentials<'_>>) -> Self {
        let authority = authority(destination);
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(Credentials { user_name, password }) = credentials {
            let basic = STANDARD.encode(format!("{user_name}:{password}"));
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(&basic);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let identity = if credentials.is_some() { Identity::Given } else { Identity::None };
        let request = request.into_bytes();
        Self { way, request, identity, step: Step::Ask, consumed: 0, scanned: 0, schemes: Vec::new() }
    }

    /// Takes the next line, without its end.
    fn next_line(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, LayerError> {
        let Some(at) = input[self.scanned..].iter().position(|&byte| byte == b'\n') else {
            self.scanned = input.len();
            self.check_length(input.len())?;
            return Ok(None);
        };
        let end = self.scanned + at + 1;
        self.check_length(end)?;
        self.consumed += end;
        self.scanned = 0;
        let mut line = input.split_to(end);
        line.truncate(end - 1);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 2);
        }
        Ok(Some(line))
    }

    fn check_length(&self, more: usize) -> Result<(), LayerError> {
        if self.consumed + more <= LONGEST_ANSWER {
            return Ok(());
        }
        Err(self.way.fail(format_args!("answers with a header of more than {LONGEST_ANSWER} bytes")))
    }

    /// A server that speaks something else may never send an end of line: it is told by its first bytes.
    fn check_begin(&self, input: &[u8]) -> Result<(), LayerError> {
        let common = input.len().min(VERSION.len());
        match input.first() {
            Some(&first) if first != VERSION[0] => Err(self.way.foreign(first)),
            Some(_) if input[..common] != VERSION[..common] => Err(self.not_http()),
            _ => Ok(()),
        }
    }

    fn not_http(&self) -> LayerError {
        self.way.fail("does not answer in HTTP/1.1; see whether host and port are the proxy's")
    }

    /// What status a line tells; errors that need no header are told at once.
    fn status(&self, line: &[u8]) -> Result<u16, LayerError> {
        let code = match line.strip_prefix(VERSION) {
            Some([minor, b' ', a, b, c, rest @ ..])
                if [minor, a, b, c].iter().all(|byte| byte.is_ascii_digit()) && matches!(rest, [] | [b' ', ..]) =>
            {
                [a, b, c].iter().fold(0, |code, &&digit| code * 10 + u16::from(digit - b'0'))
            }
            _ => return Err(self.not_http()),
        };
        match code {
            100 | 102..=299 | PROXY_AUTHENTICATION_REQUIRED => Ok(code),
            _ => Err(self.way.fail(Refusal { code, way: &self.way })),
        }
    }

    /// Notes the schemes that one `Proxy-Authenticate` offers.
    fn note_schemes(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return;
        };
        let (name, value) = line.split_at(colon);
        if !name.eq_ignore_ascii_case(b"proxy-authenticate") {
            return;
        }
        let value = unquoted(&value[1..]);
        // Schemes and parameters are both separated by commas; a parameter has a `=` behind its first word.
        for part in value.split(',') {
            let part = part.trim_ascii();
            let end = part.find(|character: char| !is_scheme(character)).unwrap_or(part.len());
            let (scheme, rest) = part.split_at(end);
            let is_parameter = rest.trim_ascii_start().starts_with('=');
            let known = self.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme));
            let fits = (1..=LONGEST_SCHEME).contains(&scheme.len()) && self.schemes.len() < MOST_SCHEMES;
            if fits && !known && !is_parameter {
                self.schemes.push(scheme.to_owned());
            }
        }
    }

    fn unauthorized(&self) -> LayerError {
        let offers_basic = self.schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        let offers = if self.schemes.is_empty() { "nothing".to_owned() } else { self.schemes.join(", ") };
        match (offers_basic, self.identity) {
            (true, Identity::None) => self.way.fail(format_args!(
                "wants to know who is asking (407, it offers {offers}); give the proxy's URL a user name and password"
            )),
            (true, Identity::Given) => self.way.fail(format_args!(
                "does not accept the user name and password it was given (407, it offers {offers}); correct them in the \
                 proxy's URL"
            )),
            (false, _) => self.way.fail(format_args!(
                "wants to know who is asking in a way that karere does not have (407, it offers {offers}); have it offer \
                 Basic, or let a proxy of your own speak to it"
            )),
        }
    }
}

/// The line and header of an answer; Go and curl allow more, proxies send some hundreds.
const LONGEST_ANSWER: usize = 16 * 1024;
const LONGEST_SCHEME: usize = 32;
const MOST_SCHEMES: usize = 8;
const VERSION: &[u8] = b"HTTP/1.";
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

impl Layer for HttpConnect {
    fn name(&self) -> &'static str {
        self.way.layer
    }

    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        loop {
            match self.step {
                Step::Ask if input.is_empty() => return Ok(Progress::Handshaking),
                Step::Ask => return Err(self.way.out_of_turn()),
                Step::StatusLine => self.check_begin(input)?,
                Step::Header(_) => {}
                Step::Through => {
                    output.unsplit(input.split());
                    return Ok(Progress::Transparent);
                }
            }
            let Some(line) = self.next_line(input)? else {
                return Ok(Progress::Handshaking);
            };
            self.step = match self.step {
                Step::Header(PROXY_AUTHENTICATION_REQUIRED) if line.is_empty() => return Err(self.unauthorized()),
                // An answer on the way to the answer (RFC 9110, §15.2).
                Step::Header(100..=199) if line.is_empty() => Step::StatusLine,
                Step::Header(_) if line.is_empty() => {
                    // What follows is the server's, whatever length the header names (RFC 9110, §9.3.6).
                    self.step = Step::Through;
                    return Ok(Progress::Transparent);
                }
                Step::Header(status) => {
                    self.note_schemes(&line);
                    Step::Header(status)
                }
                Step::Ask | Step::StatusLine | Step::Through => Step::Header(self.status(&line)?),
            };
        }
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        match self.step {
            Step::Ask => {
                wire.put_slice(&core::mem::take(&mut self.request));
                self.step = Step::StatusLine;
            }
            Step::StatusLine | Step::Header(_) => {}
            Step::Through => plain.take_open(wire),
        }
        Ok(())
    }

    fn close(&mut self, _: &mut SendBuf) {}
}

/// `host:port`, IPv6 in brackets.
fn authority(Destination { host, port }: &Destination) -> String {
    match host {
        Host::Ip(IpAddr::V6(ip)) => SocketAddr::from((*ip, *port)).to_string(),
        Host::Ip(IpAddr::V4(ip)) => format!("{ip}:{port}"),
        Host::Name(name) => format!("{name}:{port}"),
    }
}

/// A status that is no success, and what to do about it.
struct Refusal<'a> {
    code: u16,
    way: &'a Way,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, way } = self;
        match code {
            400 => write!(f, "does not understand the request for {way} (400)"),
            401 | 404 | 405 | 501 => write!(
                f,
                "opens no ways to other servers ({code}): it is a web server, or a proxy where CONNECT is turned off"
            ),
            403 => write!(
                f,
                "forbids the way to {way} (403); have it allow CONNECT to this server and port, or use a port that it \
                 allows: often 443 only"
            ),
            408 => f.write_str("did not receive the request in time (408)"),
            429 => f.write_str("refuses so many connections (429); let them be fewer, or wait longer between attempts"),
            500 => f.write_str("has an error of its own (500); its log may tell more"),
            502 => {
                write!(
                    f,
                    "cannot reach {way} (502); see whether the server is up, and the name right where the proxy is"
                )
            }
            503 => write!(
                f,
                "cannot open a way to {way} now (503): it is overloaded, or cannot find the server; its log may tell more"
            ),
            504 => {
                write!(f, "got no answer from {way} in time (504); see whether the server is up and reachable from it")
            }
            300..=399 => write!(f, "sends the client elsewhere ({code}), which is not followed; give that proxy's URL"),
            _ => write!(f, "does not open the way to {way} (status {code})"),
        }
    }
}

/// The text with what stands in quotes left out.
fn unquoted(value: &[u8]) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for &byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            _ => text.push(char::from(byte)),
        }
    }
    text
}

fn is_scheme(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

/// The request has the password in it.
impl fmt::Debug for HttpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnect")
            .field("way", &self.way)
            .field("identity", &self.identity)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
