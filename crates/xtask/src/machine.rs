//! Where the figures were taken: without it they say little.

use std::fs;
use std::path::Path;

/// One line about processor, cores and kernel.
pub(crate) fn describe() -> String {
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

/// Whether files there are kept in memory (tmpfs, statfs(2)), so that syncing them costs nothing.
pub(crate) fn is_in_memory(place: &Path) -> bool {
    const TMPFS_MAGIC: u32 = 0x0102_1994;
    rustix::fs::statfs(place).is_ok_and(|found| u32::try_from(found.f_type) == Ok(TMPFS_MAGIC))
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
    fn a_file_system_of_the_kernel_itself_is_no_memory_disk() {
        assert!(!is_in_memory(Path::new("/proc")));
        assert!(!is_in_memory(Path::new("/no such place")));
    }

    #[test]
    fn the_processor_is_named_on_both_architectures() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Fast One\n"), "Fast One");
        assert_eq!(model("processor\t: 0\nModel\t\t: Raspberry Pi 4\n"), "Raspberry Pi 4");
        assert_eq!(model(""), "unknown processor");
    }
}
