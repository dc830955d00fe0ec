//! Bytes waiting to leave, in wire order, and the gates that hold them until a record is durable.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// Payloads from this size on are queued by reference; smaller ones are copied behind their header.
///
/// Copying wins two to four times below 512 bytes, ties at 1 to 4 KiB, and loses above.
const BY_REFERENCE: usize = 4096;

/// A drained buffer keeps at most this much room for the next batch; a client that only ever sent little holds little.
const KEEP: usize = 128 * 1024;

/// What has left is moved out of the arena from this many bytes on, so that a queue that never runs dry does not grow.
const COMPACT: usize = 16 * 1024;

/// Log sequence number: the place of a journal record in the order of all of them. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// Before the first record: always durable.
    pub const ZERO: Self = Self(0);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Bytes waiting to leave, in wire order.
///
/// Small things are copied into one arena, large payloads queued by reference. A gate holds back all that was put in
/// after it until its journal record is durable; what is behind a closed gate is never lent to anyone.
#[derive(Default)]
pub struct SendBuf {
    /// Finished pieces, oldest first.
    chunks: VecDeque<Bytes>,
    /// The arena: what was put in last.
    tail: Vec<u8>,
    /// How much of `tail` has left already. Pieces in `chunks` shrink from the front instead.
    tail_sent: usize,
    /// Bytes ever put in.
    end: u64,
    /// Bytes ever taken out.
    start: u64,
    /// Closed gates: where they stand in the stream, and the record that opens them. Both grow along the queue.
    gates: VecDeque<(u64, Lsn)>,
    /// Records up to here are durable.
    durable: Lsn,
}

