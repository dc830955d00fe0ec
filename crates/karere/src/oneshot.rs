//! One call: publish something, or receive something, and be gone.
//!
//! Host, port, client identifier, keep alive, will, credentials, version and properties are those of [`Options`].
//!
//! ```no_run
//! use karere::{Options, QoS, Subscribe, oneshot::{self, Retained}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! oneshot::publish(Options::new("mqtt://localhost")?, ("site/7/alarm", "hot", QoS::AtLeastOnce))?;
//! let next = oneshot::receive(Options::new("mqtt://localhost")?, Subscribe::new("site/#", QoS::AtLeastOnce)?, 3, Retained::Skip)?;
//! assert_eq!(next.len(), 3);
//! # Ok(())
//! # }
//! ```

use core::{fmt, ops::ControlFlow, time::Duration};
use std::{io, time::Instant};

use karere_link::{Options, OptionsError};
use karere_proto::{
    InvalidTopic, Publish, QoS, ReasonCode, Topic,
    packet::{ConnAck, Payload, Subscribe},
    session::{Outcome, PublishError, SubscribeError},
};

use crate::sync::{Client, ConnectError, Driver, Handler, Message, Publishing, Subscribed};

/// What can be published in one call: a message, or a tuple of topic, payload and perhaps QoS.
pub trait IntoPublish {
    /// The message.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says what is wrong with its topic.
    fn into_publish(self) -> Result<Publish, InvalidTopic>;
}

impl IntoPublish for Publish {
    fn into_publish(self) -> Result<Publish, InvalidTopic> {
        Ok(self)
    }
}

impl<T, P> IntoPublish for (T, P)
where
    T: TryInto<Topic>,
    T::Error: Into<InvalidTopic>,
    P: Into<Payload>,
{
    fn into_publish(self) -> Result<Publish, InvalidTopic> {
        Publish::new(self.0, self.1)
    }
}

impl<T, P> IntoPublish for (T, P, QoS)
where
    T: TryInto<Topic>,
    T::Error: Into<InvalidTopic>,
    P: Into<Payload>,
{
    fn into_publish(self) -> Result<Publish, InvalidTopic> {
        Ok(Publish::new(self.0, self.1)?.qos(self.2))
    }
}

/// Whether messages that were retained before the subscription count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: they count or they do not")]
pub enum Retained {
    /// They count.
    #[default]
    Include,
    /// They are passed over.
    Skip,
}

/// Publishes one message, waits for its outcome and disconnects.
///
/// # Errors
///
/// [`OneshotError`] when it did not come to an outcome.
pub fn publish(options: Options, message: impl IntoPublish) -> Result<Outcome, OneshotError> {
    Oneshot::new(options).publish(message)
}

/// Publishes several messages over one connection, waits for their outcomes and disconnects.
///
/// # Errors
///
/// [`OneshotError`] when they did not all come to an outcome, or there was none.
pub fn publish_all<M: IntoPublish>(
    options: Options,
    messages: impl IntoIterator<Item = M>,
) -> Result<Vec<Outcome>, OneshotError> {
    Oneshot::new(options).publish_all(messages)
}

/// Subscribes, receives `count` messages and disconnects.
///
/// # Errors
///
/// [`OneshotError`] when they could not all be received.
pub fn receive(
    options: Options,
    subscribe: Subscribe,
    count: usize,
    retained: Retained,
) -> Result<Vec<Publish>, OneshotError> {
    Oneshot::new(options).receive(subscribe, count, retained)
}

/// Subscribes and calls `each` with every message until it breaks; then disconnects.
///
/// # Errors
///
/// [`OneshotError`] when it could not go on.
pub fn listen(
    options: Options,
    subscribe: Subscribe,
    each: impl FnMut(&Client, &Message) -> ControlFlow<()>,
) -> Result<(), OneshotError> {
    Oneshot::new(options).listen(subscribe, each)
}

/// One call with a time limit.
#[derive(Clone, Debug)]
pub struct Oneshot {
    options: Options,
    timeout: Option<Duration>,
}

impl Oneshot {
    /// A call without time limit. A first attempt to connect that fails ends it; later ones are repeated.
    pub const fn new(options: Options) -> Self {
        Self { options, timeout: None }
    }

    /// Limits how long the whole call may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// As [`publish`].
    ///
    /// # Errors
    ///
    /// As [`publish`].
    pub fn publish(self, message: impl IntoPublish) -> Result<Outcome, OneshotError> {
        let mut outcomes = self.publish_all([message])?;
        outcomes.pop().ok_or(OneshotError::Nothing)
    }

