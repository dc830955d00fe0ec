//! What every client is configured with.

use core::{fmt, net::SocketAddr, num::NonZeroU16, time::Duration};

use bytes::Bytes;
use karere_proto::{
    InvalidProperty, InvalidString, Properties, PropertyId, Publish, Utf8String, Value, Version,
    packet::Will,
    session::{CleanStart, Config, ConfigError, FallBack, LostSession, QueueLimits, Resubscribe, SessionExpiry},
};

use crate::{
    access::AccessHook,
    backoff::{Jitter, Rng},
    connector::{Connector, OwnedSocket},
    endpoint::{Endpoint, InvalidUrl},
    policy::{Policy, Reconnect, Redirect, Refresh},
    proxy::Proxies,
    route::{Credentials, Rank, Server},
    socket::{SocketOptions, TcpKeepAlive},
    transport::Ways,
    url::Url,
};

/// Who acknowledges received messages of QoS 1 and 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: the client or the application")]
pub enum Acknowledge {
    /// The client, once the application's handlers have returned.
    #[default]
    Automatic,
    /// The application, with the delivery it takes from the message.
    Manual,
}

/// What becomes of a client whose first attempt to connect fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it is tried again or it is not")]
pub enum FirstConnection {
    /// The loop ends with the error, so that a wrong host name shows at once.
    #[default]
    Fail,
    /// It is tried again like any other.
    Retry,
}

/// What a client is configured with: a URL and methods to be chained.
///
/// Nothing is checked before the client is made, except the URL; then [`OptionsError`] tells what is wrong.
#[derive(Clone)]
pub struct Options {
    url: Url,
    others: Vec<Server>,
    ways: Ways,
    access: Option<AccessHook>,
    version: Version,
    fall_back: FallBack,
    client_id: ClientId,
    user_name: Option<String>,
    password: Option<Bytes>,
    keep_alive: Duration,
    clean_start: CleanStart,
    session_expiry: SessionExpiry,
    will: Option<Publish>,
    properties: Result<Properties, InvalidProperty>,
    max_in_flight: u16,
    queue: QueueLimits,
    lost_session: LostSession,
    resubscribe: Resubscribe,
    ack_timeout: Option<Duration>,
    topic_aliases: u16,
    connack_timeout: Duration,
    ping_timeout: Duration,
    policy: Policy,
    first_connection: FirstConnection,
    acknowledge: Acknowledge,
    socket: SocketOptions,
    name_server: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
enum ClientId {
    Random,
    Given(String),
    Server,
}

/// Options taken apart for the parts of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parts {
    /// For the session.
    pub session: Config,
    /// For the link: the servers, at least one.
    pub servers: Vec<Server>,
    /// For the link: how servers are spoken to.
    pub ways: Ways,
    /// For the link: how it behaves.
    pub policy: Policy,
    /// For the driver.
    pub first_connection: FirstConnection,
    /// For the driver.
    pub acknowledge: Acknowledge,
    /// For the driver: what to ask before each attempt; the link's policy says so too.
    pub access: Option<AccessHook>,
    /// For the driver: what sockets are set to.
    pub socket: SocketOptions,
    /// For the driver: who is asked about names, if not those that the system asks.
    pub name_server: Option<SocketAddr>,
}

