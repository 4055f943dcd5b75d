//! What a file that is to be executed is, as far as its beginning tells; and why the kernel does not execute it, in
//! words for whoever has to mend it. The kernel's error alone says "no such file" of a file that is there, when it is
//! the interpreter that is missing.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use rustix::fs::StatVfsMountFlags;

use crate::permission::GROUP_AND_OTHERS;
use crate::shell_word::shell_word;

/// As much as the kernel looks at.
const LOOKED_AT: u64 = 256;

/// What the beginning of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    /// Nothing is in it.
    Empty,
    /// A script: the interpreter that its first line names, if it names one.
    Script(Option<String>),
    /// A program of some machine.
    Program,
    /// Text without an interpreter line, or anything else.
    Other,
}

fn format(start: &[u8]) -> Format {
    if start.is_empty() {
        return Format::Empty;
    }
    if start.starts_with(b"\x7fELF") {
        return Format::Program;
    }
    let Some(line) = start.strip_prefix(b"#!") else { return Format::Other };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let interpreter = text.trim_matches([' ', '\t']).split([' ', '\t']).next();
    Format::Script(interpreter.filter(|word| !word.is_empty()).map(str::to_owned))
}

fn format_of(path: &Path) -> io::Result<Format> {
    let mut start = Vec::new();
    File::open(path)?.take(LOOKED_AT).read_to_end(&mut start)?;
    Ok(format(&start))
}

/// Why the kernel has not executed a file.
pub(crate) fn refusal_in_words(path: &Path, error: &io::Error) -> String {
    let format = format_of(path).ok();
    let foreign = its_owners_alone(path).filter(|_| error.kind() == io::ErrorKind::PermissionDenied);
    if let Some(told) = foreign {
        return format!("{told} ({error})");
    }
    let told = match (error.raw_os_error().map(Errno::from_raw), &format) {
        (Some(Errno::ENOENT), Some(Format::Script(Some(interpreter)))) => missing(interpreter, path),
        (Some(Errno::ENOENT), Some(_)) => {
            "it needs a program loader that this system does not have".to_owned()
        }
        (Some(Errno::EACCES), _) if lies_where_nothing_is_executed(path) => NOEXEC.to_owned(),
        (Some(Errno::EACCES), Some(Format::Script(Some(interpreter)))) => {
            format!("it or its interpreter {interpreter:?} may not be executed here")
        }
        (Some(Errno::ENOEXEC), Some(Format::Program)) => "it is no program for this machine".to_owned(),
        (Some(Errno::ENOEXEC), Some(format)) => unknown(format),
        (Some(Errno::ETXTBSY), _) => {
            "somebody has it open for writing: a new one is put beside it and moved to its \
                                      place (mv)"
                .to_owned()
        }
        _ => return error.to_string(),
    };
    format!("{told} ({error})")
}

/// Why the kernel will not execute a file, as far as that can be seen beforehand. What is not found here may be refused
/// all the same.
#[must_use]
pub fn foreseen_refusal(path: &Path) -> Option<String> {
    if let Some(told) = its_owners_alone(path) {
        return Some(told);
    }
    if lies_where_nothing_is_executed(path) {
        return Some(NOEXEC.to_owned());
    }
    match format_of(path).ok()? {
        Format::Script(Some(interpreter)) => {
            let absent = matches!(std::fs::metadata(&interpreter), Err(error) if error.kind() == io::ErrorKind::NotFound);
            absent.then(|| missing(&interpreter, path))
        }
        Format::Program => None,
        format @ (Format::Empty | Format::Script(None) | Format::Other) => Some(unknown(&format)),
    }
}

const NOEXEC: &str = "its file system is mounted so that nothing on it is executed (noexec)";

/// A handler of root's, as the rules allow it, is of no use to an agent that is somebody else.
fn its_owners_alone(path: &Path) -> Option<String> {
    let (facts, own) = (std::fs::metadata(path).ok()?, rustix::process::geteuid().as_raw());
    let alone = own != 0 && facts.uid() != own && facts.mode() & GROUP_AND_OTHERS == 0;
    alone.then(|| {
        let owner = facts.uid();
        format!(
            "it belongs to user {owner}, nobody else may execute it, and the agent runs as user {own} (chown {own} {})",
            shell_word(path)
        )
    })
}

fn missing(interpreter: &str, path: &Path) -> String {
    if interpreter.ends_with('\r') {
        return format!(
            "its lines end with a carriage return, its interpreter is {interpreter:?} so (sed -i 's/\\r$//' {})",
            shell_word(path)
        );
    }
    format!("its interpreter {interpreter:?} does not exist")
}

fn unknown(format: &Format) -> String {
    match format {
        Format::Empty => "it is empty",
        Format::Script(_) => "its first line names no interpreter (such as #!/bin/sh)",
        Format::Program | Format::Other => {
            "it is neither a program for this machine nor a script whose first line is an interpreter line (such as #!/bin/sh)"
        }
    }
    .to_owned()
}

fn lies_where_nothing_is_executed(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|facts| facts.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_file_tells_what_it_is() {
        let script = |interpreter: &str| Format::Script(Some(interpreter.to_owned()));
        for (start, wanted) in [
            (&b""[..], Format::Empty),
            (b"#!/bin/sh\necho", script("/bin/sh")),
            (b"#! \t/usr/bin/env sh -e\n", script("/usr/bin/env")),
            (b"#!/bin/sh\r\necho\r\n", script("/bin/sh\r")),
            (b"#!/bin/sh", script("/bin/sh")),
            (b"#!\n", Format::Script(None)),
            (b"#!  \n/bin/sh", Format::Script(None)),
            (b"\x7fELF\x02", Format::Program),
            (b"echo hello\n", Format::Other),
            (b"\xef\xbb\xbf#!/bin/sh\n", Format::Other),
        ] {
            assert_eq!(format(start), wanted, "{start:?}");
        }
    }

    #[test]
    fn what_will_not_be_executed_is_foreseen_with_its_mend() {
        let directory = tempfile::tempdir().unwrap();
        let told = |content: &str| {
            let path = directory.path().join("x.sh");
            std::fs::write(&path, content).unwrap();
            foreseen_refusal(&path).unwrap_or_default()
        };
        assert_eq!(told("#!/bin/sh\n"), "");
        assert_eq!(told(""), "it is empty");
        assert!(told("#!/no/such/sh\n").contains("\"/no/such/sh\" does not exist"));
        assert!(told("#!/bin/sh\r\n").contains("sed -i 's/\\r$//' /"), "{}", told("#!/bin/sh\r\n"));
        assert!(told("echo\n").contains("#!/bin/sh"));
    }
}
