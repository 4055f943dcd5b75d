//! The templates that the service itself offers: eight of them are documented, all for the Device Client.

use serde_json::{Map, Value, json};

use crate::control::error::ControlError;
use crate::control::params::{Params, page, wrong};
use crate::state::Turn;

/// The only version of each.
const VERSION: &str = "1.0";
/// How an ARN ends with it.
pub(super) const VERSION_IN_ARN: &str = ":1.0";
/// Longest value of a document parameter, in characters.
const VALUE: usize = 30_720;

/// A parameter that must be given: key, description, example.
type Required = [&'static str; 3];

const URL: Required = ["downloadUrl", "URL of file to download.", "http://www.example.com/index.html"];
const FILE: Required = ["filePath", "Path on the device where downloaded file is written.", "/path/to/file"];
const PACKAGES: Required = ["packages", "A space-separated list of one or more applications.", "tree git"];
const SERVICES: Required = ["services", "A space-separated list of one or more services.", "cron ssh"];
const COMMAND: Required = ["command", "Comma-separated command.", "echo,Hello World!"];

struct Managed {
    /// Without the leading `AWS-`.
    name: &'static str,
    /// Completes "A managed job template for".
    purpose: &'static str,
    required: &'static [Required],
    /// `None`: a command is run.
    handler: Option<&'static str>,
}

const ALL: [Managed; 8] = [
    Managed {
        name: "Download-File",
        purpose: "downloading a file",
        required: &[URL, FILE],
        handler: Some("download-file.sh"),
    },
    Managed {
        name: "Install-Application",
        purpose: "installing one or more applications",
        required: &[PACKAGES],
        handler: Some("install-packages.sh"),
    },
    Managed { name: "Reboot", purpose: "rebooting the device", required: &[], handler: Some("reboot.sh") },
    Managed {
        name: "Remove-Application",
        purpose: "uninstalling one or more applications",
        required: &[PACKAGES],
        handler: Some("remove-packages.sh"),
    },
    Managed {
        name: "Restart-Application",
        purpose: "restarting one or more system services",
        required: &[SERVICES],
        handler: Some("restart-services.sh"),
    },
    Managed { name: "Run-Command", purpose: "running a shell command", required: &[COMMAND], handler: None },
    Managed {
        name: "Start-Application",
        purpose: "starting one or more system services",
        required: &[SERVICES],
        handler: Some("start-services.sh"),
    },
    Managed {
        name: "Stop-Application",
        purpose: "stopping one or more system services",
        required: &[SERVICES],
        handler: Some("stop-services.sh"),
    },
];

fn find(name: &str) -> Result<&'static Managed, ControlError> {
    let known = name.strip_prefix("AWS-").and_then(|name| ALL.iter().find(|managed| managed.name == name));
    let shown: String = name.chars().take(64).collect();
    known.ok_or_else(|| ControlError::not_found(format!("Managed Job Template {shown} cannot be found.")))
}

/// The ARN of a managed template, without its version: of no account.
pub(super) fn arn_of(turn: &Turn<'_>, name: &str) -> String {
    format!("arn:aws:iot:{}::jobtemplate/{name}", turn.settings.region)
}

impl Managed {
    fn summary(&self, turn: &Turn<'_>) -> Map<String, Value> {
        let name = format!("AWS-{}", self.name);
        let members = [
            ("templateArn", json!(format!("{}{VERSION_IN_ARN}", arn_of(turn, &name)))),
            ("templateName", json!(name)),
            ("description", json!(format!("A managed job template for {}.", self.purpose))),
            ("environments", json!(["LINUX"])),
            ("templateVersion", json!(VERSION)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn parameters(&self) -> Vec<Value> {
        let required = self.required.iter().map(|[key, description, example]| {
            json!({"key": key, "description": description, "regex": "(.*?)", "example": example, "optional": false})
        });
        let user = json!({
            "key": "runAsUser",
            "description": "Execute handler as another user. If not specified, then handler is executed as the same \
                user as device client.",
            "regex": "(.){0,256}",
            "example": "user1",
            "optional": true,
        });
        let path = json!({
            "key": "pathToHandler",
            "description": "Path to handler on the device. If not specified, then device client will use the \
                current working directory.",
            "regex": "(.){0,4096}",
            "example": "/path/to/handler/script",
            "optional": true,
        });
        required.chain([user]).chain(self.handler.map(|_| path)).collect()
    }

    /// The document, with `value` in the place of each parameter.
    fn document(&self, value: impl Fn(&str) -> String) -> Value {
        let args: Vec<String> = self.required.iter().map(|[key, ..]| value(key)).collect();
        let (kind, input) = match self.handler {
            None => ("runCommand", json!({"command": args.concat()})),
            Some(handler) if args.is_empty() => {
                ("runHandler", json!({"handler": handler, "path": value("pathToHandler")}))
            }
            Some(handler) => {
                ("runHandler", json!({"handler": handler, "args": args, "path": value("pathToHandler")}))
            }
        };
        let action =
            json!({"name": self.name, "type": kind, "input": input, "runAsUser": value("runAsUser")});
        json!({"version": "1.0", "steps": [{"action": action}]})
    }
}

pub(in crate::control) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["templateName", "maxResults", "nextToken"])?;
    let wanted = params.text("templateName")?;
    let managed = ALL.iter().filter(|managed| {
        wanted.is_none_or(|wanted| wanted.strip_prefix("AWS-").is_some_and(|name| name == managed.name))
    });
    page(
        &params,
        "managedJobTemplates",
        managed.map(|managed| (managed.name.to_owned(), managed.summary(turn).into())),
    )
}

pub(in crate::control) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["templateName", "templateVersion"])?;
    let name = params.required_text("templateName")?;
    let managed = find(name)?;
    if params.text("templateVersion")?.is_some_and(|version| version != VERSION) {
        return Err(ControlError::not_found(format!("Managed Job Template {name} has no such version.")));
    }
    let mut body = managed.summary(turn);
    body.insert("documentParameters".to_owned(), managed.parameters().into());
    let document = managed.document(|key| format!("${{aws:iot:parameter:{key}}}"));
    body.insert("document".to_owned(), document.to_string().into());
    Ok(body.into())
}

/// The document of a job from a managed template: parameters that are optional and not given become empty texts.
pub(super) fn document(name: &str, params: &Params) -> Result<String, ControlError> {
    let managed = find(name)?;
    let none = Map::new();
    let given = params.object("documentParameters")?.unwrap_or(&none);
    let limits = [("runAsUser", 256), ("pathToHandler", 4096)];
    for (key, value) in given {
        let optional = limits
            .iter()
            .find(|(known, _)| known == key && (*known == "runAsUser" || managed.handler.is_some()));
        let limit = match optional {
            Some((_, limit)) => *limit,
            None if managed.required.iter().any(|[known, ..]| known == key) => VALUE,
            None => {
                let key: String = key.chars().take(64).collect();
                return Err(ControlError::invalid(format!("The template has no document parameter {key}.")));
            }
        };
        let text = value.as_str().filter(|text| text.chars().count() <= limit);
        if text.is_none_or(|text| text.chars().any(char::is_control)) {
            return Err(wrong(
                &format!("documentParameters.{key}"),
                &format!("at most {limit} printable characters"),
            ));
        }
    }
    if let Some([missing, ..]) = managed.required.iter().find(|[key, ..]| !given.contains_key(*key)) {
        return Err(ControlError::invalid(format!("The document parameter {missing} is required.")));
    }
    let value = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(managed.document(value).to_string())
}
