//! Packets of each version and sender.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::packet::check(bytes));
