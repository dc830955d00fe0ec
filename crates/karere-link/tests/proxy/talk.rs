//! A proxy's layer, talked to as its proxy would.

use std::time::Instant;

use bytes::BytesMut;
use karere_link::{Layer, Progress, Proxy, ProxyTarget};
use karere_proto::SendBuf;

/// What the layer above wants to send all the while.
pub(crate) const ABOVE: &[u8] = b"what the layer above has to say";

/// A proxy's layer between a socket and a layer above that is eager to speak.
#[derive(Debug)]
pub(crate) struct Talk {
    layer: Box<dyn Layer>,
    above: SendBuf,
    pub(crate) input: BytesMut,
    pub(crate) output: BytesMut,
}

#[expect(clippy::disallowed_methods, reason = "some instant to count from; no layer of a proxy looks at it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Talk {
    pub(crate) fn with(proxy: &str, target: &ProxyTarget) -> Self {
        Self::of(&Proxy::parse(proxy).unwrap(), target)
    }

    pub(crate) fn of(proxy: &Proxy, target: &ProxyTarget) -> Self {
        let mut above = SendBuf::new();
        above.put_slice(ABOVE);
        let layer = proxy.layer(target).unwrap();
        Self { layer, above, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// What the layer sends now; nothing of the layer above is touched.
    pub(crate) fn says(&mut self) -> Vec<u8> {
        let mut wire = SendBuf::new();
        self.layer.seal(now(), &mut self.above, &mut wire).unwrap();
        assert_eq!(self.above.to_vec(), ABOVE, "nothing passes before the way is open");
        wire.to_vec()
    }

    /// The layer receives these.
    pub(crate) fn hears(&mut self, bytes: &[u8]) -> Result<Progress, String> {
        self.input.extend_from_slice(bytes);
        let progress = self.layer.open(now(), &mut self.input, &mut self.output);
        progress.map_err(|error| error.to_string())
    }

    /// The layer says the first of each pair, and hears the second; what came of the last.
    pub(crate) fn goes(&mut self, turns: &[(&[u8], &[u8])]) -> Result<Progress, String> {
        let mut progress = Ok(Progress::Handshaking);
        for (said, heard) in turns {
            assert_eq!(progress, Ok(Progress::Handshaking));
            assert_eq!(text(&self.says()), text(said));
            assert_eq!(self.says(), [], "nothing is said twice");
            progress = self.hears(heard);
        }
        progress
    }

    /// What it sends after the way is open.
    pub(crate) fn passes(&mut self) -> Vec<u8> {
        let mut wire = SendBuf::new();
        self.layer.seal(now(), &mut self.above, &mut wire).unwrap();
        self.layer.close(&mut wire);
        wire.to_vec()
    }

    pub(crate) fn debug(&self) -> String {
        format!("{:?}", self.layer)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The same answers in every pair of pieces, and byte by byte, open the way, and what is glued to the last is not touched.
pub(crate) fn opens_however_it_is_split(talk: impl Fn() -> Talk, turns: &[(&[u8], &[u8])]) {
    const NEXT: &[u8] = b"\x16\x03\x01\r\n\r\nHTTP/1.1 200\r\n\r\n\x05\x00";
    let (last, before) = turns.split_last().unwrap();
    let glued = [last.1, NEXT].concat();
    for split in 0..=glued.len() {
        let mut talk = talk();
        assert_eq!(talk.goes(before), Ok(Progress::Handshaking));
        assert_eq!(text(&talk.says()), text(last.0));
        let mut progress = talk.hears(&glued[..split]);
        let open = split >= last.1.len();
        assert_eq!(progress, Ok(if open { Progress::Transparent } else { Progress::Handshaking }), "split at {split}");
        if !open {
            assert_eq!(talk.says(), []);
            progress = talk.hears(&glued[split..]);
        } else {
            talk.input.extend_from_slice(&glued[split..]);
        }
        assert_eq!(progress, Ok(Progress::Transparent), "split at {split}");
        assert_eq!((&talk.input[..], &talk.output[..]), (NEXT, &b""[..]), "split at {split}");
        assert_eq!(talk.passes(), ABOVE);
    }
    let mut talk = talk();
    for (said, heard) in turns {
        assert_eq!(text(&talk.says()), text(said));
        for (at, byte) in heard.iter().enumerate() {
            let whole = at + 1 == heard.len() && *heard == last.1;
            let expected = if whole { Progress::Transparent } else { Progress::Handshaking };
            assert_eq!(talk.hears(&[*byte]), Ok(expected), "byte {at} of {}", text(heard));
        }
    }
    assert_eq!((talk.input.len(), talk.output.len()), (0, 0));
}
