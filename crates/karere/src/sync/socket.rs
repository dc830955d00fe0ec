//! TCP and Unix sockets, connected without blocking, and those that the application has connected.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use karere_link::{Address, SocketOptions, TcpKeepAlive};
use mio::{Interest, Registry, Token, event::Source, unix::SourceFd};

/// A stream socket.
#[derive(Debug)]
pub(super) enum Socket {
    /// Of any family: the application has connected it.
    Given(socket2::Socket),
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

/// Sets what has to be set before connecting.
fn set(socket: &socket2::Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(name) = &options.interface {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("interface {name}: {error}"));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        socket.bind_device(Some(name.as_bytes())).map_err(named)?;
        #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
        return Err(named(io::Error::new(io::ErrorKind::Unsupported, "this system cannot choose one by name")));
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(TcpKeepAlive { idle, interval, probes, .. }) = options.keep_alive {
        let second = core::time::Duration::from_secs(1);
        let keep_alive = socket2::TcpKeepalive::new().with_time(idle.max(second));
        let keep_alive = keep_alive.with_interval(interval.max(second)).with_retries(probes);
        socket.set_tcp_keepalive(&keep_alive)?;
    }
    Ok(())
}

impl Socket {
    /// Begins to connect; when it is writable, [`Socket::connected`] tells the outcome.
    pub(super) fn connect(address: &Address, options: &SocketOptions) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let domain = socket2::Domain::for_address(*address);
                let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
                socket.set_nonblocking(true)?;
                // One packet that completes a batch must not wait for the server's delayed acknowledgement: 40 ms.
                socket.set_tcp_nodelay(true)?;
                set(&socket, options)?;
                if let Some(bind) = options.bind {
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

    /// Takes over a socket that the application has connected.
    pub(super) fn given(fd: OwnedFd) -> io::Result<Self> {
        let refused = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let socket = socket2::Socket::from(fd);
        match socket.r#type() {
            Ok(socket2::Type::STREAM) => {}
            Ok(socket2::Type::DGRAM) => {
                return refused("it has returned a datagram socket; MQTT takes a stream".into());
            }
            Ok(other) => return refused(format!("it has returned a socket that is no stream ({other:?})")),
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => {
                return refused("it has returned a file descriptor that is no socket".into());
            }
            Err(error) => return Err(error),
        }
        match socket.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                return refused("it has returned a socket that is not connected".into());
            }
            Err(error) => return Err(error),
        }
        socket.set_nonblocking(true)?;
        // Only TCP has it: see `connect`.
        let _ = socket.set_tcp_nodelay(true);
        Ok(Self::Given(socket))
    }

    /// Whether the connection is there; `None` while it is still being made.
    pub(super) fn connected(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Given(socket) => (socket.take_error(), socket.peer_addr().map(drop)),
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
            Self::Given(socket) => socket.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Given(socket) => socket.write_vectored(slices),
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    pub(super) fn shut_write(&self) -> io::Result<()> {
        match self {
            Self::Given(socket) => socket.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // Once for its whole life: readiness is remembered by the driver, so nothing has to be changed later.
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Given(socket) => SourceFd(&socket.as_raw_fd()).register(registry, token, interest),
            Self::Tcp(stream) => stream.register(registry, token, interest),
            Self::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Given(socket) => socket.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        match self {
            Self::Given(socket) => socket.as_raw_fd(),
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}
