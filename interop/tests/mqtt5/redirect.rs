//! A server that sends clients elsewhere (§4.11): what the client tells, and where it goes.

use karere::{Cause, ReasonCode, Reconnect, Redirect, Version};
use mqtt5::broker::config::LoadBalancerConfig;

use crate::{
    broker::Mqtt5,
    common::{
        peer::peer,
        server::{Server, Setup},
    },
};

/// A server that names `reference` to everyone.
fn naming(reference: &str) -> Mqtt5 {
    let mut config = Mqtt5::config();
    config.load_balancer = Some(LoadBalancerConfig::new(vec![reference.to_owned()]));
    Mqtt5::with(config)
}

#[test]
fn refusal_tells_the_reason_and_the_reference() {
    let server = naming("elsewhere.example:1884");
    let options = server.options(Version::V5, "one").reconnect(Reconnect::Never).redirect(Redirect::Never);
    let one = peer(options).start();
    let Cause::Refused(ack) = one.disconnected(1) else { panic!("a refusal") };
    assert_eq!(ack.reason, ReasonCode::UseAnotherServer);
    assert_eq!(ack.properties.server_reference(), Some("elsewhere.example:1884"));
    assert!(!ack.session_present);
}

/// 3.1.1 has no word for it.
#[test]
fn older_version_is_told_that_the_server_is_unavailable() {
    let server = naming("elsewhere.example:1884");
    let one = peer(server.options(Version::V311, "one").reconnect(Reconnect::Never)).start();
    let Cause::Refused(ack) = one.disconnected(1) else { panic!("a refusal") };
    assert_eq!(ack.reason, ReasonCode::ServerUnavailable);
}

#[test]
fn reference_is_followed() {
    let other = Mqtt5::start(Setup::default());
    let server = naming(&other.address().to_string());
    let one = peer(server.options(Version::V5, "one")).connect();
    assert_eq!(one.client.peer().map(|peer| peer.to_string()), Some(other.address().to_string()));
}
