//! Enhanced authentication by a script.

use karere_broker::{Authentication, Config};
use karere_proto::{
    Packet, Properties, PropertyId, ReasonCode, Value,
    packet::{Auth, Connect},
};

use crate::lab::*;

fn scripted() -> Config {
    let script =
        Authentication::new("M").round(Some(b"hello"), &b"prove it"[..]).round(Some(b"proof"), &b"welcome"[..]);
    Config::new().authentication(script)
}

fn says(method: &str, data: &'static [u8]) -> Properties {
    properties([
        (PropertyId::AuthenticationMethod, Value::Str(method)),
        (PropertyId::AuthenticationData, Value::Bin(data)),
    ])
}

fn with_method(method: &str, data: &'static [u8]) -> Connect {
    let mut connect = connect(V5, "a");
    connect.properties = says(method, data);
    connect
}

fn auth(reason: ReasonCode, data: &'static [u8]) -> Packet {
    Packet::Auth(Auth::new(reason, says("M", data)))
}

#[test]
fn the_exchange_leads_to_connack_and_can_be_repeated() {
    let mut lab = Lab::new(scripted());
    let peer = lab.dial(with_method("M", b"hello"));
    let Some(Packet::Auth(challenge)) = lab.next_packet(peer) else { panic!("no AUTH") };
    assert_eq!(challenge, Auth::new(ReasonCode::ContinueAuthentication, says("M", b"prove it")));
    lab.send(peer, auth(ReasonCode::ContinueAuthentication, b"proof"));
    let Some(Packet::ConnAck(ack)) = lab.next_packet(peer) else { panic!("no CONNACK") };
    assert_eq!(ack.properties.authentication_method(), Some("M"));
    assert_eq!(ack.properties.authentication_data(), Some(&b"welcome"[..]));
    lab.send(peer, auth(ReasonCode::ReAuthenticate, b"hello"));
    lab.send(peer, auth(ReasonCode::ContinueAuthentication, b"proof"));
    assert_eq!(lab.heard(peer), ["AUTH 18", "AUTH 00"]);
    lab.send(peer, auth(ReasonCode::ReAuthenticate, b"wrong"));
    assert_eq!(lab.heard(peer), ["DISCONNECT 87", "closed"]);
}

#[test]
fn wrong_words_methods_and_packets_are_refused() {
    let mut lab = Lab::new(scripted());
    let peer = lab.dial(with_method("M", b"wrong"));
    assert_eq!(lab.heard(peer), ["CONNACK 87", "closed"]);
    let peer = lab.dial(with_method("other", b"hello"));
    assert_eq!(lab.heard(peer), ["CONNACK 8c", "closed"]);
    let peer = lab.dial(with_method("M", b"hello"));
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.heard(peer), ["AUTH 18", "closed"], "only AUTH may come before CONNACK");
    let peer = lab.connect(V5, "plain");
    lab.send(peer, auth(ReasonCode::ReAuthenticate, b"hello"));
    assert_eq!(lab.heard(peer), ["DISCONNECT 82", "closed"], "CONNECT named no method");
}
