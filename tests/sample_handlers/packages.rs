//! Packages: installed, removed, and looked for, with each package manager.

use crate::bench::{Bench, in_every_shell, stderr, stdout};

const APT: &str = "apt-get <-q> <-y> <-o> <DPkg::Lock::Timeout=300>";
const FORCE: &str = "<-o> <Dpkg::Options::=--force-confdef> <-o> <Dpkg::Options::=--force-confold>";

#[test]
fn packages_are_installed_and_removed_with_each_package_manager() {
    in_every_shell(|| {
        let rows = [
            (
                "install-packages.sh",
                "apt-get",
                vec!["apt-get <-q> <update>".to_owned(), format!("{APT} {FORCE} <install> <tree> <git>")],
            ),
            ("install-packages.sh", "dnf", vec!["dnf <-y> <install> <tree> <git>".into()]),
            (
                "install-packages.sh",
                "yum",
                vec!["yum <-y> <--setopt=skip_missing_names_on_install=False> <install> <tree> <git>".into()],
            ),
            ("install-packages.sh", "apk", vec!["apk <add> <--update-cache> <tree> <git>".into()]),
            (
                "install-packages.sh",
                "opkg",
                vec!["opkg <update>".into(), "opkg <install> <tree> <git>".into()],
            ),
            ("remove-packages.sh", "apt-get", vec![format!("{APT} <--purge> <remove> <tree> <git>")]),
            ("remove-packages.sh", "dnf", vec!["dnf <-y> <remove> <tree> <git>".into()]),
            ("remove-packages.sh", "yum", vec!["yum <-y> <remove> <tree> <git>".into()]),
            (
                "remove-packages.sh",
                "apk",
                vec![
                    "apk <del> <tree> <git>".into(),
                    "apk <info> <-e> <tree>".into(),
                    "apk <info> <-e> <git>".into(),
                ],
            ),
            (
                "remove-packages.sh",
                "opkg",
                vec![
                    "opkg <remove> <tree> <git>".into(),
                    "opkg <status> <tree>".into(),
                    "opkg <status> <git>".into(),
                ],
            ),
        ];
        for (handler, manager, calls) in rows {
            for arguments in [&["tree git"][..], &["tree", "git"]] {
                let bench = Bench::with(&[manager]);
                if manager == "apk" {
                    bench.tool("apk", "[ \"$1\" != info ]");
                }
                let output = bench.run(handler, arguments);
                assert!(output.status.success(), "{handler} {manager}: {output:?}");
                assert_eq!(bench.calls(), calls, "{handler} {manager} {arguments:?}");
                bench.tool(manager, "exit 7");
                assert_eq!(bench.run(handler, arguments).status.code(), Some(7), "{handler} {manager}");
            }
        }
    });
}

#[test]
fn nothing_is_installed_if_the_lists_cannot_be_updated() {
    in_every_shell(|| {
        for manager in ["apt-get", "opkg"] {
            let bench = Bench::with(&[]);
            bench.tool(manager, "case \"$*\" in *update) exit 100 ;; esac");
            assert_eq!(bench.run("install-packages.sh", &["tree"]).status.code(), Some(100));
            assert_eq!(bench.calls().len(), 1, "{:?}", bench.calls());
        }
    });
}

#[test]
fn no_name_turns_an_installation_into_a_removal_or_the_other_way_round() {
    in_every_shell(|| {
        let bench = Bench::with(&["apt-get"]);
        assert_eq!(bench.run("install-packages.sh", &["tree-"]).status.code(), Some(1));
        bench.tool("dpkg-query", "exit 1");
        assert_eq!(bench.run("remove-packages.sh", &["tree+"]).status.code(), Some(1));
        assert_eq!(bench.calls(), ["dpkg-query <-W> <tree+>"]);
        bench.tool("dpkg-query", "");
        assert!(bench.run("remove-packages.sh", &["g++"]).status.success());
    });
}

