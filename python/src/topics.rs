//! Topics that were seen lately, so that a text is neither decoded nor encoded anew for each message.
//!
//! Both tables are the process's: whoever looks at them is attached to Python, and holds the lock for a comparison.

use std::sync::{Mutex, PoisonError};

use karere_proto::Topic;
use pyo3::{prelude::*, types::PyString};

const SLOTS: usize = 256;

struct Received {
    bytes: Box<str>,
    text: Py<PyString>,
}

static RECEIVED: Mutex<[Option<Received>; SLOTS]> = Mutex::new([const { None }; SLOTS]);

/// Longer ones are not kept.
const LONGEST: usize = 256;

/// The topic of a received message as Python's string.
pub(crate) fn received(py: Python<'_>, topic: &str) -> Py<PyString> {
    if topic.len() > LONGEST {
        return PyString::new(py, topic).unbind();
    }
    let at = hash(topic.as_bytes()) % SLOTS;
    {
        let table = RECEIVED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Received { bytes, text }) = &table[at]
            && **bytes == *topic
        {
            return text.clone_ref(py);
        }
    }
    // Interned: comparing it with a text of the program's is comparing two pointers.
    let text = PyString::intern(py, topic).unbind();
    let entry = Received { bytes: topic.into(), text: text.clone_ref(py) };
    let old = RECEIVED.lock().unwrap_or_else(PoisonError::into_inner)[at].replace(entry);
    drop(old); // not under the lock
    text
}

fn hash(bytes: &[u8]) -> usize {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mix = |hash: u64, word: &[u8; 8]| (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    let hash = mix(words.iter().fold(bytes.len() as u64, mix), &last);
    (hash >> 32) as usize
}

struct Published {
    object: Py<PyString>,
    topic: Topic,
}

static PUBLISHED: Mutex<[Option<Published>; SLOTS]> = Mutex::new([const { None }; SLOTS]);

/// The topic that this very string was checked to be, if that was lately.
pub(crate) fn published(object: &Bound<'_, PyString>) -> Option<Topic> {
    let table = PUBLISHED.lock().unwrap_or_else(PoisonError::into_inner);
    match &table[slot(object)] {
        Some(entry) if entry.object.is(object) => Some(entry.topic.clone()),
        _ => None,
    }
}

/// Keeps in mind what this string is. It lives on until another one takes its place, so that no other can be taken for it.
pub(crate) fn keep_published(object: &Bound<'_, PyString>, topic: &Topic) {
    if topic.as_bytes().len() > LONGEST {
        return;
    }
    let entry = Published { object: object.clone().unbind(), topic: topic.clone() };
    let old = PUBLISHED.lock().unwrap_or_else(PoisonError::into_inner)[slot(object)].replace(entry);
    drop(old);
}

fn slot(object: &Bound<'_, PyString>) -> usize {
    // Objects are at least 16 bytes apart.
    let address = (object.as_ptr() as usize >> 4) as u64;
    (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_topics_are_spread() {
        let mut slots =
            (0..SLOTS).map(|n| hash(format!("site/{n}/temperature").as_bytes()) % SLOTS).collect::<Vec<_>>();
        slots.sort_unstable();
        slots.dedup();
        assert!(slots.len() > SLOTS / 2, "{} of {SLOTS} slots", slots.len());
    }
}
