//! Whether the kernel has killed something because memory was short, as far as it tells: the counter `oom_kill` in
//! `memory.events` of the keeper's control group, which is its handler's too (`cgroup-v2`, "Memory Interface Files").
//!
//! Where there is no such file (control groups of version 1, the root group) nobody knows, and a kill is a kill.

use std::path::{Path, PathBuf};

/// Where the hierarchy of version 2 is mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// The counter of one control group, and where it stood.
#[derive(Debug)]
pub(super) struct Counter {
    file: PathBuf,
    before: u64,
}

impl Counter {
    /// The counter of this process's control group, if the kernel keeps one.
    pub(super) fn of_this_process() -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::at(Path::new(MOUNT).join(unified_group(&groups)?).join("memory.events"))
    }

    fn at(file: PathBuf) -> Option<Self> {
        let before = kills_in(&file)?;
        Some(Self { file, before })
    }

    /// Whether it has risen since.
    pub(super) fn has_risen(&self) -> bool {
        kills_in(&self.file).is_some_and(|now| now > self.before)
    }
}

fn kills_in(file: &Path) -> Option<u64> {
    oom_kills(&std::fs::read_to_string(file).ok()?)
}

/// The path of the group in the hierarchy of version 2, without the leading slash: the line with the number 0
/// (`cgroups(7)`).
fn unified_group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

fn oom_kills(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = "low 0\nhigh 7\nmax 31\noom 2\noom_kill 4\noom_group_kill 1\n";

    #[test]
    fn the_group_is_the_one_of_version_2() {
        assert_eq!(
            unified_group("0::/system.slice/fleethand.service\n"),
            Some("system.slice/fleethand.service")
        );
        assert_eq!(unified_group("4:memory:/a\n1:name=systemd:/b\n0::/c d\n"), Some("c d"));
        assert_eq!(unified_group("0::/\n"), Some(""));
        assert_eq!(unified_group("10:memory:/a\n"), None);
        assert_eq!(unified_group(""), None);
    }

    #[test]
    fn the_kills_are_read_and_nothing_that_looks_like_them() {
        assert_eq!(oom_kills(EVENTS), Some(4));
        assert_eq!(oom_kills("oom 2\noom_group_kill 1\n"), None);
        assert_eq!(oom_kills("oom_kill many\n"), None);
        assert_eq!(oom_kills(""), None);
    }

    #[test]
    fn a_counter_has_risen_when_it_is_higher_than_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.events");
        assert!(Counter::at(file.clone()).is_none(), "no file, no counter");
        std::fs::write(&file, EVENTS).unwrap();
        let counter = Counter::at(file.clone()).unwrap();
        assert!(!counter.has_risen());
        std::fs::write(&file, EVENTS.replace("oom_kill 4", "oom_kill 5")).unwrap();
        assert!(counter.has_risen());
        std::fs::remove_file(&file).unwrap();
        assert!(!counter.has_risen(), "nobody knows any more");
    }
}
