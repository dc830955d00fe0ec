//! WebSocket: answers and frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::websocket::check(bytes));
