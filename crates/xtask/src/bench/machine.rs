//! Where the figures were taken: without it they say little.

use std::fs;

/// One line about processor, cores and kernel.
pub(super) fn describe() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "Machine: {}, {cores} cores, {}, Linux {}",
        model(&processors),
        std::env::consts::ARCH,
        kernel.trim()
    )
}

/// The processor's name; ARM kernels name the board instead.
fn model(processors: &str) -> &str {
    ["model name", "Model", "Hardware"]
        .iter()
        .find_map(|key| {
            processors.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                (name.trim() == *key).then_some(value.trim())
            })
        })
        .unwrap_or("unknown processor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_on_both_architectures() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Fast One\n"), "Fast One");
        assert_eq!(model("processor\t: 0\nModel\t\t: Raspberry Pi 4\n"), "Raspberry Pi 4");
        assert_eq!(model(""), "unknown processor");
    }
}
