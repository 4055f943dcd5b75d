//! As whom a handler runs: looked up in the user database before anything is started.
//!
//! A user that cannot be honoured is a refusal here; the switch itself happens in the handler's process (`spawn`).

use nix::errno::Errno;
use nix::unistd::{Uid, User, getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// A user with what a handler's environment says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The user's number.
    pub(crate) uid: u32,
    /// The number of its first group.
    pub(crate) gid: u32,
    /// Its name, or its number if it has none.
    pub(crate) name: String,
    /// Its home directory.
    pub(crate) home: String,
}

/// The agent's own user, who may have no entry in the database.
pub(crate) fn agent() -> Result<Identity, Refusal> {
    let uid = geteuid();
    let entry = User::from_uid(uid).map_err(|error| unreadable(&uid.to_string(), error))?;
    Ok(entry.map_or_else(
        || Identity {
            uid: uid.as_raw(),
            gid: getegid().as_raw(),
            name: uid.to_string(),
            home: "/".to_owned(),
        },
        |entry| identity(&entry),
    ))
}

/// The user to switch to; `None` if that is the agent's own. Where there is a list of users, it must be one of them: by
/// number, since a user may be written in several ways.
pub(crate) fn other_than(
    agent: &Identity,
    wanted: &str,
    allowed: Option<&[String]>,
) -> Result<Option<Identity>, Refusal> {
    let found = find(wanted)?.ok_or_else(|| Refusal::UnknownUser { user: wanted.to_owned() })?;
    if found.uid == agent.uid {
        return Ok(None);
    }
    if let Some(allowed) = allowed {
        let mut listed = false;
        for entry in allowed {
            listed |= find(entry)?.is_some_and(|entry| entry.uid == found.uid);
        }
        if !listed {
            return Err(Refusal::UserNotAllowed { user: wanted.to_owned() });
        }
    }
    if agent.uid != 0 {
        return Err(Refusal::CannotSwitch { user: wanted.to_owned(), agent: agent.uid });
    }
    Ok(Some(found))
}

/// Whether there is a user of this name or number.
pub(crate) fn exists(wanted: &str) -> Result<bool, Refusal> {
    Ok(find(wanted)?.is_some())
}

/// By name first, since a name may consist of digits.
fn find(wanted: &str) -> Result<Option<Identity>, Refusal> {
    if !may_be_a_user(wanted) {
        return Ok(None);
    }
    let by_name = User::from_name(wanted).map_err(|error| unreadable(wanted, error))?;
    // Digits only: the standard library would also read a sign.
    let number = Some(wanted).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let entry = match (by_name, number.and_then(|text| text.parse::<u32>().ok())) {
        (Some(entry), _) => Some(entry),
        (None, Some(uid)) => User::from_uid(Uid::from_raw(uid)).map_err(|error| unreadable(wanted, error))?,
        (None, None) => None,
    };
    Ok(entry.as_ref().map(identity).filter(|found| found.uid != NO_USER))
}

/// To the kernel this number, -1, says "leave the user as it is": nobody can be switched to it.
const NO_USER: u32 = u32::MAX;

/// The longest name of a user on Linux, in bytes (`LOGIN_NAME_MAX`).
const LONGEST_NAME: usize = 256;

/// What cannot be a user is not asked for: the database may lie on another machine, and has a syntax of its own.
fn may_be_a_user(wanted: &str) -> bool {
    (1..=LONGEST_NAME).contains(&wanted.len())
        && !wanted.starts_with(['-', '+', '~'])
        && !wanted.contains([':', '/', ',', '*'])
        && !wanted.contains(char::is_control)
}

fn identity(entry: &User) -> Identity {
    Identity {
        uid: entry.uid.as_raw(),
        gid: entry.gid.as_raw(),
        name: entry.name.clone(),
        home: entry.dir.to_string_lossy().into_owned(),
    }
}

fn unreadable(user: &str, error: Errno) -> Refusal {
    Refusal::Examine { what: format!("user {user:?}"), source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_own_user_by_name_or_number_needs_no_switch() {
        let agent = agent().unwrap();
        assert_eq!(other_than(&agent, &agent.uid.to_string(), None).unwrap(), None);
        assert_eq!(other_than(&agent, &agent.name, Some(&[])).unwrap(), None);
    }

    #[test]
    fn a_user_that_does_not_exist_is_never_the_agents_own() {
        let agent = agent().unwrap();
        let long = "r".repeat(32 * 1024);
        for wanted in [
            "",
            "-u",
            "-u root",
            "--",
            "no such user",
            "4294967294",
            "4294967295",
            "4294967296",
            "-1",
            "root\0",
            "root\n",
            "root:x:0:0",
            "../root",
            "root,daemon",
            "*",
            "~root",
            "+0",
            "-0",
            " 0",
            "0 ",
            "0x0",
            "\u{0660}",
            "18446744073709551616",
            "$(id)",
            "root;id",
            "\u{202e}toor",
            &long,
        ] {
            let refusal = other_than(&agent, wanted, None).unwrap_err();
            assert!(matches!(refusal, Refusal::UnknownUser { .. }), "{wanted:?}: {refusal}");
        }
    }

    #[test]
    fn a_list_of_users_is_compared_by_number_and_the_agents_own_user_needs_no_entry() {
        let agent = Identity { uid: 0, gid: 0, name: "root".into(), home: "/root".into() };
        let listed = |wanted: &str, list: &[&str]| {
            let list: Vec<String> = list.iter().map(|&entry| entry.to_owned()).collect();
            other_than(&agent, wanted, Some(&list))
        };
        // Present on every system.
        let daemon = find("daemon").unwrap().unwrap();
        let number = daemon.uid.to_string();
        for list in [&["daemon"][..], &[&number], &["no such user", "root", &number]] {
            assert_eq!(listed("daemon", list).unwrap().as_ref(), Some(&daemon), "{list:?}");
            assert_eq!(listed(&number, list).unwrap().as_ref(), Some(&daemon), "{list:?}");
        }
        for list in [&[][..], &["root"], &["no such user", ""]] {
            let refusal = listed("daemon", list).unwrap_err();
            assert!(matches!(refusal, Refusal::UserNotAllowed { .. }), "{list:?}: {refusal}");
            assert_eq!(listed("root", list).unwrap(), None, "{list:?}");
        }
        assert!(matches!(listed("no such user", &["daemon"]), Err(Refusal::UnknownUser { .. })));
    }

    #[test]
    fn an_agent_that_is_not_root_does_not_switch() {
        let agent = Identity { uid: 12345, gid: 12345, name: "agent".into(), home: "/".into() };
        assert!(matches!(other_than(&agent, "root", None), Err(Refusal::CannotSwitch { agent: 12345, .. })));
    }
}
