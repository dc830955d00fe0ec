//! What the opening handshake of a WebSocket says, and how much a server may send.

use core::fmt;
use std::sync::Arc;

/// What the opening handshake of a WebSocket says, and how much a server may send.
#[derive(Clone)]
pub struct WebSocketOptions {
    headers: Headers,
    compute: Option<Arc<Compute>>,
    pub(super) sub_protocols: Vec<String>,
    pub(super) selection: Selection,
    pub(super) message_limit: u64,
    pub(super) head_limit: usize,
}

pub(super) type Headers = Vec<(String, String)>;

type Compute = dyn Fn(Headers) -> Result<Headers, String> + Send + Sync;

/// Whether a server must say that it speaks MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Required,
    Optional,
}

impl WebSocketOptions {
    /// The sub-protocol `mqtt`, no headers but the necessary ones, messages up to the largest packet of MQTT.
    pub fn new() -> Self {
        Self {
            headers: Vec::new(),
            compute: None,
            sub_protocols: vec!["mqtt".to_owned()],
            selection: Selection::Required,
            message_limit: LARGEST_PACKET,
            head_limit: 16 * 1024,
        }
    }

    /// Adds headers to the request, such as `Authorization` or `Cookie`. One that would be there anyway, such as `Host` or
    /// `Origin`, is replaced; case makes no difference.
    ///
    /// Names and values are checked when a connection is made; one with a line break in it fails.
    #[must_use]
    pub fn headers<N, V>(mut self, headers: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        for (name, value) in headers {
            set(&mut self.headers, name.into(), value.into());
        }
        self
    }

    /// Has each handshake's headers computed by the application: tokens and signatures expire.
    ///
    /// The closure gets the headers that would be sent, those of [`WebSocketOptions::headers`] among them, and returns
    /// the ones to send, all of them. It must not take its time: it is called on the thread that moves bytes. An error
    /// fails this attempt to connect.
    #[must_use]
    pub fn compute_headers<E: fmt::Display>(
        mut self,
        compute: impl Fn(Vec<(String, String)>) -> Result<Vec<(String, String)>, E> + Send + Sync + 'static,
    ) -> Self {
        self.compute = Some(Arc::new(move |headers| compute(headers).map_err(|error| error.to_string())));
        self
    }

    /// The sub-protocols that are offered, best first; `mqtt` alone unless given ([MQTT-6.0.0-3]).
    ///
    /// Some servers know MQTT 3.1 as `mqttv3.1`.
    #[must_use]
    pub fn sub_protocols<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.sub_protocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Takes a server that selects no sub-protocol for one that speaks MQTT, against [MQTT-6.0.0-4].
    ///
    /// One that selects another sub-protocol than those offered is refused all the same.
    #[must_use]
    pub const fn sub_protocol_is_optional(mut self) -> Self {
        self.selection = Selection::Optional;
        self
    }

    /// The largest message accepted, in bytes, and so the largest frame; 268,435,460 unless given, which is the largest
    /// packet of MQTT.
    ///
    /// It keeps no memory: bytes are passed on before their message is whole.
    #[must_use]
    pub const fn message_limit(mut self, bytes: u64) -> Self {
        self.message_limit = bytes;
        self
    }

    /// The longest head accepted of the server's answer, in bytes; 16,384 unless given.
    #[must_use]
    pub const fn head_limit(mut self, bytes: usize) -> Self {
        self.head_limit = bytes;
        self
    }

    /// The headers to send, or why the application cannot say.
    pub(super) fn complete(&self, mut headers: Headers) -> Result<Headers, String> {
        for (name, value) in &self.headers {
            set(&mut headers, name.clone(), value.clone());
        }
        match &self.compute {
            Some(compute) => compute(headers),
            None => Ok(headers),
        }
    }
}

/// Five bytes of fixed header and what follows them (§2.1.4).
const LARGEST_PACKET: u64 = 5 + 268_435_455;

fn set(headers: &mut Headers, name: String, value: String) {
    match headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        Some(known) => *known = (name, value),
        None => headers.push((name, value)),
    }
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Values of headers are secrets.
impl fmt::Debug for WebSocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.headers.iter().map(|(name, _)| (name, "(hidden)")).collect::<Vec<_>>();
        f.debug_struct("WebSocketOptions")
            .field("headers", &hidden)
            .field("compute_headers", &self.compute.is_some())
            .field("sub_protocols", &self.sub_protocols)
            .field("selection", &self.selection)
            .field("message_limit", &self.message_limit)
            .field("head_limit", &self.head_limit)
            .finish()
    }
}
