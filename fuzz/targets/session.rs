//! A session between application, server, transport and disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| karere_fuzz::session::check(bytes));
