//! Packets as bytes, read by hand: what crosses the wire is judged without the code under test.

use core::fmt;

pub(crate) const CONNECT: u8 = 1;
pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const SUBACK: u8 = 9;
pub(crate) const UNSUBSCRIBE: u8 = 10;
pub(crate) const UNSUBACK: u8 = 11;

/// How long the packet at the beginning of `bytes` is, if all of it is there.
pub(crate) fn packet_len(bytes: &[u8]) -> Option<usize> {
    let (len, head) = remaining_len(bytes)?;
    (bytes.len() >= head + len).then_some(head + len)
}

/// Remaining Length, and how many bytes the fixed header has.
fn remaining_len(bytes: &[u8]) -> Option<(usize, usize)> {
    let (len, size) = varint(bytes.get(1..)?)?;
    Some((len, 1 + size))
}

fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// One whole packet.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl<'a> Raw<'a> {
    pub(crate) const fn kind(self) -> u8 {
        self.0[0] >> 4
    }

    pub(crate) const fn dup(self) -> bool {
        self.0[0] & 8 != 0
    }

    pub(crate) const fn retain(self) -> bool {
        self.0[0] & 1 != 0
    }

    pub(crate) const fn qos(self) -> u8 {
        self.0[0] >> 1 & 3
    }

    fn head(self) -> usize {
        remaining_len(self.0).expect("invariant: whole").1
    }

    fn u16_at(self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes([*self.0.get(at)?, *self.0.get(at + 1)?]))
    }

    /// Where the packet identifier stands, in packets that have one.
    pub(crate) fn id_at(self) -> Option<usize> {
        let head = self.head();
        match self.kind() {
            PUBLISH if self.qos() > 0 => Some(head + 2 + usize::from(self.u16_at(head)?)),
            PUBACK..=UNSUBACK => Some(head),
            _ => None,
        }
    }

    pub(crate) fn id(self) -> Option<u16> {
        self.u16_at(self.id_at()?)
    }

    /// The reason code of an acknowledgement; 0 where the version has none.
    pub(crate) fn reason(self) -> u8 {
        self.0.get(self.head() + 2).copied().unwrap_or(0)
    }

    /// The topic of a PUBLISH; empty when an alias stands for it.
    pub(crate) fn topic(self) -> &'a [u8] {
        let head = self.head();
        let len = usize::from(self.u16_at(head).unwrap_or(0));
        &self.0[head + 2..head + 2 + len]
    }

    /// The payload of a PUBLISH, of a version with or without properties.
    pub(crate) fn payload(self, properties: bool) -> &'a [u8] {
        let after = &self.0[self.properties_at()..];
        match varint(after) {
            Some((len, size)) if properties => &after[size + len..],
            _ => after,
        }
    }

    /// The topic alias of a PUBLISH of 5.0.
    pub(crate) fn alias(self) -> Option<u16> {
        let after = &self.0[self.properties_at()..];
        let (len, size) = varint(after)?;
        let mut properties = &after[size..size + len];
        loop {
            let (&id, rest) = properties.split_first()?;
            let len = match id {
                0x01 => 1,
                0x02 => 4,
                0x0B => varint(rest)?.1,
                0x23 => return rest.first_chunk().map(|&alias| u16::from_be_bytes(alias)),
                _ => return None, // nothing else is used here
            };
            properties = rest.get(len..)?;
        }
    }

    fn properties_at(self) -> usize {
        self.head() + 2 + self.topic().len() + if self.qos() > 0 { 2 } else { 0 }
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "?",
            "CONNECT",
            "CONNACK",
            "PUBLISH",
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "SUBSCRIBE",
            "SUBACK",
            "UNSUBSCRIBE",
            "UNSUBACK",
            "PINGREQ",
            "PINGRESP",
            "DISCONNECT",
            "AUTH",
        ];
        f.write_str(NAMES[usize::from(self.kind())])?;
        if let Some(id) = self.id() {
            write!(f, " id {id}")?;
        }
        match self.kind() {
            CONNACK => write!(f, " session present {} reason {:#x}", self.0[2], self.0[3]),
            PUBLISH => {
                let dup = if self.dup() { " DUP" } else { "" };
                write!(f, " QoS {}{dup} {}", self.qos(), String::from_utf8_lossy(self.topic()))
            }
            PUBACK..=PUBCOMP if self.reason() > 0 => write!(f, " reason {:#x}", self.reason()),
            _ => Ok(()),
        }
    }
}

/// The broker's packet identifiers as others choose them: the lowest that is free.
///
/// The broker under this simulation counts up, so no identifier would be used twice in a run. On the wire each is
/// replaced by the lowest free one, so that whoever forgets or keeps one at the wrong time is found out.
#[derive(Debug, Default)]
pub(crate) struct LowIds(Vec<(u16, u16)>);

impl LowIds {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// A packet from the broker.
    pub(crate) fn outward(&mut self, packet: &mut [u8]) {
        let raw = Raw(packet);
        if !matches!(raw.kind(), PUBLISH | PUBREL) || raw.reason() == 0x92 && raw.kind() == PUBREL {
            return;
        }
        let (Some(at), Some(broker)) = (raw.id_at(), raw.id()) else {
            return;
        };
        let wire = self.0.iter().find(|&&(known, _)| known == broker).map(|&(_, wire)| wire).unwrap_or_else(|| {
            let free = (1..).find(|&id| self.0.iter().all(|&(_, used)| used != id)).unwrap_or(1);
            self.0.push((broker, free));
            free
        });
        packet[at..at + 2].copy_from_slice(&wire.to_be_bytes());
    }

    /// A packet to the broker.
    pub(crate) fn inward(&mut self, packet: &mut [u8]) {
        let raw = Raw(packet);
        let last = match raw.kind() {
            PUBACK | PUBCOMP => true,
            PUBREC => raw.reason() >= 0x80,
            _ => return,
        };
        let (Some(at), Some(wire)) = (raw.id_at(), raw.id()) else {
            return;
        };
        let Some(place) = self.0.iter().position(|&(_, used)| used == wire) else {
            return;
        };
        let (broker, _) = self.0[place];
        packet[at..at + 2].copy_from_slice(&broker.to_be_bytes());
        if last {
            self.0.remove(place);
        }
    }
}
