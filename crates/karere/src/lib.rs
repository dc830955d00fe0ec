//! An MQTT client: callbacks or any event loop, for MQTT 3.1, 3.1.1 and 5.0.
//!
//! ```no_run
//! use karere::{Options, Publish, QoS, Subscribe, sync::{Callbacks, Client}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, driver) = Client::new(Options::new("mqtt://localhost")?)?;
//! let background = driver.spawn(Callbacks::new().on_message(|_, message| {
//!     println!("{}: {} bytes", message.topic, message.payload.len());
//! }))?;
//! client.subscribe(Subscribe::new("site/+/alarm", QoS::AtLeastOnce)?)?;
//! let publishing = client.publish(Publish::new("site/7/alarm", "hot")?.qos(QoS::AtLeastOnce))?;
//! println!("{}", publishing.wait(std::time::Duration::from_secs(5))?);
//! client.disconnect()?;
//! background.stop();
//! # Ok(())
//! # }
//! ```
//!
//! A message that `publish` took is *queued*: there was room for it. It is *done* when its outcome is told: acknowledged,
//! refused, not sent, or unknown. See [`session::Outcome`].

mod log;
pub mod oneshot;
#[cfg(feature = "store")]
pub use karere_store as store;
mod router;
pub mod sync;
#[cfg(feature = "tls")]
pub mod tls;

#[cfg(feature = "websocket")]
pub use karere_link::WebSocketOptions;
pub use karere_link::{
    AccessHook, Acknowledge, Address, Credentials, DialError, DialProblem, Endpoint, FirstConnection, Framing,
    InvalidUrl, InvalidVariable, Jitter, Options, OptionsError, Policy, Proxies, Proxy, ProxyKind, Rank, Reconnect,
    Redirect, Refresh, Security, Server, SocketOptions, TcpKeepAlive, Transport, Url,
};
#[cfg(feature = "srv")]
pub use karere_link::{Domain, InvalidDomain, ServiceProblem};
pub use karere_proto::{
    Filter, InvalidFilter, InvalidProperty, InvalidQoS, InvalidString, InvalidTopic, PacketId, Properties, PropertyId,
    ProtocolError, Publish, QoS, ReasonCode, Rule, Token, Topic, Utf8String, Value, Version,
    packet::{
        Auth, ConnAck, Disconnect, Payload, RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription,
        UnsubAck, Unsubscribe,
    },
    session, topic,
};
pub use log::{Level, LogSink};
pub use session::{
    Cause, CleanStart, CommandError, Delivery, FallBack, LostSession, Outcome, PublishError, QueueLimits, Resubscribe,
    SessionExpiry, SubscribeError,
};
