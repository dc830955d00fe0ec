//! Sockets that the application connects.

use core::{error::Error, fmt};
use std::{io, sync::Arc};

use crate::endpoint::Endpoint;

/// A socket as this platform owns it; a `TcpStream` or a `UnixStream` of std becomes one.
#[cfg(unix)]
pub type OwnedSocket = std::os::fd::OwnedFd;
/// A socket as this platform owns it; a `TcpStream` of std becomes one.
#[cfg(windows)]
pub type OwnedSocket = std::os::windows::io::OwnedSocket;
/// There are no sockets on this platform.
#[cfg(not(any(unix, windows)))]
pub type OwnedSocket = core::convert::Infallible;

/// What connects sockets in place of the client: for ways that it does not know, such as a tunnel, a `socketpair` or
/// `AF_VSOCK`.
#[derive(Clone)]
pub struct Connector(Arc<Connect>);

type Connect = dyn Fn(&Endpoint) -> io::Result<OwnedSocket> + Send + Sync;

impl Connector {
    /// Connects by this function, which is called with the place of the server whose turn it is.
    pub fn new<S, E>(connect: impl Fn(&Endpoint) -> Result<S, E> + Send + Sync + 'static) -> Self
    where
        S: Into<OwnedSocket>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move |endpoint| match connect(endpoint) {
            Ok(socket) => Ok(socket.into()),
            // An error of the operating system keeps its kind.
            Err(error) => Err(match error.into().downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            }),
        }))
    }

    /// A socket that is connected to `endpoint`. May take its time: it is no call for a thread that moves bytes.
    ///
    /// # Errors
    ///
    /// Why the application has none.
    pub fn connect(&self, endpoint: &Endpoint) -> io::Result<OwnedSocket> {
        (self.0)(endpoint)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(..)")
    }
}

/// Equal are clones of one.
impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connector {}
