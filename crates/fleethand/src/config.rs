//! The configuration: found, read, put together, judged. [`load`] is the whole of it for the daemon; the
//! modules below each do one part. Nothing here logs: what there is to say is handed back, because how and
//! where to log is itself in the configuration.

mod checked;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod layers;
mod raw;
mod remark;
mod rules;
mod text;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) use checked::{Config, Jobs, Logging};
pub(crate) use facts::Surroundings;
pub(crate) use layers::MergeError;
use raw::RawRuntime;
pub(crate) use raw::{Foreign, RawConfig, RawJobs, RawLogging};
pub(crate) use remark::Remark;
pub(crate) use text::TextError;
use text::{Mistyped, Tracked};

/// The longest configuration file that is read, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// Where the Device Client keeps its files, below the home directory.
const THEIR_DIRECTORY: &str = ".aws-iot-device-client";

/// What the command line has to say about the configuration.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// `--config-file`.
    pub(crate) file: Option<PathBuf>,
    /// `--http-proxy-config`.
    pub(crate) proxy_file: Option<PathBuf>,
    /// Every other flag, as the key it stands for.
    pub(crate) keys: RawConfig,
    /// Flags that were given and mean nothing here.
    pub(crate) ignored: Vec<String>,
    /// Values that cannot have been meant.
    pub(crate) faults: Vec<Remark>,
}

/// A configuration that the daemon can start with, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file it was read from, if there was one.
    pub(crate) file: Option<PathBuf>,
    /// The file of fleet provisioning, if what it has left wins.
    pub(crate) provisioned: Option<PathBuf>,
    /// Features that are not here.
    pub(crate) notices: Vec<Remark>,
    /// Mistakes that do not keep the daemon from starting.
    pub(crate) faults: Vec<Remark>,
}

/// Why there is no configuration to start with. Every one of these ends with exit code 78.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read; one that was named must be there.
    #[error("cannot read {path}", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Nobody writes such a long one.
    #[error("{path} is longer than {LONGEST_FILE} bytes", path = path.display())]
    TooLong { path: PathBuf },
    /// The file is not what it should be.
    #[error("{path}", path = path.display())]
    Text {
        path: PathBuf,
        #[source]
        source: TextError,
    },
    /// Never seen.
    #[error("the configuration cannot be put together")]
    Layers(#[source] MergeError),
    /// Values that cannot be believed: all of them. `faults` and `notices` come along, for one reading.
    #[error("{} in the configuration", count(complaints.len()))]
    Complaints { complaints: Vec<Remark>, faults: Vec<Remark>, notices: Vec<Remark> },
}

fn count(complaints: usize) -> String {
    if complaints == 1 { "1 mistake".to_owned() } else { format!("{complaints} mistakes") }
}

/// Finds, reads and judges the configuration.
pub(crate) fn load(flags: &Flags, surroundings: &Surroundings) -> Result<Loaded, ConfigError> {
    let mut faults = flags.faults.clone();
    let mut mistyped = Vec::new();
    let places = places(surroundings);
    let named = flags.file.as_deref().map(|file| at_home(file, surroundings));
    let file = named.or_else(|| places.iter().find(|place| place.exists()).cloned());
    let written = match &file {
        Some(path) => {
            faults.extend(rules::changeable("--config-file", path, surroundings));
            read(path)?
        }
        None => Tracked::default(),
    };
    let runtime = surroundings.home.as_ref().map(|home| home.join(THEIR_DIRECTORY).join(RUNTIME_FILE));
    let runtime = runtime.filter(|path| path.exists());
    let provisioned = match &runtime {
        Some(path) => {
            let tracked = read(path)?;
            mistyped
                .extend(tracked.mistyped.into_iter().filter(|each| each.key.starts_with("runtime-config")));
            tracked.value.runtime_config
        }
        None => None,
    };
    let runtime = runtime.filter(|_| provisioned.as_ref().is_some_and(RawRuntime::is_complete));
    let merged = layers::merge(&written.value, std::env::vars_os(), &flags.keys, provisioned.as_ref())
        .map_err(ConfigError::Layers)?;
    let source = file.as_ref().map_or_else(String::new, |file| file.display().to_string());
    faults.extend(written.unknown.iter().map(|key| unknown_key(key, &source)));
    let variables = merged.unknown.iter().map(|key| layers::variable(key));
    faults.extend(variables.map(|variable| unknown_key(&variable, "the environment")));
    faults.extend(written.doubled.iter().map(|key| twice(key)));
    mistyped.extend(written.mistyped);
    let (tolerated, wrong): (Vec<_>, Vec<_>) = mistyped.iter().partition(|each| may_be_mistyped(&each.key));
    faults.extend(tolerated.into_iter().map(|each| of_wrong_type(each, &each.key)));
    let (tolerated, wrong_variables): (Vec<_>, Vec<_>) =
        merged.mistyped.iter().partition(|each| may_be_mistyped(&each.key));
    faults.extend(tolerated.into_iter().map(|each| of_wrong_type(each, &layers::variable(&each.key))));
    let mut complaints: Vec<_> = wrong.iter().map(|each| of_wrong_type(each, &each.key)).collect();
    complaints.extend(wrong_variables.iter().map(|each| of_wrong_type(each, &layers::variable(&each.key))));
    let mut judgement = checked::judge(&merged.value, surroundings);
    judgement.notices.extend(
        flags.ignored.iter().map(|flag| {
            Remark::new(flag, "this flag belongs to a feature that is not here", "it is ignored")
        }),
    );
    faults.append(&mut judgement.faults);
    let proxy = enabled_proxy(flags, surroundings)?;
    let config = match judgement.config {
        Ok(config) if complaints.is_empty() && proxy.is_none() => config,
        outcome => {
            // What was taken out for its type need not be missed as well.
            let taken_out = |key: &str| {
                let beneath = |taken: &str| {
                    key.strip_prefix(taken)
                        .is_some_and(|rest| matches!(rest.chars().next(), None | Some('.')))
                };
                wrong.iter().chain(&wrong_variables).any(|each| beneath(&each.key))
            };
            complaints
                .extend(outcome.err().unwrap_or_default().into_iter().filter(|each| !taken_out(&each.key)));
            complaints.extend(proxy);
            if file.is_none() {
                complaints.push(no_file(&places));
            }
            return Err(ConfigError::Complaints { complaints, faults, notices: judgement.notices });
        }
    };
    Ok(Loaded { config, file, provisioned: runtime, notices: judgement.notices, faults })
}

