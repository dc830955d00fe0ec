//! What is regular in 5.0, tried out in full: every byte as a reason code and every property, in every packet, from each
//! side, against the tables in `wire/`.

use bytes::BytesMut;
use karere_proto::{FrameLimits, Packet, PropertyId, ReasonCode, Rule, Side, Version, next_frame};

const REASON_CODES: &str = include_str!("wire/reason-codes.table");
const PROPERTIES: &str = include_str!("wire/properties.table");

/// The packets of 5.0 that have properties, and the will: name, first byte, and who sends it.
const PACKETS: [(&str, u8, &[Side]); 14] = [
    ("CONNECT", 0x10, &[Side::Client]),
    ("WILL", 0x10, &[Side::Client]),
    ("CONNACK", 0x20, &[Side::Server]),
    ("PUBLISH", 0x30, &[Side::Client, Side::Server]),
    ("PUBACK", 0x40, &[Side::Client, Side::Server]),
    ("PUBREC", 0x50, &[Side::Client, Side::Server]),
    ("PUBREL", 0x62, &[Side::Client, Side::Server]),
    ("PUBCOMP", 0x70, &[Side::Client, Side::Server]),
    ("SUBSCRIBE", 0x82, &[Side::Client]),
    ("SUBACK", 0x90, &[Side::Server]),
    ("UNSUBSCRIBE", 0xA2, &[Side::Client]),
    ("UNSUBACK", 0xB0, &[Side::Server]),
    ("DISCONNECT", 0xE0, &[Side::Client, Side::Server]),
    ("AUTH", 0xF0, &[Side::Client, Side::Server]),
];

/// A packet that is legal as long as `properties` and `reason` are.
fn packet(name: &str, reason: u8, properties: &[u8]) -> Vec<u8> {
    let len = u8::try_from(properties.len()).expect("few properties");
    let properties = [&[len][..], properties].concat();
    let reason = &[reason][..];
    let parts: &[&[u8]] = match name {
        "CONNECT" => &[b"\0\x04MQTT\x05\x02\0\x3C", &properties, b"\0\x01a"],
        "WILL" => &[b"\0\x04MQTT\x05\x06\0\x3C\0\0\x01a", &properties, b"\0\x01w\0\x01x"],
        "CONNACK" => &[b"\0", reason, &properties],
        "PUBLISH" => &[b"\0\x01a", &properties, b"payload"],
        "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP" => &[b"\0\x0A", reason, &properties],
        "SUBSCRIBE" => &[b"\0\x0A", &properties, b"\0\x01a\0"],
        "SUBACK" | "UNSUBACK" => &[b"\0\x0A", &properties, reason],
        "UNSUBSCRIBE" => &[b"\0\x0A", &properties, b"\0\x01a"],
        "DISCONNECT" | "AUTH" => &[reason, &properties],
        _ => panic!("{name} is no packet"),
    };
    let body = parts.concat();
    let (_, first_byte, _) = PACKETS.into_iter().find(|&(there, ..)| there == name).expect("known");
    [&[first_byte, u8::try_from(body.len()).expect("short")], &body[..]].concat()
}

/// A reason code that each side may give: success, or for AUTH "Continue authentication".
fn legal_reason(name: &str) -> u8 {
    if name == "AUTH" { 0x18 } else { 0x00 }
}

/// The properties without which others are illegal: an Authentication Method goes before its data, and into AUTH.
fn needed(name: &str, id: u8) -> &'static [u8] {
    let method = b"\x15\0\x01M";
    if id != 0x15 && name == "AUTH" || id == 0x16 && name == "CONNECT" { method } else { &[] }
}

fn decode(bytes: &[u8], sender: Side) -> Result<Packet, Rule> {
    let rules = Version::V5.rules();
    let mut input = BytesMut::from(bytes);
    let frame = next_frame(&mut input, FrameLimits::new(rules, sender)).map_err(|error| error.rule)?.expect("whole");
    Packet::decode(frame, rules, sender).map_err(|error| error.rule)
}

/// The lines of a table, in words.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().split_whitespace().collect())
        .filter(|row: &Vec<_>| !row.is_empty())
}

fn hex(text: &str) -> u8 {
    u8::from_str_radix(text, 16).expect("two digits")
}

fn letter(side: Side) -> char {
    match side {
        Side::Client => 'C',
        Side::Server => 'S',
    }
}

