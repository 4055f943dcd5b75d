//! What the operator allows beyond the rules of permission: users, directories, commands.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bench::{Bench, can_switch, request};
use handler_runner::{Allowed, Checked, Place, Program, Refusal, Request, Settings, check};

/// A bench and the settings of its operator.
struct Desk {
    bench: Bench,
    settings: Settings,
}

impl Desk {
    /// Handlers `h.sh` in the handler directory, in `one`, in `one/below` and in `two`; all of `directories` allowed.
    fn new(directories: &[&str]) -> Self {
        let bench = Bench::new();
        bench.handler("h.sh", "#!/bin/sh\n");
        for place in ["one", "one/below", "two"] {
            fs::create_dir(bench.path(place)).unwrap();
            fs::write(bench.path(place).join("h.sh"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(bench.path(place).join("h.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut settings = bench.settings.clone();
        let directories = directories.iter().map(|name| bench.path(name)).collect();
        settings.allowed = Allowed { directories: Some(directories), ..Allowed::default() };
        Self { bench, settings }
    }

    fn named(&self, directory: impl AsRef<Path>) -> Result<Checked, Refusal> {
        check(&self.settings, &at(Place::Directory(directory.as_ref().into()), "h.sh"))
    }
}

fn at(place: Place, name: &str) -> Request {
    Request { program: Program::Handler { name: name.into(), place }, ..request(name) }
}

fn is_not_allowed(verdict: &Result<Checked, Refusal>) -> bool {
    matches!(verdict, Err(Refusal::DirectoryNotAllowed { .. }))
}

#[test]
fn only_a_directory_that_is_listed_may_be_named_however_it_is_written() {
    let desk = Desk::new(&["one"]);
    let one = desk.bench.path("one");
    let written = |text: &str| PathBuf::from(text.replace("ONE", one.to_str().unwrap()));
    for good in ["ONE", "ONE/", "/./ONE", "ONE/.", "ONE/../one", "//ONE//", "ONE/below/.."] {
        desk.named(written(good)).unwrap_or_else(|refusal| panic!("{good}: {refusal}"));
    }
    for bad in ["ONE/..", "ONE/below", "ONE/../two", "ONE2", "/", "/usr/bin", "ONE/../one/below"] {
        let verdict = desk.named(written(bad));
        assert!(is_not_allowed(&verdict), "{bad}: {verdict:?}");
    }
    let relative = desk.named("one");
    assert!(matches!(relative, Err(Refusal::RelativePath { .. })), "{relative:?}");
}

#[test]
fn an_empty_list_allows_the_handler_directory_only() {
    let desk = Desk::new(&[]);
    assert!(is_not_allowed(&desk.named(desk.bench.path("one"))));
    check(&desk.settings, &at(Place::HandlerDirectory, "h.sh")).unwrap();
    check(&desk.settings, &at(Place::HandlerDirectoryThenPath, "h.sh")).unwrap();
    desk.named(&desk.settings.handler_directory).unwrap();
}

#[test]
fn no_list_allows_any_directory() {
    let mut desk = Desk::new(&[]);
    desk.settings.allowed = Allowed::default();
    desk.named(desk.bench.path("two")).unwrap();
}

#[test]
fn a_list_says_nothing_about_the_search_path() {
    let desk = Desk::new(&[]);
    let found = check(&desk.settings, &at(Place::HandlerDirectoryThenPath, "true")).unwrap();
    assert!(found.path.ends_with("bin/true"));
}

#[test]
fn a_link_out_of_a_listed_directory_leads_nowhere() {
    let desk = Desk::new(&["one", "link", "two"]);
    let path = |name: &str| desk.bench.path(name);
    // The whole directory by another name that is listed as well: fine.
    symlink(path("two"), path("link")).unwrap();
    desk.named(path("link")).unwrap();
    // A file that lies elsewhere, be it in another directory of the list.
    fs::remove_file(path("one/h.sh")).unwrap();
    symlink(path("two/h.sh"), path("one/h.sh")).unwrap();
    let verdict = desk.named(path("one"));
    assert!(is_not_allowed(&verdict), "{verdict:?}");
    assert!(verdict.unwrap_err().to_string().starts_with(path("two/h.sh").to_str().unwrap()));
    // `link/../one` looks like `one`, and is it by chance; `away/../one` looks the same, and is not.
    fs::create_dir_all(path("far/one")).unwrap();
    fs::create_dir(path("far/place")).unwrap();
    fs::copy(path("two/h.sh"), path("far/one/h.sh")).unwrap();
    symlink(path("far/place"), path("away")).unwrap();
    assert!(is_not_allowed(&desk.named(path("away/../one"))));
}

#[test]
fn the_handler_directory_keeps_its_rules_when_it_is_named_by_its_path() {
    let mut desk = Desk::new(&[]);
    desk.settings.allowed = Allowed::default();
    let directory = desk.settings.handler_directory.clone();
    desk.named(&directory).unwrap();
    fs::set_permissions(directory.join("h.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    for written in [directory.clone(), directory.join("."), directory.join("../jobs")] {
        let verdict = desk.named(&written);
        assert!(matches!(verdict, Err(Refusal::Mode { .. })), "{}: {verdict:?}", written.display());
    }
}

#[test]
fn without_commands_only_handlers_are_run() {
    let mut desk = Desk::new(&["one"]);
    desk.settings.allowed.commands = false;
    for program in ["true", "/bin/true", "h.sh", "", "../x"] {
        let wanted = Request { program: Program::Command { program: program.into() }, ..request("x") };
        let verdict = check(&desk.settings, &wanted);
        assert!(matches!(verdict, Err(Refusal::CommandNotAllowed { .. })), "{program}: {verdict:?}");
    }
    let verdict = check(&desk.settings, &at(Place::HandlerDirectoryThenPath, "true"));
    assert!(matches!(verdict, Err(Refusal::SearchNotAllowed { .. })), "{verdict:?}");
    check(&desk.settings, &at(Place::HandlerDirectoryThenPath, "h.sh")).unwrap();
    desk.named(desk.bench.path("one")).unwrap();
}

#[test]
fn a_user_that_is_not_listed_is_refused_before_the_file_is_looked_at() {
    if !can_switch("a list of users") {
        return;
    }
    let mut desk = Desk::new(&[]);
    desk.settings.allowed = Allowed { users: Some(vec!["65534".into()]), ..Allowed::default() };
    let mut wanted = at(Place::HandlerDirectory, "h.sh");
    wanted.run_as_user = Some("nobody".into());
    assert!(check(&desk.settings, &wanted).unwrap().switches_user, "the list has its number");
    wanted.run_as_user = Some("daemon".into());
    let verdict = check(&desk.settings, &wanted);
    assert!(matches!(verdict, Err(Refusal::UserNotAllowed { .. })), "{verdict:?}");
    wanted.run_as_user = Some("root".into());
    assert!(!check(&desk.settings, &wanted).unwrap().switches_user, "the agent's own needs no entry");
}
