//! IoT policies: what the holder of a certificate may do, as AWS IoT Core judges it.
//!
//! Pure. A policy is what AWS takes, with variables, wildcards and conditions; region and account in its ARNs are not
//! compared, so that the policies of a real account can be tried here as they are. What cannot be judged here makes a policy
//! invalid rather than judged wrongly.

mod condition;
mod several;

use serde::Deserialize;

use self::condition::{Comparison, Conditions, Key};
use self::several::Several;
use crate::pki::ISSUED_NAME;

/// A policy document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    #[serde(rename = "Statement")]
    statements: Several<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: Several<String>,
    resource: Several<String>,
    #[serde(default)]
    condition: Conditions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// Something that a policy allows or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed<'a> {
    /// With a session that outlives the connection, or with a will.
    Connect {
        persistent: bool,
        will: bool,
    },
    Publish(&'a str),
    RetainPublish(&'a str),
    Subscribe(&'a str),
    Receive(&'a str),
    /// An operation of the Jobs data plane over HTTPS, and the thing that it is about.
    JobsData {
        operation: &'a str,
        thing: &'a str,
    },
}

/// Policies as they hold for one connection: whose certificate, and which client id.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    policies: Vec<Policy>,
    /// The thing of this connection: it is known by the client id, which must be its name, and over MQTT only.
    thing: Option<String>,
    common_name: String,
    /// `None`: HTTPS, which has none.
    client_id: Option<String>,
}

impl Permit {
    /// For a certificate whose common name is that of its only thing.
    pub(crate) fn new(policy: Policy, thing: String, client_id: Option<String>) -> Self {
        let own = client_id.clone().filter(|id| *id == thing);
        Self { policies: vec![policy], thing: own, common_name: thing, client_id }
    }

    /// For a certificate that the service has given out; `thing`: the one of its things that has the client id as its name.
    pub(crate) fn issued(policies: Vec<Policy>, thing: Option<String>, client_id: Option<String>) -> Self {
        Self { policies, thing, common_name: ISSUED_NAME.to_owned(), client_id }
    }

    /// Whether a statement allows it, and none denies it.
    pub(crate) fn allows(&self, deed: Deed<'_>) -> bool {
        let (action, resource) = match deed {
            Deed::Connect { .. } => {
                let client = self.client_id.as_deref().unwrap_or_default();
                ("iot:Connect".to_owned(), format!("client/{client}"))
            }
            Deed::Publish(topic) => ("iot:Publish".to_owned(), format!("topic/{topic}")),
            Deed::RetainPublish(topic) => ("iot:RetainPublish".to_owned(), format!("topic/{topic}")),
            Deed::Subscribe(filter) => ("iot:Subscribe".to_owned(), format!("topicfilter/{filter}")),
            Deed::Receive(topic) => ("iot:Receive".to_owned(), format!("topic/{topic}")),
            Deed::JobsData { operation, thing } => {
                (format!("iotjobsdata:{operation}"), format!("thing/{thing}"))
            }
        };
        let action = action.to_ascii_lowercase();
        let mut allowed = false;
        for statement in self.policies.iter().flat_map(|policy| &policy.statements.0) {
            let named = |pattern: &String| glob(&pieces(&pattern.to_ascii_lowercase()), &action);
            if statement.action.0.iter().any(named)
                && statement.resource.0.iter().any(|pattern| self.covers(pattern, &resource))
                && statement.condition.hold(|key| self.known(key, deed), |a, how, b| self.agree(a, how, b))
            {
                match statement.effect {
                    Effect::Allow => allowed = true,
                    Effect::Deny => return false,
                }
            }
        }
        allowed
    }

    /// The values of a condition key.
    fn known(&self, key: Key, deed: Deed<'_>) -> Vec<String> {
        match key {
            Key::ClientId => self.client_id.iter().cloned().collect(),
            Key::ThingName => self.thing.iter().cloned().collect(),
            Key::IsAttached => vec![self.thing.is_some().to_string()],
            Key::CommonName => vec![self.common_name.clone()],
            Key::ConnectAttributes => {
                let Deed::Connect { persistent, will } = deed else { return Vec::new() };
                let all = [(persistent, "PersistentConnect"), (will, "LastWill")];
                all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name.to_owned()).collect()
            }
        }
    }

    /// Whether a value is what a condition's value stands for, after its variables are filled in.
    fn agree(&self, wanted: &str, comparison: Comparison, given: &str) -> bool {
        let literal = |text: &str| text.chars().map(Piece::Is).collect();
        match comparison {
            Comparison::Like => self.filled_in(wanted, pieces).is_some_and(|wanted| glob(&wanted, given)),
            Comparison::Equal => self.filled_in(wanted, literal).is_some_and(|wanted| glob(&wanted, given)),
            Comparison::EqualButForCase => self.filled_in(wanted, literal).is_some_and(|wanted| {
                let folded = wanted.into_iter().map(Piece::folded).collect::<Vec<_>>();
                glob(&folded, &given.to_ascii_lowercase())
            }),
        }
    }

    fn covers(&self, pattern: &str, resource: &str) -> bool {
        if pattern == "*" {
            return true;
        }
        // arn:PARTITION:iot:REGION:ACCOUNT:RESOURCE; a resource may hold colons.
        let Some(pattern) = pattern.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4)) else {
            return false;
        };
        self.filled_in(pattern, pieces).is_some_and(|pattern| glob(&pattern, resource))
    }

    /// A pattern with its variables' values, which hold no wildcards; `None` if one has no value here. `pieces`: what the
    /// rest of it stands for.
    fn filled_in(&self, pattern: &str, pieces: impl Fn(&str) -> Vec<Piece>) -> Option<Vec<Piece>> {
        let mut filled = Vec::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}')?;
            filled.extend(pieces(before));
            let value = match name {
                "iot:ClientId" => self.client_id.as_ref()?,
                "iot:Connection.Thing.ThingName" => self.thing.as_ref()?,
                "iot:Certificate.Subject.CommonName" => &self.common_name,
                "*" | "?" | "$" => {
                    filled.extend(name.chars().map(Piece::Is));
                    rest = behind;
                    continue;
                }
                _ => return None,
            };
            filled.extend(value.chars().map(Piece::Is));
            rest = behind;
        }
        filled.extend(pieces(rest));
        Some(filled)
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Is(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Piece {
    fn folded(self) -> Self {
        match self {
            Self::Is(sign) => Self::Is(sign.to_ascii_lowercase()),
            wildcard @ (Self::One | Self::Any) => wildcard,
        }
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let piece = |sign| match sign {
        '*' => Piece::Any,
        '?' => Piece::One,
        sign => Piece::Is(sign),
    };
    pattern.chars().map(piece).collect()
}

/// Whether a text fits a pattern, in time of their lengths' product.
fn glob(pattern: &[Piece], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut of) = (0, 0);
    // Where the last star stands, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while of < text.len() {
        match pattern.get(at) {
            Some(Piece::Is(sign)) if *sign == text[of] => (at, of) = (at + 1, of + 1),
            Some(Piece::One) => (at, of) = (at + 1, of + 1),
            Some(Piece::Any) => {
                star = Some((at, of));
                at += 1;
            }
            Some(Piece::Is(_)) | None => match star {
                None => return false,
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, of) = (place + 1, taken + 1);
                }
            },
        }
    }
    pattern[at..].iter().all(|piece| *piece == Piece::Any)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CONNECT: Deed<'_> = Deed::Connect { persistent: false, will: false };

    fn permit(statements: &Value, client_id: &str) -> Permit {
        let policy = json!({"Version": "2012-10-17", "Statement": statements});
        Permit::new(serde_json::from_value(policy).unwrap(), "t1".to_owned(), Some(client_id.to_owned()))
    }

    /// What the README wants of a real account.
    fn of_the_agent(client_id: &str) -> Permit {
        let name = "${iot:Connection.Thing.ThingName}";
        let topic = |kind: &str, ends: &[&str]| -> Vec<String> {
            let all = ends.iter();
            all.map(|end| format!("arn:aws:iot:eu-west-1:999999999999:{kind}/$aws/things/{name}/jobs/{end}"))
                .collect()
        };
        let heard = ["notify", "notify-next", "get/*", "*/get/*", "*/update/*"];
        let statements = json!([
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": format!("arn:aws:iot:eu-west-1:999999999999:client/{name}")},
            {"Effect": "Allow", "Action": ["iot:Publish"], "Resource": topic("topic", &["get", "*/get", "*/update"])},
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": topic("topicfilter", &heard)},
            {"Effect": "Allow", "Action": "iot:Receive", "Resource": topic("topic", &heard)},
        ]);
        permit(&statements, client_id)
    }

    #[test]
    fn the_agents_policy_allows_what_the_agent_does_and_nothing_else() {
        let permit = of_the_agent("t1");
        let t = "$aws/things/t1/jobs";
        for topic in ["get", "$next/get", "job-1/update"] {
            assert!(permit.allows(Deed::Publish(&format!("{t}/{topic}"))), "{topic}");
        }
        for filter in ["notify", "notify-next", "get/+", "+/get/+", "+/update/+"] {
            assert!(permit.allows(Deed::Subscribe(&format!("{t}/{filter}"))), "{filter}");
        }
        assert!(permit.allows(CONNECT) && permit.allows(Deed::Receive(&format!("{t}/j/update/accepted"))));
        for topic in ["$aws/things/t2/jobs/get", "$aws/things/t1/jobs/start-next", "other"] {
            assert!(!permit.allows(Deed::Publish(topic)), "{topic}");
        }
        assert!(!permit.allows(Deed::Subscribe(&format!("{t}/#"))), "the filter is text in a policy");
        assert!(!permit.allows(Deed::RetainPublish("other")));
    }

    #[test]
    fn the_things_name_has_a_value_only_where_it_is_the_client_id() {
        let other = of_the_agent("somebody");
        assert!(!other.allows(CONNECT) && !other.allows(Deed::Publish("$aws/things/t1/jobs/get")));
        let by_id = permit(
            &json!({"Effect": "Allow", "Action": "iot:*", "Resource": "arn:aws:iot:*:*:client/${iot:ClientId}"}),
            "a*b",
        );
        assert!(by_id.allows(CONNECT));
        let by_name = permit(
            &json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iot:x:1:topic/${iot:Certificate.Subject.CommonName}/#"}),
            "c",
        );
        assert!(by_name.allows(Deed::Publish("t1/#")) && !by_name.allows(Deed::Publish("t1/x")));
    }

    #[test]
    fn a_value_is_text_and_no_pattern() {
        let statement = json!({"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:x:1:topic/${iot:ClientId}"});
        assert!(!permit(&statement, "*").allows(Deed::Publish("anything")));
        assert!(permit(&statement, "*").allows(Deed::Publish("*")));
    }

    #[test]
    fn what_is_denied_is_denied_whoever_allows_it() {
        let permit = permit(
            &json!([
                {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
                {"Effect": "Deny", "Action": "iot:publish", "Resource": "arn:aws:iot:x:1:topic/secret/*"},
            ]),
            "c",
        );
        assert!(permit.allows(Deed::Publish("open")) && !permit.allows(Deed::Publish("secret/a")));
        assert!(permit.allows(Deed::Receive("secret/a")));
    }

    #[test]
    fn nothing_is_allowed_that_is_not_said() {
        let permit = permit(&json!([]), "c");
        for deed in
            [CONNECT, Deed::Publish("a"), Deed::Subscribe("a"), Deed::Receive("a"), Deed::RetainPublish("a")]
        {
            assert!(!permit.allows(deed), "{deed:?}");
        }
    }

    #[test]
    fn patterns_match_as_a_whole() {
        for (pattern, text, fits) in [
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("**a*", "xxa", true),
            ("*a*b*", "bab", true),
            ("*a*b", "ba", false),
        ] {
            assert_eq!(glob(&pieces(pattern), text), fits, "{pattern} {text}");
        }
        let long = "a".repeat(5000);
        assert!(!glob(&pieces(&format!("{}b", "*a".repeat(50))), &long));
    }

    #[test]
    fn a_condition_is_a_part_of_its_statement() {
        let attached = json!({"Effect": "Allow", "Action": "iot:Connect", "Resource": "*",
            "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}}});
        assert!(permit(&attached, "t1").allows(CONNECT) && !permit(&attached, "t2").allows(CONNECT));
        let persistent = json!({"Effect": "Allow", "Action": "iot:Connect", "Resource": "*",
            "Condition": {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect"]}}});
        let permit_ = permit(&persistent, "c");
        assert!(permit_.allows(CONNECT) && permit_.allows(Deed::Connect { persistent: true, will: false }));
        assert!(!permit_.allows(Deed::Connect { persistent: true, will: true }));
        let own = json!([
            {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "iot:Connect", "Resource": "*",
             "Condition": {"StringNotLike": {"iot:ClientId": "${iot:Certificate.Subject.CommonName}-*"}}},
        ]);
        assert!(permit(&own, "t1-a").allows(CONNECT) && !permit(&own, "t2-a").allows(CONNECT));
        assert!(permit(&own, "t2-a").allows(Deed::Publish("a")), "the action is another");
    }

    #[test]
    fn the_data_plane_over_https_has_actions_of_its_own_and_no_client_id() {
        let over_https = |statement: Value| {
            let policy = json!({ "Statement": statement });
            Permit::new(serde_json::from_value(policy).unwrap(), "t1".to_owned(), None)
        };
        let update = |thing| Deed::JobsData { operation: "UpdateJobExecution", thing };
        let resource = "arn:aws:iot:x:1:thing/t1";
        for (action, allowed) in
            [("iotjobsdata:*", true), ("iotjobsdata:UpdateJobExecution", true), ("*", true), ("iot:*", false)]
        {
            let permit = over_https(json!({"Effect": "Allow", "Action": action, "Resource": resource}));
            assert_eq!(permit.allows(update("t1")), allowed, "{action}");
            assert!(!permit.allows(update("t2")), "{action}");
        }
        let named = "arn:aws:iot:x:1:thing/${iot:Connection.Thing.ThingName}";
        let permit = over_https(json!({"Effect": "Allow", "Action": "iotjobsdata:*", "Resource": named}));
        assert!(!permit.allows(update("t1")), "the variable has a value over MQTT only");
        let subject = "arn:aws:iot:x:1:thing/${iot:Certificate.Subject.CommonName}";
        let permit = over_https(json!({"Effect": "Allow", "Action": "iotjobsdata:*", "Resource": subject}));
        assert!(permit.allows(update("t1")));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        for (statement, named) in [
            (
                json!({"Effect": "Allow", "Action": "iot:*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}}),
                "DateLessThan",
            ),
            (json!({"Effect": "Allow", "NotAction": "iot:Connect", "Resource": "*"}), "NotAction"),
            (json!({"Effect": "Maybe", "Action": "iot:*", "Resource": "*"}), "Maybe"),
            (json!({"Effect": "Allow", "Action": "iot:*"}), "Resource"),
        ] {
            for statements in [statement.clone(), json!([statement])] {
                let error = serde_json::from_value::<Policy>(json!({ "Statement": statements })).unwrap_err();
                assert!(error.to_string().contains(named), "{error}");
            }
        }
    }
}
