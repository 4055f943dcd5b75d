//! From a name to the absolute path of a file that may be executed: looks, gathers the facts, asks `permission`.
//!
//! Every directory and every symbolic link that a path leads through is judged, not only the last name; after that
//! nobody but root and the agent's user can change what the path means, and so it may be executed by its path.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::permission::{self, Facts, Kind};
use crate::refusal::Refusal;
use crate::request::{Place, Program, Settings};

/// As the kernel's own limit.
const MAX_LINKS: usize = 40;

/// In bytes: `NAME_MAX` of every file system that Linux can boot from.
const LONGEST_NAME: usize = 255;

/// A file that may be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// Absolute.
    pub(crate) path: PathBuf,
    /// Whether the strict rules of the handler directory held, so that only its owner may execute it.
    pub(crate) owner_only: bool,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// Finds the program, or says why there is none that may be run. `agent` is the agent's effective user.
pub(crate) fn locate(program: &Program, settings: &Settings, agent: u32) -> Result<Located, Refusal> {
    match program {
        Program::Handler { name, place } => {
            check_name(name)?;
            match place {
                Place::HandlerDirectory => in_handler_directory(name, &settings.handler_directory, agent)?
                    .ok_or_else(|| not_in(&settings.handler_directory, name)),
                Place::HandlerDirectoryThenPath => {
                    let directory = &settings.handler_directory;
                    if let Some(found) = in_handler_directory(name, directory, agent)? {
                        return Ok(found);
                    }
                    if !settings.allowed.commands {
                        return Err(Refusal::SearchNotAllowed {
                            name: name.clone(),
                            directory: directory.clone(),
                        });
                    }
                    in_search_path(name, &settings.search_path, agent)?.ok_or_else(|| {
                        not_found(
                            name,
                            std::iter::once(&settings.handler_directory).chain(&settings.search_path),
                        )
                    })
                }
                Place::Directory(directory) => {
                    in_directory(name, directory, settings, agent)?.ok_or_else(|| not_in(directory, name))
                }
            }
        }
        Program::Command { program } => {
            if !settings.allowed.commands {
                return Err(Refusal::CommandNotAllowed { program: program.clone() });
            }
            let path = Path::new(program);
            if path.is_absolute() {
                let parent = path.parent().unwrap_or(path).to_path_buf();
                return system_program(path, agent)?.ok_or_else(|| not_found(program, [&parent]));
            }
            if program.contains('/') {
                return Err(Refusal::RelativeCommand { program: program.clone() });
            }
            check_name(program)?;
            in_search_path(program, &settings.search_path, agent)?
                .ok_or_else(|| not_found(program, &settings.search_path))
        }
    }
}

fn not_found<'a>(name: &str, looked_in: impl IntoIterator<Item = &'a PathBuf>) -> Refusal {
    Refusal::NotFound { name: name.to_owned(), looked_in: looked_in.into_iter().cloned().collect() }
}

/// The one directory that was to hold it does not.
fn not_in(directory: &Path, name: &str) -> Refusal {
    match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Refusal::NoDirectory { name: name.to_owned(), directory: directory.into() }
        }
        Ok(_) | Err(_) => Refusal::NotFound { name: name.to_owned(), looked_in: vec![directory.into()] },
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty()
        || name == "."
        || name == ".."
        || name.len() > LONGEST_NAME
        || name.contains(['/', '\0'])
    {
        return Err(Refusal::Name { name: name.to_owned() });
    }
    Ok(())
}

/// In a directory that the request names. The handler directory keeps its rules by whatever path it is named.
fn in_directory(
    name: &str,
    directory: &Path,
    settings: &Settings,
    agent: u32,
) -> Result<Option<Located>, Refusal> {
    if !directory.is_absolute() {
        return Err(Refusal::RelativePath { path: directory.into() });
    }
    let wanted = normal(directory);
    if wanted == normal(&settings.handler_directory) {
        return in_handler_directory(name, &settings.handler_directory, agent);
    }
    let Some(list) = &settings.allowed.directories else {
        return system_program(&directory.join(name), agent);
    };
    let not_allowed = |path: &Path| Refusal::DirectoryNotAllowed { path: path.into() };
    let listed = list.iter().find(|listed| normal(listed) == wanted).ok_or_else(|| not_allowed(directory))?;
    let path = directory.join(name);
    let found = system_program(&path, agent)?;
    // Links may have led elsewhere, and `..` behind a link is not what it looks like: what counts is what was reached.
    match (&found, resolve(&path, agent)?, resolve(listed, agent)?) {
        (None, _, _) => Ok(None),
        (Some(_), Some(file), Some(listed)) if file.parent() == Some(&*listed) => Ok(found),
        (Some(_), file, _) => Err(not_allowed(file.as_deref().unwrap_or(&path))),
    }
}

