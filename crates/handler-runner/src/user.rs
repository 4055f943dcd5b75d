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

/// The user to switch to; `None` if that is the agent's own.
pub(crate) fn other_than(agent: &Identity, wanted: &str) -> Result<Option<Identity>, Refusal> {
    let found = find(wanted)?.ok_or_else(|| Refusal::UnknownUser { user: wanted.to_owned() })?;
    if found.uid == agent.uid {
        return Ok(None);
    }
    if agent.uid != 0 {
        return Err(Refusal::CannotSwitch { user: wanted.to_owned(), agent: agent.uid });
    }
    Ok(Some(found))
}

/// By name first, since a name may consist of digits.
fn find(wanted: &str) -> Result<Option<Identity>, Refusal> {
    if wanted.contains('\0') {
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
    Ok(entry.as_ref().map(identity))
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
        assert_eq!(other_than(&agent, &agent.uid.to_string()).unwrap(), None);
        assert_eq!(other_than(&agent, &agent.name).unwrap(), None);
    }

    #[test]
    fn a_user_that_does_not_exist_is_never_the_agents_own() {
        let agent = agent().unwrap();
        for wanted in ["", "-u", "no such user", "4294967294", "root\0", "../root", "+0", "-0", " 0"] {
            let refusal = other_than(&agent, wanted).unwrap_err();
            assert!(matches!(refusal, Refusal::UnknownUser { .. }), "{wanted:?}: {refusal}");
        }
    }

    #[test]
    fn an_agent_that_is_not_root_does_not_switch() {
        let agent = Identity { uid: 12345, gid: 12345, name: "agent".into(), home: "/".into() };
        assert!(matches!(other_than(&agent, "root"), Err(Refusal::CannotSwitch { agent: 12345, .. })));
    }
}
