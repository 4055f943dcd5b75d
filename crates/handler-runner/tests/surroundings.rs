//! What a handler finds when it starts: arguments, environment, descriptors, signals, user.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use bench::{Bench, can_switch, finish, request, skip};
use handler_runner::{Ending, Place, Program, Refusal, Request, Runner, Settings};

/// S7 of the reference: there the live connection leaked into every job.
#[test]
fn no_descriptor_is_inherited_but_the_standard_three_and_the_one_to_report_to() {
    let bench = Bench::new();
    let leak = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    // The shell has its script open as well; it says as which file.
    let outcome = bench.run(
        "echo $HANDLER_PROGRESS_FD; n=0; while [ $n -lt 64 ]; do if [ -e /proc/$$/fd/$n ]; then echo $n $(readlink /proc/$$/fd/$n); fi; n=$((n+1)); done",
    );
    let mut open: Vec<&str> = outcome.stdout.tail.lines().collect();
    open.retain(|line| !line.ends_with("/jobs/handler.sh"));
    let report_to = format!("{} pipe:", open.remove(0));
    let wanted = ["0 /dev/null", "1 pipe:", "2 pipe:", &report_to];
    assert!(
        open.len() == 4 && open.iter().zip(wanted).all(|(line, wanted)| line.starts_with(wanted)),
        "{open:?}"
    );
    drop(leak);
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let bench = Bench::new();
    let outcome = bench.run("exec cat /proc/self/status");
    let set = |name: &str| {
        let line = outcome.stdout.tail.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
    };
    assert_eq!(set("SigBlk"), 0);
    // 1 to 31: those that have names. The C library keeps two of the others to itself.
    assert_eq!(set("SigIgn") & 0x7fff_ffff, 0);
}