impl SendBuf {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies `bytes` to the end.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
    }

    /// Puts `bytes` at the end: copied when small, else by reference.
    #[inline]
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < BY_REFERENCE {
            self.put_slice(bytes);
        } else {
            self.close_tail();
            self.end += bytes.len() as u64;
            self.chunks.push_back(bytes.clone());
        }
    }

    /// Makes room for `len` more small bytes at once.
    #[inline]
    pub fn reserve(&mut self, len: usize) {
        self.tail.reserve(len);
    }

    /// What is put in from now on waits until the record `lsn` is durable.
    pub fn gate(&mut self, lsn: Lsn) {
        if lsn > self.durable {
            self.gates.push_back((self.end, lsn));
        }
    }

    /// Records up to `durable` have become durable: their gates open.
    pub fn open_gates(&mut self, durable: Lsn) {
        self.durable = self.durable.max(durable);
        while self.gates.front().is_some_and(|&(_, lsn)| lsn <= self.durable) {
            self.gates.pop_front();
        }
    }

    /// Lends what may leave, oldest first, and says how many slices of `out` it filled; never past a closed gate.
    pub fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut open = self.open_len();
        let mut filled = 0;
        for piece in self.chunks.iter().map(Bytes::as_ref).chain([&self.tail[self.tail_sent..]]) {
            let lent = &piece[..piece.len().min(open)];
            if lent.is_empty() || filled == out.len() {
                break;
            }
            out[filled] = IoSlice::new(lent);
            filled += 1;
            open -= lent.len();
        }
        filled
    }

    /// Drops the first `sent` bytes: they have left.
    ///
    /// # Panics
    ///
    /// When `sent` is more than what [`SendBuf::slices`] may lend: bytes behind a closed gate have not left.
    pub fn advance(&mut self, mut sent: usize) {
        assert!(sent <= self.open_len(), "invariant: only lent bytes can have left");
        self.start += sent as u64;
        while sent > 0 {
            let Some(first) = self.chunks.front_mut() else {
                self.tail_sent += sent;
                break;
            };
            if first.len() > sent {
                first.advance(sent);
                break;
            }
            sent -= first.len();
            self.chunks.pop_front();
        }
        self.compact_tail();
    }

    /// Moves all that may leave to the end of `out`; usually by swapping the two buffers' insides.
    pub fn take_open(&mut self, out: &mut Self) {
        if self.gates.is_empty() && out.is_empty() {
            core::mem::swap(&mut self.chunks, &mut out.chunks);
            core::mem::swap(&mut self.tail, &mut out.tail);
            core::mem::swap(&mut self.tail_sent, &mut out.tail_sent);
            out.end += self.end - self.start;
            self.start = self.end;
            return;
        }
        let mut open = self.open_len();
        let moved = open;
        while open > 0 {
            match self.chunks.front_mut() {
                Some(first) if first.len() <= open => {
                    open -= first.len();
                    out.put_bytes(first);
                    self.chunks.pop_front();
                }
                Some(first) => {
                    out.put_bytes(&first.split_to(open));
                    open = 0;
                }
                None => {
                    out.put_slice(&self.tail[self.tail_sent..self.tail_sent + open]);
                    self.tail_sent += open;
                    open = 0;
                }
            }
        }
        self.start += moved as u64;
        self.compact_tail();
    }

    /// Drops everything, gates included; [`SendBuf::position`] goes on from here.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.gates.clear();
        self.tail_sent = self.tail.len();
        self.reset_tail();
        self.start = self.end;
    }

    /// Bytes ever put in: where the next one will stand in the stream.
    pub const fn position(&self) -> u64 {
        self.end
    }

    /// Bytes that wait, those behind gates included.
    pub const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Bytes that may leave now.
    pub fn open_len(&self) -> usize {
        let end = self.gates.front().map_or(self.end, |&(at, _)| at);
        (end - self.start) as usize
    }

    /// True when nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// Copies all that may leave; for tests and for code that writes whole batches anyway.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        for piece in self.chunks.iter().map(Bytes::as_ref).chain([&self.tail[self.tail_sent..]]) {
            all.extend_from_slice(piece);
        }
        all.truncate(self.open_len());
        all
    }

    fn close_tail(&mut self) {
        if self.tail.len() > self.tail_sent {
            let mut piece = Bytes::from(core::mem::take(&mut self.tail));
            piece.advance(self.tail_sent);
            self.chunks.push_back(piece);
            self.tail_sent = 0;
        }
    }

    /// Gives back the room of what has left the arena.
    fn compact_tail(&mut self) {
        if self.tail_sent == self.tail.len() {
            self.reset_tail();
        } else if self.tail_sent > COMPACT && self.tail_sent > self.tail.len() / 2 {
            self.tail.drain(..self.tail_sent);
            self.tail_sent = 0;
        }
    }

    fn reset_tail(&mut self) {
        self.tail_sent = 0;
        if self.tail.capacity() > KEEP {
            self.tail = Vec::new();
        } else {
            self.tail.clear();
        }
    }
}

