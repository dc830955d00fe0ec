//! What does a SOCKS 5 proxy have to be told to open a way, and what do its answers mean?

use core::{fmt, net::IpAddr};
use std::time::Instant;

use bytes::BytesMut;
use karere_proto::SendBuf;

use super::{
    Credentials,
    target::{Destination, Host, Way},
};
use crate::layer::{Layer, LayerError, Progress};

/// CONNECT of SOCKS 5 (RFC 1928), with user name and password (RFC 1929).
pub(super) struct Socks5 {
    way: Way,
    /// Until it is sent; `None` when there is no password to tell.
    log_in: Option<Vec<u8>>,
    identity: Identity,
    request: Vec<u8>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Given,
    None,
}

/// ```text
/// Greet → Method → Ask → Reply → Through
///            └→ LogIn → LoggedIn ↗ (Ask)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// To say: which ways to log in there are.
    Greet,
    /// To hear: which it takes.
    Method,
    /// To say: user name and password.
    LogIn,
    /// To hear: whether these are good.
    LoggedIn,
    /// To say: where to.
    Ask,
    /// To hear: whether the way is open.
    Reply,
    Through,
}

impl Socks5 {
    /// Neither name nor credentials may be longer than 255 bytes.
    pub(super) fn new(way: Way, destination: &Destination, credentials: Option<Credentials<'_>>) -> Self {
        let counted = |text: &str| {
            let length = u8::try_from(text.len()).expect("invariant: checked to be 255 at most");
            core::iter::once(length).chain(text.bytes().collect::<Vec<_>>())
        };
        let log_in = credentials.map(|Credentials { user_name, password }| {
            let mut log_in = vec![LOG_IN_VERSION];
            log_in.extend(counted(user_name).chain(counted(password)));
            log_in
        });
        let mut request = vec![VERSION, CONNECT, 0];
        match &destination.host {
            Host::Ip(IpAddr::V4(ip)) => {
                request.push(IPV4);
                request.extend(ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) => {
                request.push(IPV6);
                request.extend(ip.octets());
            }
            Host::Name(name) => {
                request.push(NAME);
                request.extend(counted(name));
            }
        }
        request.extend(destination.port.to_be_bytes());
        let identity = if credentials.is_some() { Identity::Given } else { Identity::None };
        Self { way, log_in, identity, request, step: Step::Greet }
    }

    /// Which way to log in the proxy has chosen.
    fn method(&self, method: u8) -> Result<Step, LayerError> {
        let Self { way, .. } = self;
        match (method, self.identity) {
            (NO_LOG_IN, _) => Ok(Step::Ask),
            (PASSWORD, Identity::Given) => Ok(Step::LogIn),
            (NOT_ACCEPTABLE, Identity::None) => {
                Err(way.fail("wants to know who is asking; give the proxy's URL a user name and password"))
            }
            (NOT_ACCEPTABLE, Identity::Given) => Err(way.fail(
                "takes neither user name and password nor nobody's; have it take one of these, or let a proxy of your \
                 own speak to it",
            )),
            _ => Err(way.fail(format_args!("chooses a way to log in that it was not offered (method {method})"))),
        }
    }

    fn refused(&self, code: u8) -> LayerError {
        let Self { way, .. } = self;
        match code {
            1 => way.fail(format_args!("failed on the way to {way} (1, general failure); its log may tell more")),
            2 => way.fail(format_args!("forbids the way to {way} (2); have its rules allow this server and port")),
            3 => way.fail(format_args!("cannot reach the network of {way} (3)")),
            4 => way.fail(format_args!("cannot reach {way} (4, host unreachable), or cannot resolve its name")),
            5 => way.fail(format_args!("was refused by {way} (5); see whether the server is up and the port right")),
            6 => way.fail(format_args!("got no answer from {way} in time (6)")),
            7 => way.fail("does not know CONNECT (7)"),
            8 => way.fail(match (&self.way.target.address, self.request.get(3)) {
                (_, Some(&NAME)) => "does not resolve names (8); write socks5:// so that this machine does",
                _ => "does not know addresses of this kind (8); write socks5h:// so that it resolves the name itself",
            }),
            _ => way.fail(format_args!("does not open the way to {way} (unknown code {code})")),
        }
    }

    /// Reads what is to be heard; `None` when it is not there in full.
    fn hear(&self, input: &mut BytesMut) -> Result<Option<Step>, LayerError> {
        let version = if self.step == Step::LoggedIn { LOG_IN_VERSION } else { VERSION };
        match input.first() {
            None => return Ok(None),
            Some(&first) if first != version => return Err(self.way.foreign(first)),
            Some(_) => {}
        }
        let Some(&code) = input.get(1) else {
            return Ok(None);
        };
        let (length, next) = match self.step {
            Step::Method => (2, self.method(code)?),
            Step::LoggedIn if code == 0 => (2, Step::Ask),
            Step::LoggedIn => {
                let why = "does not accept the user name and password it was given; correct them in the proxy's URL";
                return Err(self.way.fail(why));
            }
            Step::Reply if code == 0 => match self.reply_length(input)? {
                Some(length) if length <= input.len() => (length, Step::Through),
                _ => return Ok(None),
            },
            Step::Reply => return Err(self.refused(code)),
            Step::Greet | Step::LogIn | Step::Ask | Step::Through => return Ok(None),
        };
        let _ = input.split_to(length);
        Ok(Some(next))
    }

    /// How long a reply is, by the kind of address in it, which nobody needs (RFC 1928, §6).
    fn reply_length(&self, input: &[u8]) -> Result<Option<usize>, LayerError> {
        let address = match input.get(3) {
            None => return Ok(None),
            Some(&IPV4) => 4,
            Some(&IPV6) => 16,
            Some(&NAME) => match input.get(4) {
                None => return Ok(None),
                Some(&length) => 1 + usize::from(length),
            },
            Some(&other) => {
                return Err(self
                    .way
                    .fail(format_args!("tells an address of a kind that there is not (0x{other:02x})")));
            }
        };
        Ok(Some(4 + address + 2))
    }
}

const VERSION: u8 = 5;
const LOG_IN_VERSION: u8 = 1;
const CONNECT: u8 = 1;

const NO_LOG_IN: u8 = 0;
const PASSWORD: u8 = 2;
const NOT_ACCEPTABLE: u8 = 0xff;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

impl Layer for Socks5 {
    fn name(&self) -> &'static str {
        self.way.layer
    }

    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        loop {
            match self.step {
                Step::Greet | Step::LogIn | Step::Ask if input.is_empty() => return Ok(Progress::Handshaking),
                Step::Greet | Step::LogIn | Step::Ask => return Err(self.way.out_of_turn()),
                Step::Method | Step::LoggedIn | Step::Reply => match self.hear(input)? {
                    Some(Step::Through) => {
                        self.step = Step::Through;
                        return Ok(Progress::Transparent);
                    }
                    Some(next) => self.step = next,
                    None => return Ok(Progress::Handshaking),
                },
                Step::Through => {
                    output.unsplit(input.split());
                    return Ok(Progress::Transparent);
                }
            }
        }
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        self.step = match self.step {
            Step::Greet => {
                match self.identity {
                    Identity::None => wire.put_slice(&[VERSION, 1, NO_LOG_IN]),
                    Identity::Given => wire.put_slice(&[VERSION, 2, NO_LOG_IN, PASSWORD]),
                }
                Step::Method
            }
            Step::LogIn => {
                wire.put_slice(&self.log_in.take().unwrap_or_default());
                Step::LoggedIn
            }
            Step::Ask => {
                wire.put_slice(&self.request);
                Step::Reply
            }
            Step::Through => {
                plain.take_open(wire);
                Step::Through
            }
            heard @ (Step::Method | Step::LoggedIn | Step::Reply) => heard,
        };
        Ok(())
    }

    fn close(&mut self, _: &mut SendBuf) {}
}

/// There is a password in it.
impl fmt::Debug for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socks5")
            .field("way", &self.way)
            .field("identity", &self.identity)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