#[test]
fn the_environment_is_built_from_nothing() {
    let bench = Bench::new();
    let outcome = bench.run_with("exec /usr/bin/env", |request| {
        request.environment = vec![("JOB_ID".into(), "j".into()), ("LANG".into(), "de_DE".into())];
        request.environment.push(("HANDLER_RUN".into(), "of another".into()));
    });
    let found: BTreeMap<&str, &str> =
        outcome.stdout.tail.lines().filter_map(|line| line.split_once('=')).collect();
    let names: Vec<&str> = found.keys().copied().collect();
    let wanted = [
        "HANDLER_PATH",
        "HANDLER_PROGRESS_FD",
        "HANDLER_RUN",
        "HANDLER_SCRATCH",
        "HOME",
        "JOB_ID",
        "LANG",
        "LOGNAME",
        "PATH",
        "PWD",
        "USER",
    ];
    assert!(names.iter().all(|name| wanted.contains(name) || *name == "_"), "{names:?}");
    assert_eq!(found["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_eq!((found["JOB_ID"], found["LANG"]), ("j", "de_DE"), "what is added wins");
    assert_eq!(found["HANDLER_RUN"].len(), 16, "but not over the mark by which processes are found");
}

#[test]
fn it_leads_its_own_session_and_group_and_starts_at_the_root() {
    let bench = Bench::new();
    let outcome =
        bench.run("pwd; umask; read -r _ _ _ _ group session _ < /proc/$$/stat; echo $$ $group $session");
    let lines: Vec<&str> = outcome.stdout.tail.lines().collect();
    assert_eq!(lines[..2], ["/", "0022"]);
    let ids: Vec<&str> = lines[2].split(' ').collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
}

#[test]
fn arguments_pass_as_they_are_and_dollar_zero_is_the_path() {
    let bench = Bench::new();
    let outcome = bench.run_with("printf '<%s>' \"$0\" \"$@\"", |request| {
        request.arguments = ["a b", "", "$(id)", "*", "é;x", "-n"].map(str::to_owned).to_vec();
    });
    let path = bench.settings.handler_directory.join("handler.sh");
    assert_eq!(outcome.stdout.tail, format!("<{}><a b><><$(id)><*><é;x><-n>", path.display()));
}

#[test]
fn the_scratch_directory_is_private_and_goes_with_the_run() {
    let bench = Bench::new();
    let outcome = bench.run("cd \"$HANDLER_SCRATCH\" && touch x && stat -c %a . && pwd");
    let (mode, path) = outcome.stdout.tail.trim().split_once('\n').unwrap();
    assert_eq!(mode, "700");
    assert!(fs::exists(path).unwrap());
    bench.runner.release("run").unwrap();
    assert!(!fs::exists(path).unwrap());
}

#[test]
fn what_a_handler_has_mounted_in_its_scratch_directory_is_not_removed_with_it() {
    let bench = Bench::new();
    let keep = bench.path("keep");
    fs::create_dir(&keep).unwrap();
    fs::write(keep.join("file"), "precious").unwrap();
    let script =
        format!("cd \"$HANDLER_SCRATCH\" && mkdir m && mount --bind {} m && echo \"$PWD/m\"", keep.display());
    let outcome = bench.run(&script);
    if outcome.ending != (Ending::Exited { code: 0 }) {
        return skip("what is mounted in a scratch directory", "nothing can be mounted here");
    }
    let words = bench.runner.release("run").unwrap_err().to_string();
    let unmounted = std::process::Command::new("umount").arg(outcome.stdout.tail.trim()).status().unwrap();
    assert!(unmounted.success());
    assert!(words.contains("still mounted"), "{words}");
    assert_eq!(fs::read_to_string(keep.join("file")).unwrap(), "precious");
    bench.runner.release("run").unwrap();
}

/// S3, S4, R12 of the reference: there anything could be named, and nobody was told what was wrong.
#[test]
fn what_may_not_run_is_refused_with_file_finding_and_mend() {
    let bench = Bench::new();
    let path = bench.handler("loose.sh", "#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let words = bench.runner.check(&request("loose.sh")).unwrap_err().to_string();
    assert_eq!(words, format!("handler {0} has mode 0755, wanted 0700 (chmod 700 {0})", path.display()));
    std::os::unix::fs::symlink("/bin/true", bench.settings.handler_directory.join("link")).unwrap();
    assert!(matches!(bench.runner.check(&request("link")), Err(Refusal::SymbolicLink { .. })));
    fs::create_dir(bench.settings.handler_directory.join("dir")).unwrap();
    assert!(matches!(bench.runner.check(&request("dir")), Err(Refusal::NotRegular { .. })));
    let long = "x".repeat(256);
    for name in ["../jobs/loose.sh", "..", ".", "", "/", "/bin/true", "a/b", "loose.sh/", "a\0b", &long] {
        assert!(matches!(bench.runner.check(&request(name)), Err(Refusal::Name { .. })), "{name:?}");
    }
    let longest = bench.runner.check(&request(&long[1..]));
    assert!(matches!(longest, Err(Refusal::NotFound { .. })), "{longest:?}");
    let missing = bench.runner.check(&request("missing.sh")).unwrap_err().to_string();
    assert!(
        missing.contains("missing.sh")
            && missing.contains(bench.settings.handler_directory.to_str().unwrap())
    );
    fs::set_permissions(&bench.settings.handler_directory, fs::Permissions::from_mode(0o755)).unwrap();
    let words = bench.runner.check(&request("loose.sh")).unwrap_err().to_string();
    assert!(words.contains("handler directory") && words.contains("mode 0755, wanted 0700"), "{words}");
}

#[test]
fn a_handler_of_another_owner_or_with_set_user_id_is_refused() {
    let bench = Bench::new();
    let path = bench.handler("h.sh", "#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4700)).unwrap();
    assert!(matches!(bench.runner.check(&request("h.sh")), Err(Refusal::SetId { found: 0o4700, .. })));
    if !can_switch("a handler of another owner") {
        return;
    }
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(bench.runner.check(&request("h.sh")), Err(Refusal::Owner { found: 65534, .. })));
}

#[test]
fn a_directory_above_that_others_can_write_is_refused() {
    let bench = Bench::new();
    bench.handler("h.sh", "#!/bin/sh\n");
    fs::set_permissions(bench.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(bench.runner.check(&request("h.sh")), Err(Refusal::WritableParent { .. })));
}

#[test]
fn every_parent_up_to_the_root_is_judged_and_named() {
    let bench = Bench::new();
    let deep = bench.path("a/b/c");
    fs::create_dir_all(deep.join("jobs")).unwrap();
    fs::copy(bench.handler("h.sh", "#!/bin/sh\n"), deep.join("jobs/h.sh")).unwrap();
    fs::set_permissions(deep.join("jobs"), fs::Permissions::from_mode(0o700)).unwrap();
    let settings = Settings { handler_directory: deep.join("jobs"), ..bench.settings.clone() };
    let verdict = || handler_runner::check(&settings, &request("h.sh"));
    verdict().unwrap();
    for parent in ["a", "a/b", "a/b/c"].map(|name| bench.path(name)) {
        for mode in [0o775, 0o757, 0o733, 0o777] {
            fs::set_permissions(&parent, fs::Permissions::from_mode(mode)).unwrap();
            let refusal = verdict().unwrap_err();
            assert!(matches!(&refusal, Refusal::WritableParent { path, .. } if *path == parent), "{refusal}");
            assert!(refusal.to_string().contains(&format!("chmod go-w {}", parent.display())), "{refusal}");
        }
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
        if can_switch("a parent of another owner") {
            std::os::unix::fs::chown(&parent, Some(65534), None).unwrap();
            let refusal = verdict().unwrap_err();
            assert!(
                matches!(&refusal, Refusal::Owner { path, found: 65534, .. } if *path == parent),
                "{refusal}"
            );
            std::os::unix::fs::chown(&parent, Some(0), None).unwrap();
        }
    }
    verdict().unwrap();
}

#[test]
fn links_in_the_way_are_followed_and_judged_like_everything_else() {
    let bench = Bench::new();
    bench.handler("h.sh", "#!/bin/sh\n");
    let link = bench.path("link");
    std::os::unix::fs::symlink(&bench.settings.handler_directory, &link).unwrap();
    let settings = Settings { handler_directory: link.clone(), ..bench.settings.clone() };
    let verdict = || handler_runner::check(&settings, &request("h.sh"));
    assert_eq!(
        verdict().unwrap().path,
        bench.settings.handler_directory.join("h.sh"),
        "what it leads to is run"
    );
    if can_switch("a link of another owner") {
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert!(matches!(verdict(), Err(Refusal::Owner { found: 65534, .. })));
    }
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("link", &link).unwrap();
    assert!(matches!(verdict(), Err(Refusal::TooManyLinks { .. })));
}

/// A hard link gives another name to one of root's files, and in `/tmp` anybody can make one.
#[test]
fn a_file_or_link_in_a_directory_of_everybody_is_refused_whoever_owns_it() {
    let bench = Bench::new();
    let handler = bench.handler("h.sh", "#!/bin/sh\n");
    let shared = bench.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(&handler, shared.join("h.sh")).unwrap();
    std::os::unix::fs::symlink(&bench.settings.handler_directory, shared.join("jobs")).unwrap();
    let own = shared.join("own");
    fs::create_dir(&own).unwrap();
    fs::hard_link(&handler, own.join("h.sh")).unwrap();
    let at = |directory: &std::path::Path| {
        let place = Place::Directory(directory.into());
        let program = Program::Handler { name: "h.sh".into(), place };
        bench.runner.check(&Request { program, ..request("h.sh") })
    };
    for directory in [shared.clone(), shared.join("jobs")] {
        let verdict = at(&directory);
        if rustix::process::geteuid().is_root() {
            assert!(matches!(verdict, Err(Refusal::SharedDirectory { .. })), "{verdict:?}");
        } else {
            assert!(matches!(verdict, Err(Refusal::WritableParent { .. })), "{verdict:?}");
        }
    }
    if can_switch("root's sticky directory") {
        at(&own).unwrap();
    }
}

#[test]
fn a_name_that_looks_like_an_option_is_a_name() {
    let bench = Bench::new();
    let path = bench.handler("-c", "#!/bin/sh\nprintf '<%s>' \"$0\" \"$@\"\n");
    let mut wanted = request("-c");
    wanted.arguments = vec!["--".into()];
    let outcome = finish(bench.runner.start(&wanted).unwrap());
    assert_eq!(outcome.stdout.tail, format!("<{}><-->", path.display()));
}

#[test]
fn a_refused_handler_never_falls_through_to_the_search_path() {
    let bench = Bench::new();
    let mut request = request("true");
    request.program = Program::Handler { name: "true".into(), place: Place::HandlerDirectoryThenPath };
    assert!(bench.runner.check(&request).unwrap().path.ends_with("bin/true"));
    let path = bench.handler("true", "#!/bin/sh\n");
    assert_eq!(bench.runner.check(&request).unwrap().path, path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o744)).unwrap();
    assert!(matches!(bench.runner.check(&request), Err(Refusal::Mode { .. })));
}

/// S1 of the reference: there it ran as root.
#[test]
fn a_user_that_does_not_exist_is_a_refusal() {
    let bench = Bench::new();
    bench.handler("h.sh", "#!/bin/sh\n");
    let mut request = request("h.sh");
    request.run_as_user = Some("no-such-user".to_owned());
    assert!(matches!(bench.runner.check(&request), Err(Refusal::UnknownUser { .. })));
    assert!(bench.runner.start(&request).is_err());
}

#[test]
fn another_user_is_switched_to_for_good_and_runs_the_very_file() {
    if !can_switch("a handler of another user") {
        return;
    }
    let bench = Bench::new();
    let script = "id -u; id -g; id -G; echo \"$HOME $USER\"; echo \"$HANDLER_PATH\"; touch \"$HANDLER_SCRATCH/x\" && echo scratch";
    let outcome = bench.run_with(script, |request| request.run_as_user = Some("nobody".to_owned()));
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.tail.lines().collect();
    assert_eq!(lines[0], "65534");
    assert!(!lines[2].split(' ').any(|group| group == "0"), "root's groups are gone: {}", lines[2]);
    assert!(lines[3].ends_with(" nobody"));
    assert!(lines[4].ends_with("jobs/handler.sh"));
    let checked = Runner::new(bench.settings.clone()).unwrap();
    let mut own = request("handler.sh");
    own.run_as_user = Some("0".to_owned());
    assert!(!checked.check(&own).unwrap().switches_user);
}

#[test]
fn a_command_is_found_in_the_search_path_only() {
    let bench = Bench::new();
    let mut command = request("x");
    command.program = Program::Command { program: "echo".into() };
    command.arguments = vec!["hello".into()];
    let outcome = finish(bench.runner.start(&command).unwrap());
    assert_eq!(outcome.stdout.tail, "hello\n");
    bench.handler("only-here", "#!/bin/sh\n");
    command.program = Program::Command { program: "only-here".into() };
    assert!(matches!(bench.runner.check(&command), Err(Refusal::NotFound { .. })));
}
