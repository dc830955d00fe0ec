//! The handle: publish, subscribe, acknowledge, disconnect, from any thread and from within every handler.

use core::{fmt, time::Duration};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex},
    time::Instant,
};

use karere_link::{Address, Endpoint, Link, Options, OptionsError, Parts, Policy, Rng, Server};
use karere_proto::{
    Filter, InvalidFilter, Publish, QoS, ReasonCode, Session,
    packet::{Auth, Disconnect, Subscribe, Unsubscribe, Will},
    session::{CommandError, Config, ConfigError, Delivery, Negotiated, PublishError, SubscribeError},
};

use super::{
    Driver, Message, Publishing, Subscribing, Unsubscribing, WaitError,
    completion::Completion,
    shared::{Command, Shared},
};
use crate::log::{Level, LogSink};

/// A handle of a client. Cheap to clone; all clones are the same client.
#[derive(Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
}

impl Client {
    /// Makes a client and its driver; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names what is wrong with the options and what to do instead.
    pub fn new(options: Options) -> Result<(Self, Driver), OptionsError> {
        let mut rng = Rng::new(seed());
        let mut parts = options.clone().into_parts(&mut rng)?;
        provide_tls(&mut parts)?;
        let (session, link) = assemble(&parts, rng)?;
        let client = Self { shared: Shared::new(session, parts.ways.clone()) };
        let driver = Driver::new(client.clone(), link, options, parts);
        Ok((client, driver))
    }

    /// Takes a message to be sent: it is queued from here on, and done when its outcome is told.
    ///
    /// Without a connection it waits for one. What the connection's server said it would not take is refused here.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when the message was not taken; no packet identifier was used.
    pub fn publish(&self, publish: Publish) -> Result<Publishing, PublishError> {
        let qos = publish.qos;
        let now = Instant::now();
        let mut core = self.shared.lock();
        core.look_at_the_clock(now, &publish);
        let token = core.session.publish(now, publish)?;
        let recorded = core.session.journal_position().0;
        let flow = if qos == QoS::AtMostOnce {
            None
        } else {
            let id = core.session.packet_id_of_last(token);
            let flow = Completion::new(id);
            core.publishing.insert(token, Arc::clone(&flow));
            Some(flow)
        };
        // Its record first: when nothing waits for the disk, the message may leave now, and the driver has to know.
        core.hand_in();
        // What waits for the window needs no driver: an acknowledgement will send it.
        let leaves = core.session.wants_write();
        drop(core);
        if leaves {
            self.shared.wake.wake();
        }
        Ok(Publishing { shared: Arc::clone(&self.shared), token, flow, recorded })
    }

    /// Asks for messages: one filter or several, each with its own options; sent at once or with the next connection.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the request was not taken.
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<Subscribing, SubscribeError> {
        let mut core = self.shared.lock();
        let token = core.session.subscribe(Instant::now(), subscribe)?;
        let flow = Completion::new(core.session.packet_id_of_last(token));
        core.subscribing.insert(token, Arc::clone(&flow));
        drop(core);
        self.shared.wake.wake();
        Ok(Subscribing { shared: Arc::clone(&self.shared), token, flow })
    }

    /// Asks for no more messages of one filter or several.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the request was not taken.
    pub fn unsubscribe(&self, unsubscribe: Unsubscribe) -> Result<Unsubscribing, SubscribeError> {
        let mut core = self.shared.lock();
        let token = core.session.unsubscribe(Instant::now(), unsubscribe)?;
        let flow = Completion::new(core.session.packet_id_of_last(token));
        core.unsubscribing.insert(token, Arc::clone(&flow));
        drop(core);
        self.shared.wake.wake();
        Ok(Unsubscribing { shared: Arc::clone(&self.shared), token, flow })
    }

    /// Calls `route` with every message that matches `filter`, in place of [`super::Handler::on_message`].
    ///
    /// When several filters match, each one's route is called. A route added again replaces the one before. This does
    /// not subscribe. For `$share/{name}/{filter}` the filter part is matched.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with it.
    pub fn add_route<F>(
        &self,
        filter: F,
        route: impl FnMut(&Self, &Message) + Send + 'static,
    ) -> Result<(), InvalidFilter>
    where
        F: TryInto<Filter>,
        F::Error: Into<InvalidFilter>,
    {
        self.shared.router.add(filter.try_into().map_err(Into::into)?, Arc::new(Mutex::new(route)));
        Ok(())
    }

    /// Removes the route of exactly this filter; true when there was one.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with it.
    pub fn remove_route<F>(&self, filter: F) -> Result<bool, InvalidFilter>
    where
        F: TryInto<Filter>,
        F::Error: Into<InvalidFilter>,
    {
        Ok(self.shared.router.remove(&filter.try_into().map_err(Into::into)?))
    }

