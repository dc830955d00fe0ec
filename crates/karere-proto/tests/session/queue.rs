//! What waits: its limits in messages and bytes, and the order in which it goes.

use karere_proto::{
    Version,
    session::{PublishError, QueueLimits},
};

use super::kit::*;

fn messages_wait_for_a_connection_and_go_in_order(version: Version) {
    let mut talk = Talk::new(config(version));
    for name in ["a", "b", "c"] {
        talk.publishes(name, Q1);
    }
    assert_eq!(talk.session.queued(), (3, 6));
    talk.opens();
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q1 2 b", "PUBLISH q1 3 c"]);
    assert_eq!(talk.session.queued(), (0, 0));
}

fn first_sending_never_has_dup(version: Version) {
    let mut talk = Talk::connected(version);
    talk.drops_connection();
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q2 2 b"]);
}

fn queue_full_of_messages_refuses_and_takes_nothing(version: Version) {
    let mut config = config(version);
    config.queue = QueueLimits::new(2, usize::MAX);
    let mut talk = Talk::new(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q0);
    for qos in [Q0, Q1, Q2] {
        let refused = talk.session.publish(talk.now, message("c", qos));
        assert_eq!(refused, Err(PublishError::QueueFull { messages: 2, bytes: 4 }));
    }
    talk.opens();
    talk.server_says("CONNACK");
    let mut said = talk.said();
    said.sort();
    assert_eq!(said, ["PUBLISH q0 b", "PUBLISH q1 1 a"]);
    talk.publishes("d", Q1);
    talk.client_says(["PUBLISH q1 2 d"]); // no identifier was used up
}

fn queue_full_of_bytes_refuses_and_takes_nothing(version: Version) {
    let mut config = config(version);
    config.queue = QueueLimits::new(usize::MAX, 10);
    let mut talk = Talk::new(config);
    talk.publishes("abcd", Q1);
    let refused = talk.session.publish(talk.now, message("ef", Q1));
    assert_eq!(refused, Err(PublishError::QueueFull { messages: 1, bytes: 8 }));
    talk.publishes("g", Q1); // exactly full
    assert_eq!(talk.session.queued(), (2, 10));
    assert!(talk.session.publish(talk.now, message("h", Q0)).is_err());
    talk.told([]);
}

fn limits_do_not_bind_what_leaves_at_once(version: Version) {
    let mut config = config(version);
    config.queue = QueueLimits::new(0, 0);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q0);
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q0 b"]);
    assert!(talk.session.publish(talk.now, message("c", Q1)).is_err());
    talk.server_says("PUBACK 1");
    talk.publishes("d", Q1);
    talk.client_says(["PUBLISH q1 2 d"]);
}

fn room_is_given_back_when_messages_leave(version: Version) {
    let mut config = config(version);
    config.queue = QueueLimits::new(1, 100);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    assert!(talk.session.publish(talk.now, message("c", Q1)).is_err());
    talk.server_says("PUBACK 1");
    talk.publishes("c", Q1);
    talk.server_says("PUBACK 2");
    talk.server_says("PUBACK 3");
    talk.told(["a 1 acknowledged", "b 2 acknowledged", "c 3 acknowledged"]);
}

fn output_that_nobody_takes_fills_the_queue_not_the_memory(version: Version) {
    let mut config = config(version);
    config.queue = QueueLimits::new(10, usize::MAX);
    let mut talk = Talk::connected_with(config);
    let mut taken = 0;
    while talk.session.publish(talk.now, message(&"x".repeat(1000), Q0)).is_ok() {
        taken += 1;
        assert!(taken < 1000, "QoS 0 must not fill the memory when the transport takes nothing");
    }
    assert_eq!(talk.session.queued().0, 10);
    assert_eq!(talk.sent().len(), taken);
    assert_eq!(talk.tidings().len(), taken, "each is told once the transport has taken it");
    talk.publishes("a", Q0);
    talk.client_says(["PUBLISH q0 a"]);
}

fn messages_refused_at_the_call_leave_no_trace(version: Version) {
    let mut talk = Talk::connected(version);
    let huge = karere_proto::Publish::new("a", vec![0; 268_435_455]).unwrap().qos(Q1);
    let refused = talk.session.publish(talk.now, huge);
    assert!(matches!(refused, Err(PublishError::TooLarge { .. })), "{refused:?}");
    talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 1 b"]);
    talk.told([]);
}

every_version! {
    first_sending_never_has_dup,
    limits_do_not_bind_what_leaves_at_once,
    messages_refused_at_the_call_leave_no_trace,
    messages_wait_for_a_connection_and_go_in_order,
    output_that_nobody_takes_fills_the_queue_not_the_memory,
    queue_full_of_bytes_refuses_and_takes_nothing,
    queue_full_of_messages_refuses_and_takes_nothing,
    room_is_given_back_when_messages_leave,
}
