//! System calls on a descriptor that belongs to the caller, and the descriptor that interrupts waiting.

use core::time::Duration;
use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    time::Instant,
};

/// Reads once; 0 is the end.
pub(crate) fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buffer` may be written to for its whole length until the call returns. Whatever `fd` is, the kernel checks.
    let received = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Writes once, without SIGPIPE where the system knows a way.
pub(crate) fn send(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    const FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    const FLAGS: libc::c_int = 0;
    // SAFETY: all zero is a message header without address, buffers and control data.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: `IoSlice` has the layout of `iovec`; the slices live until the call returns and are only read.
    let sent = unsafe { libc::sendmsg(fd, &raw const message, FLAGS) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Says that nothing more will be sent. Fails only for a connection that is gone, which reading tells.
pub(crate) fn finish_sending(fd: RawFd) {
    // SAFETY: touches no memory.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

/// What poll said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) woken: bool,
}

/// Waits until `fd` may be read, or written when `write` asks, or `wake` was woken, or it is `until`.
pub(crate) fn wait(fd: RawFd, write: Interest, wake: &Wake, until: Option<Instant>) -> io::Result<Ready> {
    let events = match write {
        Interest::Read => libc::POLLIN,
        Interest::ReadWrite => libc::POLLIN | libc::POLLOUT,
    };
    let mut fds = [
        libc::pollfd { fd, events, revents: 0 },
        libc::pollfd { fd: wake.as_raw_fd(), events: libc::POLLIN, revents: 0 },
    ];
    let timeout = until.map_or(-1, |until| milliseconds(until.saturating_duration_since(Instant::now())));
    // SAFETY: `fds` has two entries and is borrowed until the call returns.
    let found = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    let [socket, woken] = fds;
    // An error is read like bytes: the call says which.
    let readable = socket.revents & !libc::POLLOUT != 0;
    let writable = socket.revents & (libc::POLLOUT | libc::POLLERR | libc::POLLHUP) != 0;
    Ok(Ready { readable, writable, woken: woken.revents != 0 })
}

/// What is waited for besides being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    ReadWrite,
}

/// Rounded up, so that a deadline has come when the time is over.
fn milliseconds(time: Duration) -> libc::c_int {
    let rounded = time.as_nanos().div_ceil(1_000_000);
    libc::c_int::try_from(rounded).unwrap_or(libc::c_int::MAX)
}

/// Interrupts a wait, from any thread.
#[derive(Debug)]
pub(crate) struct Wake {
    read: OwnedFd,
    /// The other end of a pipe; an eventfd has one end.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    write: OwnedFd,
}

impl Wake {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: touches no memory.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made just now, and nobody else has it.
        Ok(Self { read: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        let wake = Self { read: read.into(), write: write.into() };
        for fd in [wake.read.as_raw_fd(), wake.write.as_raw_fd()] {
            // SAFETY: touches no memory.
            if unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(wake)
    }

    pub(crate) fn wake(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let fd = self.read.as_raw_fd();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let fd = self.write.as_raw_fd();
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes that live until the call returns. It fails only when it is woken already.
        unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
    }

    pub(crate) fn reset(&self) {
        let mut count = [0u8; 512];
        // SAFETY: `count` may be written to for its whole length. It fails when there was nothing to reset.
        unsafe { libc::read(self.read.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn waiting_is_rounded_up() {
        assert_eq!(milliseconds(Duration::from_micros(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::MAX), libc::c_int::MAX);
    }

    #[test]
    fn a_wait_ends_when_it_is_woken_and_only_then() {
        let (socket, _peer) = UnixStream::pair().expect("a pair");
        let wake = Wake::new().expect("a descriptor");
        let soon = Some(Instant::now() + Duration::from_millis(10));
        let ready = wait(socket.as_raw_fd(), Interest::Read, &wake, soon).expect("waits");
        assert!(!ready.readable && !ready.writable && !ready.woken);
        wake.wake();
        wake.wake();
        let ready = wait(socket.as_raw_fd(), Interest::ReadWrite, &wake, None).expect("waits");
        assert!(!ready.readable && ready.writable && ready.woken);
        wake.reset();
        let now = Some(Instant::now());
        assert!(!wait(socket.as_raw_fd(), Interest::Read, &wake, now).expect("waits").woken);
    }

    #[test]
    fn bytes_go_through_in_pieces_and_the_end_is_seen() {
        let (left, right) = UnixStream::pair().expect("a pair");
        let sent = send(left.as_raw_fd(), &[IoSlice::new(b"ab"), IoSlice::new(b"c")]).expect("sends");
        finish_sending(left.as_raw_fd());
        let mut buffer = [0; 8];
        assert_eq!((sent, receive(right.as_raw_fd(), &mut buffer).expect("receives")), (3, 3));
        assert_eq!(&buffer[..3], b"abc");
        assert_eq!(receive(right.as_raw_fd(), &mut buffer).expect("the end"), 0);
        drop(right);
        assert!(send(left.as_raw_fd(), &[IoSlice::new(b"x")]).is_err(), "an error and no signal");
    }
}
