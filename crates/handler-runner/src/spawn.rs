//! The handler's process, from fork to exec: own session, descriptors closed, signals as at login, another user if
//! asked for.
//!
//! The only unsafe code of the crate stands here. The keeper is a process with one thread, so what runs between fork
//! and exec may allocate and take locks like any code: nobody else can have held one.
#![expect(unsafe_code, reason = "only code between fork and exec can set up the new process")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid, initgroups, setgid, setuid};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::format::refusal_in_words;
use crate::process::this_process;
use crate::reports::DESCRIPTOR;
use crate::slot::{self, Place, Spec};
use crate::user::Identity;

/// Why a handler's file was not executed. Nothing of it has run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// Something before that failed.
    #[error("{told}")]
    Before {
        /// What, and why, in words.
        told: String,
    },
    /// The kernel refused.
    #[error("{}", refusal_in_words(path, error))]
    Refused {
        /// The file.
        path: PathBuf,
        /// The kernel's word. No source, since it is part of the text already.
        error: io::Error,
    },
}

/// A step on the way to the handler, in words, if it failed.
type Step<T> = Result<T, String>;

/// Names the step that failed.
fn named<T, E: Display>(what: &str, result: Result<T, E>) -> Step<T> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Starts the handler. Before its file is executed the record `started` is on the disk.
/// It may write to `report_to`, of which this process lets go.
pub(crate) fn spawn(spec: &Spec, records: &File, report_to: OwnedFd) -> Result<Child, SpawnError> {
    let (mut told, tell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map(|(told, tell)| (File::from(told), File::from(tell)))
        .map_err(|error| SpawnError::Before { told: format!("no pipe: {error}") })?;
    let (mut command, image, copy) = prepare(spec, &report_to).map_err(|told| SpawnError::Before { told })?;
    let prelude = Prelude {
        records: named("the records of its run", records.try_clone())
            .map_err(|told| SpawnError::Before { told })?,
        run: spec.run,
        switch_to: spec.switch_to.clone(),
        keep: copy.iter().chain([&report_to]).map(AsRawFd::as_raw_fd).collect(),
    };
    // SAFETY: the keeper has one thread, so the child is a whole copy of it and may call anything; the closure
    // touches only what it owns.
    unsafe {
        command.pre_exec(move || match prelude.perform() {
            Ok(()) => image.execute(),
            // The standard library passes on the number of an error only: the words take a way of their own.
            Err(words) => {
                (&tell).write_all(words.as_bytes())?;
                Err(io::ErrorKind::Other.into())
            }
        });
    }
    let result = command.spawn();
    // With it goes this process's end of the pipe for words; the other one is the handler's alone now.
    drop((command, report_to));
    result.map_err(|error| {
        let mut words = String::new();
        match told.read_to_string(&mut words) {
            Ok(1..) => SpawnError::Before { told: words },
            Ok(0) | Err(_) => SpawnError::Refused { path: spec.path.clone(), error },
        }
    })
}

/// All that can be made ready before the fork; the copy of the file has to stay open until after it.
fn prepare(spec: &Spec, report_to: &OwnedFd) -> Step<(Command, Image, Option<OwnedFd>)> {
    if let Some(identity) = &spec.switch_to {
        // So that it can be opened by its name in `/proc` as well.
        named("the pipe for its reports", give_to(identity, report_to))?;
    }
    let copy = spec.copied.then(|| named("it cannot be copied for another user", sealed_copy(&spec.path)));
    let copy = copy.transpose()?;
    let program = match &copy {
        Some(copy) => format!("/proc/self/fd/{}", copy.as_raw_fd()).into(),
        None => spec.path.clone(),
    };
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let image = named("its arguments or environment", Image::new(&command, spec, report_to))?;
    Ok((command, image, copy))
}

/// Makes a pipe another user's.
fn give_to(identity: &Identity, pipe: &impl AsFd) -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(identity.uid), rustix::fs::Gid::from_raw(identity.gid));
    rustix::fs::fchown(pipe, Some(uid), Some(gid))
}

/// What the new process does before it becomes the handler.
struct Prelude {
    records: File,
    run: u64,
    switch_to: Option<Identity>,
    /// The descriptors that stay open: the one to report to, and the one that the file is executed from, if it is a
    /// copy.
    keep: Vec<RawFd>,
}

