//! Where CAs come from, and what is told when they do not.

use std::{path::Path, process::Command};

use karere::tls::{TlsError, TlsOptions};

use crate::lab::{Authority, Directory, Pair, accepts, params, refusal, server};

#[track_caller]
fn failure(options: &TlsOptions) -> (TlsError, String) {
    let error = options.build().expect_err("cannot be built");
    let told = error.to_string();
    (error, told)
}

#[test]
fn cas_come_from_files_directories_and_bytes_in_pem_and_der() {
    let directory = Directory::new();
    let (one, two) = (Authority::new("One"), Authority::new("Two"));
    let bundle = format!("# One\n{}\n# Two\n{}", one.pem, two.pem);
    let many = directory.file("bundle.pem", &bundle);
    let der = directory.file("two.der", &two.der);
    directory.file("README", "no certificate here");
    directory.file("key.pem", rcgen::KeyPair::generate().unwrap().serialize_pem());
    let server = server(&two.issue(&params()), &[]);
    for options in [
        TlsOptions::new().ca_file(&many),
        TlsOptions::new().ca_file(&der),
        TlsOptions::new().ca_directory(directory.path()),
        TlsOptions::new().ca_bytes(&bundle),
        TlsOptions::new().ca_bytes(&two.der),
        TlsOptions::new().ca_bytes(&one.pem).ca_bytes(&two.pem),
        TlsOptions::new().ca_bytes(two.pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
    ] {
        accepts(&options, &server);
    }
    assert!(refusal(&TlsOptions::new().ca_bytes(&one.pem), &server).contains("CN=Two issued"));
}

#[test]
fn missing_file_is_named() {
    for options in [
        TlsOptions::new().ca_file("/does/not/exist.pem"),
        TlsOptions::new().ca_directory("/does/not/exist.pem"),
        TlsOptions::new().revocation_list_file("/does/not/exist.pem"),
        TlsOptions::new().client_certificate_file("/does/not/exist.pem"),
    ] {
        let options = if format!("{options:?}").contains("authorities: []") {
            options.ca_bytes(Authority::new("CA").pem)
        } else {
            options
        };
        let (error, told) = failure(&options);
        assert!(told.starts_with("cannot open /does/not/exist.pem: "), "{told}");
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
    }
}

#[test]
fn what_is_no_certificate_is_told_with_place_and_kind() {
    let directory = Directory::new();
    let authority = Authority::new("CA");
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let lines = authority.pem.lines().collect::<Vec<_>>();
    let cut = format!("\n{}", lines[..lines.len() - 1].join("\n"));
    let garbled = authority.pem.replacen(lines[2], "what?", 1);
    let wrong = authority.pem.replacen(lines[1], "AAAA", 1);
    let mut p12 = vec![0x30, 0x82, 0, 8, 2, 1, 3, 0x30, 3, 6, 1, 0];
    p12[3] = u8::try_from(p12.len() - 4).unwrap();
    for (contents, told) in [
        (b"".as_slice(), ": there is no certificate here"),
        (b"hello\n", ": there is no certificate here: it is neither PEM nor DER"),
        (key.as_bytes(), ": there is no certificate here, only PRIVATE KEY"),
        (cut.as_bytes(), ", line 2: BEGIN CERTIFICATE has no END: is the file cut?"),
        (garbled.as_bytes(), ", line 3: this line is not Base64"),
        (wrong.as_bytes(), ", line 1: this certificate cannot be used as a CA's"),
        (&p12, ": this is PKCS#12: convert it"),
    ] {
        let path = directory.file("ca.pem", contents);
        let (_, error) = failure(&TlsOptions::new().ca_file(&path));
        assert!(error.starts_with(&format!("{}{told}", path.display())), "{error}\nnot: {told}");
        let (_, error) = failure(&TlsOptions::new().ca_bytes(contents));
        assert!(error.starts_with(&format!("the bytes given as CA{told}")), "{error}\nnot: {told}");
    }
    let (_, error) = failure(&TlsOptions::new().ca_directory(Directory::new().path().parent().unwrap().join("none")));
    assert!(error.starts_with("cannot open"), "{error}");
    let empty = Directory::new();
    let (_, error) = failure(&TlsOptions::new().ca_directory(empty.path()));
    assert_eq!(error, format!("{}: there is no certificate here", empty.path().display()));
}

#[test]
fn what_is_no_revocation_list_is_told() {
    let authority = Authority::new("CA");
    let options = TlsOptions::new().ca_bytes(&authority.pem);
    let (_, error) = failure(&options.clone().revocation_list_bytes(&authority.pem));
    assert_eq!(error, "the bytes given as revocation list: there is no revocation list here, only CERTIFICATE");
    let (_, error) = failure(&options.revocation_list_bytes(b"\x30\x01\0"));
    assert_eq!(error, "the bytes given as revocation list: this is no revocation list, or a damaged one");
}

/// Runs one of the tests below as a process of its own, which alone may have another environment.
fn in_environment(test: &str, variables: &[(&str, &Path)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", &format!("authorities::{test}")]);
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(variable);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn platforms_cas_are_trusted_when_none_is_given() {
    let directory = Directory::new();
    let authority = Authority::new("Platform");
    let file = directory.file("ca.pem", &authority.pem);
    directory.file("pair.pem", pair_pem(&authority.issue(&params())));
    let pair = directory.path().join("pair.pem");
    in_environment("child_trusts_ssl_cert_file", &[("SSL_CERT_FILE", &file), ("KARERE_TEST_PAIR", &pair)]);
}

fn pair_pem(pair: &Pair) -> String {
    pair.certificate_pem.clone() + &pair.key.serialize_pem()
}

#[test]
#[ignore = "a part of platforms_cas_are_trusted_when_none_is_given"]
fn child_trusts_ssl_cert_file() {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let pem = std::fs::read_to_string(std::env::var_os("KARERE_TEST_PAIR").unwrap()).unwrap();
    let key = rcgen::KeyPair::from_pem(&pem[pem.find("-----BEGIN PRIVATE").unwrap()..]).unwrap();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let server = server(&Pair { certificate, certificate_pem: String::new(), key }, &[]);
    accepts(&TlsOptions::new(), &server);
    let other = Authority::new("Other");
    assert!(refusal(&TlsOptions::new().ca_bytes(&other.pem), &server).contains("CN=Platform issued"));
    accepts(&TlsOptions::new().ca_bytes(&other.pem).platform_authorities(), &server);
}

#[test]
fn platform_without_cas_is_told() {
    let directory = Directory::new();
    in_environment("child_finds_no_cas", &[("SSL_CERT_FILE", &directory.path().join("none.pem"))]);
    in_environment("child_finds_no_cas", &[("SSL_CERT_DIR", directory.path())]);
}

#[test]
#[ignore = "a part of platform_without_cas_is_told"]
fn child_finds_no_cas() {
    let (error, told) = failure(&TlsOptions::new());
    assert!(matches!(error, TlsError::NoPlatformAuthorities { .. }), "{error:?}");
    assert!(
        told.starts_with("this machine has no certificates of CAs") && told.contains("set SSL_CERT_FILE"),
        "{told}"
    );
    // Who trusts anyone needs none.
    assert!(TlsOptions::new().danger_accept_any_certificate().build().is_ok());
}
