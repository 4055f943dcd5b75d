//! `fleethand check-config`: says what is understood of the configuration and what is not. What only warns when
//! the daemon starts is a mistake here, so that it is found at a desk. Starts nothing and connects nowhere.

use std::io::{self, Write};

use handler_runner::{Allowed, shell_word};

use crate::chain::Chain;
use crate::config::{self, ConfigError, Flags, Loaded, Logging, Remark, Surroundings};
use crate::exit::Exit;
use crate::handlers;
use crate::link::{self, LinkError};

/// Checks and writes the report, one line for each finding.
pub(crate) fn check_config(flags: &Flags, out: &mut impl Write) -> io::Result<Result<(), Exit>> {
    let (errors, notices) = match config::load(flags, &Surroundings::of_this_process()) {
        Ok(loaded) => {
            describe(&loaded, out)?;
            let mut errors = loaded.faults;
            errors.extend(link::credentials(&loaded.config).err().map(|error| unusable(&error)));
            errors.extend(log_file(&loaded.config.logging));
            errors.extend(handlers::faults(&loaded.config.jobs));
            (errors, loaded.notices)
        }
        Err(ConfigError::Complaints { mut complaints, faults, notices }) => {
            complaints.extend(faults);
            (complaints, notices)
        }
        Err(error) => {
            writeln!(out, "error: {}", Chain(&error))?;
            return Ok(Err(Exit::Config));
        }
    };
    let mut lines = |word: &str, remarks: &[Remark]| {
        remarks.iter().try_for_each(|remark| writeln!(out, "{word}: {remark}"))
    };
    lines("warning", &notices)?;
    lines("error", &errors)?;
    if errors.is_empty() {
        writeln!(out, "the configuration is good")?;
        return Ok(Ok(()));
    }
    Ok(Err(Exit::Config))
}

/// A log file that could not be opened: the daemon would start, and log to where it would without the file.
fn log_file(logging: &Logging) -> Option<Remark> {
    let file = logging.file.as_deref()?;
    let remark = |what: String, mend: String| {
        Some(Remark::new("logging.file", what, format!("{mend}; until then the log goes to standard error")))
    };
    let directory = file.parent().unwrap_or(file);
    if !directory.exists() {
        return remark(
            format!("its directory {} does not exist", directory.display()),
            format!("run: mkdir -p -m 755 {}", shell_word(directory)),
        );
    }
    if file.exists() && !file.is_file() {
        return remark(format!("{} is no regular file", file.display()), "name a file".to_owned());
    }
    None
}

/// The file is named in the text, with its mend.
fn unusable(error: &LinkError) -> Remark {
    let key = match error {
        LinkError::Tls(_) => "cert, key, root-ca",
        LinkError::Settings(_) => "endpoint, port, thing-name",
    };
    Remark::new(key, Chain(error).to_string(), "the daemon would not start with that")
}

fn describe(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    let config = &loaded.config;
    match &loaded.file {
        Some(file) => writeln!(out, "read {}", file.display())?,
        None => writeln!(out, "read no file")?,
    }
    if let Some(provisioned) = &loaded.provisioned {
        let path = provisioned.display();
        writeln!(out, "cert, key and thing-name are those that fleet provisioning has left in {path}")?;
    }
    let other =
        config.other_port.map_or_else(String::new, |port| format!(", or {port} where that leads nowhere"));
    writeln!(out, "thing {} at {} port {}{other}", config.thing_name, config.endpoint, config.port)?;
    writeln!(out, "certificate {}, key {}", config.cert.display(), config.key.display())?;
    let authorities = config.root_ca.as_ref().map(|path| format!("in {}", path.display()));
    writeln!(out, "trusted authorities {}", authorities.unwrap_or_else(|| "of the system".to_owned()))?;
    let place = config.logging.file.as_ref().map(|path| path.display().to_string());
    let place = place.unwrap_or_else(|| "the journal or standard error".to_owned());
    writeln!(out, "log level {} to {place}", config.logging.level.to_string().to_ascii_uppercase())?;
    if !config.jobs.enabled {
        return writeln!(out, "jobs are switched off: none will be taken");
    }
    writeln!(out, "handlers in {}", config.jobs.handler_directory.display())?;
    let Allowed { users, directories, commands } = &config.jobs.allowed;
    let users = listed(users.as_deref(), "user", "users", " but the agent's own");
    let directories: Option<Vec<String>> = directories
        .as_ref()
        .map(|directories| directories.iter().map(|each| each.display().to_string()).collect());
    let directories = listed(directories.as_deref(), "directory", "directories", " but the handlers' own");
    let commands = if *commands { "commands too" } else { "no commands" };
    writeln!(out, "documents may name {users}, {directories}; {commands}")?;
    let limit = config.jobs.step_timeout.as_secs();
    writeln!(out, "a step has {limit} s unless its handler has a limit of its own")
}

/// What documents may name, in words.
fn listed(list: Option<&[String]>, one: &str, several: &str, but: &str) -> String {
    match list {
        None => format!("any {one}"),
        Some([]) => format!("no {one}{but}"),
        Some(list) => format!("no {several}{but} and {}", list.join(", ")),
    }
}