impl Options {
    /// Defaults for a server: MQTT 5, a random client identifier, a session that ends with its connection, keep alive
    /// of 60 seconds, at most 20 messages in flight, unlimited queue, reconnects after 1 to 120 seconds.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong with `url` and what would be right.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let mut url = Url::parse(url)?;
        let (user_name, password) = (url.user_name.take(), url.password.take());
        let client_id = url.client_id.take().filter(|id| !id.is_empty()).map_or(ClientId::Random, ClientId::Given);
        Ok(Self {
            url,
            others: Vec::new(),
            ways: Ways::default(),
            access: None,
            version: Version::default(),
            fall_back: FallBack::default(),
            client_id,
            user_name,
            password: password.map(Bytes::from),
            keep_alive: Duration::from_secs(60),
            clean_start: CleanStart::default(),
            session_expiry: SessionExpiry::default(),
            will: None,
            properties: Ok(Properties::new()),
            max_in_flight: 20,
            queue: QueueLimits::UNLIMITED,
            lost_session: LostSession::default(),
            resubscribe: Resubscribe::default(),
            ack_timeout: None,
            topic_aliases: 64,
            connack_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(30),
            policy: Policy::default(),
            first_connection: FirstConnection::default(),
            acknowledge: Acknowledge::default(),
            socket: SocketOptions::default(),
            name_server: None,
        })
    }

    /// Defaults for a host and port.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        let mut options = Self::new("mqtt://localhost").expect("invariant: a legal URL");
        options.url.endpoint = Endpoint::tcp(host, port);
        options
    }

    /// Adds a server that is tried when those named before it fail, with the credentials of its URL or, without any, those
    /// of the options. Once such a server serves, the better ones are looked for: see [`Options::fail_back`].
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong with `url` and what would be right.
    pub fn server(self, url: &str) -> Result<Self, InvalidUrl> {
        let worst = self.others.iter().map(|server| server.rank.priority).max().unwrap_or(0);
        self.server_with_rank(url, Rank::new(worst.saturating_add(1), 1))
    }

    /// Adds a server with a rank; that of the first server is priority 0, weight 1.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong with `url` and what would be right.
    pub fn server_with_rank(mut self, url: &str, rank: Rank) -> Result<Self, InvalidUrl> {
        self.others.push(Server::parse(url)?.rank(rank));
        Ok(self)
    }

    /// Asks `hook` before each attempt where to go and who to be: for tokens and signed addresses that expire. It is given
    /// the server whose turn it is, and may change its endpoint and its credentials. It runs on a thread of its own
    /// and may take as long as [`Options::access_timeout`]; the client goes on meanwhile. A call that takes longer may still
    /// run when the next one begins.
    #[must_use]
    pub fn access_hook<E>(mut self, hook: impl Fn(&mut Server) -> Result<(), E> + Send + Sync + 'static) -> Self
    where
        E: fmt::Display,
    {
        self.access = Some(AccessHook::new(hook));
        self.policy.refresh = Refresh::EachAttempt;
        self
    }

    /// Sets how long the access hook may take; then the attempt has failed. Default: 30 s.
    #[must_use]
    pub const fn access_timeout(mut self, timeout: Duration) -> Self {
        self.policy.refresh_timeout = timeout;
        self
    }

    /// Lets `connect` connect sockets in place of the client: for ways that it does not know, such as an SSH tunnel, a
    /// `socketpair` or `AF_VSOCK`. It is given the place of the server whose turn it is, and returns a stream socket that is
    /// connected; with [`std::os::fd::OwnedFd`], a `TcpStream` and a `UnixStream` of std among others. It runs on a thread
    /// of its own, may take as long as [`Options::connect_timeout`], and is called again for every attempt.
    ///
    /// TLS and WebSocket are spoken over that socket as the URL says, with the names that stand there. No name is resolved
    /// and no proxy used, nor is a better server looked for ([`Options::fail_back`]). The socket is the client's from then
    /// on, which sets it non-blocking; options of sockets ([`Options::bind`] and the like) are the application's business.
    #[must_use]
    pub fn connector<S, E>(mut self, connect: impl Fn(&Endpoint) -> Result<S, E> + Send + Sync + 'static) -> Self
    where
        S: Into<OwnedSocket>,
        E: Into<Box<dyn core::error::Error + Send + Sync>>,
    {
        self.ways.connector = Some(Connector::new(connect));
        self
    }

    /// Asks this name server about names, over UDP and TCP, in place of those of the system and its list of hosts: for SRV
    /// records (`mqtt+srv://`) and for addresses.
    #[cfg(feature = "srv")]
    #[must_use]
    pub const fn name_server(mut self, address: SocketAddr) -> Self {
        self.name_server = Some(address);
        self
    }

    /// Sets the version of the protocol. Default: 5.0.
    #[must_use]
    pub const fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Says whether a server that does not speak the version is asked in a lower one: 5.0, 3.1.1, 3.1. Default: it is not.
    #[must_use]
    pub const fn version_fall_back(mut self, fall_back: FallBack) -> Self {
        self.fall_back = fall_back;
        self
    }

    /// Sets the client identifier; empty means a random one, which is the default (§3.1.3.1).
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.client_id = if id.is_empty() { ClientId::Random } else { ClientId::Given(id) };
        self
    }

    /// Lets the server make up the client identifier; with 5.0 the client learns it and keeps it (§3.1.3.1).
    #[must_use]
    pub fn server_assigned_client_id(mut self) -> Self {
        self.client_id = ClientId::Server;
        self
    }

    /// Sets the user name; it travels readable by anyone on the way unless the transport is encrypted (§3.1.3.5).
    #[must_use]
    pub fn user_name(mut self, name: impl Into<String>) -> Self {
        self.user_name = Some(name.into());
        self
    }

    /// Sets the password, at most 65,535 bytes; never logged (§3.1.3.6).
    #[must_use]
    pub fn password(mut self, password: impl Into<Bytes>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets user name and password.
    #[must_use]
    pub fn credentials(self, name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        self.user_name(name).password(password)
    }

    /// Sets the keep alive: whole seconds up to 65,535; zero turns it off (§3.1.2.10). Default: 60 s.
    #[must_use]
    pub const fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// Says when to ask for a new session (§3.1.2.4). Default: for the first connection only.
    #[must_use]
    pub const fn clean_start(mut self, clean_start: CleanStart) -> Self {
        self.clean_start = clean_start;
        self
    }

    /// Says how long the server keeps the session after the connection (§3.1.2.11.2). Default: it does not.
    #[must_use]
    pub const fn session_expiry(mut self, expiry: SessionExpiry) -> Self {
        self.session_expiry = expiry;
        self
    }

    /// Sets the message that the server publishes when this client is lost (§3.1.2.5).
    #[must_use]
    pub fn will(mut self, will: Publish) -> Self {
        self.will = Some(will);
        self
    }

    /// Takes the will back.
    #[must_use]
    pub fn no_will(mut self) -> Self {
        self.will = None;
        self
    }

    /// Sets the properties of CONNECT (5.0, §3.1.2.11), in place of all set before.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = Ok(properties);
        self
    }

    /// Sets one property of CONNECT, or adds a User Property (5.0).
    #[must_use]
    pub fn property(mut self, id: PropertyId, value: Value<'_>) -> Self {
        self.properties = self.properties.and_then(|mut properties| properties.set(id, value).map(|()| properties));
        self
    }

    /// Limits QoS 1 and 2 messages in flight to the server, 1 to 65,535; its Receive Maximum lowers it. Default: 20.
    #[must_use]
    pub const fn max_in_flight(mut self, messages: u16) -> Self {
        self.max_in_flight = messages;
        self
    }

    /// Limits messages that wait; what does not fit is refused when it is published. Default: unlimited.
    #[must_use]
    pub const fn queue_limits(mut self, limits: QueueLimits) -> Self {
        self.queue = limits;
        self
    }

    /// Says what becomes of messages in flight when the server has lost the session. Default: published again.
    #[must_use]
    pub const fn lost_session(mut self, policy: LostSession) -> Self {
        self.lost_session = policy;
        self
    }

    /// Says when granted subscriptions are asked for again by the client itself. Default: when the session is lost.
    #[must_use]
    pub const fn resubscribe(mut self, policy: Resubscribe) -> Self {
        self.resubscribe = policy;
        self
    }

    /// Limits how long the server may leave everything that waits for an acknowledgement unanswered; then the connection
    /// is made anew. Default: no limit.
    #[must_use]
    pub const fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = Some(timeout);
        self
    }

    /// Limits how many topic aliases the client uses; 0 is none, and the server's limit lowers it (5.0, §3.3.2.3.4).
    /// Default: 64.
    #[must_use]
    pub const fn topic_aliases(mut self, most: u16) -> Self {
        self.topic_aliases = most;
        self
    }

    /// Sets the shortest and the longest wait between two attempts. Default: 1 s and 120 s.
    #[must_use]
    pub const fn reconnect_delay(mut self, minimum: Duration, maximum: Duration) -> Self {
        self.policy.minimum_delay = minimum;
        self.policy.maximum_delay = maximum;
        self
    }

    /// Says whether waits are spread. Default: they are.
    #[must_use]
    pub const fn reconnect_jitter(mut self, jitter: Jitter) -> Self {
        self.policy.jitter = jitter;
        self
    }

    /// Says whether a lost connection is made anew. Default: it is.
    #[must_use]
    pub const fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.policy.reconnect = reconnect;
        self
    }

    /// Sets how long a connection must last for the wait to begin at its minimum again. Default: 10 s.
    #[must_use]
    pub const fn stable_after(mut self, time: Duration) -> Self {
        self.policy.stable_after = time;
        self
    }

    /// Says whether a server that refers to another one is obeyed (5.0, §4.11). Default: once, for that connection.
    #[must_use]
    pub const fn redirect(mut self, redirect: Redirect) -> Self {
        self.policy.redirect = redirect;
        self
    }

    /// Sets after how long on a server of lesser rank a better one is looked for, and how often; the client moves when
    /// nothing is in flight. `None`: it stays. Default: 5 min.
    #[must_use]
    pub const fn fail_back(mut self, after: Option<Duration>) -> Self {
        self.policy.fail_back = after;
        self
    }

    /// Sets how long an address of a name gets before the next one is dialed beside it, at least 10 ms (RFC 8305).
    /// Default: 250 ms.
    #[must_use]
    pub const fn attempt_delay(mut self, delay: Duration) -> Self {
        self.policy.attempt_delay = delay;
        self
    }

    /// Sets how long resolving a name may take, and each address to answer. Default: 5 s.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.policy.connect_timeout = timeout;
        self
    }

    /// Sets how long the server may take to answer CONNECT. Default: 10 s.
    #[must_use]
    pub const fn connack_timeout(mut self, timeout: Duration) -> Self {
        self.connack_timeout = timeout;
        self
    }

    /// Sets how long a silent server may leave PINGREQ unanswered; a shorter keep alive counts. Default: 30 s.
    #[must_use]
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// Says what becomes of a client whose first attempt fails. Default: its loop ends with the error.
    #[must_use]
    pub const fn first_connection(mut self, policy: FirstConnection) -> Self {
        self.first_connection = policy;
        self
    }

    /// Says who acknowledges received messages. Default: the client.
    #[must_use]
    pub const fn acknowledge(mut self, who: Acknowledge) -> Self {
        self.acknowledge = who;
        self
    }

    /// Sets the local address and port to dial from; port 0 is any. Default: the operating system chooses.
    #[must_use]
    pub const fn bind(mut self, address: SocketAddr) -> Self {
        self.socket.bind = Some(address);
        self
    }

    /// Sets the network interface to dial over, by name. Default: the operating system chooses.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.socket.interface = Some(name.into());
        self
    }

    /// Sets the bytes of the system's buffers for each socket. Default: the operating system chooses.
    #[must_use]
    pub const fn socket_buffers(mut self, send: usize, receive: usize) -> Self {
        self.socket.send_buffer = Some(send);
        self.socket.receive_buffer = Some(receive);
        self
    }

    /// Turns TCP's own keep alive on. Default: off, since MQTT has one.
    #[must_use]
    pub const fn tcp_keep_alive(mut self, keep_alive: TcpKeepAlive) -> Self {
        self.socket.keep_alive = Some(keep_alive);
        self
    }

    /// Sets the proxies through which servers are reached: [`Proxies::all`] one for all of them, or
    /// [`Proxies::from_environment`]. Default: none.
    #[must_use]
    pub fn proxies(mut self, proxies: impl Into<Proxies>) -> Self {
        self.ways.proxies = proxies.into();
        self
    }

    /// Says how TLS is spoken with servers that want it (`mqtts`, `wss`). Default: with TLS 1.2 or 1.3, and the
    /// certificate authorities of this machine.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<crate::Tls>) -> Self {
        self.ways.tls = Some(tls.into());
        self
    }

    /// Speaks TLS with servers that want it (`mqtts`, `wss`) by a pre-shared key, whatever [`Options::tls`] says: that is
    /// for HTTPS proxies then.
    #[cfg(feature = "openssl")]
    #[must_use]
    pub fn pre_shared_key(mut self, psk: crate::Psk) -> Self {
        self.ways.psk = Some(psk);
        self
    }

    /// Says what the opening of a WebSocket carries (`ws`, `wss`).
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn websocket(mut self, websocket: crate::WebSocketOptions) -> Self {
        self.ways.websocket = websocket;
        self
    }

    /// True unless each client made of these options gets a random client identifier of its own.
    pub const fn names_client(&self) -> bool {
        !matches!(self.client_id, ClientId::Random)
    }

    /// Checks everything and takes the options apart. `rng` makes up the client identifier when none is given.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names what is wrong and what to do instead.
    pub fn into_parts(self, rng: &mut Rng) -> Result<Parts, OptionsError> {
        let string = |what, text: &str| Utf8String::new(text).map_err(|why| OptionsError::String(what, why));
        if matches!(self.client_id, ClientId::Random) && self.session_expiry != SessionExpiry::AtClose {
            return Err(OptionsError::RandomIdWithSession);
        }
        let client_id = match &self.client_id {
            ClientId::Random => string("client identifier", &random_id(rng))?,
            ClientId::Given(id) => string("client identifier", id)?,
            ClientId::Server => Utf8String::default(),
        };
        let seconds = self.keep_alive.as_secs().saturating_add(u64::from(self.keep_alive.subsec_nanos() > 0));
        let mut session = Config::new(self.version, client_id);
        session.connect.keep_alive = u16::try_from(seconds).map_err(|_| OptionsError::KeepAlive(self.keep_alive))?;
        session.connect.user_name = self.user_name.as_deref().map(|name| string("user name", name)).transpose()?;
        session.connect.password = self.password;
        session.connect.will = self.will.map(Will::from);
        session.connect.properties = self.properties.map_err(OptionsError::Property)?;
        session.fall_back = self.fall_back;
        session.clean_start = self.clean_start;
        session.session_expiry = self.session_expiry;
        session.max_in_flight = NonZeroU16::new(self.max_in_flight).ok_or(OptionsError::NothingInFlight)?;
        session.queue = self.queue;
        session.lost_session = self.lost_session;
        session.resubscribe = self.resubscribe;
        session.ack_timeout = self.ack_timeout;
        session.topic_aliases = self.topic_aliases;
        session.connack_timeout = self.connack_timeout;
        session.ping_timeout = self.ping_timeout;
        session.check().map_err(OptionsError::Config)?;
        let first = Server::new(self.url.endpoint).transport(self.url.transport);
        let servers = servers(first, self.others, &session, self.policy.refresh)?;
        if self.policy.minimum_delay > self.policy.maximum_delay {
            return Err(OptionsError::Delays(self.policy.minimum_delay, self.policy.maximum_delay));
        }
        Ok(Parts {
            session,
            servers,
            ways: self.ways,
            policy: self.policy,
            first_connection: self.first_connection,
            acknowledge: self.acknowledge,
            access: self.access,
            socket: self.socket,
            name_server: self.name_server,
        })
    }
}

