//! Connections: made, refused, kept alive, given up, ended.

use core::time::Duration;
use std::time::Instant;

use karere::{Address, Cause, Options, QoS, ReasonCode, Version, session::CloseCause};

use crate::common::{
    PATIENCE, eventually,
    peer::{Happening, peer, text},
    proxy::{Proxy, Way},
    server::{Server, Setup, options},
};

pub(crate) fn connects_and_disconnects_and_tells_of_it<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    assert!(one.client.is_connected());
    assert_eq!(one.client.client_id(), "one");
    assert_eq!(one.client.peer(), Some(Address::Tcp(server.address())));
    assert_eq!(one.client.negotiated().version, version);
    one.disconnect();
    let seen = one.seen.wait("the socket's end", |record| {
        matches!(record.happenings.last(), Some(Happening::Closed(_))).then(|| record.happenings.clone())
    });
    let notified = |happening: &Happening| {
        !matches!(happening, Happening::RegisterWrite | Happening::UnregisterWrite) // may be needless
    };
    let seen = seen.into_iter().filter(notified).collect::<Vec<_>>();
    assert!(
        matches!(
            seen.as_slice(),
            [
                Happening::Attempt,
                Happening::Opened(open),
                Happening::Connected(_),
                Happening::Disconnected(Cause::Requested),
                Happening::Closed(close),
            ] if open == close
        ),
        "{seen:?}"
    );
    assert!(!one.client.is_connected());
    eventually("it is nowhere", || one.client.peer().is_none());

    one.client.connect();
    let _ = one.connected(2);
    one.disconnect();
}

pub(crate) fn wrong_password_is_refused_and_the_right_one_is_not<S: Server>(version: Version) {
    let server = S::start(Setup { user: Some(("alice", "sesame")), ..Setup::default() });
    let wrong = server.options(version, "a").credentials("alice", "simsalabim");
    let (_, mut driver) = karere::sync::Client::new(wrong).expect("legal");
    let refused = driver.connect(&mut ()).expect_err("wrong password");
    let karere::sync::ConnectError::Ended(Cause::Refused(ack)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized].contains(&ack.reason),
        "servers differ in the word, not in the matter: {refused}"
    );
    assert!(refused.to_string().contains("refused the connection"), "{refused}");

    let again = peer(server.options(version, "a").credentials("alice", "simsalabim")).start();
    assert!(matches!(again.disconnected(2), Cause::Refused(_)), "tried again after a wait");
    assert_eq!(again.count(|happening| matches!(happening, Happening::Connected(_))), 0);
    let change = |config: &mut karere::session::Config| config.connect.password = Some("sesame".into());
    again.client.configure(change).expect("legal");
    let _ = again.connected(1);

    let right = peer(server.options(version, "b").credentials("alice", "sesame")).connect();
    right.disconnect();
}

pub(crate) fn idle_connection_is_kept_alive<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one").keep_alive(Duration::from_secs(1))).traced().connect();
    one.seen.wait("two answers to PINGREQ", |record| {
        let pongs = record.lines.iter().filter(|(_, line)| line.contains("received PINGRESP"));
        (pongs.count() >= 2).then_some(())
    });
    assert!(one.client.is_connected());
    assert_eq!(one.lines("sending CONNECT").len(), 1);
}

pub(crate) fn silent_server_is_given_up<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let options = options(proxy.address(), version, "one")
        .keep_alive(Duration::from_secs(1))
        .ping_timeout(Duration::from_millis(100));
    let one = peer(options).connect();
    proxy.hold(Way::ToClient);
    let began = Instant::now();
    assert_eq!(one.disconnected(1), Cause::KeepAliveTimeout);
    assert!(began.elapsed() > Duration::from_millis(500), "not before a PINGREQ went unanswered");
    proxy.release();
    let _ = one.connected(2);
    let causes = one.count(|happening| matches!(happening, Happening::Disconnected(_)));
    assert_eq!(causes, 1, "told once for each loss");
}

pub(crate) fn binds_to_the_local_address_it_is_given<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let bound = options(proxy.address(), version, "one").bind(([127, 0, 0, 2], 0).into());
    let one = peer(bound).connect();
    let from = proxy.peers();
    assert_eq!(from.iter().map(|from| from.ip().to_string()).collect::<Vec<_>>(), ["127.0.0.2"]);
    one.disconnect();
}

pub(crate) fn connects_over_a_unix_socket<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let url = format!("unix://{}", server.unix_path().display());
    let one = peer(Options::new(&url).expect("legal URL").version(version)).connect();
    assert_eq!(one.client.peer(), Some(Address::Unix(server.unix_path())));
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    assert!(one.say(text("a", "over a path", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(one.message(0).text(), "over a path");
    one.disconnect();
}

pub(crate) fn connects_to_a_name<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let url = format!("mqtt://localhost:{}", server.address().port());
    // Where the name has ::1 as well, nobody listens there, and the next address is dialed.
    let one = peer(Options::new(&url).expect("legal URL").version(version)).connect();
    assert_eq!(one.client.peer(), Some(Address::Tcp(server.address())));
    assert_eq!(one.client.client_id().len(), 23, "made up when none is given");
    one.disconnect();
}

pub(crate) fn takeover_ends_the_older_connection<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let quiet = |options: Options| options.reconnect(karere::Reconnect::Never);
    let old = peer(quiet(server.options(version, "same"))).connect();
    let new = peer(quiet(server.options(version, "same"))).connect();
    let cause = old.disconnected(1);
    match cause.reason() {
        // Mosquitto 2.0.11 closes without DISCONNECT, also on 5.0.
        None => assert!(matches!(cause, Cause::Transport(CloseCause::Closed | CloseCause::Failed(_))), "{cause}"),
        reason => assert_eq!((reason, version), (Some(ReasonCode::SessionTakenOver), Version::V5)),
    }
    assert!(new.client.is_connected());
}

pub(crate) fn disconnecting_when_drained_waits_for_acknowledgements<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let one = peer(options(proxy.address(), version, "one").max_in_flight(2)).connect();
    proxy.hold(Way::ToClient);
    let sent = (0..5).map(|n| one.publish(text("a", &n.to_string(), QoS::ExactlyOnce))).collect::<Vec<_>>();
    one.client.disconnect_when_drained(PATIENCE).expect("taken");
    assert!(one.client.is_connected());
    assert!(sent.iter().all(|publishing| !publishing.is_done()));
    proxy.release();
    assert_eq!(one.disconnected(1), Cause::Requested);
    assert!(sent.iter().all(|publishing| publishing.outcome().is_some_and(|outcome| outcome.is_acknowledged())));
}

pub(crate) fn disconnecting_leaves_what_waits_in_the_queue<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let one =
        peer(options(proxy.address(), version, "one").session_expiry(karere::SessionExpiry::Never).max_in_flight(1))
            .connect();
    proxy.hold(Way::ToClient);
    let sent = (0..3).map(|n| one.publish(text("a", &n.to_string(), QoS::AtLeastOnce))).collect::<Vec<_>>();
    let began = Instant::now();
    one.disconnect();
    assert!(began.elapsed() < Duration::from_secs(3), "nothing was waited for but the server's side of the close");
    assert!(sent.iter().all(|publishing| !publishing.is_done()));
    assert_eq!(one.client.queued().0, 2);
    assert_eq!(one.client.in_flight(), 1);
    proxy.release();
    one.client.connect();
    for publishing in sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
}
