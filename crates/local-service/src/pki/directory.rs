//! `init`: authority, server certificate, a device and its ready agent configuration, as files.
//!
//! ```text
//! DIR/ca.pem  ca.key  server.pem  server.key
//! DIR/agent/  fleethand.conf  device.pem  device.key  root-ca.pem  jobs/     the first thing
//! DIR/things/NAME/  the same                                                 every further one
//! ```
//! What is there is never written again. Keys have mode 600, certificates 644, directories 700: what agents demand.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jobs_protocol::ThingName;
use serde_json::{Value, json};

use super::authority::{Authority, Identity, PkiError, Validity};

const CONFIGURATION: &str = "fleethand.conf";
const DEFAULT_THING: &str = "desk";
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// What `init` is asked for.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The directory; it is made if it is not there.
    pub directory: PathBuf,
    /// The thing that gets a certificate and a configuration; `None` is the directory's first one, or `desk`.
    pub thing: Option<ThingName>,
    /// Further names or addresses of the server, besides localhost, 127.0.0.1 and `::1`.
    pub hosts: Vec<String>,
    /// The port that the agent's configuration names.
    pub port: u16,
}

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was made.
    Made,
    /// It was there and is as it was.
    Kept,
}

/// What `init` has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Every file, in the order of making.
    pub files: Vec<(PathBuf, Found)>,
    /// The configuration to start an agent with.
    pub configuration: PathBuf,
}