    /// Acknowledges a message whose delivery was taken, in any order; the answers leave in order of arrival.
    pub fn acknowledge(&self, delivery: Delivery) {
        self.shared.lock().session.acknowledge(delivery);
        self.shared.wake.wake();
    }

    /// Tells the server that a message is not taken, and why (5.0). Before 5.0 there is no such answer: the way is
    /// [`Client::reconnect`], after which what was not acknowledged comes again.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when the version has no such answer or a client may not give this reason; the delivery comes
    /// back.
    pub fn refuse(&self, delivery: Delivery, reason: ReasonCode) -> Result<(), (Delivery, CommandError)> {
        self.shared.lock().session.refuse(delivery, reason)?;
        self.shared.wake.wake();
        Ok(())
    }

    /// Asks the driver to connect, unless it is connected or about to be.
    pub fn connect(&self) {
        self.shared.command(Command::Connect);
    }

    /// Asks the driver to drop what connection there is, without DISCONNECT, and to connect anew, without waiting. What
    /// was received and not acknowledged comes again, if the session outlives its connection.
    pub fn reconnect(&self) {
        self.shared.command(Command::Reconnect);
    }

    /// Disconnects: DISCONNECT is the last packet, what waits stays queued, and no further attempt is made.
    ///
    /// # Errors
    ///
    /// Never fails today; see [`Client::disconnect_with`].
    pub fn disconnect(&self) -> Result<(), CommandError> {
        self.disconnect_with(Disconnect::NORMAL)
    }

    /// Disconnects with a reason and properties (5.0).
    ///
    /// # Errors
    ///
    /// [`CommandError`] when a client may not send such a DISCONNECT; the connection goes on.
    pub fn disconnect_with(&self, disconnect: Disconnect) -> Result<(), CommandError> {
        let mut core = self.shared.lock();
        core.session.disconnect(disconnect)?;
        core.commands.push(Command::Stop);
        drop(core);
        self.shared.wake.wake();
        Ok(())
    }

    /// Disconnects once nothing waits and nothing is in flight, at the latest after `timeout`; without a connection, no
    /// further attempt is made then.
    ///
    /// # Errors
    ///
    /// Never fails today.
    pub fn disconnect_when_drained(&self, timeout: Duration) -> Result<(), CommandError> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        let mut core = self.shared.lock();
        if core.session.is_offline() && core.session.is_drained() {
            core.commands.push(Command::Stop);
        } else {
            core.session.disconnect_when_drained(Disconnect::NORMAL, deadline)?;
            core.commands.push(Command::Leave(deadline));
        }
        drop(core);
        self.shared.wake.wake();
        Ok(())
    }

    /// Sends a step of enhanced authentication (5.0, §4.12).
    ///
    /// # Errors
    ///
    /// [`CommandError`] when there is no connection, or CONNECT did not name this method.
    pub fn authenticate(&self, auth: Auth) -> Result<(), CommandError> {
        self.shared.lock().session.authenticate(auth)?;
        self.shared.wake.wake();
        Ok(())
    }

    /// Gives up everything that waits or is in flight; each message's outcome is told.
    pub fn drop_messages(&self) {
        self.shared.lock().session.drop_messages();
        self.shared.wake.wake();
    }

    /// Changes what the next CONNECT says, and limits; the session stays.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no legal CONNECT can be made of it; nothing is changed.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        // The closure is the caller's and must not run under the lock.
        let mut config = self.shared.lock().session.config().clone();
        change(&mut config);
        self.shared.lock().session.reconfigure(config)
    }

    /// Sets the will of the next connection, or takes it back.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the server could not be told of it; nothing is changed.
    pub fn set_will(&self, will: Option<Publish>) -> Result<(), ConfigError> {
        self.configure(|config| config.connect.will = will.map(Will::from))
    }

    /// Says how to behave between connections, from the next attempt on.
    pub fn set_reconnect_policy(&self, policy: Policy) {
        self.shared.command(Command::Policy(Box::new(policy)));
    }

    /// Says where attempts go from the next round on, in place of all servers there were. Transport and credentials stay
    /// those of the best of them.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.shared.command(Command::Endpoint(endpoint));
    }

    /// Says where attempts go from the next round on. None leaves everything as it is.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Tls`] when one of them wants TLS, the options did not say how, and this machine has no certificate
    /// authorities; nothing is changed.
    pub fn set_servers(&self, servers: Vec<Server>) -> Result<(), OptionsError> {
        #[cfg(feature = "tls")]
        if self.shared.ways.tls.is_none() && servers.iter().any(|server| self.shared.ways.wants_tls(server)) {
            self.shared.command(Command::Tls(default_tls()?));
        }
        self.shared.command(Command::Servers(servers));
        Ok(())
    }

    /// Calls `sink` with every line of at least this level; or with none. A `tracing` subscriber gets them all the same.
    pub fn log_to(&self, sink: Option<(Level, LogSink)>) {
        self.shared.log.set(sink);
    }

    /// Calls `hook` when a driver that sleeps has work: for loops that turn the driver themselves.
    ///
    /// It may run on any thread that uses the client. It should only wake the loop.
    pub fn wake_with(&self, hook: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.shared.wake.set_hook(hook);
    }

    /// Waits until the server has accepted a connection.
    ///
    /// # Errors
    ///
    /// [`WaitError`] when that does not happen in time, or can never happen; attempts go on all the same.
    pub fn wait_until_connected(&self, timeout: Duration) -> Result<(), WaitError> {
        self.shared.wait(timeout, |core| core.session.is_connected().then_some(()))
    }

    /// Waits until there is no connection: after a disconnect, until everything has left.
    ///
    /// # Errors
    ///
    /// [`WaitError`] when that does not happen in time.
    pub fn wait_until_disconnected(&self, timeout: Duration) -> Result<(), WaitError> {
        self.shared.wait(timeout, |core| core.session.is_offline().then_some(()))
    }

    /// True between a CONNACK of success and the end of the connection.
    pub fn is_connected(&self) -> bool {
        self.shared.lock().session.is_connected()
    }

    /// What is in force on this connection; without one, what the options ask for.
    pub fn negotiated(&self) -> Negotiated {
        *self.shared.lock().session.negotiated()
    }

    /// The client identifier in use; empty until the server has assigned one it was asked for.
    pub fn client_id(&self) -> String {
        self.shared.lock().session.client_id().to_string()
    }

    /// Messages accepted and not sent, and their bytes.
    pub fn queued(&self) -> (usize, usize) {
        self.shared.lock().session.queued()
    }

    /// QoS 1 and 2 messages sent and not done.
    pub fn in_flight(&self) -> usize {
        self.shared.lock().session.in_flight()
    }

    /// Where the present connection goes.
    pub fn peer(&self) -> Option<Address> {
        self.shared.lock().peer.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.shared.lock();
        f.debug_struct("Client")
            .field("client_id", core.session.client_id())
            .field("connected", &core.session.is_connected())
            .finish_non_exhaustive()
    }
}

