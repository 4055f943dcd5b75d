//! The rules of permission as pure functions: what may be executed, given what is known about it.
//!
//! The facts are gathered by `locate`, from open files where that is possible. Agent means the agent's effective user.

use std::path::Path;

use crate::refusal::Refusal;

/// What the kernel says about one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    /// Number of the owning user.
    pub(crate) owner: u32,
    /// Permission bits with set-user-id, set-group-id and sticky: the lowest twelve.
    pub(crate) mode: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    SymbolicLink,
    /// Anything else, in words: "a socket".
    Other(&'static str),
}

impl Kind {
    fn in_words(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::SymbolicLink => "a symbolic link",
            Self::Other(words) => words,
        }
    }
}

const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
pub(crate) const GROUP_AND_OTHERS: u32 = 0o077;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The handler directory: its owner alone may do anything with it.
pub(crate) fn handler_directory(path: &Path, facts: Facts, agent: u32) -> Result<(), Refusal> {
    directory_kind(path, facts)?;
    owner(path, facts, agent)?;
    if facts.mode & GROUP_AND_OTHERS != 0 {
        return Err(Refusal::DirectoryMode { path: path.into(), found: facts.mode });
    }
    Ok(())
}

/// A handler of the handler directory: mode 0700 or 0500, nothing else.
pub(crate) fn handler(path: &Path, facts: Facts, agent: u32) -> Result<(), Refusal> {
    if facts.kind == Kind::SymbolicLink {
        return Err(Refusal::SymbolicLink { path: path.into() });
    }
    file_kind(path, facts)?;
    owner(path, facts, agent)?;
    if facts.mode & SET_ID != 0 {
        return Err(Refusal::SetId { path: path.into(), found: facts.mode });
    }
    let readable_and_executable = facts.mode & 0o500 == 0o500;
    if facts.mode & GROUP_AND_OTHERS != 0 || !readable_and_executable {
        return Err(Refusal::Mode { path: path.into(), found: facts.mode });
    }
    Ok(())
}

/// A directory that a path leads through: nobody but root and the agent may rename what is in it. In a sticky
/// directory of root's (`/tmp`) others cannot rename what is not theirs, and what is theirs is refused by its owner;
/// but only directories are safe there, see [`entry`].
pub(crate) fn passed_directory(path: &Path, facts: Facts, agent: u32) -> Result<(), Refusal> {
    directory_kind(path, facts)?;
    owner(path, facts, agent)?;
    let sticky_of_root = facts.mode & STICKY != 0 && facts.owner == 0;
    if facts.mode & WRITABLE_BY_OTHERS != 0 && !sticky_of_root {
        return Err(Refusal::WritableParent { path: path.into(), found: facts.mode });
    }
    Ok(())
}

/// What a path leads to in a directory. Where others can write, a file or a link proves nothing by its owner: with a hard
/// link anybody can give another name to one of root's, and choose so what is run, or where a path leads. There are no
/// hard links of directories.
pub(crate) fn entry(directory: &Path, facts: Facts, name: &Path, kind: Kind) -> Result<(), Refusal> {
    if facts.mode & WRITABLE_BY_OTHERS != 0 && kind != Kind::Directory {
        let (directory, found) = (directory.into(), facts.mode);
        return Err(Refusal::SharedDirectory { path: name.into(), directory, found });
    }
    Ok(())
}

/// A symbolic link that a path leads through: whoever owns it says where it leads.
pub(crate) fn passed_link(path: &Path, facts: Facts, agent: u32) -> Result<(), Refusal> {
    owner(path, facts, agent)
}

/// A program outside of the handler directory: it must not be writable by others, that is all, since these are the
/// system's own. A set-user-id program (`sudo`, `ping`) is what a document asks for when it names one.
pub(crate) fn program(path: &Path, facts: Facts, agent: u32) -> Result<(), Refusal> {
    file_kind(path, facts)?;
    owner(path, facts, agent)?;
    if facts.mode & WRITABLE_BY_OTHERS != 0 {
        return Err(Refusal::WritableFile { path: path.into(), found: facts.mode });
    }
    if facts.mode & 0o111 == 0 {
        return Err(Refusal::NotExecutable { path: path.into(), found: facts.mode });
    }
    Ok(())
}

fn owner(path: &Path, facts: Facts, agent: u32) -> Result<(), Refusal> {
    if facts.owner == 0 || facts.owner == agent {
        return Ok(());
    }
    Err(Refusal::Owner { path: path.into(), found: facts.owner, agent })
}

fn file_kind(path: &Path, facts: Facts) -> Result<(), Refusal> {
    if facts.kind == Kind::File {
        return Ok(());
    }
    Err(Refusal::NotRegular { path: path.into(), found: facts.kind.in_words() })
}

