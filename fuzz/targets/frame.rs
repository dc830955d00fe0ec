//! Streams, cut into packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::frame::check(bytes));