/// A package manager, its database, and what that says of a package that is installed, not there, or unclear.
const DATABASES: [(&str, &str, &str, &str, &str); 5] = [
    ("apt-get", "dpkg-query", "echo 'hold ok installed'", "echo 'deinstall ok config-files'", "exit 2"),
    (
        "dnf",
        "rpm",
        "echo tree-2.1",
        "echo \"package $2 is not installed\"; exit 1",
        "echo 'error: no db'; exit 1",
    ),
    (
        "yum",
        "rpm",
        "echo tree-2.1",
        "echo \"package $2 is not installed\"; exit 1",
        "echo 'error: no db'; exit 1",
    ),
    ("apk", "apk", "echo \"$3\"", "exit 1", "echo 'ERROR: no db' >&2; exit 1"),
    (
        "opkg",
        "opkg",
        "printf 'Package: tree\\nStatus: install user installed\\n'",
        "printf 'Package: tree\\nStatus: unknown ok not-installed\\n'",
        "exit 255",
    ),
];

#[test]
fn what_is_installed_is_told_from_what_is_not_and_from_what_nobody_knows() {
    in_every_shell(|| {
        for (manager, database, there, gone, unclear) in DATABASES {
            for (answer, installed, removed) in [(there, 0, 1), (gone, 1, 0), (unclear, 1, 1)] {
                let bench = Bench::with(&[manager]);
                bench.tool(database, answer);
                for (handler, code) in
                    [("verify-packages-installed.sh", installed), ("verify-packages-removed.sh", removed)]
                {
                    let output = bench.run(handler, &["tree git"]);
                    assert_eq!(output.status.code(), Some(code), "{handler} {database} {answer}: {output:?}");
                }
            }
        }
    });
}

#[test]
fn a_package_that_is_not_known_is_removed_and_one_that_is_half_there_is_neither() {
    in_every_shell(|| {
        let bench = Bench::with(&["apt-get", "opkg"]);
        bench.tool("dpkg-query", "exit 1");
        assert!(bench.run("verify-packages-removed.sh", &["tree"]).status.success());
        bench.tool("dpkg-query", "echo 'install ok half-configured'");
        for handler in ["verify-packages-removed.sh", "verify-packages-installed.sh"] {
            let output = bench.run(handler, &["tree"]);
            assert_eq!(stderr(&output), "tree is broken: install ok half-configured\n", "{output:?}");
            assert_eq!(output.status.code(), Some(1));
        }
        let bench = Bench::with(&["opkg"]);
        assert!(bench.run("verify-packages-removed.sh", &["tree"]).status.success());
        assert!(!bench.run("verify-packages-installed.sh", &["tree"]).status.success());
    });
}

#[test]
fn every_package_that_is_in_the_wrong_state_is_named() {
    in_every_shell(|| {
        let bench = Bench::with(&["apt-get"]);
        bench.tool("dpkg-query", "case \"$3\" in git) echo 'install ok installed' ;; *) exit 1 ;; esac");
        let output = bench.run("verify-packages-installed.sh", &["tree", "git", "lftp"]);
        assert_eq!(stderr(&output), "tree is not installed\nlftp is not installed\n");
        assert_eq!(stdout(&output), "git is installed\n");
    });
}

#[test]
fn a_package_that_another_one_holds_is_not_removed_whatever_the_tool_says() {
    in_every_shell(|| {
        for (manager, answer) in [
            ("apk", "[ \"$1 $3\" != 'info tree' ]"),
            ("opkg", "[ \"$1 $2\" != 'status git' ] || printf 'Status: install user installed\\n'"),
        ] {
            let bench = Bench::with(&[]);
            bench.tool(manager, answer);
            let output = bench.run("remove-packages.sh", &["tree git"]);
            assert_eq!(output.status.code(), Some(1), "{manager}: {output:?}");
            assert!(
                stderr(&output).ends_with(" is still installed: another package needs it\n"),
                "{output:?}"
            );
        }
    });
}
