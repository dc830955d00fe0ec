//! Sets of properties.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::properties::check(bytes));
