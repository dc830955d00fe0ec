//! Pre-shared keys, against OpenSSL's server in memory.

use std::{
    io::{self, Read, Write},
    time::Instant,
};

use bytes::BytesMut;
use karere::{
    Options,
    tls::{PreSharedKey, Psk, PskOptions, TlsError, TlsVersion},
};
use karere_link::{Layer, Progress};
use karere_proto::SendBuf;
use openssl::{
    error::ErrorStack,
    pkey::PKey,
    ssl::{ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslStream, SslVersion},
    x509::X509,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::lab::{HOST, params, self_signed};

pub(crate) const IDENTITY: &str = "pump-7";
const HEX: &str = "8e0A61cb4d9e56f0b0c2a9b0a5f1d077";
const KEY: [u8; 16] = [0x8E, 0x0A, 0x61, 0xCB, 0x4D, 0x9E, 0x56, 0xF0, 0xB0, 0xC2, 0xA9, 0xB0, 0xA5, 0xF1, 0xD0, 0x77];
const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

pub(crate) fn options() -> PskOptions {
    PskOptions::new(IDENTITY, PreSharedKey::from_bytes(KEY).unwrap())
}

fn only(options: PskOptions, version: TlsVersion) -> Psk {
    options.minimum_version(version).maximum_version(version).build().unwrap()
}

/// A server that knows one client's key.
pub(crate) fn context() -> SslContextBuilder {
    context_for(IDENTITY, &KEY)
}

pub(crate) fn context_for(identity: &'static str, key: &[u8]) -> SslContextBuilder {
    let key = key.to_vec();
    let mut context = plain_context();
    context.set_psk_server_callback(move |_, told, room| {
        if told != Some(identity.as_bytes()) {
            return Ok(0);
        }
        room[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    context
}

/// A server that knows no key, nor anything else.
fn plain_context() -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_cipher_list("ALL:PSK").unwrap();
    context.set_min_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    context
}

fn with_certificate(mut context: SslContextBuilder) -> SslContextBuilder {
    let pair = self_signed(&params());
    context.set_certificate(&X509::from_pem(pair.certificate_pem.as_bytes()).unwrap()).unwrap();
    context.set_private_key(&PKey::private_key_from_pem(pair.key.serialize_pem().as_bytes()).unwrap()).unwrap();
    context
}

/// Both ends in memory; bytes pass between them in portions of `step`.
struct Talk {
    layer: Box<dyn Layer>,
    server: SslStream<Wire>,
    step: usize,
    plain: SendBuf,
    got: BytesMut,
    progress: Progress,
}

#[derive(Default)]
struct Wire {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Talk {
    fn new(psk: &Psk, server: SslContextBuilder) -> Self {
        let mut ssl = Ssl::new(&server.build()).unwrap();
        ssl.set_accept_state();
        Self {
            layer: psk.layer(HOST).unwrap(),
            server: SslStream::new(ssl, Wire::default()).unwrap(),
            step: usize::MAX,
            plain: SendBuf::new(),
            got: BytesMut::new(),
            progress: Progress::Handshaking,
        }
    }

    fn in_steps_of(mut self, step: usize) -> Self {
        self.step = step;
        self
    }

    /// What the client says next, on the wire.
    fn sealed(&mut self) -> Result<Vec<u8>, String> {
        let mut wire = SendBuf::new();
        let waiting = self.plain.len();
        let before = self.progress;
        let sealed = match before {
            Progress::Open => self.layer.seal(Instant::now(), &mut self.plain, &mut wire),
            _ => self.layer.seal(Instant::now(), &mut SendBuf::new(), &mut wire),
        };
        sealed.map_err(|error| error.to_string())?;
        assert!(before == Progress::Open || self.plain.len() == waiting);
        Ok(wire.to_vec())
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        for chunk in bytes.chunks(self.step) {
            let mut input = BytesMut::from(chunk);
            self.progress =
                self.layer.open(Instant::now(), &mut input, &mut self.got).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// A turn of each; what the server got.
    fn turn(&mut self) -> Result<Vec<u8>, String> {
        let mut got = Vec::new();
        let said = self.sealed()?;
        for chunk in said.chunks(self.step) {
            self.server.get_mut().incoming.extend_from_slice(chunk);
            // Its errors come to the client as alerts.
            if self.server.ssl().is_init_finished() || self.server.do_handshake().is_ok() {
                let mut room = [0; 4096];
                while let Ok(len) = self.server.ssl_read(&mut room) {
                    got.extend_from_slice(&room[..len]);
                }
            }
        }
        let answer = core::mem::take(&mut self.server.get_mut().outgoing);
        self.hear(&answer)?;
        Ok(got)
    }

    fn open(&mut self) -> Result<(), String> {
        for _ in 0..4 {
            let _ = self.turn()?;
        }
        assert_eq!(self.progress, Progress::Open);
        assert!(self.server.ssl().is_init_finished());
        Ok(())
    }

    /// Passes these bytes both ways.
    fn pass(&mut self, bytes: &[u8]) {
        self.plain.put_slice(bytes);
        assert_eq!(self.turn().unwrap(), bytes);
        self.say(bytes);
        let said = core::mem::take(&mut self.server.get_mut().outgoing);
        self.got.clear();
        self.hear(&said).unwrap();
        assert!(self.got == bytes, "{} bytes came back as {}", bytes.len(), self.got.len());
    }

    fn say(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = self.server.ssl_write(rest).unwrap();
            rest = &rest[len..];
        }
    }
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = room.len().min(self.incoming.len());
        room[..len].copy_from_slice(&self.incoming[..len]);
        self.incoming.drain(..len);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[track_caller]
fn refusal(psk: &Psk, server: SslContextBuilder) -> String {
    Talk::new(psk, server).open().expect_err("refused")
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8) as u8).collect()
}

#[test]
fn key_opens_connections_of_both_versions() {
    for (version, spoken, suite) in [
        (TlsVersion::Tls12, SslVersion::TLS1_2, "ECDHE-PSK-CHACHA20-POLY1305"),
        (TlsVersion::Tls13, SslVersion::TLS1_3, "TLS_AES_128_GCM_SHA256"),
    ] {
        let mut talk = Talk::new(&only(options(), version), context());
        talk.open().unwrap();
        talk.pass(b"ping");
        assert_eq!(talk.server.ssl().version2(), Some(spoken));
        assert_eq!(talk.server.ssl().current_cipher().unwrap().name(), suite);
        assert_eq!(talk.server.ssl().servername(openssl::ssl::NameType::HOST_NAME), Some(HOST));
    }
    let mut talk = Talk::new(&options().build().unwrap(), context());
    talk.open().unwrap();
    assert_eq!(talk.server.ssl().version2(), Some(SslVersion::TLS1_3), "the newest is spoken when both can");
}

#[test]
fn server_of_either_version_is_spoken_to_by_default() {
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let mut server = context();
        server.set_min_proto_version(Some(version)).unwrap();
        server.set_max_proto_version(Some(version)).unwrap();
        let mut talk = Talk::new(&options().build().unwrap(), server);
        talk.open().unwrap();
        assert_eq!(talk.server.ssl().version2(), Some(version));
    }
}

#[test]
fn server_that_asks_for_another_key_exchange_gets_it() {
    let mut server = context();
    server.set_groups_list("P-384").unwrap();
    let mut talk = Talk::new(&only(options(), TlsVersion::Tls13), server);
    talk.open().unwrap();
    talk.pass(b"ping");
}

#[test]
fn bytes_pass_in_portions_of_every_size() {
    for version in VERSIONS {
        let psk = only(options(), version);
        for step in [1, 2, 3, 5, 64, 1000, 16_385, usize::MAX] {
            let mut talk = Talk::new(&psk, context()).in_steps_of(step);
            talk.open().unwrap();
            for len in [1, 4, 16_383, 16_384, 16_385, 50_000] {
                talk.pass(&pattern(len));
            }
        }
        let mut talk = Talk::new(&psk, context());
        talk.open().unwrap();
        talk.pass(&pattern(3 << 20));
    }
}

#[test]
fn many_small_packets_leave_in_one_record() {
    let mut talk = Talk::new(&options().build().unwrap(), context());
    talk.open().unwrap();
    let large = bytes::Bytes::from(pattern(5000));
    let mut expected = Vec::new();
    for packet in [&b"a packet"[..], b"another", b"a third"] {
        talk.plain.put_slice(packet);
        talk.plain.put_bytes(&large); // by reference, so that there are pieces
        expected.extend_from_slice(packet);
        expected.extend_from_slice(&large);
    }
    let wire = talk.sealed().unwrap();
    assert!(wire.len() < expected.len() + 30, "{} bytes for {}", wire.len(), expected.len());
    talk.server.get_mut().incoming = wire;
    assert_eq!(talk.turn().unwrap().len(), 0, "nothing is said, and so nothing is read");
    let mut got = vec![0; expected.len()];
    talk.server.read_exact(&mut got).unwrap();
    assert!(got == expected);
}

#[test]
fn nothing_of_mqtt_leaves_before_the_handshake_is_over() {
    let mut talk = Talk::new(&options().build().unwrap(), context());
    talk.plain.put_slice(b"secret");
    let hello = talk.sealed().unwrap();
    assert_eq!(hello[0], 22, "a record of the handshake");
    assert!(talk.sealed().unwrap().is_empty(), "it is said once");
    let mut wire = SendBuf::new();
    talk.layer.seal(Instant::now(), &mut talk.plain, &mut wire).unwrap();
    assert_eq!((talk.plain.len(), wire.len()), (6, 0));
}

#[test]
fn wrong_key_is_refused_and_said_to_be() {
    for version in VERSIONS {
        let mut other = KEY;
        other[15] ^= 1;
        for wrong in [&other[..], &KEY[..15], &[0; 16]] {
            let psk = only(PskOptions::new(IDENTITY, PreSharedKey::from_bytes(wrong).unwrap()), version);
            let why = refusal(&psk, context());
            let told = "the pre-shared key was refused: the server's key for the identity \"pump-7\" is another";
            assert!(why.starts_with("TLS: the server refused the connection with the alert "), "{why}");
            assert!(why.contains(told), "{version}: {why}");
        }
    }
}

#[test]
fn wrong_identity_is_refused_and_said_to_be() {
    for (version, alert) in
        [(TlsVersion::Tls12, "unknown_psk_identity (115)"), (TlsVersion::Tls13, "handshake_failure (40)")]
    {
        for wrong in ["pump-8", "pump-", "pump-77", "Pump-7"] {
            let psk = only(PskOptions::new(wrong, PreSharedKey::from_bytes(KEY).unwrap()), version);
            let why = refusal(&psk, context());
            assert!(why.contains(alert) && why.contains("it refused the identity"), "{version}: {why}");
            assert!(why.contains(&format!("\"{wrong}\"")), "{why}");
        }
    }
}

#[test]
fn server_without_pre_shared_keys_is_refused_though_it_has_a_certificate() {
    let why = refusal(&only(options(), TlsVersion::Tls12), with_certificate(plain_context()));
    assert!(why.contains("handshake_failure (40)") && why.contains("it has no pre-shared keys at all"), "{why}");
    for server in [plain_context(), context_for("pump-8", &KEY)] {
        let why = refusal(&only(options(), TlsVersion::Tls13), with_certificate(server));
        assert!(why.contains("showed a certificate and did not use the pre-shared key"), "{why}");
    }
}

#[test]
fn anonymous_suite_among_those_of_the_caller_is_not_taken_for_the_key() {
    let builder = || -> Result<SslContextBuilder, ErrorStack> {
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        context.set_cipher_list("AECDH-AES128-SHA:PSK:@SECLEVEL=0")?;
        Ok(context)
    };
    let mut server = plain_context();
    server.set_cipher_list("AECDH-AES128-SHA:@SECLEVEL=0").unwrap();
    let why = refusal(&Psk::new(builder().unwrap(), IDENTITY, KEY), server);
    assert_eq!(why, "TLS: the server did not prove that it knows the pre-shared key");
}

#[test]
fn server_that_speaks_no_tls_is_told_by_its_first_byte() {
    for (answer, what) in [
        (&b"\x20\x02\x00\x01"[..], "MQTT without TLS: use mqtt://"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP without TLS"),
        (b"Hello", "something else: check host and port"),
    ] {
        let mut talk = Talk::new(&options().build().unwrap(), context());
        let _ = talk.sealed().unwrap();
        let why = talk.hear(answer).expect_err("no TLS");
        assert!(why.contains("the server does not speak TLS here") && why.contains(what), "{why}");
        assert_eq!(talk.sealed().unwrap(), b"", "there is nobody to talk to");
    }
}

#[test]
fn end_of_the_stream_in_the_handshake_says_what_may_be_wrong() {
    let mut talk = Talk::new(&options().build().unwrap(), context());
    assert!(talk.layer.ended_early().contains("or has no pre-shared keys"), "{}", talk.layer.ended_early());
    talk.hear(b"\x16\x03\x03").unwrap();
    assert!(talk.layer.ended_early().contains("in the middle of the handshake"), "{}", talk.layer.ended_early());
}

#[test]
fn goodbye_of_the_server_is_answered_and_nothing_counts_behind_it() {
    for version in VERSIONS {
        let mut talk = Talk::new(&only(options(), version), context());
        talk.open().unwrap();
        talk.say(b"last words");
        let _ = talk.server.shutdown().unwrap();
        talk.server.get_mut().outgoing.extend_from_slice(b"\x17\x03\x03\0\x01x");
        let said = core::mem::take(&mut talk.server.get_mut().outgoing);
        talk.hear(&said).unwrap();
        assert_eq!(&talk.got[..], b"last words");
        talk.hear(b"more of it").unwrap();
        assert_eq!(&talk.got[..], b"last words");
        talk.plain.put_slice(b"too late");
        assert_eq!(talk.turn().unwrap(), b"");
        assert!(talk.plain.is_empty(), "what cannot leave does not pile up");
        assert!(has_said_goodbye(&mut talk));
    }
}

#[test]
fn goodbye_of_the_client_leaves_and_the_servers_last_words_are_read() {
    for version in VERSIONS {
        let mut talk = Talk::new(&only(options(), version), context());
        talk.open().unwrap();
        let mut wire = SendBuf::new();
        talk.layer.close(&mut wire);
        talk.layer.close(&mut wire);
        talk.server.get_mut().incoming.extend_from_slice(&wire.to_vec());
        talk.say(b"last words");
        assert!(has_said_goodbye(&mut talk));
        let said = core::mem::take(&mut talk.server.get_mut().outgoing);
        talk.hear(&said).unwrap();
        assert_eq!(&talk.got[..], b"last words");
    }
}

fn has_said_goodbye(talk: &mut Talk) -> bool {
    talk.server.ssl_read(&mut [0; 16]).is_err_and(|error| error.code() == ErrorCode::ZERO_RETURN)
}

#[test]
fn goodbye_before_the_handshake_is_over_does_no_harm() {
    let mut talk = Talk::new(&options().build().unwrap(), context());
    let _ = talk.sealed().unwrap();
    let mut wire = SendBuf::new();
    talk.layer.close(&mut wire);
    assert!(talk.sealed().unwrap().is_empty());
}

#[test]
fn changed_record_ends_the_connection() {
    for version in VERSIONS {
        let mut talk = Talk::new(&only(options(), version), context());
        talk.open().unwrap();
        talk.say(b"ping");
        let mut said = core::mem::take(&mut talk.server.get_mut().outgoing);
        *said.last_mut().unwrap() ^= 1;
        let why = talk.hear(&said).expect_err("changed");
        assert_eq!(why, "TLS: a record cannot be decrypted: something on the way has changed it");
        assert_eq!(talk.got.len(), 0);
        assert!(!talk.sealed().unwrap().is_empty(), "the server is told by an alert");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..<_>::default() })]

    #[test]
    fn changed_handshakes_do_no_harm(at in any::<Index>(), change in 1..=255_u8, version in 0..2_usize) {
        let mut talk = Talk::new(&only(options(), VERSIONS[version]), context());
        talk.server.get_mut().incoming = talk.sealed().unwrap();
        let _ = talk.server.do_handshake();
        let mut answer = core::mem::take(&mut talk.server.get_mut().outgoing);
        let at = at.index(answer.len());
        answer[at] ^= change;
        let ended = talk.hear(&answer).and_then(|()| talk.turn()).and_then(|_| talk.turn());
        if ended.is_ok() && talk.progress == Progress::Open && talk.server.ssl().is_init_finished() {
            // The version in the head of a record does not count (RFC 8446 §5.1).
            talk.pass(b"ping");
        }
    }

    #[test]
    fn garbage_does_no_harm(bytes in vec(any::<u8>(), 0..300), kind in 20..24_u8) {
        let mut talk = Talk::new(&options().build().unwrap(), context());
        let _ = talk.sealed().unwrap();
        let _ = talk.hear(&[&[kind, 3, 3, 0, bytes.len() as u8][..], &bytes].concat());
        let _ = talk.sealed();
        prop_assert!(talk.progress == Progress::Handshaking);
    }
}

// --- What cannot be set ----------------------------------------------------------------------------------------------

fn key_error(key: Result<PreSharedKey, TlsError>) -> String {
    let error = key.expect_err("no key");
    assert!(matches!(error, TlsError::PreSharedKey { .. }));
    error.to_string()
}

#[test]
fn keys_are_read_from_hexadecimal_digits() {
    let psk = PskOptions::new(IDENTITY, PreSharedKey::from_hex(HEX).unwrap()).build().unwrap();
    Talk::new(&psk, context()).open().unwrap();
    let zero = PskOptions::new(IDENTITY, PreSharedKey::from_hex("00ff").unwrap()).build().unwrap();
    Talk::new(&zero, context_for(IDENTITY, &[0, 0xFF])).open().unwrap();
    for (text, why) in [
        ("", "it is empty"),
        ("8e0", "a byte is two hexadecimal digits, but there are 3"),
        ("8e0g", "it is to be written in hexadecimal digits, and character 4 is none"),
        ("0x8e", "character 2 is none"),
        ("8e 0a", "character 3 is none"),
        ("8é", "character 2 is none"),
    ] {
        let told = key_error(PreSharedKey::from_hex(text));
        assert!(told.starts_with("the pre-shared key cannot be used: ") && told.contains(why), "{told}");
    }
}

#[test]
fn keys_have_one_byte_at_least_and_512_at_most() {
    assert_eq!(key_error(PreSharedKey::from_bytes([])), "the pre-shared key cannot be used: it is empty");
    let told = key_error(PreSharedKey::from_bytes([7; 513]));
    assert_eq!(told, "the pre-shared key cannot be used: it has 513 bytes, and OpenSSL takes up to 512");
    for version in VERSIONS {
        for len in [1, 512] {
            let key = PreSharedKey::from_bytes(vec![7; len]).unwrap();
            let psk = only(PskOptions::new(IDENTITY, key), version);
            Talk::new(&psk, context_for(IDENTITY, &vec![7; len])).open().unwrap();
        }
    }
}

#[test]
fn identities_are_text_without_zero_bytes_of_256_bytes_at_most() {
    let build = |identity: &str| PskOptions::new(identity, PreSharedKey::from_bytes(KEY).unwrap()).build();
    for (identity, why) in [
        ("", "it is empty"),
        ("pump\0", "it has a zero byte in it, where OpenSSL would end it"),
        (&"ü".repeat(129), "it has 258 bytes, and OpenSSL takes up to 256"),
    ] {
        let error = build(identity).expect_err("no identity");
        assert!(matches!(error, TlsError::Identity { .. }));
        assert_eq!(error.to_string(), format!("the identity of the pre-shared key cannot be used: {why}"));
    }
    let long: &'static str = Box::leak("ü".repeat(128).into_boxed_str());
    for version in VERSIONS {
        for identity in ["p", "bücher", long] {
            let psk = only(PskOptions::new(identity, PreSharedKey::from_bytes(KEY).unwrap()), version);
            Talk::new(&psk, context_for(identity, &KEY)).open().unwrap();
        }
    }
}

#[test]
fn key_that_openssl_has_no_room_for_fails_with_the_reason() {
    let mut own = SslContext::builder(SslMethod::tls_client()).unwrap();
    own.set_cipher_list("PSK").unwrap();
    own.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    let why = refusal(&Psk::new(own, IDENTITY, vec![7; 5000]), context());
    assert!(why.contains("longer than this OpenSSL takes"), "{why}");
}

#[test]
fn cipher_suites_go_by_their_names_at_iana_and_openssl() {
    let spoken = |names: &str| {
        let mut server = context();
        server.set_cipher_list("PSK:@SECLEVEL=0").unwrap();
        let mut talk = Talk::new(&options().cipher_suites(names).build().unwrap(), server);
        talk.open().map(|()| talk.server.ssl().current_cipher().unwrap().name())
    };
    let error = options().cipher_suites("PSK-AES128-GCM-SHA256:PSK-NULL-SHA").build().expect_err("no encryption");
    let TlsError::CipherSuite { name, supported } = error else { panic!("{error}") };
    assert_eq!(name, "PSK-NULL-SHA");
    assert_eq!(supported.len(), 17);
    for iana in supported {
        // Diffie-Hellman in a field wants parameters of the server.
        if !iana.contains("_DHE_") && !iana.ends_with("CCM_8") {
            let name = spoken(iana).unwrap_or_else(|why| panic!("{iana}: {why}"));
            assert_eq!(spoken(&name.to_lowercase()).unwrap(), name);
        }
    }
    assert_eq!(spoken("PSK-AES128-CBC-SHA256, PSK-AES256-CCM").unwrap(), "PSK-AES128-CBC-SHA256");
    for other in ["TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "RSA-PSK-AES128-GCM-SHA256", "ALL", "aNULL"]
    {
        assert!(options().cipher_suites(other).build().is_err(), "{other}");
    }
}

#[test]
fn versions_are_those_that_are_allowed() {
    let told = |options: PskOptions| options.build().expect_err("no version").to_string();
    assert!(told(options().minimum_version(TlsVersion::Tls10)).contains("TLS 1.0 is not secure"));
    let empty = options().minimum_version(TlsVersion::Tls13).maximum_version(TlsVersion::Tls12);
    assert!(told(empty).contains("the oldest is to be TLS 1.3"));
    let none = options().minimum_version(TlsVersion::Tls13).cipher_suites("PSK-AES128-CCM");
    assert!(told(none).contains("none of the cipher suites is for TLS 1.3 to TLS 1.3"));
    let mut old = context();
    old.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    let why = refusal(&only(options(), TlsVersion::Tls13), old);
    assert!(why.contains("protocol_version (70)") && why.contains("allow 1.2 and 1.3"), "{why}");
}

#[test]
fn debug_shows_no_key() {
    let options = PskOptions::new(IDENTITY, PreSharedKey::from_hex(HEX).unwrap());
    let psk = options.build().unwrap();
    let whole = Options::new("mqtts://h").unwrap().pre_shared_key(psk.clone());
    let layer = psk.layer(HOST).unwrap();
    let shown = format!("{options:?} {options:#?} {psk:?} {whole:?} {layer:?} {:?}", PreSharedKey::from_hex(HEX));
    assert!(shown.contains("PreSharedKey(hidden)") && shown.contains(IDENTITY));
    for secret in [HEX, &HEX.to_lowercase(), "142, 10", "8e0a"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
