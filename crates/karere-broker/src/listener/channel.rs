//! One connection as the thread sees it: MQTT bytes in and out, whatever layers lie between them and the socket.

use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf, BytesMut};
use karere_proto::SendBuf;

use super::{
    layer::{self, End, Layer},
    stream::Stream,
};
use crate::broker::Then;

/// As many slices as one system call takes usefully.
const SLICES: usize = 64;

/// With more than this to be written a connection is not read, and what the broker has for it stays there.
const HIGH_WATER: usize = 1024 * 1024;

/// MQTT bytes that are sealed at once: with the header of a frame they fill one record of TLS.
const PIECE: usize = 16 * 1024 - 4;

/// Nothing more is sealed while this much of what was sealed is not written.
const ENOUGH_SEALED: usize = 64 * 1024;

pub(super) struct Channel {
    stream: Stream,
    /// Outermost first; often none.
    layers: Vec<Box<dyn Layer>>,
    /// What the broker has said.
    out: SendBuf,
    /// What the layers made of it and what they said themselves, to be written before all else.
    wire: BytesMut,
    progress: Progress,
}

/// How far the layers have come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// A handshake is not over.
    Opening,
    /// MQTT goes both ways.
    Open,
    /// The last words were said, and nobody listens.
    Closed,
}

/// What came of reading once.
pub(super) struct Received {
    /// Bytes that the socket had; 0 at its end.
    pub(super) count: usize,
    /// A layer has ended: nothing more comes, whatever the socket has.
    pub(super) end: Option<End>,
}

impl Channel {
    pub(super) fn new(stream: Stream, layers: Vec<Box<dyn Layer>>) -> Self {
        let progress = if layers.is_empty() { Progress::Open } else { Progress::Opening };
        Self { stream, layers, out: SendBuf::new(), wire: BytesMut::new(), progress }
    }

    /// Reads once, by way of `scratch`, and appends the MQTT bytes in it to `mqtt`.
    pub(super) fn read(&mut self, scratch: &mut [u8], mqtt: &mut BytesMut) -> io::Result<Received> {
        let count = self.stream.read(scratch)?;
        let mut end = None;
        if count > 0 && self.progress != Progress::Closed {
            end = layer::open(&mut self.layers, &scratch[..count], mqtt, &mut self.wire).err();
            if self.layers.iter().all(|layer| layer.is_open()) {
                self.progress = Progress::Open;
            }
        }
        Ok(Received { count, end })
    }

    /// Reads and forgets what the socket has.
    pub(super) fn drain(&mut self, scratch: &mut [u8]) {
        while self.stream.read(scratch).is_ok_and(|count| count > 0) {}
    }

    /// What the broker says to the client goes in here.
    pub(super) const fn out(&mut self) -> &mut SendBuf {
        &mut self.out
    }

    /// Writes until all is written or no more is taken. `then` is what comes after that.
    pub(super) fn write(&mut self, then: Then) -> io::Result<()> {
        if self.layers.is_empty() {
            return self.write_plain();
        }
        loop {
            self.seal();
            if then == Then::Close && (self.progress != Progress::Open || self.out.is_empty()) {
                self.close();
            }
            if self.wire.is_empty() {
                return Ok(());
            }
            match self.stream.write_vectored(&[IoSlice::new(&self.wire)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.wire.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Nothing is read and nothing is said any more, but for the layers' last words.
    pub(super) fn close(&mut self) {
        self.out.clear();
        if self.progress != Progress::Closed {
            self.progress = Progress::Closed;
            layer::close(&mut self.layers, &mut self.wire);
        }
    }

    /// Forgets what was to be written.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.wire.clear();
    }

    /// Tells the other side that nothing more comes.
    pub(super) fn finish(&mut self) {
        self.progress = Progress::Closed;
        self.stream.finish();
    }

    /// Something waits to be written.
    pub(super) fn is_unwritten(&self) -> bool {
        !self.out.is_empty() || !self.wire.is_empty()
    }

    /// Reading can lead to something to be written that the broker knows nothing of.
    pub(super) const fn has_layers(&self) -> bool {
        !self.layers.is_empty()
    }

    /// A handshake is not over.
    pub(super) fn is_opening(&self) -> bool {
        self.progress == Progress::Opening
    }

    /// What is to be written is little enough to take more, and to read more that may lead to more.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() + self.wire.len() <= HIGH_WATER
    }

    fn write_plain(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.out.slices(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes from the broker's bytes what the layers may have.
    fn seal(&mut self) {
        while self.progress == Progress::Open && !self.out.is_empty() && self.wire.len() < ENOUGH_SEALED {
            let mut piece = BytesMut::with_capacity(PIECE.min(self.out.len()));
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.out.slices(&mut slices);
            for slice in &slices[..count] {
                let room = PIECE - piece.len();
                piece.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            layer::seal(&mut self.layers, &piece, &mut self.wire);
            self.out.advance(piece.len());
        }
    }
}
