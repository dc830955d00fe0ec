//! Proxies: what they answer, and how they are written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::proxy::check(bytes));
