//! A server that speaks first and then repeats what it hears: its greeting may come with the proxy's last word.

use core::net::SocketAddr;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

pub(crate) const GREETING: &[u8] = b"\x05\x00hello\r\n\r\n";

/// Serves one connection after the other for as long as the test runs.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 1024];
            let mut greeted = socket.write_all(GREETING).is_ok();
            while greeted {
                greeted = match socket.read(&mut buffer) {
                    Ok(0) | Err(_) => false,
                    Ok(length) => socket.write_all(&buffer[..length]).is_ok(),
                };
            }
        }
    });
    address
}

/// A port that nobody serves.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port")
}
