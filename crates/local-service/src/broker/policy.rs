//! IoT policies: what the holder of a certificate may do, as AWS IoT Core judges it.
//!
//! Pure. A policy is what AWS takes, with variables and wildcards; region and account in its ARNs are not compared, so that
//! the policies of a real account can be tried here as they are. Conditions are not there: a policy with one is refused
//! rather than judged wrongly.

use serde::Deserialize;

/// A policy document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    #[serde(rename = "Statement")]
    statements: OneOrMany<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Something that a policy allows or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed<'a> {
    Connect,
    Publish(&'a str),
    RetainPublish(&'a str),
    Subscribe(&'a str),
    Receive(&'a str),
}

/// A policy as it holds for one connection: whose certificate, and which client id.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    policy: Policy,
    thing: String,
    client_id: String,
}

impl Permit {
    pub(crate) fn new(policy: Policy, thing: String, client_id: String) -> Self {
        Self { policy, thing, client_id }
    }

    /// Whether a statement allows it, and none denies it.
    pub(crate) fn allows(&self, deed: Deed<'_>) -> bool {
        let (action, resource) = match deed {
            Deed::Connect => ("iot:Connect", format!("client/{}", self.client_id)),
            Deed::Publish(topic) => ("iot:Publish", format!("topic/{topic}")),
            Deed::RetainPublish(topic) => ("iot:RetainPublish", format!("topic/{topic}")),
            Deed::Subscribe(filter) => ("iot:Subscribe", format!("topicfilter/{filter}")),
            Deed::Receive(topic) => ("iot:Receive", format!("topic/{topic}")),
        };
        let mut allowed = false;
        for statement in self.policy.statements.all() {
            let named =
                |pattern: &String| glob(&pieces(&pattern.to_ascii_lowercase()), &action.to_ascii_lowercase());
            if statement.action.all().iter().any(named)
                && statement.resource.all().iter().any(|pattern| self.covers(pattern, &resource))
            {
                match statement.effect {
                    Effect::Allow => allowed = true,
                    Effect::Deny => return false,
                }
            }
        }
        allowed
    }

    fn covers(&self, pattern: &str, resource: &str) -> bool {
        if pattern == "*" {
            return true;
        }
        // arn:PARTITION:iot:REGION:ACCOUNT:RESOURCE; a resource may hold colons.
        let Some(pattern) = pattern.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4)) else {
            return false;
        };
        self.filled_in(pattern).is_some_and(|pattern| glob(&pattern, resource))
    }

    /// A pattern with its variables' values, which hold no wildcards; `None` if one has no value here.
    fn filled_in(&self, pattern: &str) -> Option<Vec<Piece>> {
        let mut filled = Vec::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}')?;
            filled.extend(pieces(before));
            let value = match name {
                "iot:ClientId" => &self.client_id,
                // Resolved only where the client id is the thing's name.
                "iot:Connection.Thing.ThingName" if self.client_id == self.thing => &self.thing,
                "iot:Certificate.Subject.CommonName" => &self.thing,
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

    fn permit(statements: &Value, client_id: &str) -> Permit {
        let policy = json!({"Version": "2012-10-17", "Statement": statements});
        Permit::new(serde_json::from_value(policy).unwrap(), "t1".to_owned(), client_id.to_owned())
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
        assert!(
            permit.allows(Deed::Connect) && permit.allows(Deed::Receive(&format!("{t}/j/update/accepted")))
        );
        for topic in ["$aws/things/t2/jobs/get", "$aws/things/t1/jobs/start-next", "other"] {
            assert!(!permit.allows(Deed::Publish(topic)), "{topic}");
        }
        assert!(!permit.allows(Deed::Subscribe(&format!("{t}/#"))), "the filter is text in a policy");
        assert!(!permit.allows(Deed::RetainPublish("other")));
    }

    #[test]
    fn the_things_name_has_a_value_only_where_it_is_the_client_id() {
        let other = of_the_agent("somebody");
        assert!(!other.allows(Deed::Connect) && !other.allows(Deed::Publish("$aws/things/t1/jobs/get")));
        let by_id = permit(
            &json!({"Effect": "Allow", "Action": "iot:*", "Resource": "arn:aws:iot:*:*:client/${iot:ClientId}"}),
            "a*b",
        );
        assert!(by_id.allows(Deed::Connect));
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
        for deed in [
            Deed::Connect,
            Deed::Publish("a"),
            Deed::Subscribe("a"),
            Deed::Receive("a"),
            Deed::RetainPublish("a"),
        ] {
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
    fn what_is_not_understood_is_refused() {
        for statement in [
            json!({"Effect": "Allow", "Action": "iot:*", "Resource": "*", "Condition": {}}),
            json!({"Effect": "Allow", "NotAction": "iot:Connect", "Resource": "*"}),
            json!({"Effect": "Maybe", "Action": "iot:*", "Resource": "*"}),
        ] {
            assert!(serde_json::from_value::<Policy>(json!({ "Statement": [statement] })).is_err());
        }
    }
}
