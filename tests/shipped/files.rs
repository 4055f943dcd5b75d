//! Files that nothing else reads: the bans of the pure crates, and paths that only one machine has.

use std::path::{Path, PathBuf};

/// What a pure crate's `clippy.toml` has to name.
const BANNED: [&str; 6] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::sleep",
    "std::env::var",
    "std::fs::File",
    "std::process::Command",
];

#[test]
fn every_pure_crate_bans_clocks_files_processes_and_environment() {
    for name in ["jobs-protocol", "agent-core", "service-core"] {
        let bans = crate::read(&format!("crates/{name}/clippy.toml"));
        for banned in BANNED {
            let quoted = format!("path = \"{banned}\"");
            assert!(bans.contains(&quoted), "crates/{name}/clippy.toml does not ban {banned}");
        }
        for line in bans.lines().filter(|line| line.contains("path = ")) {
            assert!(line.contains("reason = "), "crates/{name}/clippy.toml: no reason in {line}");
        }
        let manifest = crate::read(&format!("crates/{name}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "crates/{name} goes without the lints");
    }
}

#[test]
fn no_file_holds_a_path_of_the_machine_it_was_written_on() {
    let root = crate::root();
    // Whoever writes such a path in has it below the home directory or in the checkout. One of a single level, such as
    // `/src`, is the end of many others.
    let checkout = format!("{}/", root.display());
    let mut tells = ["/Users/", "/.cargo/registry", "/.rustup/toolchains"].map(str::to_owned).to_vec();
    tells.extend((root.ancestors().count() > 2).then_some(checkout));
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 100, "only {} files were found", files.len());
    for path in files {
        let name = path.strip_prefix(&root).unwrap();
        if name == Path::new("tests/shipped/files.rs") {
            continue;
        }
        let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for tell in &tells {
            assert!(!content.contains(tell), "{} holds {tell}", name.display());
        }
    }
}

/// All files but those of git and of builds.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == ".git" || name.starts_with("target") {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}
