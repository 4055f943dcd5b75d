//! The sandbox as a person and as a script use it, against the local service.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod mistakes;
mod one_shot;
mod session;
mod terminal;
mod transcript;
mod walk_through;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use testkit::{Board, Desk};

/// The thing of all tests.
const THING: &str = "sand-1";

/// A service and the files of one device of it.
struct Place {
    desk: Desk,
    board: Board,
}

impl Place {
    /// With the thing in the registry.
    fn new() -> Self {
        Self::with_things(&[THING])
    }

    /// With these things in the registry; the device's certificate is for [`THING`].
    fn with_things(things: &[&str]) -> Self {
        let desk = Desk::start(things);
        let board = Board::new(&desk, THING);
        Self { desk, board }
    }

    /// The program, with all that it needs to know.
    fn sandbox<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = bare_sandbox();
        command
            .arg("--config-file")
            .arg(self.board.path())
            .env("AWS_ENDPOINT_URL_IOT", self.desk.http())
            .env("HOME", self.board.path())
            .args(arguments);
        command
    }

    /// Runs one command to its end.
    fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.sandbox(arguments))
    }
}

/// The program, in an environment with nothing in it.
fn bare_sandbox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleethand-sandbox"));
    // Of no use to plain HTTP, and enough for a client that signs.
    command
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", "us-east-1")
        // Nobody is asked for credentials over the network.
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Waits until a program has ended.
fn ending(child: &mut Child) -> ExitStatus {
    let child = RefCell::new(child);
    testkit::eventually(
        "the program's end",
        || "it runs".to_owned(),
        || child.borrow_mut().try_wait().unwrap(),
    )
}

/// What one command has left.
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    fn of(command: &mut Command) -> Self {
        let output: Output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one line of JSON of a command that has succeeded and has nothing else to say.
    fn json(&self) -> Value {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    /// The one line in which a command that has failed says why.
    fn error(&self, code: i32) -> &str {
        assert_eq!((self.code, &*self.out), (code, ""), "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err.trim_end().strip_prefix("error: ").unwrap()
    }
}
