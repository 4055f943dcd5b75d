//! The rules about single values of the configuration, as pure functions of what was written and what was
//! found. Which value is under which rule, and collecting the complaints, is left to [`super::checked`].

use std::io;
use std::path::Path;

use handler_runner::shell_word;

use super::facts::{FileFacts, Surroundings};
use super::remark::Remark;

/// How to mend any wrong endpoint.
pub(super) const ENDPOINT_MEND: &str =
    "write the host name alone, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints it";

/// What stands in the example configurations for what only the operator knows.
pub(super) const PLACEHOLDER: &str = "REPLACE-ME";

/// What is wrong with a host, or nothing.
pub(super) fn wrong_with_host(host: &str) -> Option<&'static str> {
    if host.starts_with(PLACEHOLDER) {
        Some("stands in the example for your endpoint")
    } else if host.parse::<std::net::Ipv4Addr>().is_ok() {
        None
    } else if host.parse::<std::net::Ipv6Addr>().is_ok() {
        Some("is an IPv6 address, for which no server's certificate can be checked")
    } else if host.contains("://") {
        Some("has a scheme")
    } else if host.contains('/') {
        Some("has a path")
    } else if host.contains(':') {
        Some("has a port (that goes into `port`)")
    } else if host.len() > 253
        || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        || host.trim_end_matches('.').split('.').any(|label| label.is_empty() || label.len() > 63)
    {
        Some("is no host name")
    } else {
        None
    }
}

/// A rule about a file that can be read: the complaint, if there is one.
pub(super) type Rule = dyn Fn(&str, &Path, FileFacts, &Surroundings) -> Option<Remark>;

/// Certificates: anybody may read them, nobody else may put another in their place.
pub(super) fn public_file(
    key: &str,
    path: &Path,
    facts: FileFacts,
    surroundings: &Surroundings,
) -> Option<Remark> {
    if !facts.regular {
        return Some(not_a_file(key, path));
    }
    writable(key, path, facts).or_else(|| foreign_owner(key, path, facts, surroundings))
}

/// The configuration itself: whoever can write it, or put another one in its place, can run what he likes. Still no reason to
/// leave a board without its agent.
pub(super) fn changeable(key: &str, path: &Path, surroundings: &Surroundings) -> Vec<Remark> {
    let of_file = (surroundings.look)(path).ok().and_then(|facts| {
        writable(key, path, facts).or_else(|| foreign_owner(key, path, facts, surroundings))
    });
    of_file.into_iter().chain(changeable_directory(key, path, surroundings)).collect()
}

fn writable(key: &str, path: &Path, facts: FileFacts) -> Option<Remark> {
    (facts.mode & 0o022 != 0).then(|| {
        let what = format!("{} can be changed by others (mode {:03o})", path.display(), facts.mode);
        Remark::new(key, what, format!("run: chmod go-w {}", shell_word(path)))
    })
}

/// The key: nobody else may even read it. Stricter than 600 is fine.
pub(super) fn secret_file(
    key: &str,
    path: &Path,
    facts: FileFacts,
    surroundings: &Surroundings,
) -> Option<Remark> {
    if !facts.regular {
        return Some(not_a_file(key, path));
    }
    if facts.mode & 0o077 != 0 {
        let what =
            format!("{} can be used by others than its owner (mode {:03o})", path.display(), facts.mode);
        return Some(Remark::new(key, what, format!("run: chmod 600 {}", shell_word(path))));
    }
    foreign_owner(key, path, facts, surroundings)
}

/// Whoever can write the directory of a file can put another one in its place. Those of root's that are sticky (`/tmp`)
/// do not let him.
pub(super) fn changeable_directory(key: &str, path: &Path, surroundings: &Surroundings) -> Option<Remark> {
    let directory = path.parent()?;
    // One that may be entered and not listed is not open to others in that way.
    let facts = (surroundings.look)(directory).ok()?;
    let sticky = facts.mode & 0o1000 != 0 && facts.owner == 0;
    if facts.mode & 0o022 != 0 && !sticky {
        let what = format!("{} can be changed by others (mode {:03o})", directory.display(), facts.mode);
        return Some(Remark::new(key, what, format!("run: chmod go-w {}", shell_word(directory))));
    }
    foreign_owner(key, directory, facts, surroundings)
}

fn not_a_file(key: &str, path: &Path) -> Remark {
    Remark::new(key, format!("{} is not a regular file", path.display()), "name the PEM file itself")
}

/// An owner can always change the mode, so it must be us or root.
fn foreign_owner(key: &str, path: &Path, facts: FileFacts, surroundings: &Surroundings) -> Option<Remark> {
    (facts.owner != 0 && facts.owner != surroundings.user).then(|| {
        let what = format!("{} belongs to user {}, neither root nor us", path.display(), facts.owner);
        Remark::new(key, what, format!("run: chown {} {}", surroundings.user, shell_word(path)))
    })
}

/// What to say about a file that cannot be opened, and its mend.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> (String, String) {
    let mend = if path.as_os_str().as_encoded_bytes().contains(&b'$') {
        "write the path out: only a leading `~` stands for something".to_owned()
    } else if error.kind() == io::ErrorKind::NotFound {
        "put it there, or correct the path".to_owned()
    } else {
        format!("let it belong to the user that runs the agent: chown USER {}", shell_word(path))
    };
    (format!("{} cannot be read ({error})", path.display()), mend)
}
