//! What does a SOCKS 4 proxy have to be told to open a way, and what does its answer mean?
//!
//! SOCKS 4 and its extension 4a are no RFCs but two texts of 1992 and 1996, which every implementation follows.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};
use std::time::Instant;

use bytes::BytesMut;
use karere_proto::SendBuf;

use super::{
    Credentials,
    target::{Destination, Host, Way},
};
use crate::layer::{Layer, LayerError, Progress};

/// CONNECT of SOCKS 4 and 4a.
pub(super) struct Socks4 {
    way: Way,
    /// Until it is sent; it has the user name in it.
    request: Vec<u8>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask,
    Reply,
    Through,
}

impl Socks4 {
    pub(super) fn new(
        way: Way,
        destination: &Destination,
        credentials: Option<Credentials<'_>>,
    ) -> Result<Self, LayerError> {
        let (ip, name) = match &destination.host {
            Host::Ip(IpAddr::V4(ip)) => (*ip, None),
            Host::Name(name) => (SEE_NAME, Some(name)),
            Host::Ip(IpAddr::V6(_)) => {
                let why = format_args!("cannot be told {way}: SOCKS 4 knows no IPv6; use SOCKS 5, or an IPv4 address");
                return Err(way.fail(why));
            }
        };
        let mut request = vec![4, 1];
        request.extend(destination.port.to_be_bytes());
        request.extend(ip.octets());
        request.extend(credentials.map_or("", |credentials| credentials.user_name).bytes());
        request.push(0);
        if let Some(name) = name {
            request.extend(name.bytes());
            request.push(0);
        }
        Ok(Self { way, request, step: Step::Ask })
    }

    fn refused(&self, code: u8) -> LayerError {
        let Self { way, .. } = self;
        match code {
            91 => way.fail(format_args!(
                "refuses the way to {way}, or cannot open it (91); see whether the server is up, and whether the proxy \
                 lets this client through to it"
            )),
            92 => way.fail("cannot reach identd on this machine, by which it wants to know its user (92)"),
            93 => way.fail("was told another user by identd on this machine than by the proxy's URL (93)"),
            _ => way.fail(format_args!("does not open the way to {way} (unknown code {code})")),
        }
    }
}

/// An address that is none: the name follows.
const SEE_NAME: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);

const GRANTED: u8 = 90;
const REPLY: usize = 8;

impl Layer for Socks4 {
    fn name(&self) -> &'static str {
        self.way.layer
    }

    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        match self.step {
            Step::Ask if input.is_empty() => return Ok(Progress::Handshaking),
            Step::Ask => return Err(self.way.out_of_turn()),
            Step::Reply => {}
            Step::Through => {
                output.unsplit(input.split());
                return Ok(Progress::Transparent);
            }
        }
        match input[..] {
            [first, ..] if first != 0 => return Err(self.way.foreign(first)),
            [_, code, ..] if code != GRANTED => return Err(self.refused(code)),
            _ if input.len() < REPLY => return Ok(Progress::Handshaking),
            _ => {}
        }
        let _ = input.split_to(REPLY);
        self.step = Step::Through;
        Ok(Progress::Transparent)
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        match self.step {
            Step::Ask => {
                wire.put_slice(&core::mem::take(&mut self.request));
                self.step = Step::Reply;
            }
            Step::Reply => {}
            Step::Through => plain.take_open(wire),
        }
        Ok(())
    }

    fn close(&mut self, _: &mut SendBuf) {}
}

impl fmt::Debug for Socks4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socks4").field("way", &self.way).field("step", &self.step).finish_non_exhaustive()
    }
}
