//! The layers of one connection, in order.

use std::time::Instant;

use bytes::BytesMut;
use karere_proto::SendBuf;

use crate::layer::{Layer, LayerError, Progress};

/// Layers between socket and MQTT, socket side first. With none, bytes pass without a copy.
#[derive(Debug, Default)]
pub struct Stack {
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    layer: Box<dyn Layer>,
    open: bool,
    /// Received bytes this layer has not consumed.
    input: BytesMut,
    /// What this layer has sealed, on its way towards the socket.
    sealed: SendBuf,
}

impl Stack {
    /// These layers, socket side first.
    pub fn new(layers: Vec<Box<dyn Layer>>) -> Self {
        let stage = |layer| Stage { layer, open: false, input: BytesMut::new(), sealed: SendBuf::new() };
        Self { stages: layers.into_iter().map(stage).collect() }
    }

    /// True when bytes of MQTT may pass: every handshake is over.
    pub fn is_open(&self) -> bool {
        self.stages.iter().all(|stage| stage.open)
    }

    /// The layer whose handshake is not over, the one nearest to the socket first.
    pub fn opening(&self) -> Option<&dyn Layer> {
        self.stages.iter().find(|stage| !stage.open).map(|stage| &*stage.layer)
    }

    /// What its layers are called, socket side first.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.stages.iter().map(|stage| stage.layer.name()).collect()
    }

    /// True when there is no layer: received bytes are MQTT's as they are.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Passes bytes from the socket up; what they carry is appended to `output`.
    ///
    /// # Errors
    ///
    /// [`LayerError`] of the layer that cannot go on.
    pub fn open(&mut self, now: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<(), LayerError> {
        let mut carried = core::mem::take(input);
        let mut at = 0;
        while let Some(stage) = self.stages.get_mut(at) {
            append(&mut stage.input, &mut carried);
            match stage.layer.open(now, &mut stage.input, &mut carried)? {
                Progress::Handshaking => {}
                Progress::Open => stage.open = true,
                Progress::Transparent => {
                    // What came behind the layer's last word belongs to the next one.
                    append(&mut carried, &mut stage.input);
                    self.stages.remove(at);
                    continue;
                }
            }
            at += 1;
        }
        append(output, &mut carried);
        Ok(())
    }

    /// Passes bytes of MQTT down to `wire`, and what the layers themselves have to say.
    ///
    /// # Errors
    ///
    /// [`LayerError`] of the layer that cannot go on.
    pub fn seal(&mut self, now: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        if self.stages.is_empty() {
            plain.take_open(wire);
            return Ok(());
        }
        // From MQTT's side down; a layer whose lower neighbour is not open yet keeps what it sealed.
        for at in (0..self.stages.len()).rev() {
            let below_open = self.stages[..at].iter().all(|stage| stage.open);
            if !below_open {
                continue;
            }
            let (lower, upper) = self.stages.split_at_mut(at + 1);
            let stage = lower.last_mut().expect("invariant: at is within");
            let nothing = &mut SendBuf::new();
            let source = match upper.first_mut() {
                Some(above) => &mut above.sealed,
                None if stage.open => &mut *plain,
                None => nothing,
            };
            stage.layer.seal(now, source, &mut stage.sealed)?;
        }
        self.stages[0].sealed.take_open(wire);
        Ok(())
    }

    /// Queues every layer's goodbye, MQTT's side first.
    ///
    /// # Errors
    ///
    /// [`LayerError`] of a layer that cannot pass another's goodbye on.
    pub fn close(&mut self, now: Instant, wire: &mut SendBuf) -> Result<(), LayerError> {
        for at in (0..self.stages.len()).rev() {
            let (lower, upper) = self.stages.split_at_mut(at + 1);
            let stage = lower.last_mut().expect("invariant: at is within");
            if let Some(above) = upper.first_mut() {
                stage.layer.seal(now, &mut above.sealed, &mut stage.sealed)?;
            }
            stage.layer.close(&mut stage.sealed);
        }
        if let Some(first) = self.stages.first_mut() {
            first.sealed.take_open(wire);
        }
        Ok(())
    }
}

