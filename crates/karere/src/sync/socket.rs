//! TCP and Unix sockets, connected without blocking.

use core::net::SocketAddr;
use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use karere_link::Address;
use mio::{Interest, Registry, Token, event::Source};

/// A stream socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Socket {
    /// Begins to connect; when it is writable, [`Socket::connected`] tells the outcome.
    pub(super) fn connect(address: &Address, bind: Option<SocketAddr>) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let domain = socket2::Domain::for_address(*address);
                let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
                socket.set_nonblocking(true)?;
                // One packet that completes a batch must not wait for the server's delayed acknowledgement: 40 ms.
                socket.set_tcp_nodelay(true)?;
                if let Some(bind) = bind {
                    socket.set_reuse_address(bind.port() != 0)?;
                    socket.bind(&bind.into())?;
                }
                match socket.connect(&(*address).into()) {
                    Ok(()) => {}
                    Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                Ok(Self::Tcp(mio::net::TcpStream::from_std(socket.into())))
            }
            Address::Unix(path) => mio::net::UnixStream::connect(path).map(Self::Unix),
            other => Err(io::Error::new(io::ErrorKind::Unsupported, format!("cannot dial {other}"))),
        }
    }

    /// Whether the connection is there; `None` while it is still being made.
    pub(super) fn connected(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            Self::Unix(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
        };
        match (error, peer) {
            (Err(error) | Ok(Some(error)), _) => Some(Err(error)),
            (Ok(None), Ok(())) => Some(Ok(())),
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => None,
            (Ok(None), Err(error)) => Some(Err(error)),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    pub(super) fn shut_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // Once for its whole life: readiness is remembered by the driver, so nothing has to be changed later.
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interest),
            Self::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}
