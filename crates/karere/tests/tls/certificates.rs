//! Every fault of a server's certificate has its error, and the switches accept what they name and nothing else.

use std::sync::Arc;

use karere::tls::TlsOptions;
use rcgen::{SerialNumber, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::lab::{self, Authority, HOST, accepts, params, refusal, self_signed, server};

fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions::new().ca_bytes(&authority.pem)
}

/// Asserts that `options` fail with all of `parts`, and what each of the two switches does.
#[track_caller]
fn refused(options: &TlsOptions, server: &Arc<ServerConfig>, parts: &[&str]) {
    let why = refusal(options, server);
    for part in parts {
        assert!(why.contains(part), "{why}\nlacks: {part}");
    }
    let without_name = refusal(&options.clone().danger_accept_any_host_name(), server);
    assert_eq!(without_name, why, "any host name is not any certificate");
    accepts(&options.clone().danger_accept_any_certificate(), server);
}

#[test]
fn certificate_in_order_is_accepted() {
    let authority = Authority::new("CA");
    let server = server(&authority.issue(&params()), &[]);
    accepts(&trusting(&authority), &server);
    accepts(&trusting(&authority).danger_accept_any_host_name(), &server);
    accepts(&TlsOptions::new().danger_accept_any_certificate(), &server);
}

#[test]
fn expired_certificate_says_when() {
    let authority = Authority::new("CA");
    let mut params = params();
    params.not_after = date_time_ymd(2001, 2, 3);
    let server = server(&authority.issue(&params), &[]);
    refused(&trusting(&authority), &server, &["(CN=broker.example)", "expired at 2001-02-03 00:00:00 UTC"]);
}

#[test]
fn certificate_of_the_future_says_when() {
    let authority = Authority::new("CA");
    let mut params = params();
    params.not_before = date_time_ymd(2900, 1, 1);
    params.not_after = date_time_ymd(2999, 1, 1);
    let server = server(&authority.issue(&params), &[]);
    refused(&trusting(&authority), &server, &["is not valid before 2900-01-01 00:00:00 UTC", "is this clock right?"]);
}

