//! What does an error of rustls mean, and what is to be done?

use core::net::IpAddr;

use rustls::{
    AlertDescription, CertRevocationListError, CertificateError, Error, PeerIncompatible,
    pki_types::{ServerName, UnixTime},
};

use super::{certificate::SignedBy, witness::Shown};

/// What is known of the connection that failed.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// Whose certificate was asked for.
    pub(super) name: &'a ServerName<'static>,
    /// Whether the client has a certificate.
    pub(super) own: Own,
    pub(super) shown: Option<Shown>,
}

/// Whether the client has a certificate of its own to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Certificate,
    Nothing,
}

/// Cause and cure.
pub(super) fn explain(error: &Error, facts: &Facts<'_>) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error, facts),
        Error::InvalidCertRevocationList(error) => revocation_list(error),
        Error::AlertReceived(alert) => {
            let name = alert_name(*alert);
            format!("the server refused the connection with the alert {name}: {}", alert_meaning(*alert, facts.own))
        }
        Error::PeerIncompatible(error) => incompatible(error),
        Error::NoCertificatesPresented => "the server showed no certificate".to_owned(),
        Error::DecryptError => "a record cannot be decrypted: something on the way has changed it".to_owned(),
        Error::PeerSentOversizedRecord => "the server sent a record that is larger than TLS allows".to_owned(),
        Error::NoApplicationProtocol => {
            "the server speaks none of the application protocols (ALPN) that were offered".to_owned()
        }
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_) => format!("the server breaks the rules of TLS: {error}"),
        _ => error.to_string(),
    }
}

fn certificate(error: &CertificateError, facts: &Facts<'_>) -> String {
    let whose = facts.shown.as_ref().map_or_else(String::new, |shown| format!(" ({})", shown.parties.subject));
    match error {
        CertificateError::Expired => format!("the server's certificate{whose} has expired: it has to be renewed"),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the server's certificate{whose}, or one it was signed with, expired at {}, and it is {}: it has to be \
             renewed, or this clock is wrong",
            utc(*not_after),
            utc(*time)
        ),
        CertificateError::NotValidYet => {
            format!("the server's certificate{whose} is not valid yet: is this clock right?")
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the server's certificate{whose}, or one it was signed with, is not valid before {}, and it is {}: is \
             this clock right?",
            utc(*not_before),
            utc(*time)
        ),
        CertificateError::NotValidForName => {
            format!("the server's certificate{whose} is not for {}", quoted(facts.name))
        }
        CertificateError::NotValidForNameContext { expected, presented } => wrong_name(expected, presented, &whose),
        CertificateError::UnknownIssuer => unknown_issuer(facts.shown.as_ref()),
        CertificateError::Revoked => {
            format!("the server's certificate{whose}, or one it was signed with, is revoked: do not trust this server")
        }
        CertificateError::UnknownRevocationStatus => format!(
            "no revocation list covers the server's certificate{whose} or one it was signed with: give the lists of \
             all CAs in its chain"
        ),
        CertificateError::ExpiredRevocationList => {
            "a revocation list has expired: give the CA's current one".to_owned()
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => {
            format!("a revocation list was to be renewed by {}: give the CA's current one", utc(*next_update))
        }
        CertificateError::BadEncoding => format!("the server's certificate{whose} is damaged"),
        CertificateError::BadSignature => {
            format!("a signature of the server's certificate{whose} or of its handshake is wrong")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the server's certificate{whose} is not for servers: its extended key usage lacks serverAuth")
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "the server's certificate{whose} is signed in a way that is not supported, such as SHA-1 or RSA with \
             fewer than 2048 bits: it has to be made anew"
        ),
        CertificateError::Other(other) => match other.to_string().as_str() {
            CA_AS_SERVER => format!(
                "the server shows the certificate of a CA{whose} as its own: if it is the server's, give that very one as \
                 a CA's; better, have one signed by it that is not marked as a CA's (basicConstraints CA:FALSE)"
            ),
            OLD_VERSION => format!(
                "the server's certificate{whose} is of X.509 version 1, which cannot name hosts: make one of version \
                 3, with a subjectAltName"
            ),
            other => format!("the server's certificate{whose} is refused: {other}"),
        },
        other => format!("the server's certificate{whose} is refused: {other}"),
    }
}

/// How webpki's errors without a counterpart in rustls call themselves.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";
const OLD_VERSION: &str = "UnsupportedCertVersion";

fn unknown_issuer(shown: Option<&Shown>) -> String {
    let Some(Shown { certificates, parties, last_issuer }) = shown else {
        return "nobody who is trusted has signed the server's certificate: give the certificate of its CA".to_owned();
    };
    let subject = &parties.subject;
    match parties.signed_by {
        SignedBy::Itself => format!(
            "the server's certificate ({subject}) is self-signed, so nobody who is trusted vouches for it: if it is \
             the server's, give it as that of a CA"
        ),
        SignedBy::Another => {
            let sent = match certificates {
                1 => "no intermediate one".to_owned(),
                count => format!("{} more", count - 1),
            };
            format!(
                "nobody who is trusted has signed the server's certificate ({subject}), which {} issued: give the \
                 certificate of its CA; with it the server sent {sent}, and wanted is that of {last_issuer}",
                parties.issuer
            )
        }
    }
}

