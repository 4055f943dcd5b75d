#![no_main]

#[path = "../../crates/jobs-protocol/tests/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::run(data));
