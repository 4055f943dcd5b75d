//! `cargo xtask tutorial`: the commands of `docs/tutorial.md`, one block after the other, in a directory that is gone
//! afterwards. What differs from what a reader does: programs of the debug build, and free ports.

mod page;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::cargo::{self, root};
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::process::{Process, adopt_orphans, end_orphans};
use crate::scene::addresses;

use page::{Block, Kind, blocks, missing};

/// How long the lines of a block may let wait for themselves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the tutorial. Fails at the first block that does not do what the page says.
pub(crate) fn run(interrupt: &Interrupt) -> Result<(), TaskError> {
    let path = root().join("docs/tutorial.md");
    let page = fs::read_to_string(&path).map_err(TaskError::io(format!("read {}", path.display())))?;
    let blocks =
        blocks(&page).map_err(|line| trouble(line, "a block that is neither run nor compared", ""))?;
    println!("Building fleethand, fleethand-local and fleethand-sandbox");
    let programs = cargo::build_for_a_desk()?;
    adopt_orphans()?;
    let outcome = Terminals::new(&programs).and_then(|mut terminals| terminals.play(&blocks, interrupt));
    // Handlers run on by design when their agent ends.
    outcome.and(end_orphans())
}

/// What a reader has in front of them.
struct Terminals {
    /// What runs in the background; stopped before the directory goes.
    background: Vec<Process>,
    /// What in a command or in its output is another thing here.
    replacements: Vec<(String, String)>,
    directory: TempDir,
}

impl Terminals {
    fn new(programs: &Path) -> Result<Self, TaskError> {
        let directory =
            TempDir::with_prefix("fleethand-").map_err(TaskError::io("make a temporary directory"))?;
        let desk = directory.path().join("desk").display().to_string();
        let replacements = vec![
            ("~/desk".to_owned(), desk.clone()),
            ("$HOME/desk".to_owned(), desk),
            ("$PWD/target/release".to_owned(), programs.display().to_string()),
        ];
        Ok(Self { background: Vec::new(), replacements, directory })
    }

    fn play(&mut self, blocks: &[Block], interrupt: &Interrupt) -> Result<(), TaskError> {
        let mut at = blocks.iter().peekable();
        while let Some(block) = at.next() {
            interrupt.check()?;
            let wanted = at.next_if(|next| next.kind == Kind::Printed).map_or("", |next| next.text.as_str());
            match block.kind {
                Kind::Run => self.run(block, wanted, interrupt)?,
                Kind::Background => self.start(block, wanted, interrupt)?,
                Kind::End => {
                    self.background.clear();
                    self.run(block, wanted, interrupt)?;
                }
                Kind::Skip => {}
                Kind::Printed => {
                    return Err(trouble(block.line, "nothing was run that could print this", ""));
                }
            }
        }
        Ok(())
    }

    /// Runs a block to its end. One that only looks may look again until it sees what the page shows.
    fn run(&self, block: &Block, wanted: &str, interrupt: &Interrupt) -> Result<(), TaskError> {
        println!("\nline {}\n{}", block.line, block.text.trim_end());
        let looks =
            ["aws iot describe-", "curl --silent http"].iter().any(|start| block.text.starts_with(start));
        let wanted = self.as_here(wanted);
        let mut printed = String::new();
        let patience = if looks { PATIENCE } else { Duration::ZERO };
        let done = interrupt.until(patience, || {
            printed = self.bash(block)?;
            Ok(missing(&wanted, &printed).is_none().then_some(()))
        })?;
        match (done, missing(&wanted, &printed)) {
            (None, Some(line)) => {
                Err(trouble(block.line, &format!("no line like `{line}` was printed"), &printed))
            }
            _ => Ok(()),
        }
    }

    /// Hands a block to bash, which goes on where the block before it has ended, and returns all that is printed.
    fn bash(&self, block: &Block) -> Result<String, TaskError> {
        let saved = self.directory.path().join("environment");
        let saved = saved.display();
        let script = format!(
            "set -eu; exec 2>&1; [ ! -e {saved} ] || . {saved}\n{}export -p >{saved}\n",
            self.as_here(&block.text)
        );
        let output = shell(&script)
            // What the user of this machine has set for the AWS CLI is of no use here.
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", "")
            .output()
            .map_err(TaskError::io("start bash"))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(printed)
        } else {
            Err(trouble(block.line, &format!("failed ({})", output.status), &printed))
        }
    }

    /// Starts a block that is one command, and waits for what the page shows of its output.
    fn start(&mut self, block: &Block, wanted: &str, interrupt: &Interrupt) -> Result<(), TaskError> {
        println!("\nline {}, in a terminal of its own\n{}", block.line, block.text.trim_end());
        let command = self.as_here(block.text.trim_end());
        let log = self.directory.path().join(format!("log-{}", block.line));
        let path = self.replacements.last().expect("the programs are there").1.clone();
        let script = format!("export PATH=\"{path}:$PATH\"; exec env {command}");
        if command.starts_with("fleethand-local serve ") {
            let script = format!("{script} --mqtt 127.0.0.1:0 --http 127.0.0.1:0");
            let mut service = Process::start("fleethand-local", shell(&script).stdout(Stdio::piped()), &log)?;
            let (mqtt, http) = addresses(&mut service, interrupt)?;
            self.background.push(service);
            return self.move_to(mqtt, &http);
        }
        let agent = Process::start("fleethand", shell(&script).stdout(Stdio::null()), &log)?;
        self.background.push(agent);
        let mut printed = String::new();
        let seen = interrupt.until(PATIENCE, || {
            self.background.iter_mut().try_for_each(Process::check)?;
            printed = fs::read_to_string(&log).map_err(TaskError::io("read the agent's log"))?;
            Ok(missing(wanted, &printed).is_none().then_some(()))
        })?;
        seen.ok_or_else(|| trouble(block.line, "has not printed what the page shows", &printed))
    }

    /// The service has taken free ports: the agent's configuration and everything to come is about those.
    fn move_to(&mut self, mqtt: u16, http: &str) -> Result<(), TaskError> {
        let path = self.directory.path().join("desk/agent/fleethand.conf");
        let failed = || TaskError::io(format!("change {}", path.display()));
        let text = fs::read_to_string(&path).map_err(failed())?;
        fs::write(&path, text.replace("8883", &mqtt.to_string())).map_err(failed())?;
        self.replacements.insert(0, ("http://127.0.0.1:8080".to_owned(), http.to_owned()));
        Ok(())
    }

    fn as_here(&self, text: &str) -> String {
        self.replacements.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(root()).stdin(Stdio::null());
    for name in
        ["NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY"]
    {
        command.env_remove(name);
    }
    command
}

fn trouble(line: usize, problem: &str, output: &str) -> TaskError {
    TaskError::Tutorial { line, problem: problem.to_owned(), output: output.to_owned() }
}
