//! What listens where the client looks for a proxy or a server: the worst of it, and how it would be right.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use socket2::{Domain, Socket, Type};

/// What the client takes the peer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Socks4,
    Socks5,
    Tls,
    WebSocket,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Http, Self::Socks4, Self::Socks5, Self::Tls, Self::WebSocket];

    /// What errors call it.
    pub(crate) const fn layer(self) -> &'static str {
        match self {
            Self::Http => "HTTP proxy",
            Self::Socks4 => "SOCKS4 proxy",
            Self::Socks5 => "SOCKS5 proxy",
            Self::Tls => "TLS",
            Self::WebSocket => "WebSocket",
        }
    }

    /// The scheme of the URL under which the client knows it.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks4 => "socks4",
            Self::Socks5 => "socks5",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
        }
    }

    pub(crate) const fn is_proxy(self) -> bool {
        matches!(self, Self::Http | Self::Socks4 | Self::Socks5)
    }

    /// The turns of a handshake as far as the peer says the same to everyone: how many bytes it hears before each, and
    /// what it says then.
    fn turns(self) -> &'static [(Hears, &'static [u8])] {
        match self {
            Self::Http => &[(Hears::Head, b"HTTP/1.1 200 Connection established\r\n\r\n")],
            // To an IPv4 address, for a user without a name.
            Self::Socks4 => &[(Hears::Bytes(9), &[0, 90, 0, 0, 0, 0, 0, 0])],
            Self::Socks5 => &[(Hears::Bytes(3), &[5, 0]), (Hears::Bytes(10), &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])],
            Self::Tls | Self::WebSocket => &[],
        }
    }

    /// How its last answer begins.
    pub(crate) const fn beginning(self) -> &'static [u8] {
        match self {
            Self::Http => b"HTTP/1.1 200 Conn",
            Self::Socks4 => &[0, 90, 0, 0],
            Self::Socks5 => &[5, 0, 0, 1, 0, 0],
            // A ServerHello of 122 bytes, and what stands before it.
            Self::Tls => &[22, 3, 3, 0, 126, 2, 0, 0, 122, 3, 3],
            Self::WebSocket => b"HTTP/1.1 101 Switching Prot",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Hears {
    Bytes(usize),
    /// All until an empty line.
    Head,
}

/// What a peer does with a connection; an error is the client's end of it.
pub(crate) type Deed = Arc<dyn Fn(&mut Meeting) -> io::Result<()> + Send + Sync>;

/// A peer that does a deed on the first connections and serves the others.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pushed: Arc<AtomicU64>,
}

impl Peer {
    /// The thread ends with the test's process: it may be in the middle of anything.
    pub(crate) fn start(kind: Kind, upstream: SocketAddr, times: usize, deed: Deed) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // What the client has to say to a peer that does not listen must not be kept by the system instead.
        listener.set_recv_buffer_size(16 * 1024).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(16).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        let pushed = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&pushed);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut meeting = Meeting { kind, stream, upstream, pushed: Arc::clone(&counter) };
                let deed = Arc::clone(&deed);
                thread::spawn(move || {
                    let _ = if number < times { deed(&mut meeting) } else { meeting.serve(Pace::Whole) };
                });
            }
        });
        Self { address, pushed }
    }

    /// The most that the client has taken of a flood on one connection, and what the system's buffers hold.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::SeqCst)
    }
}

/// How a peer writes what it has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A byte in each segment.
    Bytewise,
    Whole,
}

/// One connection of the client's.
pub(crate) struct Meeting {
    pub(crate) kind: Kind,
    pub(crate) stream: TcpStream,
    upstream: SocketAddr,
    pushed: Arc<AtomicU64>,
}

impl Meeting {
    /// Does what a peer of its kind should.
    pub(crate) fn serve(&mut self, pace: Pace) -> io::Result<()> {
        for &(hears, says) in self.kind.turns() {
            self.hear(hears)?;
            say(&mut self.stream, says, pace)?;
        }
        let mut server = TcpStream::connect(self.upstream)?;
        let (mut up, mut from_client) = (server.try_clone()?, self.stream.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut up);
            let _ = up.shutdown(Shutdown::Write);
        });
        let mut room = vec![0; 16 * 1024];
        while let count @ 1.. = server.read(&mut room)? {
            say(&mut self.stream, &room[..count], pace)?;
        }
        self.stream.shutdown(Shutdown::Both)
    }

    /// Takes its part in the handshake until the client waits for the peer's last answer.
    pub(crate) fn before_last_answer(&mut self) -> io::Result<()> {
        match self.kind.turns().split_last() {
            Some((&(hears, _), before)) => {
                for &(hears, says) in before {
                    self.hear(hears)?;
                    self.stream.write_all(says)?;
                }
                self.hear(hears)
            }
            None if self.kind == Kind::WebSocket => self.hear(Hears::Head),
            None => self.stream.read(&mut [0; 16 * 1024]).map(drop), // a ClientHello
        }
    }

    /// Opens a WebSocket with the answer of a real server.
    pub(crate) fn open_websocket(&mut self) -> io::Result<()> {
        let mut server = TcpStream::connect(self.upstream)?;
        server.write_all(&head(&mut self.stream)?)?;
        let answer = head(&mut server)?;
        self.stream.write_all(&answer)
    }

    /// Repeats `piece`, as fast as the client takes it, until there are `most` bytes of it.
    pub(crate) fn push(&mut self, piece: &[u8], most: u64) -> io::Result<()> {
        let many = piece.repeat((64 * 1024 / piece.len()).max(1));
        let mut pushed = 0;
        while pushed < most {
            self.stream.write_all(&many)?;
            pushed += many.len() as u64;
            self.pushed.fetch_max(pushed, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Says `bytes` one by one, with a pause before each.
    pub(crate) fn drip(&mut self, bytes: impl IntoIterator<Item = u8>, pause: Duration) -> io::Result<()> {
        for byte in bytes {
            thread::sleep(pause);
            self.stream.write_all(&[byte])?;
        }
        Ok(())
    }

    /// Says no more until the client has gone.
    pub(crate) fn wait_for_the_end(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    fn hear(&mut self, what: Hears) -> io::Result<()> {
        match what {
            Hears::Bytes(count) => self.stream.read_exact(&mut vec![0; count]),
            Hears::Head => head(&mut self.stream).map(drop),
        }
    }
}

fn say(stream: &mut TcpStream, bytes: &[u8], pace: Pace) -> io::Result<()> {
    match pace {
        Pace::Bytewise => bytes.iter().try_for_each(|byte| stream.write_all(&[*byte])),
        Pace::Whole => stream.write_all(bytes),
    }
}

/// The head of an HTTP message, and nothing behind it.
fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}
