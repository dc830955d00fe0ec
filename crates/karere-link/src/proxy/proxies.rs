//! Which proxy is a server reached through?

use core::fmt;

use super::{Proxy, no_proxy::NoProxy};
use crate::{
    endpoint::{Endpoint, InvalidUrl},
    transport::{Framing, Security, Transport},
};

/// Which proxy each server is reached through. The default is none at all, whatever the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    mqtt: Option<Proxy>,
    mqtts: Option<Proxy>,
    ws: Option<Proxy>,
    wss: Option<Proxy>,
    except: NoProxy,
}

impl Proxies {
    /// No proxy.
    pub fn none() -> Self {
        Self::default()
    }

    /// This proxy, for every server.
    pub fn all(proxy: Proxy) -> Self {
        let (mqtts, ws, wss) = (Some(proxy.clone()), Some(proxy.clone()), Some(proxy.clone()));
        Self { mqtt: Some(proxy), mqtts, ws, wss, except: NoProxy::default() }
    }

    /// What the environment says. It is read once, by `variable`, which tells the value of a variable.
    ///
    /// By how a server is reached, the first of these that is there and not empty:
    ///
    /// | URL of the server | variables |
    /// |---|---|
    /// | `mqtt://` | `mqtt_proxy`, `all_proxy` |
    /// | `mqtts://` | `mqtts_proxy`, `mqtt_proxy`, `https_proxy`, `all_proxy` |
    /// | `ws://` | `ws_proxy`, `mqtt_proxy`, `http_proxy`, `all_proxy` |
    /// | `wss://` | `wss_proxy`, `mqtt_proxy`, `https_proxy`, `all_proxy` |
    ///
    /// Before others comes what paho-mqtt reads, `mqtt_proxy` for every server; then what curl does. Plain MQTT does not
    /// go through what was meant for the web. When there is no variable of that name, its name in capitals counts; but
    /// `HTTP_PROXY` never does, since a web server gives it to its programs with what a stranger wrote in a header. An
    /// empty variable counts as none, and hides the one in capitals. Values are as for [`Proxy::parse`].
    ///
    /// Servers that `no_proxy`, else `NO_PROXY`, names are reached directly: see [`Proxies::except`].
    ///
    /// # Errors
    ///
    /// [`InvalidVariable`] names the first variable of these that is there and no proxy's URL, used or not.
    pub fn from_environment(mut variable: impl FnMut(&str) -> Option<String>) -> Result<Self, InvalidVariable> {
        let mut read = |name: &str| {
            let capitals = || Some(name.to_ascii_uppercase()).filter(|_| name != "http_proxy");
            let named = |name: String, variable: &mut dyn FnMut(&str) -> Option<String>| {
                let value = variable(&name)?;
                Some((name, value))
            };
            named(name.to_owned(), &mut variable).or_else(|| named(capitals()?, &mut variable))
        };
        let except = read("no_proxy").map_or_else(NoProxy::default, |(_, list)| NoProxy::parse(&list));
        let mut proxy = |name: &str| match read(name).filter(|(_, value)| !value.trim().is_empty()) {
            Some((name, value)) => match Proxy::parse(value.trim()) {
                Ok(proxy) => Ok(Some(proxy)),
                Err(source) => Err(InvalidVariable { name, source }),
            },
            None => Ok(None),
        };
        let (mqtt, all) = (proxy("mqtt_proxy")?, proxy("all_proxy")?);
        let (http, https) = (proxy("http_proxy")?, proxy("https_proxy")?);
        let (mqtts, ws, wss) = (proxy("mqtts_proxy")?, proxy("ws_proxy")?, proxy("wss_proxy")?);
        let first = |choice: [&Option<Proxy>; 4]| choice.into_iter().find_map(Clone::clone);
        Ok(Self {
            mqtts: first([&mqtts, &mqtt, &https, &all]),
            ws: first([&ws, &mqtt, &http, &all]),
            wss: first([&wss, &mqtt, &https, &all]),
            mqtt: mqtt.or(all),
            except,
        })
    }

    /// As it is, but these servers are reached directly; the list replaces any other. Entries are separated by commas or
    /// spaces:
    ///
    /// | entry | servers |
    /// |---|---|
    /// | `x.org`, `.x.org`, `*.x.org` | of that name or a name beneath it: `x.org`, `a.b.x.org`, not `ax.org` |
    /// | `192.0.2.1`, `2001:db8::1` | of that address, with or without brackets |
    /// | `192.0.2.0/24`, `2001:db8::/32` | of an address in that range |
    /// | `x.org:1883`, `192.0.2.1:1883`, `[2001:db8::1]:1883` | the same at that port |
    /// | `*` | all |
    ///
    /// What a server is called in its URL counts: a name is not resolved to see whether its address is in the list. This
    /// machine is no exception: name `localhost,127.0.0.0/8,::1` to reach it directly, as with curl and paho-mqtt. What is
    /// no entry is ignored.
    #[must_use]
    pub fn except(mut self, list: &str) -> Self {
        self.except = NoProxy::parse(list);
        self
    }

    /// The proxy through which this server is reached; `None` is directly. A Unix domain socket always is.
    pub fn proxy_for(&self, endpoint: &Endpoint, transport: &Transport) -> Option<&Proxy> {
        let excepted = match endpoint {
            Endpoint::Tcp { host, port } => self.except.covers(host, *port),
            Endpoint::Service(_) => false, // its servers are not known yet
            Endpoint::Unix(_) => return None,
        };
        let proxy = match (transport.security, &transport.framing) {
            (Security::None, Framing::None) => &self.mqtt,
            (Security::Tls, Framing::None) => &self.mqtts,
            (Security::None, Framing::WebSocket { .. }) => &self.ws,
            (Security::Tls, Framing::WebSocket { .. }) => &self.wss,
        };
        proxy.as_ref().filter(|_| !excepted)
    }
}

/// This proxy, for every server.
impl From<Proxy> for Proxies {
    fn from(proxy: Proxy) -> Self {
        Self::all(proxy)
    }
}

/// A variable of the environment that is no proxy's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidVariable {
    /// Its name.
    pub name: String,
    /// What is wrong with its value.
    pub source: InvalidUrl,
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment variable {}: {}", self.name, self.source)
    }
}

impl core::error::Error for InvalidVariable {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.source)
    }
}
