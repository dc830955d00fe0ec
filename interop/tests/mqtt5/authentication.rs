//! Enhanced authentication by SCRAM-SHA-256, and again on a connection that lives (§4.12).

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use karere::{
    Auth, Cause, ConnAck, Options, Properties, PropertyId, Publish, QoS, ReasonCode, Reconnect, Value, Version,
    sync::{Background, Client, Handler},
};
use mqtt5::broker::{ScramCredentialStore, ScramCredentials, ScramSha256AuthProvider};

use crate::{
    broker::Mqtt5,
    common::{
        PATIENCE,
        proxy::Proxy,
        server::{Server as _, options},
    },
    scram::Exchange,
};

const METHOD: &str = "SCRAM-SHA-256";
const PASSWORD: &str = "pencil";

struct Users;

impl ScramCredentialStore for Users {
    fn get_credentials(&self, user: &str) -> Option<ScramCredentials> {
        (user == "user").then(|| ScramCredentials::from_password_and_salt(PASSWORD, b"salt of the user", 4096))
    }
}

fn server() -> Mqtt5 {
    Mqtt5::guarded(Mqtt5::config(), Arc::new(ScramSha256AuthProvider::new(Arc::new(Users))))
}

/// What a test is told.
#[derive(Debug)]
enum Told {
    Connected,
    Disconnected(Cause),
    /// AUTH with Success: the server has let this client in once more.
    LetInAgain,
}

/// Answers for one user.
#[derive(Clone)]
struct Authenticator {
    password: Arc<Mutex<&'static str>>,
    exchange: Arc<Mutex<Exchange>>,
    tell: mpsc::Sender<Told>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn method_and(data: &str) -> Properties {
    let mut properties = Properties::new();
    properties.set(PropertyId::AuthenticationMethod, Value::Str(METHOD)).expect("legal");
    properties.set(PropertyId::AuthenticationData, Value::Bin(data.as_bytes())).expect("legal");
    properties
}

fn text(properties: &Properties) -> &str {
    core::str::from_utf8(properties.authentication_data().expect("the server's part")).expect("text")
}

impl Authenticator {
    /// Begins an exchange: its first message.
    fn begin(&self) -> String {
        let nonce = RandomState::new().build_hasher().finish().to_string();
        let exchange = Exchange::new("user", *lock(&self.password), &nonce);
        let first = exchange.first();
        *lock(&self.exchange) = exchange;
        first
    }
}

impl Handler for Authenticator {
    fn on_pre_connect(&mut self, client: &Client) {
        let first = self.begin();
        client.configure(|config| config.connect.properties = method_and(&first)).expect("legal");
    }

    fn on_auth(&mut self, client: &Client, auth: &Auth) {
        if auth.reason == ReasonCode::Success {
            assert!(lock(&self.exchange).is_genuine(text(&auth.properties)), "the server proves itself");
            let _ = self.tell.send(Told::LetInAgain);
            return;
        }
        assert_eq!(auth.reason, ReasonCode::ContinueAuthentication);
        let last = lock(&self.exchange).last(text(&auth.properties));
        client.authenticate(Auth::new(ReasonCode::ContinueAuthentication, method_and(&last))).expect("our turn");
    }

    fn on_connected(&mut self, _: &Client, ack: &ConnAck) {
        assert_eq!(ack.properties.authentication_method(), Some(METHOD));
        assert!(lock(&self.exchange).is_genuine(text(&ack.properties)), "the server proves itself");
        let _ = self.tell.send(Told::Connected);
    }

    fn on_disconnected(&mut self, _: &Client, cause: &Cause) {
        let _ = self.tell.send(Told::Disconnected(cause.clone()));
    }
}

struct One {
    client: Client,
    authenticator: Authenticator,
    told: mpsc::Receiver<Told>,
    _background: Background<Authenticator>,
}

impl One {
    fn start(options: Options, password: &'static str) -> Self {
        let (tell, told) = mpsc::channel();
        let exchange = Arc::new(Mutex::new(Exchange::new("", "", "")));
        let authenticator = Authenticator { password: Arc::new(Mutex::new(password)), exchange, tell };
        let (client, driver) = Client::new(options).expect("legal options");
        let background = driver.spawn(authenticator.clone()).expect("a thread");
        Self { client, authenticator, told, _background: background }
    }

    fn told(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("something happens")
    }

    fn connected(&self) {
        let told = self.told();
        assert!(matches!(told, Told::Connected), "{told:?}");
    }

    fn disconnected(&self) -> Cause {
        match self.told() {
            Told::Disconnected(cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    fn authenticates_again(&self) {
        let first = self.authenticator.begin();
        self.client.authenticate(Auth::new(ReasonCode::ReAuthenticate, method_and(&first))).expect("connected");
    }

    fn publishes(&self) {
        let publish = Publish::new("a", "x").expect("legal").qos(QoS::ExactlyOnce);
        let outcome = self.client.publish(publish).expect("taken").wait(PATIENCE).expect("done");
        assert!(outcome.is_acknowledged(), "{outcome}");
    }
}

#[test]
fn right_password_is_let_in() {
    let server = server();
    let one = One::start(server.options(Version::V5, "one"), PASSWORD);
    one.connected();
    one.publishes();
}

#[test]
fn each_connection_authenticates_anew() {
    let server = server();
    let proxy = Proxy::start(server.address());
    let one = One::start(options(proxy.address(), Version::V5, "one"), PASSWORD);
    one.connected();
    for _ in 0..3 {
        proxy.cut();
        assert!(matches!(one.disconnected(), Cause::Transport(_)));
        one.connected();
        one.publishes();
    }
}

#[test]
fn wrong_password_is_refused() {
    let server = server();
    let one = One::start(server.options(Version::V5, "one").reconnect(Reconnect::Never), "pen");
    let cause = one.disconnected();
    assert!(matches!(cause, Cause::Refused(_)), "{cause}");
    assert_eq!(cause.reason(), Some(ReasonCode::NotAuthorized));
}

#[test]
fn live_connection_authenticates_again_while_messages_pass() {
    let server = server();
    let one = One::start(server.options(Version::V5, "one"), PASSWORD);
    one.connected();
    for _ in 0..3 {
        one.authenticates_again();
        one.publishes();
        assert!(matches!(one.told(), Told::LetInAgain));
        one.publishes();
    }
}

#[test]
fn wrong_password_on_a_live_connection_ends_it() {
    let server = server();
    let one = One::start(server.options(Version::V5, "one").reconnect(Reconnect::Never), PASSWORD);
    one.connected();
    *lock(&one.authenticator.password) = "pen";
    one.authenticates_again();
    let cause = one.disconnected();
    assert!(matches!(cause, Cause::Server(_)), "{cause}");
    assert_eq!(cause.reason(), Some(ReasonCode::NotAuthorized));
}

#[test]
fn unknown_method_is_refused() {
    let server = server();
    let options = server.options(Version::V5, "one").reconnect(Reconnect::Never);
    let one = crate::common::peer::peer(options.property(PropertyId::AuthenticationMethod, Value::Str("X"))).start();
    assert_eq!(one.disconnected(1).reason(), Some(ReasonCode::BadAuthenticationMethod));
}
