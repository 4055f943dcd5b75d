#![no_main]

#[path = "../../crates/agent-core/tests/fuzzed_records.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::run(data));