/// Why `init` has not finished.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file or directory could not be made or read.
    #[error("cannot {deed} {path}")]
    File {
        /// What was tried.
        deed: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make certificates")]
    Pki(#[from] PkiError),
    /// Of a certificate and its key only one is there.
    #[error("{path} is there, but what belongs to it is not: remove it, or bring the other back")]
    Half {
        /// The one that is there.
        path: PathBuf,
    },
    /// An agent configuration is there and names no thing.
    #[error("{path} is no agent configuration with a thing-name")]
    Configuration {
        /// The file.
        path: PathBuf,
    },
}

/// The files that `serve` needs.
#[derive(Debug)]
pub(crate) struct ServerFiles {
    pub(crate) authority: String,
    /// The authority's key, if it is there.
    pub(crate) authority_key: Option<String>,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Makes what is missing in the directory for this thing.
pub fn init(options: &InitOptions) -> Result<Report, InitError> {
    make_directory(&options.directory)?;
    let directory = on("find", &options.directory, fs::canonicalize)?;
    let mut files = Vec::new();

    let authority = if let Some(identity) = pair(&directory, "ca")? {
        note_pair(&mut files, &directory, "ca", Found::Kept);
        Authority::load(identity)?
    } else {
        let authority = Authority::new()?;
        write_pair(&directory, "ca", &authority.identity())?;
        note_pair(&mut files, &directory, "ca", Found::Made);
        authority
    };
    let mut hosts = vec!["localhost", "127.0.0.1", "::1"];
    hosts.extend(options.hosts.iter().map(String::as_str));
    made_if_missing(&mut files, &directory, "server", || authority.server(&hosts, Validity::Long))?;

    let first = directory.join("agent");
    let resident = thing_in(&first)?;
    let thing = options.thing.as_ref().or(resident.as_ref()).map_or(DEFAULT_THING, ThingName::as_str);
    let home = match &resident {
        Some(other) if other.as_str() != thing => directory.join("things").join(thing),
        Some(_) | None => first,
    };
    let handlers = home.join("jobs");
    make_directory(&handlers)?;
    made_if_missing(&mut files, &home, "device", || authority.device(thing, Validity::Long))?;
    let root = home.join("root-ca.pem");
    write_if_missing(&mut files, &root, PUBLIC, authority.certificate().as_bytes())?;
    let configuration = home.join(CONFIGURATION);
    let content = json!({
        "endpoint": "localhost",
        "port": options.port,
        "cert": home.join("device.pem"),
        "key": home.join("device.key"),
        "root-ca": root,
        "thing-name": thing,
        "jobs": { "enabled": true, "handler-directory": handlers },
    });
    write_if_missing(&mut files, &configuration, 0o640, format!("{content:#}\n").as_bytes())?;
    Ok(Report { files, configuration })
}

/// The things that have a configuration in the directory.
pub(crate) fn things(directory: &Path) -> Result<Vec<ThingName>, InitError> {
    let mut homes = vec![directory.join("agent")];
    let further = directory.join("things");
    match fs::read_dir(&further) {
        Ok(entries) => {
            for entry in entries {
                homes.push(on("read", &further, |_| entry)?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(InitError::File { deed: "read", path: further, source }),
    }
    let mut found = Vec::new();
    for home in homes {
        found.extend(thing_in(&home)?);
    }
    Ok(found)
}

/// Reads the certificates and keys of the server and the authority. Without the authority's key the service runs, and gives
/// out no certificates.
pub(crate) fn server_files(directory: &Path) -> Result<ServerFiles, InitError> {
    let read = |name: &str| on("read", &directory.join(name), fs::read_to_string);
    let authority_key = fs::read_to_string(directory.join("ca.key")).ok();
    let (authority, certificate) = (read("ca.pem")?, read("server.pem")?);
    Ok(ServerFiles { authority, authority_key, certificate, key: read("server.key")? })
}

fn thing_in(home: &Path) -> Result<Option<ThingName>, InitError> {
    let path = home.join(CONFIGURATION);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(InitError::File { deed: "read", path, source }),
    };
    let value: Option<Value> = serde_json::from_slice(&text).ok();
    value
        .as_ref()
        .and_then(|value| value.get("thing-name")?.as_str())
        .and_then(|name| ThingName::try_from(name).ok())
        .map(Some)
        .ok_or(InitError::Configuration { path })
}

fn made_if_missing(
    files: &mut Vec<(PathBuf, Found)>,
    directory: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Identity, PkiError>,
) -> Result<(), InitError> {
    let found = if pair(directory, name)?.is_some() {
        Found::Kept
    } else {
        write_pair(directory, name, &make()?)?;
        Found::Made
    };
    note_pair(files, directory, name, found);
    Ok(())
}

/// A certificate and its key, if they are there.
fn pair(directory: &Path, name: &str) -> Result<Option<Identity>, InitError> {
    let [certificate, key] = names(directory, name);
    match (certificate.exists(), key.exists()) {
        (false, false) => Ok(None),
        (true, true) => Ok(Some(Identity {
            certificate: on("read", &certificate, fs::read_to_string)?,
            key: on("read", &key, fs::read_to_string)?,
        })),
        (true, false) => Err(InitError::Half { path: certificate }),
        (false, true) => Err(InitError::Half { path: key }),
    }
}

fn write_pair(directory: &Path, name: &str, identity: &Identity) -> Result<(), InitError> {
    let [certificate, key] = names(directory, name);
    write_new(&certificate, PUBLIC, identity.certificate.as_bytes())?;
    write_new(&key, SECRET, identity.key.as_bytes())
}

fn note_pair(files: &mut Vec<(PathBuf, Found)>, directory: &Path, name: &str, found: Found) {
    files.extend(names(directory, name).map(|path| (path, found)));
}

fn names(directory: &Path, name: &str) -> [PathBuf; 2] {
    [directory.join(format!("{name}.pem")), directory.join(format!("{name}.key"))]
}

fn write_if_missing(
    files: &mut Vec<(PathBuf, Found)>,
    path: &Path,
    mode: u32,
    content: &[u8],
) -> Result<(), InitError> {
    let found = if path.exists() {
        Found::Kept
    } else {
        write_new(path, mode, content)?;
        Found::Made
    };
    files.push((path.to_owned(), found));
    Ok(())
}

/// Writes a file that is not there, with exactly this mode, whatever the umask says.
fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), InitError> {
    on("write", path, |path| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)
    })
}

fn make_directory(path: &Path) -> Result<(), InitError> {
    on("make directory", path, |path| DirBuilder::new().recursive(true).mode(0o700).create(path))
}

fn on<'a, T>(
    deed: &'static str,
    path: &'a Path,
    work: impl FnOnce(&'a Path) -> io::Result<T>,
) -> Result<T, InitError> {
    work(path).map_err(|source| InitError::File { deed, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_init_changes_nothing() {
        let desk = tempfile::tempdir().unwrap();
        let options = options(&desk.path().join("new"), "t1");
        let first = init(&options).unwrap();
        assert!(first.files.iter().all(|(_, found)| *found == Found::Made));
        let before = contents(&first);
        let second = init(&options).unwrap();
        assert!(second.files.iter().all(|(_, found)| *found == Found::Kept));
        assert_eq!(contents(&second), before);
        let unnamed = init(&InitOptions { thing: None, ..options }).unwrap();
        assert_eq!(unnamed, second);
    }

    #[test]
    fn another_thing_gets_a_home_of_its_own_under_the_same_authority() {
        let desk = tempfile::tempdir().unwrap();
        let first = init(&options(desk.path(), "t1")).unwrap();
        let second = init(&options(desk.path(), "t:2")).unwrap();
        assert_ne!(first.configuration, second.configuration);
        let kept = second.files.iter().filter(|(_, found)| *found == Found::Kept).count();
        assert_eq!(kept, 4, "authority and server are shared");
        let mut names: Vec<String> = things(desk.path()).unwrap().iter().map(ThingName::to_string).collect();
        names.sort();
        assert_eq!(names, ["t1", "t:2"]);
    }

    #[test]
    fn modes_are_what_agents_demand() {
        let desk = tempfile::tempdir().unwrap();
        let report = init(&options(&desk.path().join("new"), "t1")).unwrap();
        for (path, _) in &report.files {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            let wanted = match path.extension().and_then(|end| end.to_str()) {
                Some("key") => 0o600,
                Some("pem") => 0o644,
                _ => 0o640,
            };
            assert_eq!(mode, wanted, "{}", path.display());
        }
        let home = report.configuration.parent().unwrap();
        for directory in [home, &home.join("jobs"), home.parent().unwrap()] {
            assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn the_configuration_names_files_that_are_there_by_absolute_paths() {
        let desk = tempfile::tempdir().unwrap();
        let report = init(&options(desk.path(), "t1")).unwrap();
        let value: Value = serde_json::from_slice(&fs::read(&report.configuration).unwrap()).unwrap();
        for path in ["/cert", "/key", "/root-ca", "/jobs/handler-directory"] {
            let path = Path::new(value.pointer(path).unwrap().as_str().unwrap());
            assert!(path.is_absolute() && path.exists(), "{}", path.display());
        }
        assert_eq!(value["thing-name"], "t1");
        assert_eq!(value["port"], 18883);
    }

    #[test]
    fn half_of_a_pair_is_not_completed_behind_the_operators_back() {
        let desk = tempfile::tempdir().unwrap();
        init(&options(desk.path(), "t1")).unwrap();
        fs::remove_file(desk.path().join("server.key")).unwrap();
        assert!(matches!(init(&options(desk.path(), "t1")), Err(InitError::Half { .. })));
    }

    fn options(directory: &Path, thing: &str) -> InitOptions {
        InitOptions {
            directory: directory.to_owned(),
            thing: Some(ThingName::try_from(thing).unwrap()),
            hosts: vec!["desk.example".into()],
            port: 18883,
        }
    }

    fn contents(report: &Report) -> Vec<Vec<u8>> {
        report.files.iter().map(|(path, _)| fs::read(path).unwrap()).collect()
    }
}