const RUNTIME_FILE: &str = "aws-iot-device-client-runtime.conf";
const PROXY_FILE: &str = "http-proxy.conf";
const THEIR_FILE: &str = "aws-iot-device-client.conf";

/// Where the file is looked for if none is named, in this order: ours, then the Device Client's.
fn places(surroundings: &Surroundings) -> Vec<PathBuf> {
    let directory = std::env::var_os("CONFIGURATION_DIRECTORY");
    // systemd joins several with colons; ours is the first.
    let directory = directory.as_deref().and_then(|list| std::env::split_paths(list).next());
    directory
        .map(|directory| directory.join("fleethand.conf"))
        .into_iter()
        .chain([PathBuf::from("/etc/fleethand/fleethand.conf")])
        .chain(surroundings.home.as_ref().map(|home| home.join(THEIR_DIRECTORY).join(THEIR_FILE)))
        .chain([Path::new("/etc").join(THEIR_DIRECTORY).join(THEIR_FILE)])
        .collect()
}

fn no_file(places: &[PathBuf]) -> Remark {
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    let what = format!("no configuration file was found (looked for: {})", places.join(", "));
    Remark::new("--config-file", what, "name the file")
}

fn unknown_key(key: &str, source: &str) -> Remark {
    Remark::new(key, format!("no such key is known (in {source})"), "correct its spelling or remove it")
}

fn twice(key: &str) -> Remark {
    Remark::new(key, "is there twice, and the first one counts", "remove one of them")
}

/// A word of a wrong type about the log, or in what fleet provisioning has left, keeps no board from working, as it
/// keeps no Device Client.
fn may_be_mistyped(key: &str) -> bool {
    ["logging", "runtime-config"].iter().any(|section| key.split('.').next() == Some(section))
}

fn of_wrong_type(each: &Mistyped, name: &str) -> Remark {
    let mut mend = each.wanted.mend().to_owned();
    if may_be_mistyped(&each.key) {
        mend.push_str("; until then it counts as absent");
    }
    Remark::new(name, format!("is {}, wanted {}", each.found, each.wanted.in_words()), mend)
}

fn read(path: &Path) -> Result<Tracked, ConfigError> {
    let text = text_of(path)?;
    text::parse(&text).map_err(|source| ConfigError::Text { path: path.to_owned(), source })
}

/// `~/x` where no shell has replaced the `~`, as in a unit of systemd.
fn at_home(path: &Path, surroundings: &Surroundings) -> PathBuf {
    match (path.strip_prefix("~"), &surroundings.home) {
        (Ok(rest), Some(home)) => home.join(rest),
        (Ok(_) | Err(_), _) => path.to_owned(),
    }
}

/// The text of a file, read no further than the limit.
fn text_of(path: &Path) -> Result<String, ConfigError> {
    let failed = |source: io::Error| {
        let text = source.kind() == io::ErrorKind::InvalidData;
        let source = if text { io::Error::new(source.kind(), "its text is not UTF-8") } else { source };
        ConfigError::Read { path: path.to_owned(), source }
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text));
    if read.map_err(failed)? as u64 > LONGEST_FILE {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    // Old versions of the Device Client have ended their runtime file so.
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}

/// The Device Client keeps its proxy in a file of its own. One that is switched on would have to be used.
fn enabled_proxy(flags: &Flags, surroundings: &Surroundings) -> Result<Option<Remark>, ConfigError> {
    let theirs = || surroundings.home.as_ref().map(|home| home.join(THEIR_DIRECTORY).join(PROXY_FILE));
    let named = flags.proxy_file.as_deref().map(|file| at_home(file, surroundings));
    let Some(path) = named.or_else(|| theirs().filter(|path| path.exists())) else { return Ok(None) };
    let text = text_of(&path)?;
    // As a value of any shape, since a complaint about a type would quote what it has found: this file holds a password.
    let proxy: serde_json::Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|source| ConfigError::Text { path: path.clone(), source: source.into() })?;
    let enabled = proxy.get("http-proxy-enabled") == Some(&serde_json::Value::Bool(true));
    Ok(enabled.then(|| {
        let what = format!("{} asks for a proxy, and this agent connects directly", path.display());
        Remark::new("http-proxy-enabled", what, "set it to false there, or remove the file")
    }))
}
