//! The handler's process, from fork to exec: own session, descriptors closed, signals as at login, another user if
//! asked for.
//!
//! The only unsafe code of the crate stands here. The keeper is a process with one thread, so what runs between fork
//! and exec may allocate and take locks like any code: nobody else can have held one.
#![expect(unsafe_code, reason = "only code between fork and exec can set up the new process")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid, initgroups, setgid, setuid};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::process::this_process;
use crate::slot::{self, Place, Spec};
use crate::user::Identity;

/// Starts the handler. Before its file is executed the record `started` is on the disk.
pub(crate) fn spawn(spec: &Spec, records: &File) -> io::Result<Child> {
    let copy = if spec.copied { Some(sealed_copy(&spec.path)?) } else { None };
    let program = match &copy {
        Some(copy) => format!("/proc/self/fd/{}", copy.as_raw_fd()).into(),
        None => spec.path.clone(),
    };
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let image = Image::new(&command, spec)?;
    let records = records.try_clone()?;
    let run = spec.run;
    let switch_to = spec.switch_to.clone();
    let keep = copy.as_ref().map(AsRawFd::as_raw_fd);
    // SAFETY: the keeper has one thread, so the child is a whole copy of it and may call anything; the closure
    // touches only what it owns.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
            reset_signals()?;
            slot::write_record(&records, Place::Started, run, &this_process()?)?;
            close_at_exec(keep)?;
            if let Some(identity) = &switch_to {
                become_user(identity)?;
            }
            image.execute()
        });
    }
    command.spawn()
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
    fn new(command: &Command, spec: &Spec) -> io::Result<Self> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
        let arguments = spec.arguments.iter().map(|argument| text(argument.as_bytes()));
        // Of a name that is there twice the last value counts.
        let mut variables = BTreeMap::new();
        for (name, value) in &spec.environment {
            variables.insert(name, value);
        }
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
fn close_at_exec(keep: Option<RawFd>) -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let flags =
            if Some(fd) == keep { nix::fcntl::FdFlag::empty() } else { nix::fcntl::FdFlag::FD_CLOEXEC };
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
fn become_user(identity: &Identity) -> io::Result<()> {
    let name = std::ffi::CString::new(identity.name.as_str())?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    initgroups(&name, gid)?;
    setgid(gid)?;
    setuid(uid)?;
    if identity.uid != 0
        && (setuid(Uid::from_raw(0)).is_ok() || setgid(Gid::from_raw(0)).is_ok() && identity.gid != 0)
    {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the switch to another user can be undone",
        ));
    }
    Ok(())
}

/// A copy in memory that nobody can change: a file that only its owner may execute can be executed by another user so.
fn sealed_copy(path: &Path) -> io::Result<OwnedFd> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fd = rustix::fs::memfd_create(name.as_str(), MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(fd);
    io::copy(&mut File::open(path)?, &mut copy)?;
    copy.flush()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

/// Why the kernel does not execute a file, in words: its error alone says "no such file" of a file that is there
/// when the interpreter is missing.
pub(crate) fn refusal_in_words(path: &Path, error: &io::Error) -> String {
    let interpreter = interpreter_of(path);
    match (error.kind(), interpreter) {
        (io::ErrorKind::NotFound, Some(interpreter)) => {
            format!("its interpreter {interpreter:?} does not exist ({error})")
        }
        (io::ErrorKind::NotFound, None) if path.exists() => {
            format!("it needs a program loader that this system does not have ({error})")
        }
        (io::ErrorKind::PermissionDenied, Some(interpreter)) => {
            format!("it or its interpreter {interpreter:?} may not be executed here ({error})")
        }
        _ if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => {
            format!(
                "it is neither a program for this machine nor a script with an interpreter line ({error})"
            )
        }
        _ => error.to_string(),
    }
}

fn interpreter_of(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line);
    text.trim_matches([' ', '\t'])
        .split([' ', '\t'])
        .next()
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
}