impl core::fmt::Debug for SendBuf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Payloads never reach a log: lengths only.
        f.debug_struct("SendBuf")
            .field("len", &self.len())
            .field("open", &self.open_len())
            .field("gates", &self.gates.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    fn lsn(number: u64) -> Lsn {
        Lsn(number)
    }

    #[test]
    fn nothing_behind_a_closed_gate_is_lent() {
        let mut buf = SendBuf::new();
        buf.put_slice(b"before");
        buf.gate(lsn(1));
        buf.put_slice(b"behind");
        buf.gate(lsn(2));
        buf.put_bytes(&Bytes::from(vec![7; BY_REFERENCE]));
        assert_eq!(buf.to_vec(), b"before");
        buf.advance(6);
        assert_eq!(buf.open_len(), 0);
        buf.open_gates(lsn(1));
        assert_eq!(buf.to_vec(), b"behind");
        buf.open_gates(lsn(2));
        assert_eq!(buf.open_len(), 6 + BY_REFERENCE);
    }

    #[test]
    fn gates_of_durable_records_never_close() {
        let mut buf = SendBuf::new();
        buf.open_gates(lsn(5));
        buf.gate(lsn(5));
        buf.gate(Lsn::ZERO);
        buf.put_slice(b"x");
        assert_eq!(buf.to_vec(), b"x");
    }

    #[test]
    #[should_panic(expected = "only lent bytes")]
    fn bytes_behind_a_gate_cannot_have_left() {
        let mut buf = SendBuf::new();
        buf.gate(lsn(1));
        buf.put_slice(b"x");
        buf.advance(1);
    }

    #[test]
    fn taking_the_open_part_leaves_the_rest_behind_its_gate() {
        let large = Bytes::from(vec![1; BY_REFERENCE + 1]);
        let mut buf = SendBuf::new();
        let mut out = SendBuf::new();
        buf.put_slice(b"ab");
        buf.put_bytes(&large);
        buf.put_slice(b"cd");
        buf.gate(lsn(1));
        buf.put_slice(b"ef");
        buf.put_bytes(&large);
        buf.take_open(&mut out);
        assert_eq!(out.len(), 4 + large.len());
        assert_eq!(buf.open_len(), 0);
        buf.open_gates(lsn(1));
        buf.take_open(&mut out);
        assert!(buf.is_empty());
        let mut expected = [b"ab", large.as_ref(), b"cdef", large.as_ref()].concat();
        assert_eq!(out.to_vec(), expected);
        out.advance(3);
        expected.drain(..3);
        assert_eq!(out.to_vec(), expected);
        assert_eq!(out.position(), 6 + 2 * large.len() as u64);
    }

    #[test]
    fn slices_and_advance_agree_at_every_split() {
        let large = Bytes::from((0..5000u32).map(|n| n as u8).collect::<Vec<_>>());
        for step in [1, 2, 3, 7, 4096, 6000] {
            let mut buf = SendBuf::new();
            let mut expected = Vec::new();
            let mut got = Vec::new();
            for round in 0..3u8 {
                buf.put_slice(&[round; 10]);
                buf.put_bytes(&large);
                expected.extend_from_slice(&[round; 10]);
                expected.extend_from_slice(&large);
            }
            while !buf.is_empty() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = buf.slices(&mut slices);
                let lent =
                    slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(step).collect::<Vec<_>>();
                got.extend_from_slice(&lent);
                buf.advance(lent.len());
            }
            assert!(got == expected, "step {step}");
        }
    }

    #[test]
    fn a_queue_that_never_runs_dry_does_not_grow_when_it_is_taken() {
        let mut buf = SendBuf::new();
        let mut out = SendBuf::new();
        for number in 1..10_000 {
            buf.gate(lsn(number));
            buf.put_slice(&[7; 100]);
            buf.open_gates(lsn(number - 1));
            buf.take_open(&mut out);
            out.advance(out.len());
        }
        assert_eq!(buf.len(), 100);
        assert!(buf.tail.capacity() < 4 * COMPACT, "{} bytes for 100", buf.tail.capacity());
    }

    // --- Against a model ---------------------------------------------------------------------------------------------

    /// What a buffer must do, done with one byte after the other.
    #[derive(Default)]
    struct Model {
        waiting: VecDeque<u8>,
        start: u64,
        gates: Vec<(u64, Lsn)>,
        durable: Lsn,
    }

    impl Model {
        fn put(&mut self, bytes: &[u8]) {
            self.waiting.extend(bytes);
        }

        fn end(&self) -> u64 {
            self.start + self.waiting.len() as u64
        }

        fn gate(&mut self, lsn: Lsn) {
            self.gates.push((self.end(), lsn));
        }

        fn open_len(&self) -> usize {
            let closed = self.gates.iter().filter(|(_, lsn)| *lsn > self.durable).map(|&(at, _)| at);
            (closed.min().unwrap_or_else(|| self.end()) - self.start) as usize
        }

        fn take(&mut self, len: usize) -> Vec<u8> {
            self.start += len as u64;
            self.waiting.drain(..len).collect()
        }

        fn clear(&mut self) {
            self.start = self.end();
            self.waiting.clear();
            self.gates.clear();
        }

        fn check(&self, buf: &SendBuf, slots: usize) {
            let open = self.waiting.iter().copied().take(self.open_len()).collect::<Vec<_>>();
            assert_eq!((buf.len(), buf.open_len(), buf.position()), (self.waiting.len(), open.len(), self.end()));
            assert_eq!(buf.is_empty(), self.waiting.is_empty());
            assert!(buf.to_vec() == open, "to_vec");
            let mut slices = vec![IoSlice::new(&[]); slots];
            let filled = buf.slices(&mut slices);
            let lent = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>();
            assert!(open.starts_with(&lent), "slices");
            assert!(slices[..filled].iter().all(|slice| !slice.is_empty()), "an empty slice");
            assert!(filled == slots || lent.len() == open.len(), "{filled} of {slots} slices for {} bytes", lent.len());
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        PutSlice(usize),
        PutBytes(usize),
        Gate,
        /// Makes some of the records so far durable.
        OpenGates(Index),
        /// The session's bytes leave without a second buffer.
        Advance(Index),
        /// To the driver's buffer.
        TakeOpen,
        AdvanceOut(Index),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..200usize).prop_map(Step::PutSlice),
            1 => (0..40_000usize).prop_map(Step::PutSlice),
            4 => prop_oneof![0..BY_REFERENCE, BY_REFERENCE..BY_REFERENCE + 3, BY_REFERENCE..20_000]
                .prop_map(Step::PutBytes),
            3 => Just(Step::Gate),
            3 => any::<Index>().prop_map(Step::OpenGates),
            3 => any::<Index>().prop_map(Step::Advance),
            3 => Just(Step::TakeOpen),
            3 => any::<Index>().prop_map(Step::AdvanceOut),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500.max(ProptestConfig::default().cases), ..<_>::default() })]

        #[test]
        fn does_what_the_model_does(steps in vec(step(), 1..60), slots in 1..6usize) {
            let (mut buf, mut out) = (SendBuf::new(), SendBuf::new());
            let (mut model, mut model_out) = (Model::default(), Model::default());
            let mut last = Lsn::ZERO;
            // Every byte differs from its neighbours and from those a few thousand further on.
            let mut bytes = (0..u64::MAX).map(|number| (number % 251) as u8);
            for step in steps {
                match step {
                    Step::PutSlice(len) => {
                        let bytes = bytes.by_ref().take(len).collect::<Vec<_>>();
                        buf.put_slice(&bytes);
                        model.put(&bytes);
                    }
                    Step::PutBytes(len) => {
                        let bytes = bytes.by_ref().take(len).collect::<Bytes>();
                        buf.put_bytes(&bytes);
                        model.put(&bytes);
                    }
                    Step::Gate => {
                        last = last.next();
                        buf.gate(last);
                        model.gate(last);
                    }
                    Step::OpenGates(index) => {
                        let durable = Lsn(index.index(last.get() as usize + 1) as u64);
                        buf.open_gates(durable);
                        model.durable = model.durable.max(durable);
                    }
                    Step::Advance(index) => {
                        let sent = index.index(model.open_len() + 1);
                        buf.advance(sent);
                        model.take(sent);
                    }
                    Step::TakeOpen => {
                        buf.take_open(&mut out);
                        let taken = model.take(model.open_len());
                        model_out.put(&taken);
                    }
                    Step::AdvanceOut(index) => {
                        let sent = index.index(model_out.open_len() + 1);
                        out.advance(sent);
                        model_out.take(sent);
                    }
                    Step::Clear => {
                        buf.clear();
                        model.clear();
                    }
                }
                model.check(&buf, slots);
                model_out.check(&out, slots);
            }
        }
    }
}
