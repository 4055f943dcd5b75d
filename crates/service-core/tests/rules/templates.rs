//! Job templates, the account's own and the service's.

use serde_json::{Value, json};

use crate::bench::Bench;

const MANAGED: &str = "arn:aws:iot:us-east-1::jobtemplate/AWS-Install-Application:1.0";

fn from_template(arn: &str, more: Value) -> Value {
    let mut params = json!({
        "jobId": "j",
        "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"],
        "jobTemplateArn": arn,
    });
    let Value::Object(more) = more else { panic!("members wanted") };
    params.as_object_mut().unwrap().extend(more);
    params
}

#[test]
fn a_request_goes_before_its_template() {
    let template = json!({
        "jobTemplateId": "t", "description": "d", "document": "{\"from\":\"template\"}",
        "timeoutConfig": {"inProgressTimeoutInMinutes": 7},
    });
    let arn = "arn:aws:iot:us-east-1:123456789012:jobtemplate/t";
    for (more, document, minutes) in [
        (json!({}), "{\"from\":\"template\"}", 7),
        (
            json!({"document": "{\"own\":1}", "timeoutConfig": {"inProgressTimeoutInMinutes": 9}}),
            "{\"own\":1}",
            9,
        ),
    ] {
        let mut bench = Bench::new();
        bench.control("CreateJobTemplate", template.clone()).unwrap();
        bench.control("CreateJob", from_template(arn, more)).unwrap();
        assert_eq!(bench.control("GetJobDocument", json!({"jobId": "j"})).unwrap()["document"], document);
        bench.publish("start-next", "");
        assert_eq!(bench.execution("j")["approximateSecondsBeforeTimedOut"], minutes * 60);
    }
}

#[test]
fn a_template_can_be_made_of_a_job_and_outlives_it() {
    let mut bench = Bench::new();
    bench.job("old", json!({"document": "{\"a\":1}"}));
    let of_job = json!({"jobTemplateId": "t", "description": "d", "jobArn": "arn:aws:iot:us-east-1:123456789012:job/old"});
    bench.control("CreateJobTemplate", of_job).unwrap();
    bench.control("DeleteJob", json!({"jobId": "old", "force": true})).unwrap();
    let template = bench.control("DescribeJobTemplate", json!({"jobTemplateId": "t"})).unwrap();
    assert_eq!(template["document"], "{\"a\":1}");
}

#[test]
fn parameters_are_text_in_the_document_whatever_they_hold() {
    let mut bench = Bench::new();
    let parameters = json!({"documentParameters": {"packages": "a \"b\" \\ }]", "runAsUser": "u"}});
    bench.control("CreateJob", from_template(MANAGED, parameters)).unwrap();
    let text = bench.control("GetJobDocument", json!({"jobId": "j"})).unwrap()["document"].clone();
    let document: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let action = &document["steps"][0]["action"];
    assert_eq!(
        action["input"],
        json!({"handler": "install-packages.sh", "args": ["a \"b\" \\ }]"], "path": ""})
    );
    assert_eq!((&action["runAsUser"], &action["name"]), (&json!("u"), &json!("Install-Application")));
}

#[test]
fn parameters_that_do_not_fit_the_template_are_refused() {
    let mut bench = Bench::new();
    for (arn, more, part) in [
        (MANAGED, json!({}), "packages is required"),
        (MANAGED, json!({"documentParameters": {"packages": "a", "other": "b"}}), "other"),
        (MANAGED, json!({"documentParameters": {"packages": 5}}), "packages"),
        (
            MANAGED,
            json!({"documentParameters": {"packages": "a", "runAsUser": "u".repeat(257)}}),
            "runAsUser",
        ),
        (MANAGED, json!({"documentParameters": {"packages": "a"}, "document": "{}"}), "own document"),
        (MANAGED, json!({"documentParameters": {"packages": "${aws:iot:x}"}}), "placeholder"),
    ] {
        let error = bench.control("CreateJob", from_template(arn, more.clone())).expect_err("refused");
        assert_eq!((error.status, error.name), (400, "InvalidRequestException"), "{more}");
        assert!(error.message.contains(part), "{more}: {error}");
    }
    for unknown in [
        "arn:aws:iot:us-east-1::jobtemplate/AWS-Nope:1.0",
        "arn:aws:iot:us-east-1:123456789012:jobtemplate/x",
        "x",
    ] {
        let error = bench.control("CreateJob", from_template(unknown, json!({}))).expect_err("refused");
        assert_eq!(error.status, 404, "{unknown}");
    }
}
