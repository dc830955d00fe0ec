//! What an error of OpenSSL means to who set up a pre-shared key, and what to do about it.

use openssl::ssl;
use rustls::AlertDescription;

use crate::tls::explain::alert_name;

/// What is known beside the error.
pub(super) struct Facts<'a> {
    pub(super) phase: Phase,
    pub(super) identity: &'a str,
    /// What the server said about the identity it wants (RFC 4279 §5.2); never in TLS 1.3.
    pub(super) hint: Option<&'a [u8]>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Handshake,
    Open,
}

/// Cause and cure.
pub(super) fn explain(error: &ssl::Error, facts: &Facts<'_>) -> String {
    let Some(reason) = error.ssl_error().and_then(|stack| stack.errors().first()) else {
        return error.to_string();
    };
    let what = match reason.reason_code() {
        code @ ALERTS..=LAST_ALERT => alert(AlertDescription::from((code - ALERTS) as u8), facts),
        CERTIFICATE_VERIFY_FAILED => format!(
            "the server showed a certificate and did not use the pre-shared key: it does not know the identity \"{}\", or has \
             no pre-shared keys at all",
            facts.identity.escape_debug()
        ),
        PSK_IDENTITY_NOT_FOUND => "the identity or the key is longer than this OpenSSL takes".to_owned(),
        UNSUPPORTED_PROTOCOL | WRONG_SSL_VERSION => {
            "the server speaks none of the versions of TLS that are allowed here".to_owned()
        }
        DECRYPTION_FAILED_OR_BAD_RECORD_MAC | DIGEST_CHECK_FAILED => match facts.phase {
            Phase::Handshake => refused_key(facts.identity),
            Phase::Open => "a record cannot be decrypted: something on the way has changed it".to_owned(),
        },
        DH_KEY_TOO_SMALL => {
            "the server's Diffie-Hellman parameters are too small: give it longer ones, or allow only cipher suites that \
             begin with ECDHE-PSK or PSK"
                .to_owned()
        }
        _ => format!("the server breaks the rules of TLS: {}", reason.reason().unwrap_or("unknown error")),
    };
    match (facts.phase, facts.hint) {
        (Phase::Handshake, Some(hint)) => {
            format!("{what} (its hint about identities is \"{}\")", hint.escape_ascii())
        }
        _ => what,
    }
}

/// An alert from the server has the reason of its number on top of this.
const ALERTS: i32 = 1000;
const LAST_ALERT: i32 = ALERTS + 255;

// As `openssl/sslerr.h` numbers them; the numbers are part of its interface.
const CERTIFICATE_VERIFY_FAILED: i32 = 134;
const DIGEST_CHECK_FAILED: i32 = 149;
const PSK_IDENTITY_NOT_FOUND: i32 = 223;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const WRONG_SSL_VERSION: i32 = 266;
const DECRYPTION_FAILED_OR_BAD_RECORD_MAC: i32 = 281;
const DH_KEY_TOO_SMALL: i32 = 394;

fn alert(alert: AlertDescription, facts: &Facts<'_>) -> String {
    let name = alert_name(alert);
    if facts.phase == Phase::Open {
        return format!("the server ended the connection with the alert {name}: its log may say more");
    }
    let identity = facts.identity.escape_debug();
    let meaning = match alert {
        AlertDescription::UnknownPSKIdentity => {
            format!("it refused the identity: it has no key for \"{identity}\"")
        }
        // Wrong keys end in the first in TLS 1.2. In 1.3 it is one of the others, as servers have it.
        AlertDescription::BadRecordMac | AlertDescription::DecryptError | AlertDescription::IllegalParameter => {
            refused_key(facts.identity)
        }
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            "it refused the identity \"{identity}\", or it has no pre-shared keys at all, or no cipher suite is in common"
        ),
        AlertDescription::ProtocolVersion => {
            "it speaks none of the versions of TLS that were offered: allow 1.2 and 1.3, or have it updated".to_owned()
        }
        AlertDescription::AccessDenied => "it does not let this client in".to_owned(),
        AlertDescription::InternalError => "something failed on its side; its log says more".to_owned(),
        _ => "its log may say more".to_owned(),
    };
    format!("the server refused the connection with the alert {name}: {meaning}")
}

fn refused_key(identity: &str) -> String {
    format!(
        "the pre-shared key was refused: the server's key for the identity \"{}\" is another, or it does not know the \
         identity",
        identity.escape_debug()
    )
}
