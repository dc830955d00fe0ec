//! What a client says when a domain has no servers for it.

use core::time::Duration;
use std::{io, time::Instant};

use karere::{
    DialError, DialProblem, Options, ServiceProblem,
    sync::{Client, ConnectError},
};

use crate::{
    PATIENCE, SERVICE,
    name_server::{Manner, NameServer},
    of, options,
};

/// Makes one round, which is to fail.
fn fail(options: Options) -> DialError {
    let (_client, mut driver) = Client::new(options).expect("legal options");
    match driver.connect_within(PATIENCE, &mut ()) {
        Err(ConnectError::Dial(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn domain_that_decidedly_has_no_service_is_told_from_one_without_records() {
    let names = NameServer::start();
    let error = fail(options(&names));
    assert!(matches!(error.problem, DialProblem::Services(ServiceProblem::NoRecords)), "no such name: {error:?}");
    assert_eq!(error.to_string(), "cannot connect to example.com: there are no SRV records");
    names.here(SERVICE);
    let error = fail(options(&names));
    assert!(matches!(error.problem, DialProblem::Services(ServiceProblem::NoRecords)), "nothing there: {error:?}");
    names.srv(SERVICE, &[(0, 0, 0, ".")]);
    let error = fail(options(&names));
    assert!(matches!(error.problem, DialProblem::Services(ServiceProblem::NotProvided)), "{error:?}");
    names.srv(SERVICE, &[(0, 0, 0, "h.example.com")]);
    let error = fail(options(&names));
    assert!(matches!(error.problem, DialProblem::Services(ServiceProblem::Unusable)), "no port: {error:?}");
}

#[test]
fn target_without_an_address_is_told_by_its_name() {
    let names = NameServer::start();
    names.srv(SERVICE, &[(0, 0, 1883, "h.example.com")]);
    let error = fail(options(&names));
    assert_eq!(error.to_string(), "cannot connect to h.example.com:1883: the name has no address");
}

#[test]
fn silent_name_server_is_given_up_within_the_limit() {
    let names = NameServer::start();
    names.be(Manner::Silent);
    let began = Instant::now();
    let error = fail(options(&names).connect_timeout(Duration::from_millis(300)));
    assert!((Duration::from_millis(290)..Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(error.io_kind(), Some(io::ErrorKind::TimedOut));
    assert!(error.to_string().contains("name server did not answer in time"), "{error}");
}

#[test]
fn name_server_that_fails_is_told_of() {
    let names = NameServer::start();
    names.be(Manner::Broken);
    let error = fail(options(&names));
    let DialProblem::Services(ServiceProblem::NoAnswer(why)) = &error.problem else { panic!("{error:?}") };
    assert!(why.to_string().contains("name server"), "{why}");
}

#[test]
fn domain_of_this_machine_is_asked_about_or_said_to_be_none() {
    let names = NameServer::start();
    let error = fail(of("mqtt+srv://", &names));
    let asked = names.asked();
    match error.problem {
        DialProblem::Services(ServiceProblem::NoLocalDomain) => assert!(asked.is_empty(), "{asked:?}"),
        DialProblem::Services(ServiceProblem::NoRecords) => {
            let domain = asked[0].strip_prefix("SRV _mqtt._tcp.").expect("the service is asked about");
            assert!(!domain.is_empty());
        }
        other => panic!("{other:?}"),
    }
}
