#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| handler_runner::fuzzed::run(data));
