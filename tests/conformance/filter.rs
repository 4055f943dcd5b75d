//! Topic filters as AWS IoT Core matches them: `#` does not match its parent level, and a leading wildcard does not
//! match a topic that begins with `$`.

/// Whether a subscription covers a topic.
pub(crate) fn covers(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", level) => return level.is_some(),
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn filters_match_as_the_broker_does() {
        for (filter, topic, wanted) in [
            ("$aws/things/t1/jobs/#", "$aws/things/t1/jobs/notify", true),
            ("$aws/things/t1/jobs/#", "$aws/things/t1/jobs/j/update/accepted", true),
            ("$aws/things/t1/jobs/#", "$aws/things/t1/jobs", false),
            ("$aws/things/t1/jobs/#", "$aws/things/t2/jobs/notify", false),
            ("$aws/things/t1/jobs/notify", "$aws/things/t1/jobs/notify-next", false),
            ("$aws/things/+/jobs/notify", "$aws/things/t1/jobs/notify", true),
            ("$aws/things/t1/jobs/+", "$aws/things/t1/jobs/j/get", false),
            ("#", "$aws/things/t1/jobs/notify", false),
            ("+/things/t1/jobs/notify", "$aws/things/t1/jobs/notify", false),
            ("a/+", "a/", true),
            ("a/+", "a", false),
        ] {
            assert_eq!(covers(filter, topic), wanted, "{filter} on {topic}");
        }
    }
}
