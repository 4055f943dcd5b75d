//! What the conditions of a document are compared with: what the machine says of itself, and what the operator says
//! of it. The operator has the last word, so that a fleet can spell things its own way.

use std::collections::BTreeMap;

use crate::config::Config;

/// All facts of this device. They hold as long as the agent runs.
pub(crate) fn all(config: &Config) -> BTreeMap<String, String> {
    let system = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let mut facts = BTreeMap::from([
        ("operatingSystem".to_owned(), std::env::consts::OS.to_owned()),
        // As `uname -m` says it: the kernel's word, the same for every build of the agent.
        ("architecture".to_owned(), text(system.machine())),
        ("hostname".to_owned(), text(system.nodename())),
        ("thingName".to_owned(), config.thing_name.to_string()),
    ]);
    facts.extend(config.jobs.facts.clone());
    facts
}
