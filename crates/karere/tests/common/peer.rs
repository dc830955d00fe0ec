//! A client that writes down what happens to it, and can be asked.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use karere::{
    Cause, ConnAck, Delivery, DialError, Level, Options, Outcome, PacketId, Properties, Publish, QoS, SubAck,
    Subscribe, UnsubAck, Unsubscribe,
    sync::{Background, Client, Driver, Handler, Message, Published, Publishing, SocketId, Subscribed, Unsubscribed},
};

use super::PATIENCE;

/// Something a handler was told.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Attempt,
    Connected(ConnAck),
    ConnectFailed(String),
    Disconnected(Cause),
    Message,
    Published(Published),
    Subscribed(Subscribed),
    Unsubscribed(Unsubscribed),
    Opened(SocketId),
    RegisterWrite,
    UnregisterWrite,
    Closed(SocketId),
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) duplicate: bool,
    pub(crate) id: Option<PacketId>,
    pub(crate) properties: Properties,
}

impl Received {
    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.payload).expect("text")
    }
}

/// All that was told, in order.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) happenings: Vec<Happening>,
    pub(crate) messages: Vec<Received>,
    pub(crate) deliveries: Vec<Option<Delivery>>,
    pub(crate) lines: Vec<(Level, String)>,
}

/// A record that can be waited on.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    record: Mutex<Record>,
    changed: Condvar,
}

impl Seen {
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, happening: Happening) {
        self.record().happenings.push(happening);
        self.changed.notify_all();
    }

    /// Waits until `find` finds something.
    pub(crate) fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut Record) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut record = self.record();
        loop {
            if let Some(found) = find(&mut record) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let happenings = &record.happenings;
                let last = &happenings[happenings.len().saturating_sub(30)..];
                let lines = &record.lines[record.lines.len().saturating_sub(30)..];
                panic!(
                    "waited in vain: {what}; {} messages; last: {last:#?}; lines: {lines:#?}",
                    record.messages.len()
                );
            }
            record = self.changed.wait_timeout(record, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Writes everything down.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) seen: Arc<Seen>,
    keeps: Keeps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Deliveries,
    Messages,
}

impl Handler for Recorder {
    fn on_pre_connect(&mut self, _: &Client) {
        self.seen.note(Happening::Attempt);
    }

    fn on_connected(&mut self, client: &Client, ack: &ConnAck) {
        assert!(client.is_connected());
        self.seen.note(Happening::Connected(ack.clone()));
    }

    fn on_connect_failed(&mut self, _: &Client, error: &DialError) {
        self.seen.note(Happening::ConnectFailed(error.to_string()));
    }

    fn on_disconnected(&mut self, client: &Client, cause: &Cause) {
        assert!(!client.is_connected());
        self.seen.note(Happening::Disconnected(cause.clone()));
    }

    fn on_message(&mut self, _: &Client, message: &Message) {
        let received = Received {
            topic: message.topic.to_string(),
            payload: message.payload.clone(),
            qos: message.qos,
            retain: message.retain,
            duplicate: message.is_duplicate(),
            id: message.packet_id(),
            properties: message.properties.clone(),
        };
        let delivery = if self.keeps == Keeps::Deliveries { message.take_delivery() } else { None };
        let mut record = self.seen.record();
        record.messages.push(received);
        record.deliveries.push(delivery);
        drop(record);
        self.seen.note(Happening::Message);
    }

    fn on_published(&mut self, _: &Client, published: &Published) {
        self.seen.note(Happening::Published(published.clone()));
    }

    fn on_subscribed(&mut self, _: &Client, subscribed: &Subscribed) {
        self.seen.note(Happening::Subscribed(subscribed.clone()));
    }

    fn on_unsubscribed(&mut self, _: &Client, unsubscribed: &Unsubscribed) {
        self.seen.note(Happening::Unsubscribed(unsubscribed.clone()));
    }

    fn on_socket_open(&mut self, _: &Client, socket: SocketId) {
        self.seen.note(Happening::Opened(socket));
    }

    fn on_socket_register_write(&mut self, _: &Client, _: SocketId) {
        self.seen.note(Happening::RegisterWrite);
    }

    fn on_socket_unregister_write(&mut self, _: &Client, _: SocketId) {
        self.seen.note(Happening::UnregisterWrite);
    }

    fn on_socket_close(&mut self, _: &Client, socket: SocketId) {
        self.seen.note(Happening::Closed(socket));
    }
}

/// A client about to start.
#[derive(Debug)]
pub(crate) struct Starting {
    pub(crate) client: Client,
    pub(crate) driver: Driver,
    pub(crate) recorder: Recorder,
}

/// A client of these options, not connected yet.
pub(crate) fn peer(options: Options) -> Starting {
    let (client, driver) = Client::new(options).expect("legal options");
    Starting { client, driver, recorder: Recorder { seen: Arc::default(), keeps: Keeps::Messages } }
}