fn append(to: &mut BytesMut, from: &mut BytesMut) {
    if to.is_empty() {
        *to = core::mem::take(from);
    } else {
        to.unsplit(core::mem::take(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Wants a greeting line first, then passes bytes with each flipped.
    #[derive(Debug)]
    struct Flip {
        greeted: bool,
        said: bool,
    }

    fn flip(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| !byte).collect()
    }

    impl Layer for Flip {
        fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
            if !self.greeted {
                let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
                    return Ok(Progress::Handshaking);
                };
                if &input.split_to(end + 1)[..] != b"hello\n" {
                    return Err(LayerError::new("flip", "was not greeted"));
                }
                self.greeted = true;
            }
            output.extend_from_slice(&flip(&input.split()));
            Ok(Progress::Open)
        }

        fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
            if !self.said {
                self.said = true;
                wire.put_slice(b"hello\n");
            }
            let bytes = plain.to_vec();
            wire.put_slice(&flip(&bytes));
            plain.advance(bytes.len());
            Ok(())
        }

        fn name(&self) -> &'static str {
            "flip"
        }

        fn close(&mut self, wire: &mut SendBuf) {
            wire.put_slice(b"bye");
        }
    }

    /// A proxy: one line each way, then out of the way.
    #[derive(Debug, Default)]
    struct Proxy {
        asked: bool,
    }

    impl Layer for Proxy {
        fn open(&mut self, _: Instant, input: &mut BytesMut, _: &mut BytesMut) -> Result<Progress, LayerError> {
            match input.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    let _ = input.split_to(end + 1);
                    Ok(Progress::Transparent)
                }
                None => Ok(Progress::Handshaking),
            }
        }

        fn seal(&mut self, _: Instant, _: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
            if !self.asked {
                self.asked = true;
                wire.put_slice(b"let me through\n");
            }
            Ok(())
        }

        fn name(&self) -> &'static str {
            "proxy"
        }

        fn close(&mut self, _: &mut SendBuf) {}
    }

    fn stack() -> Stack {
        Stack::new(vec![Box::new(Proxy::default()), Box::new(Flip { greeted: false, said: false })])
    }

    #[test]
    fn bytes_behind_a_proxys_reply_reach_the_next_layer() {
        let now = clock();
        let mut whole = b"welcome\nhello\n".to_vec();
        whole.extend(flip(b"mqtt"));
        for step in 1..=whole.len() {
            let mut stack = stack();
            let mut output = BytesMut::new();
            for chunk in whole.chunks(step) {
                stack.open(now, &mut BytesMut::from(chunk), &mut output).expect("greeted");
            }
            assert_eq!(&output[..], b"mqtt", "fed {step} bytes at a time");
            assert!(stack.is_open());
        }
    }

    #[test]
    fn nothing_of_mqtt_leaves_before_every_handshake_is_over() {
        let now = clock();
        let mut stack = stack();
        let (mut plain, mut wire, mut output) = (SendBuf::new(), SendBuf::new(), BytesMut::new());
        plain.put_slice(b"mqtt");
        stack.seal(now, &mut plain, &mut wire).expect("sealed");
        assert_eq!(wire.to_vec(), b"let me through\n");
        stack.open(now, &mut BytesMut::from(&b"welcome\n"[..]), &mut output).expect("opened");
        wire.clear();
        stack.seal(now, &mut plain, &mut wire).expect("sealed");
        assert_eq!(wire.to_vec(), b"hello\n");
        assert!(!stack.is_open());
        stack.open(now, &mut BytesMut::from(&b"hello\n"[..]), &mut output).expect("opened");
        wire.clear();
        stack.seal(now, &mut plain, &mut wire).expect("sealed");
        assert_eq!(wire.to_vec(), flip(b"mqtt"));
        wire.clear();
        stack.close(now, &mut wire).expect("closed");
        assert_eq!(wire.to_vec(), b"bye");
    }

    #[test]
    fn an_error_names_its_layer() {
        let mut stack = stack();
        let error = stack
            .open(clock(), &mut BytesMut::from(&b"welcome\nwhat?\n"[..]), &mut BytesMut::new())
            .expect_err("not greeted");
        assert_eq!(error.to_string(), "flip: was not greeted");
    }
}
