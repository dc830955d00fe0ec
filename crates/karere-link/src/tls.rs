//! TLS over buffers: a finished configuration, and what a connection keeps of it.

mod certificate;
mod explain;
mod first;
mod layer;
#[cfg(feature = "openssl")]
mod psk;
mod witness;

use core::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, client::danger::ServerCertVerifier, pki_types::ServerName};

pub(crate) use self::layer::TlsLayer;
#[cfg(feature = "openssl")]
pub use self::psk::Psk;
use self::{layer::server_name, witness::Witness};
use crate::layer::{Layer, LayerError};

/// How TLS is spoken: a finished configuration of rustls. Cloning it is cheap.
///
/// Connections with clones of one `Tls` resume each other's sessions. Whether a certificate is valid at the time is
/// asked of the configuration's own clock ([`ClientConfig::time_provider`]).
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// What certificates the server showed when they were refused, for a better message.
    witness: Option<Arc<Witness>>,
    /// Whose certificate the server shall have, if not that of the host that was dialed.
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// A configuration around `verifier`, which says of a certificate it refuses who has issued it.
    ///
    /// `configure` gets what is to be set as the verifier, and makes the configuration.
    ///
    /// # Errors
    ///
    /// What `configure` fails with.
    pub fn with_verifier<E>(
        verifier: Arc<dyn ServerCertVerifier>,
        configure: impl FnOnce(Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, E>,
    ) -> Result<Self, E> {
        let witness = Arc::new(Witness::new(verifier));
        let config = Arc::new(configure(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)?);
        Ok(Self { config, witness: Some(witness), server_name: None })
    }

    /// Asks for the certificate of `name`, whatever host is dialed: for a tunnel, or a server known by its address
    /// only.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when `name` can stand in no certificate.
    pub fn server_name(mut self, name: &str) -> Result<Self, LayerError> {
        self.server_name = Some(server_name(name)?);
        Ok(self)
    }

    /// A layer for one connection to `host`: a name or an address, IPv6 in brackets or not, perhaps with a zone.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when `host` can stand in no certificate.
    pub fn layer(&self, host: &str) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(TlsLayer::new(self, host)?))
    }

    /// A layer for one connection to a proxy: it is asked for its own certificate, and offered no application protocol,
    /// since what is set for the server says nothing about it.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when `host` can stand in no certificate.
    pub fn proxy_layer(&self, host: &str) -> Result<Box<dyn Layer>, LayerError> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        Self { config: Arc::new(config), witness: self.witness.clone(), server_name: None }.layer(host)
    }

    /// The configuration.
    pub const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// A configuration of the caller's.
impl From<Arc<ClientConfig>> for Tls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { config, witness: None, server_name: None }
    }
}

impl From<ClientConfig> for Tls {
    fn from(config: ClientConfig) -> Self {
        Arc::new(config).into()
    }
}

/// A configuration holds keys: only what is no secret is shown.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("client_certificate", &self.config.client_auth_cert_resolver.has_certs())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
