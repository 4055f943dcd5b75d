//! Topics and filters: which are valid on AWS IoT Core, who may publish where, and what matches what.
//!
//! Pure text rules. The limits are the AWS IoT quotas; the meaning of a Jobs request topic is left to the Jobs
//! service.

/// Longest topic or filter, in bytes of UTF-8.
const MAX_BYTES: usize = 256;
/// Most slashes in a topic or filter.
const MAX_SLASHES: usize = 7;

/// Where a publication of a client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To the subscribers, as in any broker.
    Subscribers,
    /// To the Jobs service, as a request, and to nobody else.
    Jobs,
    /// Nowhere: replies, notifications and the rest of `$` belong to the service.
    Reserved,
}

/// Says where a publication on a valid `topic` goes.
///
/// Below `$aws/things/{thing}/jobs/` whatever is not a reply or a notification is a request: it is the service
/// that answers a request that does not exist.
pub(crate) fn destination(topic: &str) -> Destination {
    if !topic.starts_with('$') {
        return Destination::Subscribers;
    }
    let mut levels = topic.split('/');
    let (Some("$aws"), Some("things"), Some(_), Some("jobs"), Some(first)) =
        (levels.next(), levels.next(), levels.next(), levels.next(), levels.next())
    else {
        return Destination::Reserved;
    };
    let reply = levels.next_back().is_some_and(|last| last == "accepted" || last == "rejected");
    let notification = topic.ends_with("/jobs/notify")
        || topic.ends_with("/jobs/notify-next")
        || first.starts_with("notify-namespace-");
    if reply || notification { Destination::Reserved } else { Destination::Jobs }
}

/// A topic that a client may name in a publication: not empty, no wildcard, within the limits.
pub(crate) fn is_valid_topic(topic: &str) -> bool {
    within_limits(topic) && !topic.contains(['+', '#'])
}

/// A filter that may be subscribed to: wildcards stand alone in their level, `#` last, within the limits, and of
/// the `$` topics only those that clients have business with. A shared filter is one behind the name of its group.
pub(crate) fn is_valid_filter(filter: &str) -> bool {
    if let Some((name, filter)) = shared(filter) {
        let valid = !name.is_empty() && !name.contains(['+', '#']) && name.len() <= MAX_BYTES;
        return valid && shared(filter).is_none() && is_valid_filter(filter);
    }
    let mut levels = filter.split('/').peekable();
    let mut well_formed = within_limits(filter);
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        well_formed &= match level {
            "+" => true,
            "#" => last,
            plain => !plain.contains(['+', '#']),
        };
    }
    well_formed && (!filter.starts_with('$') || is_client_family(filter))
}

/// `$aws/things/{thing}/...` and `$aws/events/{kind}/...`. `$aws/#`, `$aws/things` or `$foo/x` are refused, as AWS
/// does.
fn is_client_family(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    match levels[..] {
        ["$aws", "things", thing, ..] => levels.len() >= 4 && thing != "#",
        ["$aws", "events", kind, ..] => levels.len() >= 4 && kind != "#",
        _ => false,
    }
}

