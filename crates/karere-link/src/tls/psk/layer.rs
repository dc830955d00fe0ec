//! TLS of one connection by a pre-shared key, between buffers.

use core::fmt;
use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Instant,
};

use bytes::{Buf, BytesMut};
use karere_proto::SendBuf;
use openssl::ssl::{self, ErrorCode, Ssl, SslRef, SslStream, SslVersion};
use rustls::pki_types::ServerName;

use super::{
    Psk,
    explain::{Facts, Phase, explain},
};
use crate::{
    layer::{Layer, LayerError, Progress},
    tls::{
        first::First,
        layer::{TLS, server_name},
    },
};

/// TLS of one connection, as [`TlsLayer`](crate::tls::TlsLayer) is, but with OpenSSL beneath.
pub(super) struct PskLayer {
    stream: SslStream<Pipe>,
    identity: Arc<str>,
    phase: Phase,
    /// The first bytes from the server, as long as it is not certain that they are TLS.
    first: Option<First>,
    end: End,
}

/// Whether anything of MQTT may still leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It may.
    Open,
    /// One side has said goodbye.
    Said,
    /// The connection has failed: OpenSSL is asked nothing more.
    Failed,
}

impl PskLayer {
    /// A client's side that has said nothing yet.
    pub(super) fn new(psk: &Psk, host: &str) -> Result<Self, LayerError> {
        let begin = || {
            let mut ssl = Ssl::new(&psk.context)?;
            // Nothing is proved by the name, so that one that can stand in no certificate does no harm.
            if let Ok(ServerName::DnsName(name)) = server_name(host) {
                ssl.set_hostname(name.as_ref())?;
            }
            ssl.set_connect_state();
            SslStream::new(ssl, Pipe::default())
        };
        let stream = begin().map_err(|error| LayerError::new(TLS, format!("cannot begin: {error}")))?;
        let identity = Arc::clone(&psk.identity);
        Ok(Self { stream, identity, phase: Phase::Handshake, first: Some(First::default()), end: End::Open })
    }

