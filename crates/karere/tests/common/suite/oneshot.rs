//! Calls that publish or receive something and are gone.

use core::{ops::ControlFlow, time::Duration};

use karere::{
    Publish, QoS, Subscribe, Version,
    oneshot::{self, Oneshot, OneshotError, Retained},
};

use crate::common::{
    peer::{peer, text},
    server::{Server, Setup},
};

pub(crate) fn one_call_publishes_and_tells_the_outcomes<S: Server>(version: Version) {
    let server = S::start(Setup { user: Some(("alice", "sesame")), ..Setup::default() });
    let options = |id: &str| server.options(version, id).credentials("alice", "sesame");
    let watcher = peer(options("watcher")).connect();
    let _ = watcher.subscribe("#", QoS::ExactlyOnce);
    let outcome = oneshot::publish(options("one").will(text("will", "x", QoS::AtMostOnce)), ("a", "0")).expect("done");
    assert!(outcome.is_acknowledged());
    let tuples = [("a", 1, QoS::AtLeastOnce), ("a", 2, QoS::ExactlyOnce)];
    let outcomes = oneshot::publish_all(options("one"), tuples).expect("done");
    assert!(outcomes.len() == 2 && outcomes.iter().all(|outcome| outcome.is_acknowledged()));
    let structs = [Publish::new("a", "3").expect("legal").qos(QoS::AtLeastOnce)];
    assert!(oneshot::publish_all(options("one"), structs).expect("done")[0].is_acknowledged());
    let words = watcher.messages(4).iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
    assert_eq!(words, ["0", "1", "2", "3"], "and no will");

    let error = oneshot::publish(server.options(version, "one"), ("a", "x")).expect_err("nobody without a name");
    assert!(matches!(error, OneshotError::Connect(_)), "{error:?}");
    assert!(matches!(oneshot::publish(options("one"), ("a/+", "x")), Err(OneshotError::Topic(_))));
    assert!(matches!(oneshot::publish_all::<Publish>(options("one"), []), Err(OneshotError::Nothing)));
}

pub(crate) fn one_call_receives_a_number_of_messages<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let options = |id: &str| server.options(version, id);
    for topic in ["kept/1", "kept/2"] {
        let _ = oneshot::publish(options("one"), text(topic, "old", QoS::AtLeastOnce).retained()).expect("done");
    }
    let subscribe = || Subscribe::new("kept/+", QoS::AtLeastOnce).expect("legal");
    let mut received = oneshot::receive(options("two"), subscribe(), 2, Retained::Include).expect("received");
    received.sort_by(|one, other| one.topic.cmp(&other.topic));
    assert_eq!(received.iter().map(|one| one.topic.as_str()).collect::<Vec<_>>(), ["kept/1", "kept/2"]);

    let patience = Duration::from_millis(100);
    let none = Oneshot::new(options("two")).timeout(patience).receive(subscribe(), 1, Retained::Skip);
    assert!(matches!(none, Err(OneshotError::TimedOut)), "{none:?}");
    let nothing = oneshot::receive(options("two"), subscribe(), 0, Retained::Skip);
    assert!(matches!(nothing, Err(OneshotError::Nothing)));
}

pub(crate) fn one_call_listens_until_it_is_told_to_stop<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let mut heard = Vec::new();
    let subscribe = Subscribe::new("count", QoS::ExactlyOnce).expect("legal");
    let starter = peer(server.options(version, "starter")).connect();
    assert!(starter.say(text("count", "0", QoS::AtLeastOnce).retained()).is_acknowledged());
    oneshot::listen(server.options(version, "one"), subscribe, |client, message| {
        let number = core::str::from_utf8(&message.payload).expect("text").parse::<usize>().expect("a number");
        heard.push(number);
        if number == 5 {
            return ControlFlow::Break(());
        }
        let next = Publish::new("count", number + 1).expect("legal").qos(QoS::ExactlyOnce);
        let _ = client.publish(next).expect("taken");
        ControlFlow::Continue(())
    })
    .expect("told to stop");
    assert_eq!(heard, [0, 1, 2, 3, 4, 5]);
}
