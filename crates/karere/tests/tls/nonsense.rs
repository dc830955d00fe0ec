//! Files nobody meant.

use karere::tls::TlsOptions;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

const KEYS: &[&str] = &[
    include_str!("keys/ec-sec1.pem"),
    include_str!("keys/ec-pkcs8.pem"),
    include_str!("keys/ec-legacy-aes256.pem"),
    include_str!("keys/ec-pkcs8-aes256.pem"),
    include_str!("keys/rsa-legacy-des3.pem"),
    include_str!("keys/ec-certificate-v1.pem"),
];

fn survives(bytes: &[u8]) {
    let _ = TlsOptions::new().ca_bytes(bytes).build();
    let options = TlsOptions::new().danger_accept_any_certificate().passphrase("tiger");
    let _ = options.clone().client_certificate_bytes(bytes).build();
    let certificate = include_str!("keys/ec-certificate-v1.pem");
    let _ = options.client_certificate_bytes(certificate).client_key_bytes(bytes).build();
    let _ = TlsOptions::new().ca_bytes(certificate).revocation_list_bytes(bytes).build();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

    #[test]
    fn changed_files_do_no_harm(key in select(KEYS), at in any::<Index>(), changed in any::<u8>(), len in any::<Index>()) {
        let mut bytes = key.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = changed;
        survives(&bytes);
        survives(&bytes[..len.index(bytes.len())]);
    }

    #[test]
    fn garbage_does_no_harm(start in select(vec![vec![], vec![0x30], vec![0x30, 0x82, 0, 9]]), rest in vec(any::<u8>(), 0..64)) {
        survives(&[start, rest].concat());
    }
}
