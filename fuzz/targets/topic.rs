//! Topic names, filters and trees of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::topic::check(bytes));