/// All servers. When one of them wants a client by another name, or the application may, each says whom: else the next one
/// would see the name of the one before.
fn servers(
    first: Server,
    others: Vec<Server>,
    session: &Config,
    refresh: Refresh,
) -> Result<Vec<Server>, OptionsError> {
    let explicit = refresh == Refresh::EachAttempt || others.iter().any(|server| server.credentials.is_some());
    let own = || Credentials::new(session.connect.user_name.clone(), session.connect.password.clone());
    let mut servers = vec![first];
    servers.extend(others);
    for server in &mut servers {
        if explicit {
            let who = server.credentials.get_or_insert_with(own);
            let mut there = session.clone();
            there.connect.user_name.clone_from(&who.user_name);
            there.connect.password.clone_from(&who.password);
            there.check().map_err(OptionsError::Config)?;
        }
    }
    Ok(servers)
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("others", &self.others)
            .field("ways", &self.ways)
            .field("access", &self.access)
            .field("version", &self.version)
            .field("fall_back", &self.fall_back)
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("keep_alive", &self.keep_alive)
            .field("clean_start", &self.clean_start)
            .field("session_expiry", &self.session_expiry)
            .field("will", &self.will)
            .field("properties", &self.properties)
            .field("max_in_flight", &self.max_in_flight)
            .field("queue", &self.queue)
            .field("lost_session", &self.lost_session)
            .field("connack_timeout", &self.connack_timeout)
            .field("ping_timeout", &self.ping_timeout)
            .field("policy", &self.policy)
            .field("first_connection", &self.first_connection)
            .field("acknowledge", &self.acknowledge)
            .field("socket", &self.socket)
            .field("name_server", &self.name_server)
            .finish()
    }
}