#[test]
fn certificate_for_other_names_says_which_and_one_switch_is_for_that() {
    let authority = Authority::new("CA");
    let mut params = rcgen::CertificateParams::new(["a.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, HOST);
    let server = server(&authority.issue(&params), &[]);
    let why = refusal(&trusting(&authority), &server);
    assert!(why.contains("is for \"a.example\", 192.0.2.1, not for \"broker.example\""), "{why}");
    accepts(&trusting(&authority).danger_accept_any_host_name(), &server);
    accepts(&trusting(&authority).server_name("a.example"), &server);
    accepts(&trusting(&authority).server_name("192.0.2.1"), &server);
    assert!(lab::connect_to("192.0.2.1", &trusting(&authority).build().unwrap(), &server).is_ok());
    assert!(lab::connect_to("192.0.2.2", &trusting(&authority).build().unwrap(), &server).is_err());
}

#[test]
fn certificate_of_an_unknown_ca_says_whose() {
    let server = server(&Authority::new("Theirs").issue(&params()), &[]);
    refused(&trusting(&Authority::new("Ours")), &server, &["(CN=broker.example), which CN=Theirs issued"]);
}

#[test]
fn certificate_without_its_intermediate_says_which_is_wanted() {
    let root = Authority::new("Root");
    let middle = root.below("Middle");
    let pair = middle.issue(&params());
    accepts(&trusting(&root), &server(&pair, &[&middle]));
    refused(
        &trusting(&root),
        &server(&pair, &[]),
        &["which CN=Middle issued", "sent no intermediate one, and wanted is that of CN=Middle"],
    );
}

#[test]
fn self_signed_certificate_is_told_as_such_and_accepted_when_it_is_given() {
    for is_ca in [rcgen::IsCa::NoCa, rcgen::IsCa::ExplicitNoCa] {
        let mut params = params();
        params.is_ca = is_ca;
        let pair = self_signed(&params);
        let server = server(&pair, &[]);
        refused(
            &trusting(&Authority::new("CA")),
            &server,
            &["(CN=broker.example) is self-signed", "give it as that of a CA"],
        );
        accepts(&TlsOptions::new().ca_bytes(&pair.certificate_pem), &server);
    }
}

#[test]
fn self_signed_certificate_that_is_marked_as_a_cas_is_accepted_when_it_is_given() {
    let mut params = params_as_ca();
    let pair = self_signed(&params);
    let given = TlsOptions::new().ca_bytes(&pair.certificate_pem);
    accepts(&given, &server(&pair, &[]));
    refused(
        &trusting(&Authority::new("CA")),
        &server(&pair, &[]),
        &["shows the certificate of a CA (CN=broker.example)"],
    );
    // For its names and dates only.
    let why = refusal(&given.clone().server_name("other.example"), &server(&pair, &[]));
    assert!(why.contains("not for \"other.example\""), "{why}");
    params.not_after = date_time_ymd(2001, 2, 3);
    let expired = self_signed(&params);
    refused(&TlsOptions::new().ca_bytes(&expired.certificate_pem), &server(&expired, &[]), &["expired at 2001-02-03"]);
    // Whoever has a certificate of the same name is not it.
    let impostor = self_signed(&params_as_ca());
    assert!(refusal(&given, &server(&impostor, &[])).contains("shows the certificate of a CA"));
}

fn params_as_ca() -> rcgen::CertificateParams {
    let mut params = params();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
}

#[test]
fn certificate_of_version_1_is_told_as_such() {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("keys/ec-certificate-v1.pem")).unwrap();
    let key = rcgen::KeyPair::from_pem(include_str!("keys/ec-pkcs8.pem")).unwrap();
    let server = lab::server_showing(certificate, &key);
    refused(&trusting(&Authority::new("CA")), &server, &["is of X.509 version 1"]);
}

#[test]
fn certificate_for_clients_is_not_one_for_servers() {
    let authority = Authority::new("CA");
    let mut params = params();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let server = server(&authority.issue(&params), &[]);
    refused(&trusting(&authority), &server, &["is not for servers"]);
}

#[test]
fn revoked_certificate_is_refused_and_others_of_that_ca_are_not() {
    let authority = Authority::new("CA");
    let list = authority.revoke(&[7], 2999);
    let (mut revoked, mut fine) = (params(), params());
    revoked.serial_number = Some(SerialNumber::from(7));
    fine.serial_number = Some(SerialNumber::from(8));
    for options in [
        trusting(&authority).revocation_list_bytes(list.pem().unwrap()),
        trusting(&authority).revocation_list_bytes(list.der()),
    ] {
        refused(&options, &server(&authority.issue(&revoked), &[]), &["(CN=broker.example)", "is revoked"]);
        accepts(&options, &server(&authority.issue(&fine), &[]));
    }
}

#[test]
fn revocation_list_has_to_cover_the_chain_and_be_current() {
    let (authority, other) = (Authority::new("CA"), Authority::new("Other"));
    let server = server(&authority.issue(&params()), &[]);
    let foreign = trusting(&authority).revocation_list_bytes(other.revoke(&[7], 2999).pem().unwrap());
    refused(&foreign, &server, &["no revocation list covers"]);
    let overdue = trusting(&authority).revocation_list_bytes(authority.revoke(&[7], 2001).pem().unwrap());
    refused(&overdue, &server, &["was to be renewed by 2001-01-01"]);
}

#[test]
fn any_host_name_forgives_the_name_only_when_it_is_the_only_fault() {
    let authority = Authority::new("CA");
    let mut elsewhere = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
    let options = trusting(&authority).danger_accept_any_host_name();
    accepts(&options, &server(&authority.issue(&elsewhere), &[]));
    let stranger = Authority::new("Stranger").issue(&elsewhere);
    assert!(refusal(&options, &server(&stranger, &[])).contains("nobody who is trusted"));
    elsewhere.not_after = date_time_ymd(2001, 1, 1);
    assert!(refusal(&options, &server(&authority.issue(&elsewhere), &[])).contains("expired"));
}

#[test]
fn any_certificate_stays_when_any_host_name_is_said_too() {
    let server = server(&self_signed(&params()), &[]);
    accepts(&TlsOptions::new().danger_accept_any_certificate().danger_accept_any_host_name(), &server);
}

#[test]
fn any_certificate_still_asks_for_its_key() {
    // A server that shows another's certificate signs with its own key.
    let (own, others) = (self_signed(&params()), self_signed(&params()));
    let server = lab::server_showing(others.certificate, &own.key);
    let why = refusal(&TlsOptions::new().danger_accept_any_certificate(), &server);
    assert!(why.contains("a signature of the server's certificate or of its handshake is wrong"), "{why}");
}
