//! Buffers of the threads that drive, not of the clients: an idle client holds none.

use std::cell::Cell;

use bytes::BytesMut;

use crate::told::Told;

/// A list that once had to hold more than this is given up.
const KEEP: usize = 4096;

thread_local! {
    static BUFFER: Cell<Option<BytesMut>> = const { Cell::new(None) };
    static TOLD: Cell<Vec<Told>> = const { Cell::new(Vec::new()) };
}

/// Lends this thread's read buffer.
pub(crate) fn with_buffer<T>(act: impl FnOnce(&mut BytesMut) -> T) -> T {
    let mut buffer = BUFFER.take().unwrap_or_default();
    let value = act(&mut buffer);
    BUFFER.set(Some(buffer));
    value
}

/// This thread's list of events, empty.
pub(crate) fn take_list() -> Vec<Told> {
    TOLD.take()
}

pub(crate) fn return_list(mut list: Vec<Told>) {
    list.clear();
    if list.capacity() <= KEEP {
        TOLD.set(list);
    }
}
