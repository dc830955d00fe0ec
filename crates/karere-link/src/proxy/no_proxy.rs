//! Which servers are reached without a proxy, by the words of `no_proxy`?

use core::net::IpAddr;

/// Servers that are reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// `None` is each.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name and all beneath it: lower case, without a dot at either end.
    Domain(String),
    /// Addresses that have the first so many bits of this one.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Reads a list; what is no entry is left out, as curl and Go do.
    pub(super) fn parse(list: &str) -> Self {
        let words = list.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
        Self { entries: words.filter_map(Entry::parse).collect() }
    }

    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let without_zone = host.split_once('%').map_or(host, |(address, _)| address);
        let ip = without_zone.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let matches = |hosts: &Hosts| match (hosts, ip) {
            (Hosts::All, _) => true,
            (Hosts::Domain(domain), None) => is_within(&name, domain),
            (Hosts::Network(network, bits), Some(ip)) => starts_alike(*network, ip, *bits),
            (Hosts::Domain(_), Some(_)) | (Hosts::Network(..), None) => false,
        };
        self.entries.iter().any(|entry| entry.port.is_none_or(|only| only == port) && matches(&entry.hosts))
    }
}

impl Entry {
    fn parse(word: &str) -> Option<Self> {
        if word == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some((address, bits)) = word.split_once('/') {
            return Some(Self { hosts: network(unbracketed(address), bits)?, port: None });
        }
        if let Ok(ip) = unbracketed(word).parse() {
            return Some(Self { hosts: address(ip), port: None });
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (word, None),
        };
        let hosts = match unbracketed(host).parse() {
            Ok(ip) => address(ip),
            Err(_) => domain(host)?,
        };
        Some(Self { hosts, port })
    }
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

fn address(ip: IpAddr) -> Hosts {
    let ip = ip.to_canonical();
    Hosts::Network(ip, width(ip))
}

fn network(address: &str, bits: &str) -> Option<Hosts> {
    let written: IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok().filter(|&bits| bits <= width(written))?;
    let ip = written.to_canonical();
    // A range of IPv4 addresses in IPv6's form counts the 96 bits before them.
    match bits.checked_sub(width(written) - width(ip)) {
        Some(bits) => Some(Hosts::Network(ip, bits)),
        None => Some(Hosts::Network(written, bits)),
    }
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// `x.org`, `.x.org` and `*.x.org` are one: the host of that name, and all beneath it.
fn domain(text: &str) -> Option<Hosts> {
    let text = text.strip_prefix('*').unwrap_or(text);
    let name = text.trim_start_matches('.');
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| Hosts::Domain(name.to_ascii_lowercase()))
}

fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn starts_alike(network: IpAddr, ip: IpAddr, bits: u32) -> bool {
    let differ = match (network, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differ.checked_shr(width(ip) - bits).unwrap_or(0) == 0
}