/// An absolute path as it looks: `.` and doubled slashes are nothing, `..` takes a name away.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// `None` if neither the directory nor the file is there to be judged.
fn in_handler_directory(name: &str, directory: &Path, agent: u32) -> Result<Option<Located>, Refusal> {
    if !directory.is_absolute() {
        return Err(Refusal::RelativePath { path: directory.into() });
    }
    let Some(directory) = resolve(directory, agent)? else { return Ok(None) };
    let opened =
        rustix::fs::open(&directory, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| Refusal::examine(&directory, error))?;
    let facts = rustix::fs::fstat(&opened).map_err(|error| Refusal::examine(&directory, error))?;
    permission::handler_directory(&directory, of_stat(&facts), agent)?;

    let path = directory.join(name);
    let file = match open_beneath(&opened, name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(Refusal::SymbolicLink { path }),
        Err(error) => return Err(Refusal::examine(&path, error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| Refusal::examine(&path, error))?;
    permission::handler(&path, of_stat(&stat), agent)?;
    Ok(Some(Located { path, owner_only: true, bytes: u64::try_from(stat.st_size).unwrap_or(0) }))
}

/// Opens one component without following anything. Kernels before 5.6, and filters of system calls, have no `openat2`:
/// for a single component that is not `..`, `openat` with `O_NOFOLLOW` comes to the same.
fn open_beneath(directory: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(directory.as_fd(), name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty()),
        answer => answer,
    }
}

/// The first of the directories that has the name decides, be it by a refusal.
fn in_search_path(name: &str, search_path: &[PathBuf], agent: u32) -> Result<Option<Located>, Refusal> {
    for directory in search_path.iter().filter(|directory| directory.is_absolute()) {
        if let Some(found) = system_program(&directory.join(name), agent)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// `None` if there is no such file. The path stays as it was given, since programs look at the name by which they are
/// called; the links in it have been judged.
fn system_program(path: &Path, agent: u32) -> Result<Option<Located>, Refusal> {
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Refusal::Name { name: path.display().to_string() });
    }
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(Refusal::examine(path, error)),
    }
    let Some(file) = resolve(path, agent)? else { return Ok(None) };
    let metadata = fs::symlink_metadata(&file).map_err(|error| Refusal::examine(&file, error))?;
    permission::program(&file, of_metadata(&metadata), agent)?;
    Ok(Some(Located { path: path.into(), owner_only: false, bytes: metadata.len() }))
}

/// Follows an absolute path as the kernel would, and judges each directory before it looks something up in it, and
/// each link before it follows it. `None` if a component is missing.
fn resolve(path: &Path, agent: u32) -> Result<Option<PathBuf>, Refusal> {
    let mut at = PathBuf::from("/");
    let mut to_go = reversed_components(path);
    let mut links = 0;
    while let Some(component) = to_go.pop() {
        if component == ".." {
            at.pop();
            continue;
        }
        let directory = fs::symlink_metadata(&at).map_err(|error| Refusal::examine(&at, error))?;
        let directory = of_metadata(&directory);
        permission::passed_directory(&at, directory, agent)?;
        let next = at.join(&component);
        let metadata = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(Refusal::examine(&next, error)),
        };
        let facts = of_metadata(&metadata);
        permission::entry(&at, directory, &next, facts.kind)?;
        if facts.kind != Kind::SymbolicLink {
            at = next;
            continue;
        }
        permission::passed_link(&next, facts, agent)?;
        links += 1;
        if links > MAX_LINKS {
            return Err(Refusal::TooManyLinks { path: path.into() });
        }
        let target = fs::read_link(&next).map_err(|error| Refusal::examine(&next, error))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        to_go.append(&mut reversed_components(&target));
    }
    Ok(Some(at))
}

fn reversed_components(path: &Path) -> Vec<OsString> {
    let wanted = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().filter(wanted).map(|component| component.as_os_str().to_owned()).rev().collect()
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn of_stat(stat: &Stat) -> Facts {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::SymbolicLink,
        FileType::Fifo => Kind::Other("a named pipe"),
        FileType::Socket => Kind::Other("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Other("a device"),
        FileType::Unknown => Kind::Other("something unknown"),
    };
    Facts { kind, owner: stat.st_uid, mode: stat.st_mode & 0o7777 }
}

fn of_metadata(metadata: &fs::Metadata) -> Facts {
    let kind = metadata.file_type();
    let kind = match () {
        () if kind.is_file() => Kind::File,
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_symlink() => Kind::SymbolicLink,
        () if kind.is_fifo() => Kind::Other("a named pipe"),
        () if kind.is_socket() => Kind::Other("a socket"),
        () => Kind::Other("a device"),
    };
    Facts { kind, owner: metadata.uid(), mode: metadata.mode() & 0o7777 }
}
