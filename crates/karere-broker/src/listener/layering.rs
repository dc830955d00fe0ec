//! Which layers the connections of a listener get.

#[cfg(any(feature = "tls", feature = "websocket"))]
use std::sync::Arc;

use super::layer::Layer;

/// What lies between the sockets of a listener and MQTT.
#[derive(Clone, Default)]
pub(super) struct Layering {
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// Inside TLS, if there is TLS.
    #[cfg(feature = "websocket")]
    pub(super) websocket: Option<Arc<super::websocket::Rules>>,
}

impl Layering {
    /// The layers of one connection, outermost first.
    pub(super) fn layers(&self) -> Result<Vec<Box<dyn Layer>>, String> {
        Ok([self.tls()?, self.websocket()].into_iter().flatten().collect())
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<Option<Box<dyn Layer>>, String> {
        let Some(config) = &self.tls else {
            return Ok(None);
        };
        let tls = super::tls::Tls::new(Arc::clone(config)).map_err(|error| format!("TLS: {error}"))?;
        Ok(Some(Box::new(tls)))
    }

    #[cfg(not(feature = "tls"))]
    fn tls(&self) -> Result<Option<Box<dyn Layer>>, String> {
        Ok(None)
    }

    #[cfg(feature = "websocket")]
    fn websocket(&self) -> Option<Box<dyn Layer>> {
        let rules = self.websocket.as_ref()?;
        Some(Box::new(super::websocket::WebSocket::new(Arc::clone(rules))))
    }

    #[cfg(not(feature = "websocket"))]
    fn websocket(&self) -> Option<Box<dyn Layer>> {
        None
    }
}
