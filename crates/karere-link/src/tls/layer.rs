//! TLS of one connection, between buffers.

use core::{fmt, net::IpAddr};
use std::{
    io::{self, BufRead, IoSlice, Write},
    sync::Arc,
    time::Instant,
};

use bytes::{Buf, BytesMut};
use karere_proto::SendBuf;
use rustls::{
    ClientConnection,
    pki_types::{DnsName, ServerName},
};

use super::{
    Tls,
    explain::{Facts, Own, explain},
    first::First,
    witness::Witness,
};
use crate::layer::{Layer, LayerError, Progress};

/// What people call this layer.
pub(super) const TLS: &str = "TLS";

/// TLS of one connection.
///
/// That the stream ends without close_notify is not told apart from an end with it: packets of MQTT say how long they
/// are, so whoever cuts the stream gains no more than by resetting the connection.
pub(crate) struct TlsLayer {
    connection: ClientConnection,
    name: ServerName<'static>,
    witness: Option<Arc<Witness>>,
    own: Own,
    /// The first bytes from the server, as long as it is not certain that they are TLS.
    first: Option<First>,
    end: End,
}

/// Whether anything of MQTT may still leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It may.
    Open,
    /// One side has said goodbye, or the connection has failed.
    Ended,
}

impl TlsLayer {
    /// A client's side that has said nothing yet.
    pub(crate) fn new(tls: &Tls, host: &str) -> Result<Self, LayerError> {
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        let connection = ClientConnection::new(Arc::clone(&tls.config), name.clone())
            .map_err(|error| LayerError::new(TLS, format!("cannot begin: {error}")))?;
        let witness = tls.witness.clone();
        let own = if tls.config.client_auth_cert_resolver.has_certs() { Own::Certificate } else { Own::Nothing };
        Ok(Self { connection, name, witness, own, first: Some(First::default()), end: End::Open })
    }

    /// Decrypts what is complete in `input`.
    fn receive(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<(), LayerError> {
        while !input.is_empty() {
            let mut unread = &input[..];
            let read = self.connection.read_tls(&mut unread).map_err(|error| self.broken(&error))?;
            if read == 0 {
                input.clear(); // behind close_notify nothing counts (RFC 8446 §6.1)
                return Ok(());
            }
            input.advance(read);
            let state = self.connection.process_new_packets().map_err(|error| self.failed(&error))?;
            self.read_plaintext(state.plaintext_bytes_to_read(), output);
            if state.peer_has_closed() && self.end == End::Open {
                // TLS 1.2 asks for an answer at once, and that pending writes are discarded (RFC 5246 §7.2.1).
                self.end = End::Ended;
                self.connection.send_close_notify();
            }
        }
        Ok(())
    }

    fn read_plaintext(&mut self, mut left: usize, output: &mut BytesMut) {
        output.reserve(left);
        let mut reader = self.connection.reader();
        while left > 0 {
            let Ok(chunk @ [_, ..]) = reader.fill_buf() else {
                break;
            };
            let len = chunk.len();
            output.extend_from_slice(chunk);
            reader.consume(len);
            left = left.saturating_sub(len);
        }
    }

    /// Encrypts all of `plain`, a portion at a time.
    fn encrypt(&mut self, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = plain.slices(&mut slices);
            if filled == 0 {
                return Ok(());
            }
            let taken =
                self.connection.writer().write_vectored(&slices[..filled]).map_err(|error| self.broken(&error))?;
            if taken == 0 {
                return Err(LayerError::new(TLS, "has used up its keys: the connection has to be made anew"));
            }
            plain.advance(taken);
            self.flush(wire)?;
        }
    }

    /// Moves what is encrypted to `wire`.
    fn flush(&mut self, wire: &mut SendBuf) -> Result<(), LayerError> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Wire(wire)).map_err(|error| self.broken(&error))?;
        }
        Ok(())
    }

    fn failed(&mut self, error: &rustls::Error) -> LayerError {
        self.end = End::Ended;
        let facts = Facts {
            name: &self.name,
            own: self.own,
            shown: self.witness.as_ref().and_then(|witness| witness.shown(&self.name)),
        };
        LayerError::new(TLS, explain(error, &facts))
    }

    /// An error that rustls tells as one of input or output.
    fn broken(&mut self, error: &io::Error) -> LayerError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => self.failed(error),
            None => {
                self.end = End::Ended;
                LayerError::new(TLS, error.to_string())
            }
        }
    }
}

/// How many pieces are encrypted at once; rustls takes no more than 64 KiB of them, and a piece may be of any size.
const SLICES: usize = 16;

impl Layer for TlsLayer {
    fn ended_early(&self) -> &'static str {
        match &self.first {
            Some(first) if first.bytes().is_empty() => {
                "the server closed the connection without an answer to TLS: perhaps this port does not speak it \
                 (MQTT over TLS is usually on 8883, MQTT without on 1883), or the server has no certificate"
            }
            _ => "the server closed the connection in the middle of the handshake: see its log",
        }
    }

    fn name(&self) -> &'static str {
        TLS
    }

    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        if let Some(first) = &mut self.first {
            first.note(input);
            if let Some(why) = first.speaks_otherwise() {
                self.end = End::Ended;
                return Err(LayerError::new(TLS, why));
            }
        }
        self.receive(input, output)?;
        if self.connection.is_handshaking() {
            return Ok(Progress::Handshaking);
        }
        self.first = None;
        Ok(Progress::Open)
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        match self.end {
            End::Open if self.connection.is_handshaking() => {}
            End::Open => {
                self.flush(wire)?;
                self.encrypt(plain, wire)?;
            }
            End::Ended => plain.advance(plain.open_len()),
        }
        // An alert that says why a handshake failed leaves too.
        self.flush(wire)
    }

    fn close(&mut self, wire: &mut SendBuf) {
        self.end = End::Ended;
        self.connection.send_close_notify();
        // Fails only when writing to memory does: never.
        let _ = self.flush(wire);
    }
}

/// A connection holds keys.
impl fmt::Debug for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLayer")
            .field("name", &self.name)
            .field("handshaking", &self.connection.is_handshaking())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Takes what rustls writes.
struct Wire<'a>(&'a mut SendBuf);

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put_slice(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        self.0.reserve(len);
        for piece in pieces {
            self.0.put_slice(piece);
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a certificate has to be for. IPv6 may stand in brackets; its zone says nothing about the server.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, LayerError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = match bare.split_once('%') {
        Some((address, _zone)) if address.contains(':') => address,
        _ => bare,
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let why = match DnsName::try_from(bare.to_owned()) {
        Ok(name) => return Ok(ServerName::DnsName(name)),
        Err(_) if bare.is_empty() => "it is empty",
        Err(_) if !bare.is_ascii() => "names in certificates are ASCII: write it in Punycode (xn--…)",
        Err(_) => "a name consists of letters, digits, \"-\", \"_\" and \".\", up to 63 between dots and 253 in all",
    };
    let shown = host.escape_debug();
    Err(LayerError::new(TLS, format!("\"{shown}\" can stand in no certificate: {why}")))
}

#[cfg(test)]
mod tests;