fn directory_kind(path: &Path, facts: Facts) -> Result<(), Refusal> {
    if facts.kind == Kind::Directory {
        return Ok(());
    }
    Err(Refusal::NotDirectory { path: path.into(), found: facts.kind.in_words() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: u32 = 500;
    const STRANGER: u32 = 1000;

    /// A rule of this module, as the table calls it.
    type Rule = fn(&Path, Facts, u32) -> Result<(), Refusal>;

    #[test]
    fn the_table_of_permissions_holds() {
        use Kind::{Directory, File, Other, SymbolicLink};
        #[rustfmt::skip]
        let table: &[(&str, Rule, Kind, u32, u32, &str)] = &[
            ("handler", handler, File, AGENT, 0o700, "ok"),
            ("handler", handler, File, 0, 0o700, "ok"),
            ("handler", handler, File, AGENT, 0o500, "ok"),
            ("handler", handler, File, STRANGER, 0o700, "Owner"),
            ("handler", handler, File, AGENT, 0o600, "Mode"),
            ("handler", handler, File, AGENT, 0o400, "Mode"),
            ("handler", handler, File, AGENT, 0o300, "Mode"),
            ("handler", handler, File, AGENT, 0o710, "Mode"),
            ("handler", handler, File, AGENT, 0o701, "Mode"),
            ("handler", handler, File, AGENT, 0o704, "Mode"),
            ("handler", handler, File, AGENT, 0o755, "Mode"),
            ("handler", handler, File, AGENT, 0o777, "Mode"),
            ("handler", handler, File, AGENT, 0o4700, "SetId"),
            ("handler", handler, File, AGENT, 0o2700, "SetId"),
            ("handler", handler, Directory, AGENT, 0o700, "NotRegular"),
            ("handler", handler, SymbolicLink, AGENT, 0o777, "SymbolicLink"),
            ("handler", handler, Other("a pipe"), AGENT, 0o700, "NotRegular"),
            ("handler directory", handler_directory, Directory, AGENT, 0o700, "ok"),
            ("handler directory", handler_directory, Directory, 0, 0o500, "ok"),
            ("handler directory", handler_directory, Directory, STRANGER, 0o700, "Owner"),
            ("handler directory", handler_directory, Directory, AGENT, 0o750, "DirectoryMode"),
            ("handler directory", handler_directory, Directory, AGENT, 0o701, "DirectoryMode"),
            ("handler directory", handler_directory, Directory, 0, 0o1777, "DirectoryMode"),
            ("handler directory", handler_directory, File, AGENT, 0o700, "NotDirectory"),
            ("parent", passed_directory, Directory, 0, 0o755, "ok"),
            ("parent", passed_directory, Directory, AGENT, 0o755, "ok"),
            ("parent", passed_directory, Directory, STRANGER, 0o755, "Owner"),
            ("parent", passed_directory, Directory, 0, 0o775, "WritableParent"),
            ("parent", passed_directory, Directory, 0, 0o757, "WritableParent"),
            ("parent", passed_directory, Directory, 0, 0o1777, "ok"),
            ("parent", passed_directory, Directory, AGENT, 0o1777, "WritableParent"),
            ("parent", passed_directory, File, 0, 0o755, "NotDirectory"),
            ("link", passed_link, SymbolicLink, 0, 0o777, "ok"),
            ("link", passed_link, SymbolicLink, STRANGER, 0o777, "Owner"),
            ("program", program, File, 0, 0o755, "ok"),
            ("program", program, File, AGENT, 0o700, "ok"),
            ("program", program, File, 0, 0o4755, "ok"),
            ("program", program, File, STRANGER, 0o755, "Owner"),
            ("program", program, File, 0, 0o775, "WritableFile"),
            ("program", program, File, 0, 0o757, "WritableFile"),
            ("program", program, File, 0, 0o644, "NotExecutable"),
            ("program", program, Directory, 0, 0o755, "NotRegular"),
        ];
        for (what, rule, kind, owner, mode, wanted) in table.iter().copied() {
            let verdict = rule(Path::new("/x/y"), Facts { kind, owner, mode }, AGENT);
            let found = verdict.map_or_else(|refusal| format!("{refusal:?}"), |()| "ok".to_owned());
            let found = found.split([' ', '{']).next().unwrap();
            assert_eq!(found, wanted, "{what}: {kind:?} of {owner} with mode {mode:04o}");
        }
    }

    #[test]
    fn where_everybody_can_write_only_a_directory_is_what_it_seems() {
        use Kind::{Directory, File, Other, SymbolicLink};
        let verdict = |mode, kind| {
            entry(Path::new("/tmp"), Facts { kind: Directory, owner: 0, mode }, Path::new("/tmp/x"), kind)
        };
        for kind in [File, SymbolicLink, Other("a socket")] {
            for mode in [0o1777, 0o1775, 0o777] {
                assert!(
                    matches!(verdict(mode, kind), Err(Refusal::SharedDirectory { .. })),
                    "{mode:o} {kind:?}"
                );
            }
            verdict(0o755, kind).unwrap();
        }
        verdict(0o1777, Directory).unwrap();
    }

    #[test]
    fn an_agent_that_is_root_trusts_nobody_else() {
        let facts = Facts { kind: Kind::File, owner: AGENT, mode: 0o700 };
        assert!(matches!(handler(Path::new("/h"), facts, 0), Err(Refusal::Owner { .. })));
    }
}