/// The name of the group and the filter of a shared subscription, `$share/NAME/FILTER`; `None` if it is none.
pub(crate) fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// Has `+` or `#` in it; only meaningful for a valid filter.
pub(crate) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// Whether a message on `topic` goes to a subscription to `filter`, both valid.
///
/// A wildcard in front does not match a topic that begins with `$`. Against the MQTT standard, and as AWS IoT
/// Core does, `a/#` does not match `a` itself.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut wanted = filter.split('/');
    let mut given = topic.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) | (Some("#"), Some(_)) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(other)) if level == other => {}
            (Some(_) | None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

fn within_limits(text: &str) -> bool {
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().filter(|&byte| byte == b'/').count() <= MAX_SLASHES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_stands_for_one_level_and_a_hash_for_all_that_follow() {
        let matched = [
            ("a/b", "a/b"),
            ("a/+", "a/b"),
            ("+/+", "a/b"),
            ("+", "a"),
            ("#", "a/b/c"),
            ("a/#", "a/b/c"),
            ("a/+/c", "a/b/c"),
            ("a/+", "a/"),
            ("$aws/things/t1/jobs/+/update/accepted", "$aws/things/t1/jobs/j/update/accepted"),
            ("$aws/things/+/jobs/#", "$aws/things/t1/jobs/notify"),
            ("$aws/things/t1/jobs/+/get/+", "$aws/things/t1/jobs/$next/get/accepted"),
        ];
        for (filter, topic) in matched {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        let unmatched =
            [("a/b", "a"), ("a", "a/b"), ("a/+", "a"), ("a/+", "a/b/c"), ("a/b", "A/b"), ("+/b", "b")];
        for (filter, topic) in unmatched {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }

    #[test]
    fn a_wildcard_in_front_does_not_match_reserved_topics() {
        for filter in ["#", "+/things/t1/jobs/notify", "+/#"] {
            assert!(!matches(filter, "$aws/things/t1/jobs/notify"), "{filter}");
        }
    }

    #[test]
    fn a_hash_does_not_match_its_parent_level() {
        assert!(!matches("a/#", "a"));
        assert!(!matches("$aws/things/t1/jobs/#", "$aws/things/t1/jobs"));
        assert!(matches("a/#", "a/"));
    }

    #[test]
    fn wildcards_stand_alone_in_their_level_and_a_hash_stands_last() {
        for valid in ["#", "+", "a/+/b", "a/#", "+/#", "/", "a//b"] {
            assert!(is_valid_filter(valid), "{valid}");
        }
        for invalid in ["", "a#", "a+/b", "#/a", "a/#/b", "++"] {
            assert!(!is_valid_filter(invalid), "{invalid}");
        }
    }

    #[test]
    fn only_the_client_families_of_reserved_topics_may_be_subscribed_to() {
        for valid in [
            "$aws/things/+/jobs/#",
            "$aws/things/t1/jobs/notify-next",
            "$aws/events/job/#",
            "$aws/events/jobExecution/j1/succeeded",
            "$share/g/a/+",
            "$share/g/$aws/things/t1/jobs/notify-next",
            "$share/g/1/2/3/4/5/6/7/8",
        ] {
            assert!(is_valid_filter(valid), "{valid}");
        }
        for invalid in [
            "$aws/#",
            "$aws/things",
            "$aws/things/#",
            "$aws/rules/x",
            "$foo/x",
            "$share",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/g/$aws/#",
            "$share/g/$share/h/a",
            "$share/g/1/2/3/4/5/6/7/8/9",
        ] {
            assert!(!is_valid_filter(invalid), "{invalid}");
        }
    }

    #[test]
    fn topics_are_at_most_256_bytes_long_and_8_levels_deep() {
        assert!(is_valid_topic(&"t".repeat(256)));
        assert!(!is_valid_topic(&"t".repeat(257)));
        assert!(is_valid_topic("1/2/3/4/5/6/7/8"));
        assert!(!is_valid_topic("1/2/3/4/5/6/7/8/9"));
        assert!(!is_valid_topic(""));
        assert!(!is_valid_topic("a/+"));
        assert!(!is_valid_topic("a/#"));
    }

    #[test]
    fn requests_go_to_the_service_and_its_own_topics_are_closed() {
        let requests = [
            "get",
            "start-next",
            "$next/get",
            "j1/get",
            "j1/update",
            "get/get",
            "notify/update",
            "j1/unknown",
            "accepted",
        ];
        for request in requests {
            let topic = format!("$aws/things/t:1/jobs/{request}");
            assert_eq!(destination(&topic), Destination::Jobs, "{topic}");
        }
        let reserved = [
            "$aws/things/t1/jobs/notify",
            "$aws/things/t1/jobs/notify-next",
            "$aws/things/t1/jobs/notify-namespace-x",
            "$aws/things/t1/jobs/get/accepted",
            "$aws/things/t1/jobs/j1/update/rejected",
            "$aws/things/t1/jobs",
            "$aws/things/t1/shadow/update",
            "$aws/events/job/j1/completed",
            "$foo",
        ];
        for topic in reserved {
            assert_eq!(destination(topic), Destination::Reserved, "{topic}");
        }
        assert_eq!(destination("sensors/$aws/x"), Destination::Subscribers);
    }
}
