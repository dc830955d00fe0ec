//! What the driver calls, and with what.

use core::{cell::Cell, ops::Deref};

use karere_link::DialError;
use karere_proto::{
    PacketId, Publish, Token,
    packet::{Attempt, Auth, ConnAck, SubAck, UnsubAck},
    session::{Cause, Delivery, Outcome},
};

use super::Client;

/// A socket, by the number the operating system gave it.
pub type SocketId = std::os::fd::RawFd;

/// Called by the driver when something happens. State belongs in the implementing type.
///
/// All methods do nothing unless implemented. They run on the thread that turns the driver; a method that blocks holds
/// up this client's messages and, beyond one and a half keep alives, its connection.
#[expect(unused_variables, reason = "the names document the default methods")]
pub trait Handler {
    /// An attempt to connect begins.
    fn on_pre_connect(&mut self, client: &Client) {}

    /// The server has accepted the connection. A refusal is told by [`Handler::on_disconnected`].
    fn on_connected(&mut self, client: &Client, ack: &ConnAck) {}

    /// An attempt failed before MQTT could speak.
    fn on_connect_failed(&mut self, client: &Client, error: &DialError) {}

    /// A connection has ended or was refused. Called once for each.
    fn on_disconnected(&mut self, client: &Client, cause: &Cause) {}

    /// A message has come for which no route was added.
    fn on_message(&mut self, client: &Client, message: &Message) {}

    /// A published message has its outcome.
    fn on_published(&mut self, client: &Client, published: &Published) {}

    /// A subscribe request has its answer.
    fn on_subscribed(&mut self, client: &Client, subscribed: &Subscribed) {}

    /// An unsubscribe request has its answer.
    fn on_unsubscribed(&mut self, client: &Client, unsubscribed: &Unsubscribed) {}

    /// A step of enhanced authentication; answer with [`Client::authenticate`].
    fn on_auth(&mut self, client: &Client, auth: &Auth) {}

    /// There is a socket: watch it for reading.
    fn on_socket_open(&mut self, client: &Client, socket: SocketId) {}

    /// Bytes wait: watch the socket for writing too.
    fn on_socket_register_write(&mut self, client: &Client, socket: SocketId) {}

    /// No bytes wait: stop watching the socket for writing.
    fn on_socket_unregister_write(&mut self, client: &Client, socket: SocketId) {}

    /// The socket is about to be closed: stop watching it.
    fn on_socket_close(&mut self, client: &Client, socket: SocketId) {}
}

/// Handles nothing.
impl Handler for () {}

/// A received message.
///
/// It dereferences to [`Publish`]: topic, payload, QoS, RETAIN and properties.
pub struct Message {
    publish: Publish,
    attempt: Attempt,
    id: Option<PacketId>,
    delivery: Cell<Option<Delivery>>,
}

impl Message {
    pub(super) const fn new(publish: Publish, attempt: Attempt, delivery: Delivery) -> Self {
        let id = delivery.packet_id();
        Self { publish, attempt, id, delivery: Cell::new(Some(delivery)) }
    }

    /// Takes the right to acknowledge the message, to be used later with [`Client::acknowledge`]; only once.
    ///
    /// A client that acknowledges by itself leaves a message alone whose delivery was taken.
    pub fn take_delivery(&self) -> Option<Delivery> {
        self.delivery.take()
    }

    /// True when the server says that it may have sent the message before. Not a way to find duplicates (§3.3.1.1).
    pub const fn is_duplicate(&self) -> bool {
        matches!(self.attempt, Attempt::Again)
    }

    /// The packet identifier the server gave it; none at QoS 0.
    pub const fn packet_id(&self) -> Option<PacketId> {
        self.id
    }

    /// The message alone, to be kept or sent on.
    pub fn into_publish(self) -> Publish {
        self.publish
    }
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Message").field("publish", &self.publish).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Deref for Message {
    type Target = Publish;

    fn deref(&self) -> &Publish {
        &self.publish
    }
}

/// The outcome of a published message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Which message: [`super::Publishing::token`].
    pub token: Token,
    /// The packet identifier it was last sent with; none at QoS 0 and for what was never sent.
    pub id: Option<PacketId>,
    /// How it ended, with reason code and properties.
    pub outcome: Outcome,
}

/// The answer to a subscribe request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// Which request: [`super::Subscribing::token`].
    pub token: Token,
    /// The packet identifier it was last sent with.
    pub id: Option<PacketId>,
    /// One reason code for each filter; `None` when the connection was given up before the answer.
    pub ack: Option<SubAck>,
}

/// The answer to an unsubscribe request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsubscribed {
    /// Which request: [`super::Unsubscribing::token`].
    pub token: Token,
    /// The packet identifier it was last sent with.
    pub id: Option<PacketId>,
    /// The answer; `None` when the connection was given up before it.
    pub ack: Option<UnsubAck>,
}

macro_rules! callbacks {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*);)*) => {
        /// A [`Handler`] made of closures.
        #[derive(Default)]
        pub struct Callbacks {
            $($name: Option<Box<dyn FnMut(&Client $(, $type)*) + Send>>,)*
        }

        impl Callbacks {
            /// No closures yet.
            pub fn new() -> Self {
                Self::default()
            }

            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self, callback: impl FnMut(&Client $(, $type)*) + Send + 'static) -> Self {
                self.$name = Some(Box::new(callback));
                self
            })*
        }

        impl Handler for Callbacks {
            $(fn $name(&mut self, client: &Client $(, $arg: $type)*) {
                if let Some(callback) = &mut self.$name {
                    callback(client $(, $arg)*);
                }
            })*
        }
    };
}

callbacks! {
    /// Sets what [`Handler::on_pre_connect`] does.
    on_pre_connect();
    /// Sets what [`Handler::on_connected`] does.
    on_connected(ack: &ConnAck);
    /// Sets what [`Handler::on_connect_failed`] does.
    on_connect_failed(error: &DialError);
    /// Sets what [`Handler::on_disconnected`] does.
    on_disconnected(cause: &Cause);
    /// Sets what [`Handler::on_message`] does.
    on_message(message: &Message);
    /// Sets what [`Handler::on_published`] does.
    on_published(published: &Published);
    /// Sets what [`Handler::on_subscribed`] does.
    on_subscribed(subscribed: &Subscribed);
    /// Sets what [`Handler::on_unsubscribed`] does.
    on_unsubscribed(unsubscribed: &Unsubscribed);
    /// Sets what [`Handler::on_auth`] does.
    on_auth(auth: &Auth);
    /// Sets what [`Handler::on_socket_open`] does.
    on_socket_open(socket: SocketId);
    /// Sets what [`Handler::on_socket_register_write`] does.
    on_socket_register_write(socket: SocketId);
    /// Sets what [`Handler::on_socket_unregister_write`] does.
    on_socket_unregister_write(socket: SocketId);
    /// Sets what [`Handler::on_socket_close`] does.
    on_socket_close(socket: SocketId);
}

impl core::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Callbacks")
    }
}
