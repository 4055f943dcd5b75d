//! The pages of documentation: their links lead somewhere, and what they tell to type is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let directory = page.parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(directory.join(target).exists(), "{}: there is no {target}", page.display());
            links += 1;
        }
    }
    assert!(links > 10, "only {links} links were found");
}

#[test]
fn every_file_of_the_checkout_that_a_command_names_is_there() {
    let mut named = 0;
    for (page, command) in commands() {
        for word in command.split(|c: char| c.is_whitespace() || "\"'=;".contains(c)) {
            let word = word.trim_start_matches("file://").trim_start_matches("../");
            let ours = ["sample-job-", "config/", "systemd/", "packaging/", "docs/", "crates/"];
            if ours.iter().any(|start| word.starts_with(start)) && !word.contains('*') {
                assert!(crate::root().join(word).exists(), "{}: there is no {word}", page.display());
                named += 1;
            }
        }
    }
    assert!(named >= 5, "only {named} files are named");
}

#[test]
fn every_option_of_our_programs_that_a_command_uses_is_known_to_them() {
    let programs = [
        ("fleethand", "crates/fleethand/src/cli.rs"),
        ("fleethand-local", "crates/local-service/src/main.rs"),
        ("fleethand-sandbox", "crates/sandbox/src"),
    ];
    let mut used = BTreeSet::new();
    for (page, command) in commands() {
        let before = |word: &&str| *word == "sudo" || (word.contains('=') && !word.starts_with('-'));
        let mut words = command.split_whitespace().skip_while(before);
        let Some(program) = words.next().and_then(|word| word.rsplit('/').next()) else { continue };
        for option in
            words.take_while(|word| !word.starts_with('#')).filter_map(|word| word.strip_prefix("--"))
        {
            let Some((_, sources)) = programs.iter().find(|(name, _)| *name == program) else { continue };
            let source = sources_at(&crate::root().join(sources));
            // As clap derives it from a field, or as it is spelled out.
            let field = option.replace('-', "_");
            let known = [format!("{field}:"), format!("\"{option}\""), format!("--{option}")];
            let known = known.iter().any(|known| source.contains(known));
            assert!(known, "{}: {program} has no option --{option}", page.display());
            used.insert(option.to_owned());
        }
    }
    assert!(used.contains("config-file") && used.contains("thing"), "only {used:?}");
}

#[test]
fn the_readme_shows_the_smallest_configuration_and_installs_what_it_names() {
    let readme = crate::read("README.md");
    let configuration = crate::read("config/minimal.conf");
    assert!(
        readme.contains(&configuration),
        "README.md shows another configuration than config/minimal.conf"
    );
    let configuration: serde_json::Value = serde_json::from_str(&configuration).unwrap();
    for path in [&configuration["cert"], &configuration["key"], &configuration["jobs"]["handler-directory"]] {
        let name = Path::new(path.as_str().unwrap()).file_name().unwrap().to_str().unwrap();
        let installed = readme.lines().any(|line| line.starts_with("sudo install ") && line.contains(name));
        assert!(installed, "README.md does not install {path}");
    }
}

/// The lines of all shell blocks, continued lines joined.
fn commands() -> Vec<(PathBuf, String)> {
    let mut commands = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with("```") {
                inside = !inside && line.starts_with("```sh");
            } else if inside {
                commands.push((page.clone(), line.to_owned()));
            }
        }
    }
    commands
}

/// Every page for readers.
fn pages() -> Vec<PathBuf> {
    let root = crate::root();
    let mut pages = vec![root.join("README.md")];
    let directories = [
        "docs",
        "config",
        "sample-job-docs",
        "sample-job-handlers",
        "packaging/policies",
        "tests/simulation",
    ];
    for directory in directories {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            pages.extend((path.extension() == Some("md".as_ref())).then_some(path));
        }
    }
    pages
}

/// The text of a source file, or of all in a directory and below.
fn sources_at(path: &Path) -> String {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|entry| sources_at(&entry.unwrap().path())).collect();
    }
    std::fs::read_to_string(path).unwrap()
}