fn wrong_name(expected: &ServerName<'_>, presented: &[String], whose: &str) -> String {
    let names = match presented {
        [] => "no name at all (a common name does not count, it needs a subjectAltName)".to_owned(),
        names => names.iter().take(MOST_NAMES).map(|name| plain(name)).collect::<Vec<_>>().join(", "),
    };
    let more = presented.len().saturating_sub(MOST_NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "the server's certificate{whose} is for {names}{more}, not for {}: connect by a name it \
         has, or have it made for this one",
        quoted(expected)
    )
}

const MOST_NAMES: usize = 8;

/// rustls tells names as `DnsName("x")` and `IpAddress(1.2.3.4)`.
fn plain(presented: &str) -> String {
    let inner = |prefix| presented.strip_prefix(prefix).and_then(|rest: &str| rest.strip_suffix(')'));
    if let Some(name) = inner("DnsName(") {
        return format!("\"{}\"", name.trim_matches('"').escape_debug());
    }
    match inner("IpAddress(") {
        Some(address) if address.parse::<IpAddr>().is_ok() => address.to_owned(),
        _ => presented.escape_debug().to_string(),
    }
}

fn quoted(name: &ServerName<'_>) -> String {
    format!("\"{}\"", name.to_str())
}

fn revocation_list(error: &CertRevocationListError) -> String {
    format!("a revocation list cannot be used: {error:?}")
}

fn incompatible(error: &PeerIncompatible) -> String {
    let what = match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the server speaks neither TLS 1.2 nor 1.3, and older versions are not secure: it has to be updated"
        }
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the server chose a version of TLS that was not offered: allow 1.2 and 1.3"
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "no cipher suite in common with the server: allow more, or have the server allow more"
        }
        PeerIncompatible::NoKxGroupsInCommon => {
            "no key exchange group in common with the server (X25519, P-256 and P-384 are offered)"
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "no signature scheme in common with the server: a key of another kind may help"
        }
        other => return format!("the server lacks something that is needed: {other:?}"),
    };
    what.to_owned()
}

/// As RFC 8446 §6 writes it.
pub(super) fn alert_name(alert: AlertDescription) -> String {
    let name = match alert {
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::BadRecordMac => "bad_record_mac",
        AlertDescription::RecordOverflow => "record_overflow",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::InsufficientSecurity => "insufficient_security",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::InappropriateFallback => "inappropriate_fallback",
        AlertDescription::UserCanceled => "user_canceled",
        AlertDescription::MissingExtension => "missing_extension",
        AlertDescription::UnsupportedExtension => "unsupported_extension",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity",
        AlertDescription::CertificateRequired => "certificate_required",
        AlertDescription::NoApplicationProtocol => "no_application_protocol",
        other => return format!("{other:?} ({})", u8::from(other)),
    };
    format!("{name} ({})", u8::from(alert))
}

fn alert_meaning(alert: AlertDescription, own: Own) -> &'static str {
    match (alert, own) {
        (AlertDescription::CertificateRequired, _) | (AlertDescription::NoCertificate, _) => {
            "it wants a client certificate: give one, with its key"
        }
        (AlertDescription::HandshakeFailure, Own::Nothing) => {
            "it may want a client certificate, and none is given; or no cipher suite is in common"
        }
        (AlertDescription::HandshakeFailure, Own::Certificate) => {
            "no cipher suite is in common, or it does not take the client certificate; its log says more"
        }
        (AlertDescription::UnknownCA, Own::Certificate) => {
            "it does not trust who issued the client certificate: use one of a CA it trusts, with the chain up to that"
        }
        (AlertDescription::CertificateExpired, Own::Certificate) => {
            "the client certificate has expired, or is not valid yet: renew it"
        }
        (AlertDescription::CertificateRevoked, Own::Certificate) => "the client certificate is revoked: use another",
        (
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown,
            Own::Certificate,
        ) => "it does not take the client certificate; its log says why",
        (AlertDescription::BadCertificate | AlertDescription::UnknownCA, Own::Nothing) => {
            "it wants a client certificate, and none is given"
        }
        (AlertDescription::AccessDenied, _) => "it does not let this client in",
        (AlertDescription::ProtocolVersion, _) => {
            "it speaks none of the versions of TLS that were offered: allow 1.2 and 1.3, or have it updated"
        }
        (AlertDescription::InsufficientSecurity, _) => {
            "it wants stronger cipher suites than were offered: allow more of them"
        }
        (AlertDescription::UnrecognisedName, _) => "it does not know the host name: check it",
        (AlertDescription::NoApplicationProtocol, _) => {
            "it speaks none of the application protocols (ALPN) that were offered"
        }
        (AlertDescription::InternalError, _) => "something failed on its side; its log says more",
        _ => "its log may say more",
    }
}

/// `2026-11-23 22:17:51 UTC`.
fn utc(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days, for days since 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn times_are_told_as_people_write_them() {
        for (seconds, told) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_472_271, "2026-11-23 22:17:51 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(UnixTime::since_unix_epoch(Duration::from_secs(seconds))), told);
        }
    }

    #[test]
    fn names_are_told_without_the_words_of_rustls() {
        assert_eq!(plain("DnsName(\"a.example\")"), "\"a.example\"");
        assert_eq!(plain("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(plain("Unsupported(0x01)"), "Unsupported(0x01)");
    }
}
