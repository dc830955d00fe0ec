//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// One exchange: three messages of the client's and the server's last word.
#[derive(Debug)]
pub(crate) struct Exchange {
    password: &'static str,
    nonce: String,
    first_bare: String,
    /// What the server has to prove that it knows the password, too.
    server_signature: Option<String>,
}

impl Exchange {
    /// `nonce` must not have been used before.
    pub(crate) fn new(user: &str, password: &'static str, nonce: &str) -> Self {
        let first_bare = format!("n={user},r={nonce}");
        Self { password, nonce: nonce.to_owned(), first_bare, server_signature: None }
    }

    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The answer to the server's first message.
    pub(crate) fn last(&mut self, server_first: &str) -> String {
        let field = |name| server_first.split(',').find_map(|field| field.strip_prefix(name)).expect(name);
        let (nonce, salt, rounds) = (field("r="), field("s="), field("i="));
        assert!(nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len(), "{nonce}");
        let salt = BASE64_STANDARD.decode(salt).expect("Base64");
        let rounds = rounds.parse().expect("a number");
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);

        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(self.password.as_bytes(), &salt, rounds);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), signed.as_bytes());
        let proof = client_key.iter().zip(signature).map(|(key, bit)| key ^ bit).collect::<Vec<_>>();
        self.server_signature = Some(BASE64_STANDARD.encode(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes())));
        format!("{without_proof},p={}", BASE64_STANDARD.encode(proof))
    }

    /// True when the server knows the password.
    pub(crate) fn is_genuine(&self, server_last: &str) -> bool {
        server_last.strip_prefix("v=").is_some_and(|proof| self.server_signature.as_deref() == Some(proof))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[test]
fn exchange_is_that_of_rfc_7677() {
    let mut exchange = Exchange::new("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
    assert_eq!(exchange.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(
        exchange.last(server_first),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert!(exchange.is_genuine("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    assert!(!exchange.is_genuine("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
}
