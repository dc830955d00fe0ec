//! Certificate and key of the client, in every wrapping.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use karere::tls::{Passphrase, TlsError, TlsOptions};
use rcgen::{CertificateParams, KeyPair};

use crate::lab::{Authority, Directory, accepts, params, refusal, server_for_clients_of};

/// Keys that belong together: in the clear for rcgen, and all their wrappings.
struct Kind {
    plain: &'static str,
    wrapped: &'static [(&'static str, &'static str)],
}

macro_rules! keys {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("keys/", $name, ".pem")))),*] };
}

const KINDS: &[Kind] = &[
    Kind {
        plain: include_str!("keys/rsa-pkcs8.pem"),
        wrapped: keys![
            "rsa-pkcs8",
            "rsa-pkcs1",
            "rsa-legacy-des3",
            "rsa-legacy-aes128",
            "rsa-legacy-aes192",
            "rsa-legacy-aes256",
        ],
    },
    Kind {
        plain: include_str!("keys/ec-pkcs8.pem"),
        wrapped: keys![
            "ec-pkcs8",
            "ec-sec1",
            "ec-legacy-aes256",
            "ec-pkcs8-aes256",
            "ec-pkcs8-aes128-sha1",
            "ec-pkcs8-des3",
            "ec-pkcs8-sha512",
        ],
    },
    Kind { plain: include_str!("keys/ed25519-pkcs8.pem"), wrapped: keys!["ed25519-pkcs8"] },
];

fn is_encrypted(pem: &str) -> bool {
    pem.contains("ENCRYPTED")
}

fn der(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let begin = pem.rfind("-----BEGIN").unwrap();
    let lines = pem[begin..].lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    base64::engine::general_purpose::STANDARD.decode(lines).unwrap()
}

struct World {
    authority: Authority,
    server: Arc<rustls::ServerConfig>,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("CA");
        let server = server_for_clients_of(&authority.issue(&params()), &authority);
        Self { authority, server }
    }

    fn options(&self) -> TlsOptions {
        TlsOptions::new().ca_bytes(&self.authority.pem)
    }

    /// A client's certificate for this key, in PEM.
    fn certificate(&self, key: &str) -> String {
        let params = CertificateParams::new(["device".to_owned()]).unwrap();
        self.authority.issue_for(&params, KeyPair::from_pem(key).unwrap()).certificate_pem
    }
}

#[track_caller]
fn failure(options: &TlsOptions) -> String {
    options.build().expect_err("cannot be built").to_string()
}

#[test]
fn keys_open_in_every_wrapping_in_pem_and_der() {
    let world = World::new();
    for kind in KINDS {
        let certificate = world.certificate(kind.plain);
        for &(name, key) in kind.wrapped {
            let options = world.options().client_certificate_bytes(&certificate).passphrase("tiger");
            accepts(&options.clone().client_key_bytes(key), &world.server);
            if !name.contains("legacy") {
                accepts(&options.client_key_bytes(der(key)), &world.server);
            }
        }
    }
}

