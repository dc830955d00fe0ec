//! Asking the application where to go and who to be.

use core::fmt;
use std::sync::Arc;

use crate::route::Server;

/// What the application does before each attempt: tokens and signed addresses expire.
#[derive(Clone)]
pub struct AccessHook(Arc<Hook>);

type Hook = dyn Fn(&mut Server) -> Result<(), String> + Send + Sync;

impl AccessHook {
    pub(crate) fn new<E: fmt::Display>(hook: impl Fn(&mut Server) -> Result<(), E> + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |server| hook(server).map_err(|error| error.to_string())))
    }

    /// What the application says of this server. May take its time: it is no call for a thread that moves bytes.
    ///
    /// # Errors
    ///
    /// Why the application cannot say.
    pub fn ask(&self, mut server: Server) -> Result<Server, String> {
        (self.0)(&mut server)?;
        Ok(server)
    }
}

impl fmt::Debug for AccessHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessHook(..)")
    }
}
