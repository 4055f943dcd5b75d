//! The policies of `packaging/policies` allow what the code does on the real AWS, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use jobs_protocol::topic::{JobSelector, JobsTopic, RequestTopic, agent_filters};
use jobs_protocol::{JobId, ThingName};
use serde_json::Value;

/// Of AWS, not counting blanks.
const LONGEST_POLICY: usize = 2048;

/// What stands before the kind of a resource.
const ARN: &str = "arn:aws:iot:us-east-1:123456789012:";

#[test]
fn the_agent_may_connect_as_its_thing_and_as_nobody_else() {
    let policy = Policy::agent();
    assert!(policy.allows("iot:Connect", "client/board-1"));
    for client in ["board-2", "board-1-sandbox-12345678", "board-", ""] {
        assert!(!policy.allows("iot:Connect", &format!("client/{client}")), "{client}");
    }
    let connect = policy.statements.iter().find(|statement| statement.actions == ["iot:Connect"]).unwrap();
    assert_eq!(connect.condition["Bool"]["iot:Connection.Thing.IsAttached"], "true");
}

#[test]
fn the_agent_may_publish_what_it_publishes_and_no_more() {
    let used = published_by("crates/agent-core/src");
    assert_eq!(used, BTreeSet::from(["Describe", "GetPending", "Update"].map(str::to_owned)));
    assert_publishing(&Policy::agent(), &used);
}

#[test]
fn the_agent_may_subscribe_to_its_filters_and_receive_what_they_match() {
    assert_subscribing(&Policy::agent(), &agent_filters(&thing()));
}

#[test]
fn the_sandbox_may_connect_beside_the_agent_and_do_what_its_commands_do() {
    let policy = Policy::read("sandbox-device.json", "THING");
    assert!(policy.allows("iot:Connect", "client/board-1-sandbox-12345678"));
    assert!(!policy.allows("iot:Connect", "client/board-1"));
    let used = named_in("crates/sandbox/src/commands", "RequestTopic::");
    assert_eq!(used.len(), 4, "{used:?}");
    assert_publishing(&policy, &used);

    // As its own `filters` has it: those of the agent, the answers to start-next, and the events.
    let source = crate::read("crates/sandbox/src/device/news.rs");
    for part in ["agent_filters(thing)", "/jobs/start-next/+", "[JOB_EVENTS, EXECUTION_EVENTS]", "{prefix}#"]
    {
        assert!(
            source.contains(part),
            "the sandbox subscribes to something else than this test believes: {part}"
        );
    }
    let mut filters = agent_filters(&thing());
    filters.push("$aws/things/board-1/jobs/start-next/+".to_owned());
    filters.extend(["$aws/events/job/#", "$aws/events/jobExecution/#"].map(str::to_owned));
    assert_subscribing(&policy, &filters);
}

#[test]
fn the_sandbox_may_call_the_operations_of_the_control_plane_that_it_calls() {
    let source = crate::read("crates/sandbox/src/control/mod.rs");
    let (_, operations) = source.split_once("fn operation(").expect("the sandbox lists its operations");
    let operations = operations.split_once("\n    }\n").expect("the list has an end").0;
    let called: BTreeSet<_> =
        operations.split('"').skip(1).step_by(2).map(|operation| format!("iot:{operation}")).collect();
    assert!(called.len() >= 8, "only {called:?}");
    let policy = Policy::read("sandbox-control.json", "THING");
    let allowed = policy.statements.iter().flat_map(|statement| statement.actions.clone()).collect();
    assert_eq!(called, allowed);
    for (action, resource, allowed) in [
        ("iot:CreateJob", "thing/board-1", true),
        ("iot:CreateJob", "thing/board-2", false),
        ("iot:CreateJob", "thinggroup/all", false),
        ("iot:CreateThing", "thing/board-2", false),
        ("iot:CancelJob", "job/any", true),
        ("iot:DeleteJob", "thing/board-1", false),
    ] {
        assert_eq!(policy.allows(action, resource), allowed, "{action} {resource}");
    }
}

#[test]
fn every_iot_policy_is_short_enough_for_the_longest_region() {
    for name in ["agent.json", "sandbox-device.json"] {
        let text = crate::read(&format!("packaging/policies/{name}")).replace("us-east-1", "ap-southeast-1");
        let length = text.chars().filter(|c| !c.is_whitespace()).count();
        assert!(length <= LONGEST_POLICY, "{name} has {length} characters");
    }
}

#[test]
fn a_pattern_is_matched_as_aws_does_it() {
    for (pattern, text, matches) in [
        ("a/*/b", "a/x/b", true),
        ("a/*/b", "a/x/y/b", true),
        ("a/*/b", "a//b", true),
        ("a/*/b", "a/b", false),
        ("a/+", "a/b", false),
        ("a/+", "a/+", true),
        ("a?", "ab", true),
        ("a?", "a", false),
        ("*", "", true),
    ] {
        assert_eq!(is_matched(pattern, text), matches, "{pattern} {text}");
    }
}

/// Of every topic of the API the policy allows publishing to those of the requests in `used`, for this thing only.
fn assert_publishing(policy: &Policy, used: &BTreeSet<String>) {
    for request in requests() {
        let name = format!("{request:?}").split('(').next().unwrap().to_owned();
        let topic = JobsTopic::Request(request.clone()).of(&thing());
        assert_eq!(policy.allows("iot:Publish", &format!("topic/{topic}")), used.contains(&name), "{topic}");
        let others = topic.replace("board-1", "board-2");
        assert!(!policy.allows("iot:Publish", &format!("topic/{others}")), "{others}");
        for answer in [JobsTopic::Accepted(request.clone()), JobsTopic::Rejected(request)] {
            let topic = answer.of(&thing());
            assert!(!policy.allows("iot:Publish", &format!("topic/{topic}")), "{topic}");
        }
    }
    for topic in ["$aws/things/board-1/shadow/update", "$aws/things/board-1/jobs/notify", "a/b"] {
        assert!(!policy.allows("iot:Publish", &format!("topic/{topic}")), "{topic}");
    }
}

