//! What may lie between a socket and MQTT: TLS, a WebSocket, one in the other, or nothing.
//!
//! ```text
//!  socket ─► received ─► TLS ─► WebSocket ─► MQTT      handle_received, outermost first
//!  socket ◄─── wire ◄─── TLS ◄─ WebSocket ◄─ MQTT      seal, close: innermost first
//! ```

use bytes::BytesMut;

/// Maps bytes of its outer side, where the socket is, to bytes of its inner side, where MQTT is, and back.
pub(super) trait Layer: Send {
    /// Takes what came from outside, appends what that held to `inner`, and what must be answered to `outer`.
    ///
    /// Fails when nothing more comes from outside; what was to be said about it is in `outer` then. Not called again.
    fn handle_received(&mut self, bytes: &[u8], inner: &mut BytesMut, outer: &mut BytesMut) -> Result<(), End>;

    /// Appends `bytes` from inside to `outer`, as they go outside. Only called while it is open.
    fn seal(&mut self, bytes: &[u8], outer: &mut BytesMut);

    /// Appends the last words to `outer`, if there is someone to hear them and they were not said.
    fn close(&mut self, outer: &mut BytesMut);

    /// Its handshake is over and its end has not come: it can seal.
    fn is_open(&self) -> bool;
}

/// Why nothing more comes out of a layer.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "tls", feature = "websocket")),
    expect(dead_code, reason = "without layers there is nobody to say so")
)]
pub(super) enum End {
    /// The client said that it is done.
    Orderly,
    /// The client said something else than it must, which this tells to people.
    Broken(String),
}

/// Takes what a socket received through all layers, outermost first, to `mqtt`; answers go to `wire`.
pub(super) fn open(
    layers: &mut [Box<dyn Layer>],
    received: &[u8],
    mqtt: &mut BytesMut,
    wire: &mut BytesMut,
) -> Result<(), End> {
    let Some((outer, rest)) = layers.split_first_mut() else {
        mqtt.extend_from_slice(received);
        return Ok(());
    };
    if rest.is_empty() {
        return outer.handle_received(received, mqtt, wire);
    }
    let mut opened = BytesMut::new();
    let outcome = outer.handle_received(received, &mut opened, wire);
    let mut answers = BytesMut::new();
    // What came before the end of the outer layer still counts.
    let inner_outcome = if opened.is_empty() { Ok(()) } else { open(rest, &opened, mqtt, &mut answers) };
    if !answers.is_empty() && outer.is_open() {
        outer.seal(&answers, wire);
    }
    inner_outcome.and(outcome)
}

/// Takes `bytes` of MQTT through all layers, innermost first, to `wire`.
pub(super) fn seal(layers: &mut [Box<dyn Layer>], bytes: &[u8], wire: &mut BytesMut) {
    let Some((inner, rest)) = layers.split_last_mut() else {
        wire.extend_from_slice(bytes);
        return;
    };
    if rest.is_empty() {
        inner.seal(bytes, wire);
        return;
    }
    let mut sealed = BytesMut::new();
    inner.seal(bytes, &mut sealed);
    seal(rest, &sealed, wire);
}

/// Lets all layers say their last words, innermost first.
pub(super) fn close(layers: &mut [Box<dyn Layer>], wire: &mut BytesMut) {
    let Some((outer, rest)) = layers.split_first_mut() else {
        return;
    };
    let mut last_words = BytesMut::new();
    close(rest, &mut last_words);
    if !last_words.is_empty() && outer.is_open() {
        outer.seal(&last_words, wire);
    }
    outer.close(wire);
}
