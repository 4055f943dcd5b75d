//! Reads the members of a document one by one, so that every complaint can name its member.

use serde_json::{Map, Number, Value};

use super::command::{is_blank, split};
use super::{Action, Condition, Form, HandlerPath, InvalidDocument, JobDocument, ReportDetails, Step};

type Members = Map<String, Value>;
type Read<T> = Result<T, InvalidDocument>;

pub(super) fn document(members: &Members) -> Read<JobDocument> {
    let top = At { path: String::new(), members };
    match top.get("version") {
        Some(Value::String(version)) if !version.is_empty() => {
            if version == "1.0" {
                steps_form(&top)
            } else {
                Err(top.wrong("version", format!("`{}` is not known, wanted \"1.0\"", short(version))))
            }
        }
        version => {
            if top.get("operation").is_some() {
                flat_form(&top)
            } else if let Some(Value::String(_)) = version {
                Err(top.wrong("version", "is empty, wanted \"1.0\"".to_owned()))
            } else if let Some(version) = version {
                Err(top.wrong("version", format!("is {}, wanted the string \"1.0\"", kind(version))))
            } else {
                Err(top
                    .wrong("operation", "is missing, and there is no version with steps either".to_owned()))
            }
        }
    }
}

fn flat_form(top: &At<'_>) -> Read<JobDocument> {
    let operation = top.required_text("operation")?;
    let step = Step {
        name: operation.clone(),
        action: Action::RunHandler {
            handler: operation,
            args: top.texts("args")?.unwrap_or_default(),
            path: path(top)?,
        },
        run_as_user: None,
        allow_std_err: top.count("allowStdErr")?,
        ignore_step_failure: false,
        timeout_seconds: top.seconds("timeoutSeconds")?,
    };
    Ok(JobDocument {
        form: Form::Flat,
        include_std_out: top.flag("includeStdOut")?,
        report_details: report_details(top)?,
        conditions: Vec::new(),
        steps: vec![step],
        final_step: None,
    })
}

fn steps_form(top: &At<'_>) -> Read<JobDocument> {
    let steps = top.objects("steps")?.ok_or_else(|| top.wrong("steps", "is missing".to_owned()))?;
    let steps: Vec<_> = steps.into_iter().filter(|step| !step.is_comment()).collect();
    if steps.is_empty() {
        return Err(top.wrong("steps", "holds no step, wanted at least one".to_owned()));
    }
    Ok(JobDocument {
        form: Form::Steps,
        include_std_out: top.flag("includeStdOut")?,
        report_details: report_details(top)?,
        conditions: top
            .objects("conditions")?
            .unwrap_or_default()
            .iter()
            .map(condition)
            .collect::<Read<_>>()?,
        steps: steps.iter().map(step).collect::<Read<_>>()?,
        final_step: top
            .object("finalStep")?
            .filter(|step| !step.is_comment())
            .as_ref()
            .map(step)
            .transpose()?,
    })
}

fn condition(at: &At<'_>) -> Read<Condition> {
    let operator = at.text("type")?.unwrap_or_else(|| "stringEqual".to_owned());
    if operator != "stringEqual" {
        return Err(at.wrong("type", format!("`{}` is not known, wanted stringEqual", short(&operator))));
    }
    let values = at.texts("value")?.unwrap_or_default();
    if values.is_empty() {
        return Err(at.wrong("value", "is missing or empty, wanted an array of strings".to_owned()));
    }
    Ok(Condition { key: at.required_text("key")?, values })
}

fn step(at: &At<'_>) -> Read<Step> {
    let action = at.object("action")?.ok_or_else(|| at.wrong("action", "is missing".to_owned()))?;
    let name = action.required_text("name")?;
    let what = action.required_text("type")?;
    let input = action.object("input")?.ok_or_else(|| action.wrong("input", "is missing".to_owned()))?;
    let run = match what.as_str() {
        "runHandler" => Action::RunHandler {
            handler: input.required_text("handler")?,
            args: input.texts("args")?.unwrap_or_default(),
            path: path(&input)?,
        },
        "runCommand" => command(&input)?,
        other => {
            let problem = format!("`{}` is not known, wanted runHandler or runCommand", short(other));
            return Err(action.wrong("type", problem));
        }
    };
    Ok(Step {
        name,
        action: run,
        run_as_user: action.parameter("runAsUser")?,
        allow_std_err: action.count("allowStdErr")?,
        ignore_step_failure: action.flag("ignoreStepFailure")?.unwrap_or(false),
        timeout_seconds: action.seconds("timeoutSeconds")?,
    })
}

fn command(input: &At<'_>) -> Read<Action> {
    let mut tokens = split(&input.required_text("command")?).into_iter();
    let program = tokens.next().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| input.wrong("command", "names no program".to_owned()))?;
    if program.contains(is_blank) {
        let problem = format!(
            "the program `{}` contains white space: arguments are separated by commas",
            short(&program)
        );
        return Err(input.wrong("command", problem));
    }
    Ok(Action::RunCommand { program, args: tokens.collect() })
}

fn path(at: &At<'_>) -> Read<HandlerPath> {
    Ok(match at.parameter("path")?.as_deref() {
        None => HandlerPath::Unspecified,
        Some("default") => HandlerPath::Default,
        Some(directory) => HandlerPath::Directory(directory.to_owned()),
    })
}

fn report_details(top: &At<'_>) -> Read<Option<ReportDetails>> {
    match top.parameter("reportDetails")?.as_deref() {
        None => Ok(None),
        Some("tail") => Ok(Some(ReportDetails::Tail)),
        Some("head-and-tail") => Ok(Some(ReportDetails::HeadAndTail)),
        Some(other) => {
            let problem = format!("`{}` is not known, wanted tail or head-and-tail", short(other));
            Err(top.wrong("reportDetails", problem))
        }
    }
}

