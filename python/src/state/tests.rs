//! paho's return codes over the life of a message, without Python and without a socket.

use bytes::BytesMut;
use karere_proto::packet::{Disconnect, Subscribe};

use super::*;

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

struct Client {
    state: State,
    now: Instant,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        let mut state = State::new(now);
        state.tell_published(true);
        Self { state, now }
    }

    fn connect(&mut self) {
        self.state.opened(self.now, Transport::Fed);
        self.hear(CONNACK);
        self.told();
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.state.received(self.now, &mut BytesMut::from(bytes));
        self.fetch();
    }

    fn fetch(&mut self) {
        while self.state.fetch(self.now, usize::MAX) == Fetched::Some {}
    }

    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        self.state.take_told(&mut told);
        told
    }

    /// What it says, all of it taken by the transport.
    fn say(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while self.state.unsent() > 0 {
            let bytes = self.state.next_bytes();
            assert!(self.state.take_sent(self.now, bytes.len()));
            said.extend_from_slice(&bytes);
        }
        self.fetch();
        said
    }

    fn publish(&mut self, qos: QoS) -> (u16, Arc<Flow>) {
        let message = Message {
            topic: Some(Topic::new("a").expect("legal")),
            alias: None,
            payload: Bytes::from_static(b"x"),
            qos,
            retain: false,
            properties: Properties::new(),
        };
        self.state.publish(self.now, message).unwrap_or_else(|_| panic!("taken"))
    }
}

#[test]
fn qos_0_is_published_when_its_last_byte_is_written() {
    let mut client = Client::new();
    client.connect();
    client.say();
    let (mid, flow) = client.publish(QoS::AtMostOnce);
    let length = client.state.next_bytes().len();
    assert!(client.state.take_sent(client.now, length - 1));
    client.fetch();
    assert!(!flow.has_ended());
    assert!(client.state.take_sent(client.now, 1));
    client.fetch();
    assert!(flow.is_published());
    assert!(matches!(client.told()[..], [Told::Published { mid: told, outcome: 0, .. }] if told == mid));
    assert!(!client.state.take_sent(client.now, 1), "there was nothing more");
}

#[test]
fn qos_0_written_in_part_is_lost_with_its_connection() {
    let mut client = Client::new();
    client.connect();
    client.say();
    let (_, flow) = client.publish(QoS::AtMostOnce);
    assert!(client.state.take_sent(client.now, 1));
    client.state.closed(client.now, CloseCause::Closed);
    assert_eq!(flow.rc(), Rc::ConnLost as i32);
    let told = client.told();
    assert!(matches!(told[..], [Told::Published { outcome: 3, .. }, Told::Disconnected { .. }]), "{told:?}");
}

#[test]
fn without_a_connection_only_qos_0_is_given_up() {
    let mut client = Client::new();
    let flows = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| client.publish(qos).1);
    assert!(flows.iter().all(|flow| flow.rc() == Rc::NoConn as i32));
    client.connect();
    assert_eq!(flows.each_ref().map(|flow| flow.rc()), [4, 0, 0]);
    let said = client.say();
    assert!(said.ends_with(&[0x32, 6, 0, 1, b'a', 0, 2, b'x', 0x34, 6, 0, 1, b'a', 0, 3, b'x']));
}

#[test]
fn codes_of_what_is_in_flight_survive_a_lost_connection() {
    let mut client = Client::new();
    client.connect();
    let (_, flow) = client.publish(QoS::AtLeastOnce);
    client.say();
    client.state.closed(client.now, CloseCause::Closed);
    assert!(!flow.has_ended());
    client.connect();
    assert!(client.say().ends_with(&[0x3A, 6, 0, 1, b'a', 0, 1, b'x']), "again, with DUP");
    client.hear(&[0x40, 2, 0, 1]);
    assert!(flow.is_published());
    assert_eq!(client.state.out_len(), 0);
}

#[test]
fn a_mid_in_use_is_consumed_and_refused() {
    let mut client = Client::new();
    client.connect();
    client.publish(QoS::AtLeastOnce);
    for _ in 1..u16::MAX {
        client.publish(QoS::AtMostOnce);
    }
    let (mid, flow) = client.publish(QoS::ExactlyOnce);
    assert_eq!((mid, flow.rc()), (1, Rc::QueueSize as i32));
    let subscribe = Subscribe::new("a", QoS::AtMostOnce).expect("legal");
    assert_eq!(client.state.subscribe(client.now, subscribe), Ok(2));
}

#[test]
fn messages_given_up_end_and_are_told() {
    let mut client = Client::new();
    client.connect();
    client.state.limit(1, 0);
    client.state.closed(client.now, CloseCause::Closed);
    client.connect();
    let flows = [client.publish(QoS::AtLeastOnce).1, client.publish(QoS::AtLeastOnce).1];
    client.say();
    client.told();
    client.state.drop_out(client.now);
    assert!(flows.iter().all(|flow| flow.rc() == Rc::ConnLost as i32));
    let told = client.told();
    assert!(
        matches!(told[..], [Told::Published { outcome: 3, mid: 1, .. }, Told::Published { outcome: 2, mid: 2, .. }]),
        "{told:?}"
    );
}

#[test]
fn a_farewell_that_cannot_be_written_is_given_up() {
    let mut client = Client::new();
    client.connect();
    client.say();
    assert_eq!(client.state.disconnect(Disconnect::NORMAL), Ok(()));
    assert!(!client.state.wants_close(client.now), "DISCONNECT waits");
    let deadline = client.state.deadline().expect("there is one");
    assert!(!client.state.wants_close(deadline - Duration::from_millis(1)));
    assert!(client.state.wants_close(deadline));
    let mut quick = Client::new();
    quick.connect();
    assert_eq!(quick.state.disconnect(Disconnect::NORMAL), Ok(()));
    assert!(quick.say().ends_with(&[0xE0, 0]));
    assert!(quick.state.wants_close(quick.now));
}

#[test]
fn events_are_fetched_up_to_a_limit_and_the_rest_stays() {
    let mut client = Client::new();
    client.connect();
    client.state.received(client.now, &mut BytesMut::from(&[0x30, 3, 0, 1, b'a'].repeat(10)[..]));
    assert_eq!(client.state.fetch(client.now, 4), Fetched::All);
    assert_eq!(client.told().len(), 4);
    assert!(client.state.has_told());
    client.fetch();
    assert_eq!(client.told().len(), 6);
    assert!(!client.state.has_told());
}

#[test]
fn messages_of_qos_1_that_were_not_done_are_forgotten_with_their_connection() {
    let mut client = Client::new();
    client.connect();
    client.hear(&[0x32, 5, 0, 1, b'a', 0, 1, 0x34, 5, 0, 1, b'a', 0, 2]);
    assert_eq!(client.state.in_messages(), [1, 2]);
    client.state.closed(client.now, CloseCause::Closed);
    assert_eq!(client.state.in_messages(), [2]);
    assert!(!client.state.acknowledge_mid(1, QoS::AtLeastOnce));
    assert!(client.state.acknowledge_mid(2, QoS::ExactlyOnce));
}