impl Prelude {
    fn perform(&self) -> Step<()> {
        named("no session of its own", rustix::process::setsid())?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        named("signals cannot be reset", reset_signals())?;
        let record = this_process()
            .and_then(|process| slot::write_record(&self.records, Place::Started, self.run, &process));
        named("its start cannot be written down", record)?;
        named("descriptors cannot be closed", close_at_exec(&self.keep))?;
        match &self.switch_to {
            Some(identity) => {
                // So that they can be opened by their names (`/dev/stderr`) as well.
                named("its standard output", give_to(identity, &io::stdout()))?;
                named("its standard error", give_to(identity, &io::stderr()))?;
                become_user(identity)
                    .map_err(|told| format!("cannot switch to user {:?}: {told}", identity.name))
            }
            None => Ok(()),
        }
    }
}

/// What is executed, ready to be handed to the kernel.
///
/// The kernel is asked directly: the C library's way to execute a program hands a file of unknown format to a shell.
struct Image {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    fn new(command: &Command, spec: &Spec, report_to: &OwnedFd) -> io::Result<Self> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
        let arguments = spec.arguments.iter().map(|argument| text(argument.as_bytes()));
        // Of a name that is there twice the last value counts.
        let mut variables = BTreeMap::new();
        for (name, value) in &spec.environment {
            variables.insert(name.as_str(), value.clone());
        }
        variables.insert(DESCRIPTOR, report_to.as_raw_fd().to_string());
        let environment =
            variables.into_iter().map(|(name, value)| text(format!("{name}={value}").as_bytes()));
        Ok(Self {
            program: text(command.get_program().as_bytes())?,
            arguments: std::iter::once(text(spec.path.as_os_str().as_bytes()))
                .chain(arguments)
                .collect::<io::Result<_>>()?,
            environment: environment.collect::<io::Result<_>>()?,
        })
    }

    /// Returns only if the kernel refuses.
    fn execute(&self) -> io::Result<()> {
        match nix::unistd::execve(&self.program, &self.arguments, &self.environment) {
            Ok(never) => match never {},
            Err(error) => Err(error.into()),
        }
    }
}

/// Every signal does what it does by default, and none is blocked.
fn reset_signals() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    for each in Signal::iterator().filter(|each| !matches!(each, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: no handler is installed, only the default put back.
        unsafe { signal(each, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Marks every descriptor but the standard three, and `keep`, to be closed when the handler is executed. Walks the
/// table: that works on every kernel, and a keeper has few.
fn close_at_exec(keep: &[RawFd]) -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let flags =
            if keep.contains(&fd) { nix::fcntl::FdFlag::empty() } else { nix::fcntl::FdFlag::FD_CLOEXEC };
        // SAFETY: the descriptor is only borrowed for this call; a number that is no longer open is refused with
        // EBADF (the one that listed the directory).
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        match nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(flags)) {
            Ok(_) | Err(nix::errno::Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Groups, group, user, in this order; then the proof that it cannot be undone.
fn become_user(identity: &Identity) -> Step<()> {
    let name = named("its name", CString::new(identity.name.as_str()))?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    named("its groups", initgroups(&name, gid))?;
    named("its first group", setgid(gid))?;
    named("its number", setuid(uid))?;
    let back_to_root =
        setuid(Uid::from_raw(0)).is_ok() || setgid(Gid::from_raw(0)).is_ok() && identity.gid != 0;
    if identity.uid != 0 && back_to_root {
        return Err("the switch could be undone, so the handler would not be bound by it".to_owned());
    }
    Ok(())
}

/// A copy in memory that nobody can change: a file that only its owner may execute can be executed by another user so.
fn sealed_copy(path: &Path) -> io::Result<OwnedFd> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut copy = File::from(executable_memory(&name)?);
    io::copy(&mut File::open(path)?, &mut copy)?;
    copy.flush()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

/// A file in memory that may be executed. Where `vm.memfd_noexec` is 1 that must be said; kernels before 6.3 do not
/// know the word (`memfd_create(2)`).
fn executable_memory(name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    }
}