/// How a place that the service fills in begins, as long as it has not been filled in.
const PLACEHOLDER: &str = "${aws:iot:";

/// An object of the document, and where it stands.
struct At<'a> {
    path: String,
    members: &'a Members,
}

impl<'a> At<'a> {
    fn name(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}.{member}", self.path) }
    }

    fn wrong(&self, member: &str, problem: String) -> InvalidDocument {
        InvalidDocument { member: self.name(member), problem }
    }

    fn mistyped(&self, member: &str, found: &Value, wanted: &str) -> InvalidDocument {
        self.wrong(member, format!("is {}, wanted {wanted}", kind(found)))
    }

    /// The member, unless it is absent or `null`.
    fn get(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    /// Whether it holds nothing but comments: members whose name begins with `_`.
    fn is_comment(&self) -> bool {
        !self.members.is_empty() && self.members.keys().all(|name| name.starts_with('_'))
    }

    /// A text without NUL: no argument, file name or user can hold one.
    fn text(&self, member: &str) -> Read<Option<String>> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => {
                Err(self.wrong(member, "contains a NUL character".to_owned()))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.mistyped(member, other, "a string")),
        }
    }

    fn required_text(&self, member: &str) -> Read<String> {
        match self.text(member)? {
            None => Err(self.wrong(member, "is missing".to_owned())),
            Some(text) if text.is_empty() => Err(self.wrong(member, "is empty".to_owned())),
            Some(text) => self.filled_in(member, text),
        }
    }

    /// An optional parameter of a template: one that was not given arrives as an empty text, or as it stood there.
    fn parameter(&self, member: &str) -> Read<Option<String>> {
        let unfilled = |text: &str| text.starts_with(PLACEHOLDER) && text.find('}') == Some(text.len() - 1);
        let text = self.text(member)?.filter(|text| !text.is_empty() && !unfilled(text));
        text.map(|text| self.filled_in(member, text)).transpose()
    }

    fn filled_in(&self, member: &str, text: String) -> Read<String> {
        match text.find(PLACEHOLDER) {
            None => Ok(text),
            Some(at) => {
                let problem = format!("the service has not filled in `{}`", short(&text[at..]));
                Err(self.wrong(member, problem))
            }
        }
    }

    fn array(&self, member: &str) -> Read<Option<&'a Vec<Value>>> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.mistyped(member, other, "an array")),
        }
    }

    fn texts(&self, member: &str) -> Read<Option<Vec<String>>> {
        let Some(items) = self.array(member)? else { return Ok(None) };
        let read = |(index, item): (usize, &Value)| {
            let name = format!("{member}[{index}]");
            match item.as_str() {
                Some(text) if text.contains('\0') => {
                    Err(self.wrong(&name, "contains a NUL character".to_owned()))
                }
                Some(text) => self.filled_in(&name, text.to_owned()),
                None => Err(self.mistyped(&name, item, "a string")),
            }
        };
        items.iter().enumerate().map(read).collect::<Read<_>>().map(Some)
    }

    fn object(&self, member: &str) -> Read<Option<At<'a>>> {
        self.get(member).map(|value| self.as_object(member, value)).transpose()
    }

    fn objects(&self, member: &str) -> Read<Option<Vec<At<'a>>>> {
        let Some(items) = self.array(member)? else { return Ok(None) };
        let read = |(index, item): (usize, &'a Value)| self.as_object(&format!("{member}[{index}]"), item);
        items.iter().enumerate().map(read).collect::<Read<_>>().map(Some)
    }

    fn as_object(&self, member: &str, value: &'a Value) -> Read<At<'a>> {
        let members = value.as_object().ok_or_else(|| self.mistyped(member, value, "an object"))?;
        Ok(At { path: self.name(member), members })
    }

    /// A boolean, or its name as a string: both spellings are in circulation.
    fn flag(&self, member: &str) -> Read<Option<bool>> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) => match text.as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                // An optional parameter of a template that was not given arrives as an empty text.
                "" => Ok(None),
                other => Err(self.wrong(member, format!("`{}` is neither true nor false", short(other)))),
            },
            Some(other @ (Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
                Err(self.mistyped(member, other, "true or false"))
            }
        }
    }

    /// A span of time. Parameters of templates arrive as texts, so a text of digits is one as well.
    fn seconds(&self, member: &str) -> Read<Option<u64>> {
        let given = match self.get(member) {
            None => return Ok(None),
            Some(Value::String(_)) => match self.parameter(member)? {
                None => return Ok(None),
                Some(text) => text.parse().ok(),
            },
            Some(Value::Number(number)) => number.as_u64().or_else(|| whole(number)),
            Some(_) => None,
        };
        match given.filter(|seconds| *seconds > 0) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(self.wrong(member, "wanted a whole number of seconds, 1 or more".to_owned())),
        }
    }

    fn count(&self, member: &str) -> Read<Option<u64>> {
        const WANTED: &str = "a whole number of lines, 0 or more, without quotes";
        match self.get(member) {
            None => Ok(None),
            // An optional parameter of a template that was not given.
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::Number(number)) => {
                let count = number.as_u64().or_else(|| whole(number));
                count.map(Some).ok_or_else(|| self.wrong(member, format!("is {number}, wanted {WANTED}")))
            }
            Some(other) => Err(self.mistyped(member, other, WANTED)),
        }
    }
}

/// `2.0` is a whole number as well: the service respells numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range and the fraction are checked"
)]
fn whole(number: &Number) -> Option<u64> {
    number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n)).map(|n| n as u64)
}

/// What a value is, for a complaint about it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A text of the document as it may stand in a complaint: escaped and not long.
fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect::<String>().escape_debug().to_string();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}
