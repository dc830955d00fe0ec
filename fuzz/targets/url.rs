//! URLs and options.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::url::check(bytes));
