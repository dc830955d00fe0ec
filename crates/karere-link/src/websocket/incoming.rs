//! Frames from the server: their payload, without waiting for the end of a frame.

use std::io::Cursor;

use bytes::{Buf, BytesMut};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use super::readable;

/// Where in the server's frames we are.
pub(super) struct Incoming {
    /// Bytes of the data frame that is being read which have not come yet.
    left: u64,
    /// Bytes of a message of which more frames are to follow.
    message: Option<u64>,
    /// The most a message may have.
    limit: u64,
}

/// Why there are no more frames to read.
#[derive(Debug)]
pub(super) struct Ended {
    /// What our Close frame says; `None` is one without a code.
    pub(super) answer: Option<CloseCode>,
    /// What to tell the application.
    pub(super) why: String,
}

impl Ended {
    fn new(answer: CloseCode, why: impl Into<String>) -> Self {
        Self { answer: Some(answer), why: why.into() }
    }

    /// What no server may send.
    fn violation(what: &str) -> Self {
        Self::new(CloseCode::Protocol, format!("the server {what}: this is a fault of the server"))
    }
}

impl Incoming {
    pub(super) const fn new(limit: u64) -> Self {
        Self { left: 0, message: None, limit }
    }

    /// Moves the payload of data frames from `input` to `output`, as far as it has come, and of the last ping to `pong`.
    /// What is left in `input` is the beginning of a header or of a control frame.
    pub(super) fn read(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        pong: &mut Option<Box<[u8]>>,
    ) -> Result<(), Ended> {
        let mut sieve = Sieve { kept: 0, at: 0 };
        let outcome = self.sift(&mut sieve, input, pong);
        let carried = input.split_to(sieve.kept);
        input.advance(sieve.at - sieve.kept);
        if output.is_empty() {
            *output = carried;
        } else {
            output.extend_from_slice(&carried);
        }
        outcome
    }

    fn sift(&mut self, sieve: &mut Sieve, input: &mut BytesMut, pong: &mut Option<Box<[u8]>>) -> Result<(), Ended> {
        loop {
            if self.left > 0 {
                let here = input.len() - sieve.at;
                let len = usize::try_from(self.left).map_or(here, |left| left.min(here));
                if len == 0 {
                    return Ok(());
                }
                sieve.keep(len, input);
                self.left -= len as u64;
                continue;
            }
            let mut cursor = Cursor::new(&input[sieve.at..]);
            let parsed = FrameHeader::parse(&mut cursor)
                .map_err(|error| Ended::violation(&format!("sent a frame that is none ({error})")))?;
            let Some((header, len)) = parsed else {
                return Ok(());
            };
            let header_end = sieve.at + usize::try_from(cursor.position()).expect("invariant: within the input");
            if header.mask.is_some() {
                return Err(Ended::violation("sent a masked frame"));
            }
            if header.rsv1 || header.rsv2 || header.rsv3 {
                return Err(Ended::violation("used an extension that nobody agreed to"));
            }
            let control = match header.opcode {
                OpCode::Data(data) => {
                    self.begin(data, &header, len)?;
                    sieve.at = header_end;
                    continue;
                }
                OpCode::Control(control) => control,
            };
            if !header.is_final || len > LONGEST_CONTROL {
                return Err(Ended::violation("sent a control frame in parts, or with more than 125 bytes"));
            }
            let end = header_end + len as usize;
            let Some(payload) = input.get(header_end..end) else {
                return Ok(());
            };
            match control {
                Control::Ping => *pong = Some(payload.into()),
                Control::Pong => {}
                Control::Close => return Err(closed(payload)),
                Control::Reserved(_) => return Err(Ended::violation("sent a frame of a reserved kind")),
            }
            sieve.at = end;
        }
    }

    /// A data frame begins.
    fn begin(&mut self, data: Data, header: &FrameHeader, len: u64) -> Result<(), Ended> {
        let before = match (data, self.message) {
            (Data::Binary, None) => 0,
            (Data::Continue, Some(before)) => before,
            (Data::Text, _) => {
                let why = "the server sent a text frame, but MQTT travels in binary ones [MQTT-6.0.0-1]: \
                           it speaks something else at this path; try another";
                return Err(Ended::new(CloseCode::Unsupported, why));
            }
            (Data::Binary, Some(_)) => return Err(Ended::violation("began a message within another")),
            (Data::Continue, None) => return Err(Ended::violation("continued a message that had not begun")),
            (Data::Reserved(_), _) => return Err(Ended::violation("sent a frame of a reserved kind")),
        };
        let total = before.saturating_add(len);
        if total > self.limit {
            let limit = self.limit;
            let why = format!(
                "the server sent a message of {total} bytes or more, and the limit is {limit}: raise it if it is meant"
            );
            return Err(Ended::new(CloseCode::Size, why));
        }
        self.left = len;
        self.message = (!header.is_final).then_some(total);
        Ok(())
    }
}

/// Control frames have no more (RFC 6455, §5.5).
const LONGEST_CONTROL: u64 = 125;

/// Sorts payload from headers in the buffer in which they came, without another one.
///
/// ```text
/// │ payload, moved together │ read, and of no more use │ not read │
/// 0                        kept                        at
/// ```
struct Sieve {
    kept: usize,
    at: usize,
}

impl Sieve {
    /// The next `len` bytes are payload.
    fn keep(&mut self, len: usize, input: &mut BytesMut) {
        if self.kept == 0 {
            // The first payload stays where it is: a large frame is never copied.
            input.advance(self.at);
            self.at = 0;
        } else {
            input.copy_within(self.at..self.at + len, self.kept);
        }
        self.kept += len;
        self.at += len;
    }
}

/// The server has said goodbye (RFC 6455, §5.5.1 and §7.4).
fn closed(payload: &[u8]) -> Ended {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ended { answer: None, why: "the server closed the WebSocket, and did not say why".to_owned() },
            _ => Ended::violation("closed the WebSocket with half a code"),
        };
    };
    let number = u16::from_be_bytes(*code);
    let code = CloseCode::from(number);
    let Ok(reason) = core::str::from_utf8(reason) else {
        return Ended::new(CloseCode::Invalid, format!("the server closed the WebSocket with {number}, in no UTF-8"));
    };
    let meaning = match code {
        CloseCode::Normal => " (normal)",
        CloseCode::Away => " (it goes away)",
        CloseCode::Protocol => " (protocol error)",
        CloseCode::Unsupported => " (unsupported data)",
        CloseCode::Invalid => " (invalid data)",
        CloseCode::Policy => " (against its policy)",
        CloseCode::Size => " (message too big)",
        CloseCode::Extension => " (extension missing)",
        CloseCode::Error => " (internal error)",
        CloseCode::Restart => " (it restarts)",
        CloseCode::Again => " (try again later)",
        _ => "",
    };
    let mut why = format!("the server closed the WebSocket with {number}{meaning}");
    if !reason.is_empty() {
        why.push_str(": ");
        why.push_str(&readable(reason));
    }
    let answer = if code.is_allowed() { code } else { CloseCode::Protocol };
    Ended { answer: Some(answer), why }
}