#[test]
fn encrypted_keys_want_the_right_passphrase() {
    let world = World::new();
    for kind in KINDS {
        let certificate = world.certificate(kind.plain);
        for &(name, key) in kind.wrapped.iter().filter(|(_, key)| is_encrypted(key)) {
            let options = world.options().client_certificate_bytes(&certificate).client_key_bytes(key);
            let told = failure(&options);
            assert_eq!(
                told, "the bytes given as client key, line 1: the key is encrypted: give its passphrase",
                "{name}"
            );
            for wrong in ["", "tige", "tigerr", "Tiger"] {
                let told = failure(&options.clone().passphrase(wrong));
                assert_eq!(
                    told, "the bytes given as client key, line 1: the key does not open with this passphrase",
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn wrong_passphrases_never_yield_a_key() {
    // Once in 256 times the padding looks right.
    let world = World::new();
    let options = world.options().client_certificate_bytes(world.certificate(include_str!("keys/ec-pkcs8.pem")));
    for key in [include_str!("keys/ec-legacy-aes256.pem"), include_str!("keys/ec-pkcs8-aes256.pem")] {
        for wrong in 0..1500 {
            let options = options.clone().client_key_bytes(key).passphrase(wrong.to_string());
            let error = options.build().expect_err("wrong");
            assert!(matches!(error, TlsError::PassphraseWrong { .. }), "{wrong}: {error}");
        }
    }
}

#[test]
fn passphrase_is_asked_for_once_and_only_when_it_is_needed() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let ask = || {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Ok(Passphrase::from("tiger"))
    };
    let world = World::new();
    let certificate = world.certificate(include_str!("keys/ec-pkcs8.pem"));
    let options = world.options().client_certificate_bytes(certificate).passphrase_with(ask);
    accepts(&options.clone().client_key_bytes(include_str!("keys/ec-sec1.pem")), &world.server);
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    accepts(&options.client_key_bytes(include_str!("keys/ec-pkcs8-aes256.pem")), &world.server);
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

#[test]
fn passphrase_that_is_not_told_is_told() {
    let world = World::new();
    let options = world
        .options()
        .client_certificate_bytes(world.certificate(include_str!("keys/ec-pkcs8.pem")))
        .client_key_bytes(include_str!("keys/ec-pkcs8-aes256.pem"))
        .passphrase_with(|| Err("nobody at the keyboard".to_owned()));
    assert_eq!(failure(&options), "the passphrase of the key was not told: nobody at the keyboard");
}

#[test]
fn certificate_and_key_may_stand_in_one_file_with_the_chain() {
    let directory = Directory::new();
    let world = World::new();
    let middle = world.authority.below("Middle");
    let key = KeyPair::generate().unwrap();
    let key_pem = key.serialize_pem();
    let device = middle.issue_for(&CertificateParams::new(["device".to_owned()]).unwrap(), key);
    let whole = directory.file("all.pem", format!("{key_pem}{}{}", device.certificate_pem, middle.pem));
    accepts(&world.options().client_certificate_file(&whole), &world.server);
    let alone = directory.file("alone.pem", format!("{key_pem}{}", device.certificate_pem));
    let why = refusal(&world.options().client_certificate_file(alone), &world.server);
    assert!(why.contains("unknown_ca (48)") && why.contains("with the chain up to that"), "{why}");
}

#[test]
fn server_that_wants_a_certificate_says_so() {
    let world = World::new();
    let why = refusal(&world.options(), &world.server);
    assert!(why.contains("certificate_required (116): it wants a client certificate"), "{why}");
    let mut params = CertificateParams::new(["device".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let expired = world.authority.issue(&params);
    let options = world.options().client_certificate_bytes(&expired.certificate_pem);
    let why = refusal(&options.client_key_bytes(expired.key.serialize_pem()), &world.server);
    assert!(why.contains("certificate_expired (45): the client certificate has expired"), "{why}");
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    let world = World::new();
    let ec = include_str!("keys/ec-pkcs8.pem");
    let options = world.options().client_certificate_bytes(world.certificate(ec)).passphrase("tiger");
    for (key, told) in [
        (
            include_str!("keys/rsa-pkcs1.pem"),
            "the bytes given as client key: this is not the key of the client's certificate",
        ),
        (
            include_str!("keys/ec384-sec1.pem"),
            "the bytes given as client key: this is not the key of the client's certificate",
        ),
        (include_str!("keys/ec521-sec1.pem"), "use RSA from 2048 bits on, P-256, P-384 or Ed25519"),
        (include_str!("keys/ec-pkcs8-pbes1.pem"), "line 1: the key is encrypted in a way that is not supported"),
        (include_str!("keys/ec-pkcs8-scrypt.pem"), "line 1: the key is encrypted in a way that is not supported"),
        (include_str!("keys/rsa-legacy-camellia256.pem"), "line 1: the key is encrypted with \"CAMELLIA-256-CBC,"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAQID\n-----END OPENSSH PRIVATE KEY-----\n",
            "convert it with `ssh-keygen",
        ),
        (
            "-----BEGIN DSA PRIVATE KEY-----\nAQID\n-----END DSA PRIVATE KEY-----\n",
            "keys of the kind DSA PRIVATE KEY are not",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n", "line 1: the key is damaged"),
        (
            "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n",
            "there is no private key here, only CERTIFICATE",
        ),
        ("", "there is no private key here: it is neither PEM nor DER"),
        ("\x30\x01\x01", "this is no private key in PKCS#8, PKCS#1 or SEC1"),
    ] {
        let error = failure(&options.clone().client_key_bytes(key));
        assert!(error.starts_with("the bytes given as client key") && error.contains(told), "{error}\nlacks: {told}");
    }
    assert_eq!(
        failure(&world.options().client_key_bytes(ec)),
        "there is a key for the client but no certificate: give both, or neither"
    );
    let alone = world.options().client_certificate_bytes(world.certificate(ec));
    assert_eq!(
        failure(&alone),
        "the bytes given as client certificate: there is no private key here, only CERTIFICATE"
    );
}

#[test]
fn debug_shows_neither_key_nor_passphrase() {
    let key = include_str!("keys/ec-pkcs8-aes256.pem");
    let options = TlsOptions::new().client_key_bytes(key).passphrase("tiger");
    let shown = format!("{options:?} {options:#?} {:?}", Passphrase::from("tiger"));
    assert!(!shown.contains("tiger") && !shown.contains(key.lines().nth(1).unwrap()), "{shown}");
    let bytes = format!("{:?}", &key.as_bytes()[..8]);
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}