#[test]
fn reason_codes_are_taken_where_the_table_has_them_and_nowhere_else() {
    let columns = ["CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT", "AUTH"];
    let rows = rows(REASON_CODES).collect::<Vec<_>>();
    let known = rows.iter().map(|row| hex(row[0])).collect::<Vec<_>>();
    assert_eq!(known, ReasonCode::ALL.iter().map(|code| code.as_byte()).collect::<Vec<_>>());
    for (column, name) in columns.into_iter().enumerate() {
        let (.., senders) = PACKETS.into_iter().find(|&(there, ..)| there == name).expect("known");
        for &sender in senders {
            for byte in 0..=u8::MAX {
                let row = rows.iter().find(|row| hex(row[0]) == byte);
                let legal = row.is_some_and(|row| row[column + 1].contains(letter(sender)));
                let result = decode(&packet(name, byte, needed(name, 0)), sender).map(drop);
                let expected = if legal { Ok(()) } else { Err(Rule::ReasonCodeNotAllowed) };
                assert_eq!(result, expected, "0x{byte:02X} in {name} from {sender:?}");
            }
        }
    }
}

/// How a property of this type looks on the wire, with a value that is legal for all that have it.
fn value(kind: &str) -> &'static [u8] {
    match kind {
        "byte" | "varint" => b"\x01",
        "u16" => b"\0\x01",
        "u32" => b"\0\0\0\x01",
        "string" | "binary" => b"\0\x01a",
        "pair" => b"\0\x01a\0\x01b",
        _ => panic!("{kind} is no type"),
    }
}

/// Where a packet stands in the row of a property: who may put it there, and how often.
struct Place {
    from: Vec<Side>,
    often: bool,
}

fn place(row: &[&str], name: &str) -> Option<Place> {
    row[3..].iter().find_map(|word| {
        let (carrier, from) = match word.split_once(':') {
            Some((carrier, "C")) => (carrier, vec![Side::Client]),
            Some((carrier, "S")) => (carrier, vec![Side::Server]),
            Some(_) => panic!("{word}"),
            None => (*word, vec![Side::Client, Side::Server]),
        };
        let often = carrier.ends_with('*');
        (carrier.trim_end_matches('*') == name).then_some(Place { from, often })
    })
}

#[test]
fn properties_are_taken_where_the_table_has_them_and_nowhere_else() {
    let rows = rows(PROPERTIES).collect::<Vec<_>>();
    let names = rows.iter().map(|row| (hex(row[0]), row[1].to_owned())).collect::<Vec<_>>();
    let known = PropertyId::ALL.iter().map(|&id| (id as u8, id.name().replace(' ', "")));
    assert_eq!(names, known.collect::<Vec<_>>());
    for row in &rows {
        let id = hex(row[0]);
        let one = [&[id], value(row[2])].concat();
        for (name, _, senders) in PACKETS {
            for &sender in senders {
                let what = format!("{} in {name} from {sender:?}", row[1]);
                let once = decode(&packet(name, legal_reason(name), &[needed(name, id), &one].concat()), sender);
                let twice = decode(&packet(name, legal_reason(name), &[needed(name, id), &one, &one].concat()), sender);
                match place(row, name) {
                    None => assert_eq!(once, Err(Rule::PropertyNotAllowed), "{what}"),
                    Some(Place { from, .. }) if !from.contains(&sender) => assert!(once.is_err(), "{what}"),
                    Some(Place { often, .. }) => {
                        assert_eq!(once.map(drop), Ok(()), "{what}");
                        let expected = if often { Ok(()) } else { Err(Rule::PropertyRepeated) };
                        assert_eq!(twice.map(drop), expected, "twice: {what}");
                    }
                }
            }
        }
    }
}

#[test]
fn properties_take_the_width_of_their_type() {
    for row in rows(PROPERTIES) {
        let id = hex(row[0]);
        let one = [&[id], value(row[2])].concat();
        let (name, _, senders) =
            PACKETS.into_iter().find(|(name, ..)| place(&row, name).is_some()).expect("some packet carries it");
        for cut in 1..one.len() {
            // The method that is needed goes first: what is cut is the last property.
            let properties = [needed(name, id), &one[..cut]].concat();
            let results = senders.iter().map(|&side| decode(&packet(name, legal_reason(name), &properties), side));
            for result in results {
                assert_eq!(result, Err(Rule::Truncated), "{} of {cut} bytes", row[1]);
            }
        }
    }
}

#[test]
fn bytes_that_name_no_property_are_refused_everywhere() {
    let known = rows(PROPERTIES).map(|row| hex(row[0])).collect::<Vec<_>>();
    for byte in (0..=u8::MAX).filter(|byte| !known.contains(byte)) {
        for (name, _, senders) in PACKETS {
            for &sender in senders {
                let result = decode(&packet(name, legal_reason(name), &[byte, 0, 0, 0, 0]), sender);
                assert_eq!(result, Err(Rule::PropertyUnknown), "0x{byte:02X} in {name}");
            }
        }
    }
}
