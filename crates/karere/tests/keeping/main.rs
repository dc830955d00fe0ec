//! What a client with a store promises: what is recorded when, what waits for it, and what the next process goes on with.
#![cfg(test)]
#![cfg(feature = "store")]

mod kit;

use std::{thread, time::Duration};

use karere::{
    OptionsError, Outcome, Publish, QoS, SessionExpiry,
    session::NotSent,
    store::{Durability, MemoryStore, Store, StoreError},
    sync::{Client, KeepError, StoreFailure, WaitError},
};
use kit::{A_WHILE, Bench, PATIENCE, Server, background, keep, message, outcomes};

#[test]
fn what_was_published_without_a_connection_is_sent_by_the_next_process() {
    let server = Server::start();
    let bench = Bench::quick();
    let (client, driver) = Client::with_store(server.options("a"), &bench.keep()).unwrap();
    for number in 0..3 {
        client.publish(message(number, QoS::AtLeastOnce)).unwrap().wait_durable(PATIENCE).unwrap();
    }
    drop((client, driver));
    let observer = server.observer();
    let (client, driver) = Client::with_store(server.options("a"), &bench.keep()).unwrap();
    assert_eq!(client.queued().0, 3);
    let _running = background(driver);
    assert_eq!(observer.take(3), [0, 1, 2]);
    observer.nothing_more();
}

#[test]
fn nothing_leaves_and_nothing_is_done_before_it_is_durable() {
    let server = Server::start();
    let observer = server.observer();
    let mut bench = Bench::slow();
    let (client, driver) = Client::with_store(server.options("a"), &bench.keep()).unwrap();
    let _running = background(driver);
    bench.let_pass_until(|| client.is_connected());
    let publishing = client.publish(message(7, QoS::AtLeastOnce)).unwrap();
    bench.begun();
    observer.nothing_more();
    assert_eq!(publishing.wait_durable(A_WHILE), Err(WaitError::TimedOut));
    bench.ends();
    publishing.wait_durable(PATIENCE).unwrap();
    assert_eq!(observer.take(1), [7]);
    // PUBACK is there, and its record is not on the disk.
    bench.begun();
    assert_eq!(publishing.wait(A_WHILE), Err(WaitError::TimedOut));
    bench.ends();
    assert!(publishing.wait(PATIENCE).unwrap().is_acknowledged());
    bench.is_quick();
}

#[test]
fn eventually_holds_nothing_back() {
    let server = Server::start();
    let observer = server.observer();
    let bench = Bench::quick();
    let keep = bench.keep().durability(Durability::Eventually(Duration::from_secs(3600)));
    let (client, driver) = Client::with_store(server.options("a"), &keep).unwrap();
    let running = background(driver);
    let publishing = client.publish(message(7, QoS::ExactlyOnce)).unwrap();
    assert_eq!(observer.take(1), [7]);
    assert_eq!(publishing.wait_durable(A_WHILE), Err(WaitError::TimedOut));
    assert_eq!(bench.kept("a").last_seq, 0);
    // A clean end writes all there is.
    drop((running, client));
    assert_eq!(bench.kept("a").last_seq, 1);
}

#[test]
fn dropping_the_driver_commits_what_is_pending() {
    let bench = Bench::quick();
    let keep = bench.keep().durability(Durability::Eventually(Duration::from_secs(3600)));
    let (client, driver) = Client::with_store(kit::offline("a"), &keep).unwrap();
    let publishing = client.publish(message(1, QoS::AtLeastOnce)).unwrap();
    drop(driver);
    assert_eq!(bench.kept("a").queued.len(), 1);
    assert_eq!(publishing.wait_durable(A_WHILE), Ok(()));
}

#[test]
fn what_nobody_keeps_is_never_durable() {
    let (client, _driver) = Client::new(kit::offline("a")).unwrap();
    let kept = client.publish(message(1, QoS::AtLeastOnce)).unwrap();
    assert_eq!(kept.wait_durable(PATIENCE), Err(WaitError::NotKept));
    assert_eq!(client.wait_durable(PATIENCE), Err(WaitError::NotKept));
    let bench = Bench::quick();
    let (client, _driver) = Client::with_store(kit::offline("a"), &bench.keep()).unwrap();
    let qos_0 = client.publish(message(1, QoS::AtMostOnce)).unwrap();
    assert_eq!(qos_0.wait_durable(PATIENCE), Err(WaitError::NotKept));
}

#[test]
fn a_store_that_fails_holds_everything_back_until_it_works_again() {
    let server = Server::start();
    let observer = server.observer();
    let mut bench = Bench::slow();
    let (client, driver) = Client::with_store(server.options("a"), &bench.keep()).unwrap();
    let _running = background(driver);
    bench.let_pass_until(|| client.is_connected());
    let publishing = client.publish(message(7, QoS::AtLeastOnce)).unwrap();
    bench.begun();
    bench.fails(StoreError::DiskFull);
    kit::eventually("the failure is told", || matches!(client.store_failure(), Some(StoreError::DiskFull)));
    observer.nothing_more();
    assert_eq!(publishing.wait_durable(A_WHILE), Err(WaitError::TimedOut));
    bench.is_quick();
    assert!(publishing.wait(PATIENCE).unwrap().is_acknowledged());
    assert!(client.store_failure().is_none());
    assert_eq!(observer.take(1), [7]);
}

