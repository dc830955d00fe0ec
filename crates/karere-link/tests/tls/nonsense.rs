//! Bytes nobody meant.

use std::sync::{Arc, LazyLock};

use bytes::BytesMut;
use karere_link::Tls;
use karere_proto::SendBuf;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use rustls::ServerConfig;

use crate::lab::{self, Authority, BOTH, Connection};

static SIDES: LazyLock<(Tls, Arc<ServerConfig>)> = LazyLock::new(|| {
    let authority = Authority::new("CA");
    (Tls::from(lab::client(&authority, &BOTH)), Arc::new(lab::server(&authority)))
});

/// However it goes on, nothing panics, and the layer can still say its goodbye.
fn survives(connection: &mut Connection, bytes: &[u8]) {
    for piece in bytes.chunks(connection.step) {
        let mut input = BytesMut::from(piece);
        let opened = connection.layer.open(lab::clock(), &mut input, &mut connection.client_got);
        connection.plain.put_slice(b"mqtt");
        let sealed = connection.layer.seal(lab::clock(), &mut connection.plain, &mut SendBuf::new());
        if opened.is_err() || sealed.is_err() {
            break;
        }
    }
    connection.layer.close(&mut SendBuf::new());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

    #[test]
    fn garbage_instead_of_a_handshake_does_no_harm(
        start in select(vec![vec![], vec![22, 3, 3], vec![21, 3, 3, 0, 2], vec![22, 3, 3, 0, 80, 2, 0, 0]]),
        garbage in vec(any::<u8>(), 0..300),
        step in 1..40usize,
    ) {
        let mut connection = Connection::new(&SIDES.0, &SIDES.1);
        connection.step = step;
        let _hello = connection.sealed();
        survives(&mut connection, &[start, garbage].concat());
    }

    #[test]
    fn changed_handshake_does_no_harm(at in any::<Index>(), changed in any::<u8>(), step in 1..2000usize) {
        let mut connection = Connection::new(&SIDES.0, &SIDES.1);
        let hello = connection.sealed();
        connection.server_takes(&hello);
        let mut flight = connection.server_says();
        let at = at.index(flight.len());
        flight[at] = changed;
        connection.step = step;
        survives(&mut connection, &flight);
    }

    #[test]
    fn nothing_passes_but_what_was_sent(at in any::<Index>(), changed in 1..=255u8) {
        let mut connection = Connection::new(&SIDES.0, &SIDES.1);
        connection.talk().unwrap();
        std::io::Write::write_all(&mut connection.server.writer(), b"payload").unwrap();
        let mut record = connection.server_says();
        let at = at.index(record.len());
        record[at] ^= changed;
        let opened = connection.receive(&record);
        match at {
            // The version is to be ignored (RFC 8446 §5.1); rustls ignores the type too, since the true one is inside.
            0..=2 => prop_assert!(connection.client_got.is_empty() || connection.client_got == "payload"),
            // A changed length may ask for more bytes than came.
            3 | 4 => prop_assert!(connection.client_got.is_empty()),
            _ => prop_assert!(opened.is_err() && connection.client_got.is_empty(), "byte {at}"),
        }
    }
}