/// 136 years: as good as for ever, and no more than an [`Instant`] can say.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// The session and the link that options describe.
fn assemble(parts: &Parts, rng: Rng) -> Result<(Session, Link), OptionsError> {
    let session = Session::new(Instant::now(), parts.session.clone()).map_err(OptionsError::Config)?;
    Ok((session, link(parts, rng)))
}

/// TLS as it is spoken when the options do not say how: only where it is needed, since certificate authorities have to be
/// read for it.
#[cfg_attr(not(feature = "tls"), expect(clippy::unnecessary_wraps, reason = "as with the feature"))]
pub(super) fn provide_tls(parts: &mut Parts) -> Result<(), OptionsError> {
    #[cfg(feature = "tls")]
    if parts.ways.tls.is_none() && parts.servers.iter().any(|server| parts.ways.wants_tls(server)) {
        parts.ways.tls = Some(default_tls()?);
    }
    #[cfg(not(feature = "tls"))]
    let _ = parts;
    Ok(())
}

#[cfg(feature = "tls")]
fn default_tls() -> Result<karere_link::Tls, OptionsError> {
    crate::tls::TlsOptions::new().build().map_err(|error| OptionsError::Tls(error.to_string()))
}

pub(super) fn link(parts: &Parts, rng: Rng) -> Link {
    Link::new(parts.servers.clone(), parts.ways.clone(), parts.policy.clone(), rng)
}

/// A number nobody chose: the standard library seeds its hash maps from the operating system.
pub(super) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    fn commands_after(options: Options) -> Vec<Command> {
        let (client, _driver) = Client::new(options).expect("legal options");
        client.set_servers(vec![Server::parse("mqtts://h").expect("legal")]).expect("legal servers");
        core::mem::take(&mut client.shared.lock().commands)
    }

    #[test]
    fn the_machine_s_authorities_are_asked_for_only_when_nothing_else_was_said() {
        let plain = || Options::new("mqtt://h").expect("legal");
        assert!(matches!(commands_after(plain())[..], [Command::Tls(_), Command::Servers(_)]));
        let tls = crate::tls::TlsOptions::new().danger_accept_any_certificate().build().expect("legal");
        assert!(matches!(commands_after(plain().tls(tls))[..], [Command::Servers(_)]));
        #[cfg(feature = "openssl")]
        {
            let key = crate::tls::PreSharedKey::from_bytes(b"key").expect("legal");
            let psk = crate::tls::PskOptions::new("me", key).build().expect("legal");
            assert!(matches!(commands_after(plain().pre_shared_key(psk))[..], [Command::Servers(_)]));
        }
    }
}
