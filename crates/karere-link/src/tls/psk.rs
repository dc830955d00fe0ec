//! TLS by a key that client and server share, instead of certificates (RFC 4279, RFC 8446 §2.2).
//!
//! OpenSSL does it, since rustls has no external keys; between buffers all the same.

mod explain;
mod layer;

use core::fmt;
use std::sync::Arc;

use openssl::{
    error::ErrorStack,
    ssl::{SslContext, SslContextBuilder, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode},
};

use self::layer::PskLayer;
use crate::layer::{Layer, LayerError};

/// How TLS is spoken by a pre-shared key: a finished configuration of OpenSSL. Cloning it is cheap.
///
/// A server that shows a certificate is refused, whatever certificate it is: the key is all that is trusted.
#[derive(Clone)]
pub struct Psk {
    context: SslContext,
    identity: Arc<str>,
}

impl Psk {
    /// The versions and cipher suites of `context`, with this key, which the server knows by this identity.
    ///
    /// `key` is held as it is given, so that its type may wipe it from memory. A handshake fails when the identity is
    /// longer than OpenSSL takes, or the key is.
    pub fn new(
        mut context: SslContextBuilder,
        identity: impl Into<Arc<str>>,
        key: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Self {
        let identity = identity.into();
        let told = Arc::clone(&identity);
        context.set_psk_client_callback(move |_, _hint, identity_room, key_room| {
            let key = key.as_ref();
            let (Some(identity_place), Some(key_place)) =
                (identity_room.get_mut(..told.len()), key_room.get_mut(..key.len()))
            else {
                return Err(ErrorStack::get());
            };
            identity_place.copy_from_slice(told.as_bytes());
            key_place.copy_from_slice(key);
            if let Some(end) = identity_room.get_mut(told.len()) {
                *end = 0;
            }
            Ok(key.len())
        });
        // A server without the key may offer a certificate instead, in TLS 1.3 without being asked.
        context.set_verify_callback(SslVerifyMode::PEER, |_, _| false);
        context.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::NO_TICKET);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        // An idle connection is to hold no records' buffers: 34 KiB.
        context.set_mode(SslMode::AUTO_RETRY | SslMode::RELEASE_BUFFERS);
        Self { context: context.build(), identity }
    }

    /// A layer for one connection to `host`, which the server is told when it is a name (RFC 6066 §3).
    ///
    /// # Errors
    ///
    /// [`LayerError`] when OpenSSL cannot begin.
    pub fn layer(&self, host: &str) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(PskLayer::new(self, host)?))
    }
}

/// The context holds the key.
impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psk").field("identity", &self.identity).finish_non_exhaustive()
    }
}