/// 23 characters of those every server must accept [MQTT-3.1.3-5], and as long as 3.1 allows.
fn random_id(rng: &mut Rng) -> String {
    const CHARACTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut id = String::from("karere");
    for _ in 0..17 {
        let at = usize::try_from(rng.below(36)).expect("invariant: below 36");
        id.push(char::from(CHARACTERS[at]));
    }
    id
}

/// Why a client cannot be configured like this. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// No legal CONNECT can be made of it.
    Config(ConfigError),
    /// The shortest wait is longer than the longest.
    Delays(Duration, Duration),
    /// The keep alive does not fit 65,535 seconds.
    KeepAlive(Duration),
    /// At least one message must be allowed in flight.
    NothingInFlight,
    /// A property of CONNECT is wrong.
    Property(InvalidProperty),
    /// A session that is to be kept needs a client identifier that is known the next time.
    RandomIdWithSession,
    /// A client that keeps its session in a store cannot start over in its place.
    StartsOverWithStore,
    /// TLS is wanted and cannot be had.
    Tls(String),
    /// A text is no string of MQTT.
    String(&'static str, InvalidString),
    /// The URL is wrong.
    Url(InvalidUrl),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(config) => config.fmt(f),
            Self::Delays(minimum, maximum) => {
                write!(f, "the shortest reconnect delay {minimum:?} is longer than the longest {maximum:?}")
            }
            Self::KeepAlive(interval) => write!(f, "keep alive of {interval:?}; at most 65535 s fit (§3.1.2.10)"),
            Self::NothingInFlight => f.write_str("no message may be in flight; allow at least 1"),
            Self::Property(property) => property.fmt(f),
            Self::RandomIdWithSession => f.write_str(
                "a session that is to be kept needs a client identifier; set one, or let the session end with its \
                 connection",
            ),
            Self::StartsOverWithStore => f.write_str(
                "a client that keeps its session in a store cannot start over; drop it, and make another one",
            ),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::String(what, why) => write!(f, "{what} {why}"),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl core::error::Error for OptionsError {}

impl From<InvalidUrl> for OptionsError {
    fn from(url: InvalidUrl) -> Self {
        Self::Url(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new("mqtt://h").expect("legal URL")
    }

    fn parts(options: Options) -> Result<Parts, OptionsError> {
        options.into_parts(&mut Rng::new(1))
    }

    #[test]
    fn an_empty_client_identifier_becomes_a_random_one_that_every_version_takes() {
        let id = |seed| {
            let parts = options().client_id("").into_parts(&mut Rng::new(seed)).expect("legal");
            parts.session.connect.client_id.to_string()
        };
        assert_ne!(id(1), id(2));
        assert_eq!(id(1).len(), 23);
        for version in Version::ALL {
            assert!(parts(options().version(version)).is_ok());
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_to_do() {
        for (options, hint) in [
            (options().session_expiry(SessionExpiry::Never), "set one"),
            (options().max_in_flight(0), "at least 1"),
            (options().keep_alive(Duration::from_secs(65_536)), "65535"),
            (options().keep_alive(Duration::MAX), "65535"),
            (options().reconnect_delay(Duration::from_secs(2), Duration::from_secs(1)), "longer"),
            (options().client_id("a\0b"), "U+0000"),
            (options().version(Version::V31).client_id("x".repeat(24)), "1 to 23"),
            (options().version(Version::V31).server_assigned_client_id(), "1 to 23"),
            (
                options().version(Version::V311).server_assigned_client_id().session_expiry(SessionExpiry::Never),
                "empty client identifier",
            ),
            (options().version(Version::V311).password("p"), "needs both"),
            (options().version(Version::V311).property(PropertyId::ReceiveMaximum, Value::U16(5)), "use 5.0"),
            (options().property(PropertyId::ReceiveMaximum, Value::U16(0)), "range"),
            (options().property(PropertyId::ContentType, Value::Str("x")), "may not stand in CONNECT"),
            (
                options()
                    .version(Version::V311)
                    .client_id("x")
                    .session_expiry(SessionExpiry::After(Duration::from_secs(5))),
                "use 5.0",
            ),
        ] {
            let error = parts(options).expect_err(hint).to_string();
            assert!(error.contains(hint), "{error:?} should say {hint:?}");
        }
    }

    #[test]
    fn credentials_of_the_url_are_used_and_hidden() {
        let options = Options::new("mqtt://user:secret@h").expect("legal URL");
        assert!(!format!("{options:?}").contains("secret"));
        let parts = parts(options).expect("legal");
        assert_eq!(parts.session.connect.password.as_deref(), Some(&b"secret"[..]));
        assert!(!format!("{parts:?}").contains("secret"));
    }
}