    /// Goes on with the handshake as far as there are bytes for it.
    fn shake_hands(&mut self) -> Result<(), LayerError> {
        match self.stream.do_handshake() {
            Ok(()) if proves_the_key(self.stream.ssl()) => {
                self.phase = Phase::Open;
                self.first = None;
                Ok(())
            }
            Ok(()) => {
                self.end = End::Failed;
                Err(LayerError::new(TLS, "the server did not prove that it knows the pre-shared key"))
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Decrypts what is complete.
    fn receive(&mut self, output: &mut BytesMut) -> Result<(), LayerError> {
        let mut plain = [0; RECORD];
        loop {
            match self.stream.ssl_read(&mut plain) {
                Ok(len) => output.extend_from_slice(&plain[..len]),
                Err(error) if error.code() == ErrorCode::WANT_READ => return Ok(()),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    // Behind close_notify nothing counts (RFC 8446 §6.1).
                    self.stream.get_mut().incoming.clear();
                    if self.end == End::Open {
                        // TLS 1.2 asks for an answer at once, and that pending writes are discarded (RFC 5246 §7.2.1).
                        self.say_goodbye();
                    }
                    return Ok(());
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    /// Encrypts all of `plain`, a record at a time: many small packets become one.
    fn encrypt(&mut self, plain: &mut SendBuf) -> Result<(), LayerError> {
        if plain.open_len() == 0 {
            return Ok(());
        }
        let mut record = [0; RECORD];
        loop {
            let len = fill(&mut record, plain);
            if len == 0 {
                return Ok(());
            }
            let written = self.stream.ssl_write(&record[..len]).map_err(|error| self.failed(&error))?;
            plain.advance(written);
        }
    }

    fn say_goodbye(&mut self) {
        self.end = End::Said;
        // Fails only before the handshake is over: then there is nobody to take leave of.
        let _ = self.stream.shutdown();
    }

    fn failed(&mut self, error: &ssl::Error) -> LayerError {
        self.end = End::Failed;
        let hint = self.stream.ssl().psk_identity_hint();
        LayerError::new(TLS, explain(error, &Facts { phase: self.phase, identity: &self.identity, hint }))
    }
}

/// What a record holds at most (RFC 8446 §5.1).
const RECORD: usize = 1 << 14;

/// Copies what may leave to `record`, as much as there is room; says how much that was.
fn fill(record: &mut [u8], plain: &SendBuf) -> usize {
    let mut slices = [io::IoSlice::new(&[]); 64];
    let filled = plain.slices(&mut slices);
    let mut len = 0;
    for slice in &slices[..filled] {
        let room = &mut record[len..];
        let part = room.len().min(slice.len());
        room[..part].copy_from_slice(&slice[..part]);
        len += part;
    }
    len
}

/// True when the key is what the handshake was about. The cipher suites see to it, and that no certificate is accepted; but
/// an anonymous suite among those that were allowed would go unnoticed.
fn proves_the_key(ssl: &SslRef) -> bool {
    if ssl.version2() == Some(SslVersion::TLS1_3) {
        // External keys are resumption to OpenSSL, and no session is ever resumed here.
        return ssl.session_reused();
    }
    ssl.current_cipher().is_some_and(|cipher| cipher.name().contains("PSK"))
}

impl Layer for PskLayer {
    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        if let Some(first) = &mut self.first {
            first.note(input);
            if let Some(why) = first.speaks_otherwise() {
                self.end = End::Failed;
                return Err(LayerError::new(TLS, why));
            }
        }
        if self.end == End::Failed {
            input.clear();
            return Ok(Progress::Handshaking);
        }
        self.stream.get_mut().feed(input);
        if self.phase == Phase::Handshake {
            self.shake_hands()?;
        }
        let progress = match self.phase {
            Phase::Handshake => Progress::Handshaking,
            Phase::Open => {
                self.receive(output)?;
                Progress::Open
            }
        };
        self.stream.get_mut().release();
        Ok(progress)
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        match (self.end, self.phase) {
            (End::Open, Phase::Handshake) => self.shake_hands()?,
            (End::Open, Phase::Open) => self.encrypt(plain)?,
            (End::Said | End::Failed, _) => plain.advance(plain.open_len()),
        }
        // An alert that says why a handshake failed leaves too.
        self.stream.get_mut().outgoing.take_open(wire);
        Ok(())
    }

    fn ended_early(&self) -> &'static str {
        match &self.first {
            Some(first) if first.bytes().is_empty() => {
                "the server closed the connection without an answer to TLS: perhaps this port does not speak it, or has no \
                 pre-shared keys (MQTT over TLS is usually on 8883 or 8884, MQTT without on 1883)"
            }
            _ => "the server closed the connection in the middle of the handshake: see its log",
        }
    }

    fn name(&self) -> &'static str {
        TLS
    }

    fn close(&mut self, wire: &mut SendBuf) {
        if self.end == End::Open {
            self.say_goodbye();
        }
        self.stream.get_mut().outgoing.take_open(wire);
    }
}

/// A connection holds keys.
impl fmt::Debug for PskLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PskLayer")
            .field("identity", &self.identity)
            .field("phase", &self.phase)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// What OpenSSL takes for a socket.
#[derive(Debug, Default)]
struct Pipe {
    incoming: BytesMut,
    outgoing: SendBuf,
}

impl Pipe {
    fn feed(&mut self, input: &mut BytesMut) {
        let input = core::mem::take(input);
        if self.incoming.is_empty() {
            self.incoming = input;
        } else {
            self.incoming.unsplit(input);
        }
    }

    /// Lets go of the driver's read buffer, of which an empty rest is still a part.
    fn release(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = BytesMut::new();
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = room.len().min(self.incoming.len());
        self.incoming.copy_to_slice(&mut room[..len]);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.put_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
