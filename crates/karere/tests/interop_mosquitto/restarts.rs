//! A server that is restarted under load.

use karere::{CleanStart, Publish, QoS, SessionExpiry, Version};

use crate::{
    common::{
        PATIENCE, eventually,
        peer::{Happening, peer},
        server::{Server, Setup},
        suite::losses::released_and_sent_again,
    },
    mosquitto::Mosquitto,
};

const RESTARTS: usize = 10;
const IN_FLIGHT: u16 = 100;

/// Publishes without a pause with a full window while mosquitto is ended by SIGTERM and started again, ten times.
fn nothing_is_lost(version: Version, qos: QoS) {
    let mut server = Mosquitto::start(Setup { in_flight: Some(IN_FLIGHT), ..Setup::default() });
    // Mosquitto 2.0.11 does not save a session that began with Clean Start.
    let kept =
        |id: &str| server.options(version, id).session_expiry(SessionExpiry::Never).clean_start(CleanStart::Never);
    let subscriber = peer(kept("subscriber")).traced().connect();
    let _ = subscriber.subscribe("a/+", qos);
    let publisher = peer(kept("publisher").max_in_flight(IN_FLIGHT)).connect();
    let mut sent = Vec::new();
    for restart in 0..=RESTARTS {
        // A full window and as much again behind it, then the restart in the midst of them.
        let batch = sent.len()..sent.len() + 20 * usize::from(IN_FLIGHT);
        for number in batch {
            let message = Publish::new(format!("a/{number}"), number).expect("legal").qos(qos);
            sent.push(publisher.publish(message));
        }
        if restart < RESTARTS {
            let middle = &sent[sent.len() - 10 * usize::from(IN_FLIGHT)];
            let _ = middle.wait(PATIENCE).expect("done");
            assert!(publisher.client.in_flight() > 0 || publisher.client.queued().0 > 0, "in the midst");
            server.stop();
            server.resume();
        }
    }
    for publishing in &sent {
        let outcome = publishing.wait(PATIENCE).expect("done");
        assert!(outcome.is_acknowledged(), "{outcome}");
    }
    let losses = publisher.count(|happening| matches!(happening, Happening::Disconnected(_)));
    assert_eq!(losses, RESTARTS);
    let numbers = || {
        let mut numbers = subscriber
            .messages(0)
            .iter()
            .map(|message| message.text().parse::<usize>().expect("a number"))
            .collect::<Vec<_>>();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        (numbers, all)
    };
    eventually("all have arrived", || numbers().0.len() >= sent.len());
    let (distinct, all) = numbers();
    assert_eq!(distinct, (0..sent.len()).collect::<Vec<_>>());
    eprintln!("{} messages, {} duplicates", sent.len(), all - sent.len());
    if qos == QoS::ExactlyOnce {
        // Mosquitto 2.0.11 may send messages again, with DUP, that it had sent PUBREL for before it was restarted.
        // It is in the log before it is told.
        let again = || released_and_sent_again(&subscriber);
        eventually("nothing else is published or told twice", || numbers().1 == sent.len() + again());
    }
}

#[test]
fn publisher_with_100_in_flight_loses_nothing_when_the_server_is_restarted_ten_times_at_qos_1() {
    nothing_is_lost(Version::V5, QoS::AtLeastOnce);
}

#[test]
fn publisher_with_100_in_flight_loses_nothing_when_the_server_is_restarted_ten_times_at_qos_2() {
    nothing_is_lost(Version::V311, QoS::ExactlyOnce);
}
