//! TLS between the socket and what is inside, by rustls.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use bytes::{BufMut, BytesMut};
use rustls::{ServerConfig, ServerConnection};

use super::layer::{End, Layer};

/// The server's side of one TLS connection.
pub(super) struct Tls {
    connection: ServerConnection,
    /// It failed and has said so, or the last words were said: nothing more may be sent.
    silent: bool,
}

impl Tls {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(config)?;
        // What is written is taken out at once, and who writes keeps it small.
        connection.set_buffer_limit(None);
        Ok(Self { connection, silent: false })
    }

    /// Moves what rustls wants to send to `outer`.
    fn take_records(&mut self, outer: &mut BytesMut) {
        while self.connection.wants_write() {
            let taken = self.connection.write_tls(&mut outer.writer());
            taken.expect("invariant: a buffer in memory takes all");
        }
    }
}

impl Layer for Tls {
    fn handle_received(&mut self, mut bytes: &[u8], inner: &mut BytesMut, outer: &mut BytesMut) -> Result<(), End> {
        while !bytes.is_empty() {
            // Takes some KiB of what is left. Its buffers are emptied each time, so that there is always room.
            let taken = self.connection.read_tls(&mut bytes);
            let state = taken
                .map_err(|error| error.to_string())
                .and_then(|_| self.connection.process_new_packets().map_err(|error| error.to_string()));
            self.take_records(outer); // also the alert that tells an error
            let state = match state {
                Ok(state) => state,
                Err(why) => {
                    self.silent = true;
                    return Err(End::Broken(format!("TLS: {why}")));
                }
            };
            let begin = inner.len();
            inner.resize(begin + state.plaintext_bytes_to_read(), 0);
            let read = self.connection.reader().read_exact(&mut inner[begin..]);
            read.expect("invariant: rustls has said that there is as much");
            if state.peer_has_closed() {
                return Err(End::Orderly);
            }
        }
        Ok(())
    }

    fn seal(&mut self, bytes: &[u8], outer: &mut BytesMut) {
        let written = self.connection.writer().write_all(bytes);
        written.expect("invariant: without a limit rustls takes all");
        self.take_records(outer);
    }

    fn close(&mut self, outer: &mut BytesMut) {
        if !self.silent {
            self.silent = true;
            self.connection.send_close_notify();
            self.take_records(outer);
        }
    }

    fn is_open(&self) -> bool {
        !self.silent && !self.connection.is_handshaking()
    }
}
