//! TLS over buffers.

use std::sync::Arc;

/// How TLS is spoken: a finished configuration of rustls.
#[derive(Clone, Debug)]
pub struct Tls(pub(crate) Arc<rustls::ClientConfig>);