#[test]
fn a_client_that_shall_go_on_without_its_store_does() {
    let server = Server::start();
    let observer = server.observer();
    let mut bench = Bench::slow();
    let (client, driver) =
        Client::with_store(server.options("a"), &bench.keep().on_failure(StoreFailure::GoOn)).unwrap();
    let _running = background(driver);
    bench.let_pass_until(|| client.is_connected());
    let first = client.publish(message(7, QoS::AtLeastOnce)).unwrap();
    bench.begun();
    bench.fails(StoreError::DiskFull);
    assert!(first.wait(PATIENCE).unwrap().is_acknowledged());
    let second = client.publish(message(8, QoS::ExactlyOnce)).unwrap();
    assert!(second.wait(PATIENCE).unwrap().is_acknowledged());
    assert_eq!(second.wait_durable(PATIENCE), Err(WaitError::NotKept));
    assert_eq!(observer.take(2), [7, 8]);
    bench.is_quick();
}

/// A store that cannot be read.
struct Unreadable;

impl Store for Unreadable {
    fn load(&mut self, _: &str) -> Result<karere::session::Snapshot, StoreError> {
        Err(StoreError::Corrupted("a test".to_owned()))
    }

    fn commit(&mut self, _: &[karere::store::Write]) -> Result<(), StoreError> {
        panic!("nothing may be written to it")
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_store_that_cannot_be_read_is_an_error_or_the_client_goes_on_in_memory() {
    let server = Server::start();
    let observer = server.observer();
    let keep = keep(Unreadable);
    let error = Client::with_store(server.options("a"), &keep).expect_err("it cannot be read");
    assert!(matches!(error, KeepError::Store(StoreError::Corrupted(_))), "{error:?}");
    let (client, driver) = Client::with_store(server.options("a"), &keep.on_failure(StoreFailure::GoOn)).unwrap();
    let _running = background(driver);
    assert!(client.publish(message(7, QoS::AtLeastOnce)).unwrap().wait(PATIENCE).unwrap().is_acknowledged());
    assert_eq!(observer.take(1), [7]);
}

#[test]
fn what_makes_no_sense_with_a_store_is_refused() {
    let keep = keep(MemoryStore::new());
    let nameless = Client::with_store(karere::Options::new("mqtt://localhost").unwrap(), &keep);
    assert!(matches!(nameless, Err(KeepError::RandomClientId)));
    let (_client, mut driver) = Client::with_store(kit::offline("a"), &keep).unwrap();
    let again = Client::with_store(kit::offline("a"), &keep);
    assert!(matches!(again, Err(KeepError::Store(StoreError::ClientInUse(_)))));
    let over = driver.reinitialise(None, &mut karere::sync::Callbacks::new());
    assert_eq!(over, Err(OptionsError::StartsOverWithStore));
    Client::with_store(kit::offline("b"), &keep).expect("one store keeps several");
}

#[test]
fn a_message_that_expired_while_the_process_was_down_is_told_and_not_sent() {
    let server = Server::start();
    let bench = Bench::quick();
    let (client, driver) = Client::with_store(kit::offline("a"), &bench.keep()).unwrap();
    let short = Publish::new("t/0", "0").unwrap().qos(QoS::AtLeastOnce).message_expiry(Duration::from_secs(1));
    client.publish(short).unwrap();
    client.publish(message(1, QoS::AtLeastOnce)).unwrap();
    drop((client, driver));
    thread::sleep(Duration::from_millis(1_100));
    let observer = server.observer();
    let (client, driver) = Client::with_store(server.options("a"), &bench.keep()).unwrap();
    let told = outcomes(driver);
    assert_eq!(observer.take(1), [1]);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Outcome::NotSent(NotSent::Expired));
    assert!(told.recv_timeout(PATIENCE).unwrap().is_acknowledged());
    drop(client);
    observer.nothing_more();
}

#[test]
fn a_restarted_process_resumes_its_session() {
    let server = Server::start();
    let bench = Bench::quick();
    let options = || server.options("a").session_expiry(SessionExpiry::Never);
    let (client, driver) = Client::with_store(options(), &bench.keep()).unwrap();
    let running = background(driver);
    client.wait_until_connected(PATIENCE).unwrap();
    client.disconnect().unwrap();
    client.wait_until_disconnected(PATIENCE).unwrap();
    drop((running, client));
    assert!(bench.kept("a").established.is_some());
    let (client, driver) = Client::with_store(options(), &bench.keep()).unwrap();
    let resumed = kit::session_present(driver);
    assert!(resumed.recv_timeout(PATIENCE).unwrap());
    drop(client);
}
