//! Is a set of properties what its bytes say, and does changing it change what was meant?

use crate::input::Input;
use bytes::Bytes;
use karere_proto::{Carrier, PacketType, Properties, PropertyId, Value};

/// The carrier and the encoded set, or, with the highest bit of the first byte, changes to make to an empty set.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let first = input.byte();
    let carrier = PacketType::from_nibble(first & 15).map_or(Carrier::Will, Carrier::Packet);
    if first & 128 == 0 {
        check_encoded(input.rest(), carrier);
    } else {
        check_changes(&mut input, carrier);
    }
}

fn check_encoded(encoded: &[u8], carrier: Carrier) {
    let Ok(set) = Properties::from_bytes(Bytes::copy_from_slice(encoded), carrier) else {
        return;
    };
    set.check(carrier).expect("what was read may stand there");
    assert!(set.is_empty() || !format!("{set:?}").is_empty());
    let mut again = Properties::new();
    for (id, value) in &set {
        add(&mut again, id, value);
        assert!(id.allowed_in(carrier) && PropertyId::from_byte(id as u8) == Some(id));
    }
    assert_eq!(set.as_bytes(), again.as_bytes(), "{set:?}");
    for &id in PropertyId::ALL {
        let mut without = set.clone();
        without.remove(id);
        let expected = set.iter().filter(|&(there, _)| there != id).collect::<Vec<_>>();
        assert_eq!(without.iter().collect::<Vec<_>>(), expected, "{set:?} without {id}");
    }
    assert_eq!(set.user().count() + set.subscription_identifiers().count(), {
        let repeated = |id| matches!(id, PropertyId::UserProperty | PropertyId::SubscriptionIdentifier);
        set.iter().filter(|&(id, _)| repeated(id)).count()
    });
}

/// Adds one more, where there may be more than one.
fn add(set: &mut Properties, id: PropertyId, value: Value<'_>) {
    match (id, value) {
        (PropertyId::SubscriptionIdentifier, Value::U32(identifier)) => set.add_subscription_identifier(identifier),
        _ => set.set(id, value),
    }
    .expect("what was read can be set");
}

fn check_changes(input: &mut Input<'_>, carrier: Carrier) {
    let mut set = Properties::new();
    let mut model: Vec<(PropertyId, Owned)> = Vec::new();
    while !input.is_empty() {
        let id = input.one_of(PropertyId::ALL);
        match input.below(8) {
            0 => {
                set.remove(id);
                model.retain(|&(there, _)| there != id);
            }
            1 => {
                let identifier = input.u32();
                if set.add_subscription_identifier(identifier).is_ok() {
                    model.push((PropertyId::SubscriptionIdentifier, Owned::U32(identifier)));
                }
            }
            kind => {
                let value = Owned::new(kind, input);
                let before = set.clone();
                match set.set(id, value.borrow()) {
                    Ok(()) => {
                        model.retain(|&(there, _)| there != id || id == PropertyId::UserProperty);
                        model.push((id, value));
                    }
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        assert_eq!(set, before, "a refused change was made");
                    }
                }
            }
        }
        let expected = model.iter().map(|(id, value)| (*id, value.borrow())).collect::<Vec<_>>();
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
    }
    let read = Properties::from_bytes(set.as_bytes().clone(), carrier);
    assert_eq!(read.is_ok(), set.check(carrier).is_ok(), "{set:?} in {carrier}: {read:?}");
}

/// A value that owns its text and bytes.
#[derive(Debug)]
enum Owned {
    Byte(u8),
    U16(u16),
    U32(u32),
    Str(String),
    Bin(Vec<u8>),
    Pair(String, String),
}

impl Owned {
    fn new(kind: usize, input: &mut Input<'_>) -> Self {
        match kind {
            2 => Self::Byte(input.byte()),
            3 => Self::U16(input.u16()),
            4 => Self::U32(input.u32()),
            5 => Self::Str(input.text()),
            6 => Self::Bin(input.some().to_vec()),
            _ => Self::Pair(input.text(), input.text()),
        }
    }

    fn borrow(&self) -> Value<'_> {
        match self {
            Self::Byte(value) => Value::Byte(*value),
            Self::U16(value) => Value::U16(*value),
            Self::U32(value) => Value::U32(*value),
            Self::Str(value) => Value::Str(value),
            Self::Bin(value) => Value::Bin(value),
            Self::Pair(name, value) => Value::Pair(name, value),
        }
    }
}
