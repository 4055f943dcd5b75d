//! Licences and banned crates, by the lists of `deny.toml`.

use crate::metadata::Graph;

/// The sandbox as it is built for AWS: more than any other build of it.
const FOR_AWS: &[&str] = &["--features", "sandbox/aws"];

#[test]
fn everything_in_the_agent_and_in_the_sandbox_has_a_licence_of_the_list() {
    let allowed = list("[licenses]", "\nallow = [");
    let exceptions = list("[licenses]", "\nexceptions = [");
    let graph = Graph::read_with(FOR_AWS);
    assert!(graph.linked("sandbox").contains("aws-sdk-iot"), "the graph is not that of the feature");
    for ours in ["fleethand", "sandbox"] {
        let licences = graph.licences(ours);
        assert!(licences.len() > 20, "the graph is not that of {ours}: {licences:?}");
        for (name, licence) in licences {
            let licence = licence.unwrap_or_else(|| panic!("{name} does not name its licence"));
            let excepted = exceptions.chunks(2).any(|pair| pair == [name, licence]);
            assert!(excepted || is_allowed(licence, &allowed), "{name} has the licence `{licence}`");
        }
    }
}

#[test]
fn no_banned_crate_is_in_the_agent_or_in_a_tool_for_the_desk() {
    let banned = list("[bans]", "\ndeny = [");
    assert!(banned.contains(&"aws-lc-rs".to_owned()), "{banned:?}");
    let graph = Graph::read_with(FOR_AWS);
    for ours in ["fleethand", "local-service", "sandbox"] {
        for (name, _) in graph.licences(ours) {
            assert!(!banned.iter().any(|banned| banned == name), "{name} is in {ours}");
        }
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for good in [
        "MIT",
        "MIT/GPL-3.0",
        "GPL-3.0 OR MIT",
        "Apache-2.0 AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        "MIT OR GPL-3.0 AND GPL-2.0",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT WITH something", ""] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

/// The quoted texts of a list in a section of `deny.toml`.
fn list(section: &str, begin: &str) -> Vec<String> {
    let text = crate::read("deny.toml");
    let (_, rest) = text.split_once(section).unwrap_or_else(|| panic!("no section {section}"));
    let (_, rest) = rest.split_once(begin).unwrap_or_else(|| panic!("no list {begin}"));
    let (items, _) = rest.split_once("\n]").expect("a list ends on a line of its own");
    items.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be satisfied with these licences. `OR` binds less than `AND`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut good = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        good |= all_of(words, allowed);
    }
    good
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut good = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        good &= one(words, allowed);
    }
    good
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let good = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && good;
    }
    let Some(licence) = words.next() else { return false };
    let licence = match words.next_if_eq(&"WITH") {
        Some(_) => format!("{licence} WITH {}", words.next().unwrap_or_default()),
        None => licence.to_owned(),
    };
    allowed.contains(&licence)
}
