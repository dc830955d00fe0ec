#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| karere_fuzz::frame(data));