/// The policy allows subscribing to exactly these filters, and receiving exactly the topics that they match.
fn assert_subscribing(policy: &Policy, filters: &[String]) {
    for filter in filters {
        assert!(policy.allows("iot:Subscribe", &format!("topicfilter/{filter}")), "{filter}");
    }
    let allowed = policy.resources("iot:Subscribe");
    let wanted: BTreeSet<_> = filters.iter().map(|filter| format!("topicfilter/{filter}")).collect();
    assert_eq!(allowed, wanted);

    let mut topics = vec![JobsTopic::Notify.of(&thing()), JobsTopic::NotifyNext.of(&thing())];
    for request in requests() {
        topics.push(JobsTopic::Request(request.clone()).of(&thing()));
        topics.push(JobsTopic::Accepted(request.clone()).of(&thing()));
        topics.push(JobsTopic::Rejected(request).of(&thing()));
    }
    topics.extend(topics.clone().into_iter().map(|topic| topic.replace("board-1", "board-2")));
    topics.extend(["$aws/things/board-1/shadow/get/accepted", "a/b"].map(str::to_owned));
    topics.extend(["job/j/completed", "jobExecution/j/failed"].map(|end| format!("$aws/events/{end}")));
    for topic in topics {
        let subscribed = filters.iter().any(|filter| is_subscribed(filter, &topic));
        assert_eq!(policy.allows("iot:Receive", &format!("topic/{topic}")), subscribed, "{topic}");
    }
}

fn thing() -> ThingName {
    ThingName::try_from("board-1").unwrap()
}

/// Every request of the API.
fn requests() -> Vec<RequestTopic> {
    let job = || JobId::try_from("job-1").unwrap();
    vec![
        RequestTopic::GetPending,
        RequestTopic::StartNext,
        RequestTopic::Describe(JobSelector::Next),
        RequestTopic::Describe(JobSelector::Job(job())),
        RequestTopic::Update(job()),
    ]
}

/// The requests that the source publishes: each call has to name its topic.
fn published_by(directory: &str) -> BTreeSet<String> {
    let calls =
        |before: &str| sources(directory).iter().map(|source| source.matches(before).count()).sum::<usize>();
    let (all, named) = (calls(".publish("), calls(".publish(RequestTopic::"));
    assert_eq!(all, named, "{directory} publishes to a topic that this test does not see");
    named_in(directory, ".publish(RequestTopic::")
}

/// The names that follow a text in the sources below a directory.
fn named_in(directory: &str, before: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut names = BTreeSet::new();
    for source in sources(directory) {
        names.extend(source.split(before).skip(1).map(name));
    }
    names
}

/// The content of every source file below a directory.
fn sources(directory: &str) -> Vec<String> {
    let mut sources = Vec::new();
    let mut directories = vec![crate::root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                sources.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

/// Whether an MQTT filter matches a topic.
fn is_subscribed(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            (_, _) => return false,
        }
    }
    levels.next().is_none()
}

/// A policy, for the thing `board-1`.
struct Policy {
    statements: Vec<Statement>,
}

struct Statement {
    actions: Vec<String>,
    resources: Vec<String>,
    condition: Value,
}

impl Policy {
    fn agent() -> Self {
        Self::read("agent.json", "${iot:Connection.Thing.ThingName}")
    }

    /// Reads a policy in which `name` stands for the name of the thing.
    fn read(file: &str, name: &str) -> Self {
        let path = Path::new("packaging/policies").join(file);
        let text = crate::read(path.to_str().unwrap());
        let policy: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(policy["Version"], "2012-10-17", "{file}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let texts = |value: &Value| match value.as_array() {
            Some(list) => list.iter().map(text).collect(),
            None => vec![text(value)],
        };
        let statements = policy["Statement"].as_array().unwrap().iter().map(|statement| {
            assert_eq!(statement["Effect"], "Allow", "{file}");
            let resource = |arn: String| {
                let rest = arn.strip_prefix(ARN).or((arn == "*").then_some("*"));
                rest.unwrap_or_else(|| panic!("{file}: {arn}")).replace(name, "board-1")
            };
            Statement {
                actions: texts(&statement["Action"]),
                resources: texts(&statement["Resource"]).into_iter().map(resource).collect(),
                condition: statement["Condition"].clone(),
            }
        });
        Self { statements: statements.collect() }
    }

    fn allows(&self, action: &str, resource: &str) -> bool {
        self.resources(action).iter().any(|pattern| is_matched(pattern, resource))
    }

    fn resources(&self, action: &str) -> BTreeSet<String> {
        let allowing =
            self.statements.iter().filter(|statement| statement.actions.iter().any(|a| a == action));
        allowing.flat_map(|statement| statement.resources.clone()).collect()
    }
}

/// `*` stands for any text, `?` for any character.
fn is_matched(pattern: &str, text: &str) -> bool {
    let Some(wanted) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[wanted.len_utf8()..];
    match (wanted, text.chars().next()) {
        ('*', None) => is_matched(rest, text),
        ('*', Some(c)) => is_matched(rest, text) || is_matched(pattern, &text[c.len_utf8()..]),
        ('?', Some(c)) => is_matched(rest, &text[c.len_utf8()..]),
        (wanted, Some(c)) if wanted == c => is_matched(rest, &text[c.len_utf8()..]),
        (_, _) => false,
    }
}