impl Starting {
    /// Writes down what the client logs.
    pub(crate) fn traced(self) -> Self {
        let seen = Arc::clone(&self.recorder.seen);
        let sink = move |level, line: &str| {
            seen.record().lines.push((level, line.to_owned()));
            seen.changed.notify_all();
        };
        self.client.log_to(Some((Level::Debug, Arc::new(sink))));
        self
    }

    /// Takes each message's delivery for [`Peer::acknowledge`].
    pub(crate) fn keeping_deliveries(mut self) -> Self {
        self.recorder.keeps = Keeps::Deliveries;
        self
    }

    pub(crate) fn start(self) -> Peer {
        let Self { client, driver, recorder } = self;
        let seen = Arc::clone(&recorder.seen);
        Peer { client, background: driver.spawn(recorder).expect("a thread"), seen }
    }

    /// Starts and waits for the connection.
    pub(crate) fn connect(self) -> Peer {
        let peer = self.start();
        let _ = peer.connected(1);
        peer
    }
}

/// A client on a thread of its own.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) background: Background<Recorder>,
    pub(crate) seen: Arc<Seen>,
}

impl Peer {
    /// Waits for the connection with this number, counted from 1.
    pub(crate) fn connected(&self, number: usize) -> ConnAck {
        self.nth(number, "a connection", |happening| match happening {
            Happening::Connected(ack) => Some(ack.clone()),
            _ => None,
        })
    }

    /// Waits for the end of the connection with this number, counted from 1.
    pub(crate) fn disconnected(&self, number: usize) -> Cause {
        self.nth(number, "the end of a connection", |happening| match happening {
            Happening::Disconnected(cause) => Some(cause.clone()),
            _ => None,
        })
    }

    /// Waits for the `number`th happening that `select` takes, counted from 1.
    pub(crate) fn nth<T>(&self, number: usize, what: &str, select: impl Fn(&Happening) -> Option<T>) -> T {
        self.seen.wait(what, |record| record.happenings.iter().filter_map(&select).nth(number - 1))
    }

    pub(crate) fn count(&self, select: impl Fn(&Happening) -> bool) -> usize {
        self.seen.record().happenings.iter().filter(|happening| select(happening)).count()
    }

    /// Waits for the message with this number, counted from 0.
    pub(crate) fn message(&self, number: usize) -> Received {
        self.seen.wait("a message", |record| record.messages.get(number).cloned())
    }

    /// Waits until so many messages came, and gives all there are.
    pub(crate) fn messages(&self, least: usize) -> Vec<Received> {
        self.seen.wait("messages", |record| (record.messages.len() >= least).then(|| record.messages.clone()))
    }

    pub(crate) fn subscribe(&self, filter: &str, qos: QoS) -> SubAck {
        self.request(Subscribe::new(filter, qos).expect("legal filter"))
    }

    pub(crate) fn request(&self, subscribe: Subscribe) -> SubAck {
        self.client.subscribe(subscribe).expect("taken").wait(PATIENCE).expect("answered")
    }

    pub(crate) fn unsubscribe(&self, filter: &str) -> UnsubAck {
        let unsubscribe = Unsubscribe::new(filter).expect("legal filter");
        self.client.unsubscribe(unsubscribe).expect("taken").wait(PATIENCE).expect("answered")
    }

    pub(crate) fn publish(&self, publish: Publish) -> Publishing {
        self.client.publish(publish).expect("taken")
    }

    /// Publishes and waits for the outcome.
    pub(crate) fn say(&self, publish: Publish) -> Outcome {
        self.publish(publish).wait(PATIENCE).expect("done")
    }

    /// Acknowledges the message with this number.
    pub(crate) fn acknowledge(&self, number: usize) {
        let delivery = self.seen.record().deliveries[number].take().expect("kept and not used");
        self.client.acknowledge(delivery);
    }

    /// Disconnects and waits for the end.
    pub(crate) fn disconnect(&self) {
        self.client.disconnect().expect("may be said");
        self.seen.wait("the end asked for", |record| {
            let ended = |happening: &Happening| matches!(happening, Happening::Disconnected(Cause::Requested));
            record.happenings.iter().any(ended).then_some(())
        });
    }

    /// Waits for a line with `text` in it.
    pub(crate) fn line(&self, text: &str) -> String {
        self.seen
            .wait(text, |record| record.lines.iter().map(|(_, line)| line).find(|line| line.contains(text)).cloned())
    }

    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let record = self.seen.record();
        record.lines.iter().map(|(_, line)| line).filter(|line| line.contains(text)).cloned().collect()
    }

    pub(crate) fn stop(self) -> (Driver, Recorder) {
        self.background.stop().expect("no handler panicked")
    }
}

/// A message with text.
pub(crate) fn text(topic: &str, payload: &str, qos: QoS) -> Publish {
    Publish::new(topic, payload).expect("legal topic").qos(qos)
}

pub(crate) const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
