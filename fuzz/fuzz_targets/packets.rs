#![no_main]
#![allow(dead_code, unused_imports, reason = "a part of the broker is taken from a crate that does not show it")]

#[path = "../../crates/local-service/src/broker"]
mod broker {
    pub(crate) mod decode;
    pub(crate) mod fuzzed;
    pub(crate) mod packet;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzed::run(data));
