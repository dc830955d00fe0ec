//! The two kinds of sockets behind one face, without the layers above them.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    path::PathBuf,
};

use mio::{Interest, Registry, Token, event::Source, net};

use super::address::{Address, Place};

/// A socket that connections come in on.
pub(super) enum Acceptor {
    Tcp(net::TcpListener),
    #[cfg(unix)]
    Unix {
        listener: net::UnixListener,
        _file: SocketFile,
    },
}

/// The file of a Unix socket, removed at the end.
pub(super) struct SocketFile(PathBuf);

impl Acceptor {
    pub(super) fn bind(address: &Address) -> io::Result<Self> {
        match address.socket() {
            Place::Ip(address) => net::TcpListener::bind(address).map(Self::Tcp),
            #[cfg(unix)]
            Place::File(path) => {
                let stale = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
                if std::os::unix::net::UnixStream::connect(path).is_err_and(|error| stale(&error)) {
                    std::fs::remove_file(path)?;
                }
                Ok(Self::Unix { listener: net::UnixListener::bind(path)?, _file: SocketFile(path.to_owned()) })
            }
            #[cfg(not(unix))]
            Place::File(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The real port of an IP address, which may have been asked for as any free one.
    pub(super) fn port(&self) -> io::Result<Option<u16>> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| Some(address.port())),
            #[cfg(unix)]
            Self::Unix { .. } => Ok(None),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Packets are small and answers wait for them; whole batches are written at once anyway.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            #[cfg(unix)]
            Self::Unix { listener, .. } => listener.register(registry, token, Interest::READABLE),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One connection's socket.
pub(super) enum Stream {
    Tcp(net::TcpStream),
    #[cfg(unix)]
    Unix(net::UnixStream),
}

impl Stream {
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.register(registry, token, both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.register(registry, token, both),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    /// Tells the other side that nothing more comes.
    pub(super) fn finish(&self) {
        // The other side may be gone already, which is where this leads to.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}
