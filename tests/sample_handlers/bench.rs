//! One device for a handler: its tools are stand-ins, its `/proc` and its init scripts are files of the test.

use std::cell::Cell;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testkit::StandIns;

/// The shells that call themselves `sh` on the systems that the handlers are for: Debian; Alpine and OpenWrt; Red Hat.
const SHELLS: [&[&str]; 3] = [&["/bin/dash"], &["/bin/busybox", "sh"], &["/bin/bash", "--posix"]];

thread_local! {
    static SHELL: Cell<&'static [&'static str]> = const { Cell::new(SHELLS[0]) };
}

/// Runs a test once with each shell.
pub(crate) fn in_every_shell(test: impl Fn()) {
    for shell in SHELLS {
        if Path::new(shell[0]).exists() {
            eprintln!("with {}", shell.join(" "));
            SHELL.set(shell);
            test();
        } else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{} is not installed", shell[0]);
            eprintln!("SKIPPED: {} is not installed", shell[0]);
        }
    }
}

pub(crate) struct Bench {
    tools: StandIns,
}

impl Bench {
    /// Stand-ins that end well and do nothing.
    pub(crate) fn with(tools: &[&str]) -> Self {
        let bench = Self { tools: StandIns::new() };
        fs::create_dir(bench.files()).unwrap();
        bench.proc("sys/kernel/random/boot_id", "11111111-1111-4111-8111-111111111111\n");
        for tool in tools {
            bench.tool(tool, "");
        }
        bench
    }

    pub(crate) fn healthy() -> Self {
        let bench = Self::with(&[]);
        bench.tools.healthy_device();
        bench
    }

    pub(crate) fn tool(&self, name: &str, body: &str) {
        self.tools.tool(name, body);
    }

    pub(crate) fn real_tool(&self, name: &str, of: &str) {
        self.tools.real_tool(name, of);
    }

    pub(crate) fn script(&self, path: &str, body: &str) {
        self.tools.script(path, body);
    }

    pub(crate) fn df(&self, used: &str) {
        self.tool("df", &format!("echo 'Filesystem 1024-blocks Used'; echo '/dev/root 100 90 10 {used} /'"));
    }

    pub(crate) fn proc(&self, name: &str, text: &str) {
        self.tools.file(&format!("proc/{name}"), text);
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.tools.path().join("files")
    }

    /// What is in the directory for files, hidden files included.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.files())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.tools.calls()
    }

    pub(crate) fn run(&self, handler: &str, arguments: &[&str]) -> Output {
        self.run_with(handler, &[], arguments)
    }

    /// As a step of a document runs it: the user comes first.
    pub(crate) fn run_as_step(&self, handler: &str, user: &str, arguments: &[&str]) -> Output {
        let arguments: Vec<_> = [user].iter().chain(arguments).copied().collect();
        self.run_with(handler, &[("USER_ARGUMENT", "1")], &arguments)
    }

    pub(crate) fn run_with(&self, handler: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let [shell, before @ ..] = SHELL.get() else { panic!("a shell has a name") };
        let output = Command::new(shell)
            .args(before)
            .arg(crate::root().join("sample-job-handlers").join(handler))
            .args(arguments)
            .env_clear()
            .env("PATH", self.tools.bin())
            .env("INIT_DIRECTORY", self.tools.path().join("init.d"))
            .env("PROC_DIRECTORY", self.tools.path().join("proc"))
            .envs(environment.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), None, "{handler}: {output:?}");
        output
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
