//! Cipher suites by their names.

use std::sync::Arc;

use rustls::{CipherSuite, crypto::CryptoProvider};

use super::TlsError;

/// Names that people write in one line.
pub(super) fn split(names: &str) -> impl Iterator<Item = String> {
    names.split([':', ',', ' ']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The same provider with these suites only, in this order; all it has when there are no names.
pub(super) fn restrict(provider: Arc<CryptoProvider>, names: &[String]) -> Result<Arc<CryptoProvider>, TlsError> {
    if names.is_empty() {
        return Ok(provider);
    }
    let mut suites = Vec::new();
    for name in names {
        let known = SUITES
            .iter()
            .find(|suite| suite.iana.eq_ignore_ascii_case(name) || suite.openssl.eq_ignore_ascii_case(name));
        let supported =
            known.and_then(|known| provider.cipher_suites.iter().find(|suite| suite.suite() == known.suite));
        let Some(&suite) = supported else {
            return Err(TlsError::CipherSuite { name: name.clone(), supported: supported_names(&provider) });
        };
        if !suites.contains(&suite) {
            suites.push(suite);
        }
    }
    let mut provider = CryptoProvider::clone(&provider);
    provider.cipher_suites = suites;
    Ok(Arc::new(provider))
}

fn supported_names(provider: &CryptoProvider) -> Vec<&'static str> {
    let has = |suite: &&Suite| provider.cipher_suites.iter().any(|supported| supported.suite() == suite.suite);
    SUITES.iter().filter(has).map(|suite| suite.iana).collect()
}

struct Suite {
    suite: CipherSuite,
    iana: &'static str,
    openssl: &'static str,
}

/// Those that rustls has.
const SUITES: &[Suite] = &[
    Suite {
        suite: CipherSuite::TLS13_AES_256_GCM_SHA384,
        iana: "TLS_AES_256_GCM_SHA384",
        openssl: "TLS_AES_256_GCM_SHA384",
    },
    Suite {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        iana: "TLS_AES_128_GCM_SHA256",
        openssl: "TLS_AES_128_GCM_SHA256",
    },
    Suite {
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        iana: "TLS_CHACHA20_POLY1305_SHA256",
        openssl: "TLS_CHACHA20_POLY1305_SHA256",
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        openssl: "ECDHE-ECDSA-AES256-GCM-SHA384",
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        openssl: "ECDHE-ECDSA-AES128-GCM-SHA256",
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        openssl: "ECDHE-ECDSA-CHACHA20-POLY1305",
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        openssl: "ECDHE-RSA-AES256-GCM-SHA384",
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        openssl: "ECDHE-RSA-AES128-GCM-SHA256",
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        openssl: "ECDHE-RSA-CHACHA20-POLY1305",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_ring_has_its_names() {
        let provider = rustls::crypto::ring::default_provider();
        assert_eq!(supported_names(&provider).len(), provider.cipher_suites.len());
    }
}
