#![no_main]
#![allow(dead_code, unused_imports, reason = "a part of the daemon is taken, which as a program shows nothing")]

#[path = "../../crates/fleethand/src"]
mod daemon {
    pub(crate) mod chain;
    pub(crate) mod config;
}
use daemon::{chain, config};

/// What the configuration knows of the daemon's other parts.
mod perform {
    pub(crate) const CRASH_HOOK: &str = "FLEETHAND_CRASH_AFTER_EFFECT";
}
mod reboot {
    pub(crate) const PROGRAM_HOOK: &str = "FLEETHAND_REBOOT_PROGRAM";
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::fuzzed::run(data));