    /// As [`publish_all`].
    ///
    /// # Errors
    ///
    /// As [`publish_all`].
    pub fn publish_all<M: IntoPublish>(
        self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<Outcome>, OneshotError> {
        let messages = messages.into_iter().map(M::into_publish).collect::<Result<Vec<_>, _>>();
        let messages = messages.map_err(OneshotError::Topic)?;
        if messages.is_empty() {
            return Err(OneshotError::Nothing);
        }
        let mut call = Call::begin(self, &mut ())?;
        let mut publishing = Vec::with_capacity(messages.len());
        for message in messages {
            publishing.push(call.client.publish(message).map_err(OneshotError::Publish)?);
        }
        call.turn_until(&mut (), |()| publishing.iter().all(Publishing::is_done))?;
        call.end(&mut ())?;
        Ok(publishing.iter().map(|one| one.outcome().unwrap_or(Outcome::Unknown)).collect())
    }

    /// As [`receive`].
    ///
    /// # Errors
    ///
    /// As [`receive`].
    pub fn receive(self, subscribe: Subscribe, count: usize, retained: Retained) -> Result<Vec<Publish>, OneshotError> {
        if count == 0 {
            return Err(OneshotError::Nothing);
        }
        let mut received = Vec::with_capacity(count.min(1024));
        self.listen(subscribe, |_, message| {
            if !(message.retain && retained == Retained::Skip) {
                received.push(message.detached());
            }
            if received.len() == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(received)
    }

    /// As [`listen`].
    ///
    /// # Errors
    ///
    /// As [`listen`].
    pub fn listen(
        self,
        subscribe: Subscribe,
        each: impl FnMut(&Client, &Message) -> ControlFlow<()>,
    ) -> Result<(), OneshotError> {
        let mut listener = Listener { subscribe, each, flow: ControlFlow::Continue(()) };
        let mut call = Call::begin(self, &mut listener)?;
        call.turn_until(&mut listener, |listener| listener.flow.is_break())?;
        call.end(&mut listener)?;
        match listener.flow {
            ControlFlow::Break(Err(error)) => Err(error),
            ControlFlow::Break(Ok(())) | ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// Subscribes with every connection and hands messages on until it is told to stop.
struct Listener<F> {
    subscribe: Subscribe,
    each: F,
    flow: ControlFlow<Result<(), OneshotError>>,
}

impl<F: FnMut(&Client, &Message) -> ControlFlow<()>> Handler for Listener<F> {
    fn on_connected(&mut self, client: &Client, _: &ConnAck) {
        if let Err(error) = client.subscribe(self.subscribe.clone()) {
            self.flow = ControlFlow::Break(Err(OneshotError::Subscribe(error)));
        }
    }

    fn on_subscribed(&mut self, _: &Client, subscribed: &Subscribed) {
        let reasons = subscribed.ack.iter().flat_map(|ack| &ack.reasons);
        if let Some(&reason) = reasons.into_iter().find(|reason| reason.is_failure()) {
            self.flow = ControlFlow::Break(Err(OneshotError::Refused(reason)));
        }
    }

    fn on_message(&mut self, client: &Client, message: &Message) {
        if self.flow.is_continue() && (self.each)(client, message).is_break() {
            self.flow = ControlFlow::Break(Ok(()));
        }
    }
}

/// A client for the time of one call.
struct Call {
    client: Client,
    driver: Driver,
    deadline: Option<Instant>,
}

impl Call {
    fn begin(oneshot: Oneshot, handler: &mut dyn Handler) -> Result<Self, OneshotError> {
        let deadline = oneshot.timeout.map(|timeout| Instant::now() + timeout);
        let (client, mut driver) = Client::new(oneshot.options).map_err(OneshotError::Options)?;
        let connected = match oneshot.timeout {
            Some(timeout) => driver.connect_within(timeout, handler),
            None => driver.connect(handler),
        };
        connected.map_err(|error| match error {
            ConnectError::TimedOut => OneshotError::TimedOut,
            error => OneshotError::Connect(error),
        })?;
        Ok(Self { client, driver, deadline })
    }

    fn turn_until<H: Handler>(&mut self, handler: &mut H, done: impl Fn(&H) -> bool) -> Result<(), OneshotError> {
        while !done(handler) {
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(OneshotError::TimedOut);
            }
            self.driver.wait_and_turn(left, handler).map_err(OneshotError::Io)?;
        }
        Ok(())
    }

    /// Lets the last acknowledgements leave and disconnects.
    fn end(mut self, handler: &mut dyn Handler) -> Result<(), OneshotError> {
        // Nothing in it can be wrong for any version; a connection that is gone needs no goodbye.
        let _ = self.client.disconnect_when_drained(Duration::from_secs(1));
        while self.client.is_connected() || self.driver.fd().is_some() {
            self.driver.wait_and_turn(Some(Duration::from_secs(1)), handler).map_err(OneshotError::Io)?;
        }
        Ok(())
    }
}

/// Why a call did not do what it was made for.
#[derive(Debug)]
#[non_exhaustive]
pub enum OneshotError {
    /// The server could not be reached, or refused.
    Connect(ConnectError),
    /// The operating system cannot wait for sockets.
    Io(io::Error),
    /// There was no message to publish, or none to receive.
    Nothing,
    /// The options are wrong.
    Options(OptionsError),
    /// A message was not taken.
    Publish(PublishError),
    /// The server refused the subscription.
    Refused(ReasonCode),
    /// The subscription was not taken.
    Subscribe(SubscribeError),
    /// It was not done in time.
    TimedOut,
    /// A topic is wrong.
    Topic(InvalidTopic),
}

impl fmt::Display for OneshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Io(error) => write!(f, "cannot wait for sockets: {error}"),
            Self::Nothing => f.write_str("no message to publish or to receive; give at least one"),
            Self::Options(error) => error.fmt(f),
            Self::Publish(error) => error.fmt(f),
            Self::Refused(reason) => write!(f, "the server refused the subscription: {reason}"),
            Self::Subscribe(error) => error.fmt(f),
            Self::TimedOut => f.write_str("it was not done in time"),
            Self::Topic(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OneshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Options(error) => Some(error),
            Self::Publish(error) => Some(error),
            Self::Subscribe(error) => Some(error),
            Self::Topic(error) => Some(error),
            Self::Nothing | Self::Refused(_) | Self::TimedOut => None,
        }
    }
}
