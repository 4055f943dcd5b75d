//! The control plane's answers and errors.

use serde_json::{Value, json};

use crate::bench::Bench;

#[track_caller]
fn error(bench: &mut Bench, operation: &str, params: Value) -> (u16, &'static str, String) {
    let (result, published) = bench.try_control(operation, params);
    let error = result.expect_err("refused");
    assert_eq!(published, [], "a refused operation causes nothing");
    (error.status, error.name, error.message)
}

#[test]
fn what_is_not_here_is_said() {
    let mut bench = Bench::new();
    assert_eq!(error(&mut bench, "CreateStream", json!({})).0, 501);
    let base =
        json!({"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": "{}"});
    for (option, value) in [("namespaceId", json!("n")), ("destinationPackageVersions", json!(["arn:x"]))] {
        let mut params = base.clone();
        params[option] = value;
        let (status, name, message) = error(&mut bench, "CreateJob", params);
        assert_eq!((status, name), (400, "InvalidRequestException"));
        assert!(message.contains(option), "{message}");
    }
    let mut params = base;
    params["document"] =
        json!(r#"{"u":"${aws:iot:s3-presigned-url-upload:https://s3.us-east-1.amazonaws.com/b/k}"}"#);
    assert!(error(&mut bench, "CreateJob", params).2.contains("${aws:iot:"));
}

#[test]
fn errors_have_the_services_words() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    bench.publish("start-next", "");
    let target = |name: &str| json!({"jobId": "k", "document": "{}", "targets": [format!("arn:aws:iot:us-east-1:123456789012:{name}")]});
    let abroad =
        json!({"jobId": "k", "document": "{}", "targets": ["arn:aws:iot:eu-west-1:123456789012:thing/t1"]});
    let execution = json!({"jobId": "j", "thingName": "t1", "executionNumber": 1});
    let cases = [
        ("DescribeJob", json!({"jobId": "x"}), 404, "Job x cannot be found."),
        ("CreateJob", target("thing/t9"), 404, "Thing t9 cannot be found."),
        ("CreateJob", target("thinggroup/g9"), 404, "Thing Group g9 cannot be found."),
        ("CreateJob", abroad, 404, "Thing t1 cannot be found."),
        (
            "DescribeJobExecution",
            json!({"jobId": "x", "thingName": "t1"}),
            404,
            "Job execution cannot be found as the Job x does not exist.",
        ),
        (
            "DescribeJobExecution",
            json!({"jobId": "j", "thingName": "t9"}),
            404,
            "Job execution for thing t9 cannot be found within job j.",
        ),
        (
            "CancelJobExecution",
            json!({"jobId": "j", "thingName": "t1"}),
            409,
            "Job execution for thing t1 within job j cannot be canceled.",
        ),
        (
            "CancelJobExecution",
            json!({"jobId": "j", "thingName": "t1", "expectedVersion": "7"}),
            409,
            "Expected version 7 but found version 2",
        ),
        (
            "DeleteJobExecution",
            execution,
            409,
            "Job execution for thing t1 within job j in status IN_PROGRESS cannot be deleted without force flag.",
        ),
        (
            "DeleteJobExecution",
            json!({"jobId": "j", "thingName": "t1", "executionNumber": 0}),
            400,
            "Execution number is invalid.",
        ),
        ("UpdateJob", json!({"jobId": "j"}), 400, "Update Job request for job j cannot be empty."),
        (
            "UpdateJob",
            json!({"jobId": "j", "timeoutConfig": {"inProgressTimeoutInMinutes": 10_081}}),
            400,
            "Provide valid timeout value, inProgressTimeoutInMinutes cannot be 10081.",
        ),
    ];
    for (operation, params, status, message) in cases {
        let (found, _, text) = error(&mut bench, operation, params.clone());
        assert_eq!((found, text.as_str()), (status, message), "{operation} {params}");
    }
}

#[test]
fn an_id_in_use_is_named_with_its_arn() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    let again =
        json!({"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": "{}"});
    let error = bench.control("CreateJob", again).expect_err("refused");
    assert_eq!((error.status, error.name), (409, "ResourceAlreadyExistsException"));
    assert_eq!(error.members["resourceId"], "j");
    assert_eq!(error.members["resourceArn"], "arn:aws:iot:us-east-1:123456789012:job/j");
}

#[test]
fn a_snapshot_of_nothing_is_complete_at_once() {
    let mut bench = Bench::new();
    bench.control("CreateThingGroup", json!({"thingGroupName": "g"})).unwrap();
    bench.job("j", json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/g"]}));
    let job = bench.control("DescribeJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(job["job"]["status"], "COMPLETED");
}

#[test]
fn a_group_reaches_the_things_of_the_groups_below_it() {
    let mut bench = Bench::new();
    bench.control("CreateThingGroup", json!({"thingGroupName": "above"})).unwrap();
    bench
        .control("CreateThingGroup", json!({"thingGroupName": "below", "parentGroupName": "above"}))
        .unwrap();
    let above = json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/above"], "targetSelection": "CONTINUOUS"});
    bench.job("j", above);
    let both = json!({"thingGroupName": "below", "thingName": "t1"});
    bench.control("AddThingToThingGroup", both.clone()).unwrap();
    assert_eq!(bench.execution("j")["status"], "QUEUED");
    bench.control("RemoveThingFromThingGroup", both).unwrap();
    let execution = bench.execution("j");
    assert_eq!((&execution["status"], &execution["versionNumber"]), (&json!("REMOVED"), &json!(1)));
}

#[test]
fn retries_count_by_their_kind_and_end() {
    let mut bench = Bench::new();
    let criteria = json!([
        {"failureType": "FAILED", "numberOfRetries": 2},
        {"failureType": "TIMED_OUT", "numberOfRetries": 1},
    ]);
    bench.job("j", json!({"jobExecutionsRetryConfig": {"criteriaList": criteria}}));
    let fail = |bench: &mut Bench| bench.publish("j/update", r#"{"status":"FAILED"}"#);
    let time_out = |bench: &mut Bench| {
        bench.publish("start-next", r#"{"stepTimeoutInMinutes":1}"#);
        bench.passes(60_000)
    };
    fail(&mut bench);
    time_out(&mut bench);
    fail(&mut bench);
    assert_eq!(bench.execution("j")["executionNumber"], 4);
    time_out(&mut bench);
    let execution = bench.execution("j");
    assert_eq!((&execution["executionNumber"], &execution["status"]), (&json!(4), &json!("TIMED_OUT")));
    let list = bench.control("ListJobExecutionsForThing", json!({"thingName": "t1"})).unwrap();
    let numbers: Vec<u64> = list["executionSummaries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["jobExecutionSummary"]["executionNumber"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1], "newest first");
    let job = bench.control("DescribeJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(job["job"]["status"], "COMPLETED");
}

#[test]
fn force_is_told_of_an_execution_that_was_cancelled_by_force_and_of_no_other() {
    for (force, told) in [(false, None), (true, Some(&json!(true)))] {
        let mut bench = Bench::new();
        bench.job("j", json!({}));
        bench.control("CancelJob", json!({"jobId": "j", "force": force})).unwrap();
        assert_eq!(bench.execution("j").get("forceCanceled"), told);
    }
}

#[test]
fn a_report_that_ends_the_last_execution_completes_and_does_not_abort() {
    let mut bench = Bench::new();
    let criterion = json!({
        "failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 30, "minNumberOfExecutedThings": 1,
    });
    bench.job("j", json!({"abortConfig": {"criteriaList": [criterion]}}));
    bench.publish("j/update", r#"{"status":"FAILED"}"#);
    let job = bench.control("DescribeJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(job["job"]["status"], "COMPLETED");
}

#[test]
fn an_abort_tells_its_reason_in_the_services_words() {
    let mut bench = Bench::new();
    for thing in ["t2", "t3"] {
        bench.thing(thing);
    }
    let arns = ["t1", "t2", "t3"].map(|thing| format!("arn:aws:iot:us-east-1:123456789012:thing/{thing}"));
    let criterion = json!({
        "failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 30, "minNumberOfExecutedThings": 2,
    });
    bench.job("j", json!({"targets": arns, "abortConfig": {"criteriaList": [criterion]}}));
    bench.publish("j/update", r#"{"status":"FAILED"}"#);
    bench.raw("$aws/things/t2/jobs/j/update", br#"{"status":"FAILED"}"#);
    let job = bench.control("DescribeJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(job["job"]["status"], "CANCELED");
    assert_eq!(job["job"]["reasonCode"], "ABORT_CANCEL");
    assert_eq!(
        job["job"]["comment"],
        "Abort criteria for failure type FAILED with threshold 30.00% met. Total completed executions: 2, \
         total FAILED executions: 2"
    );
}

#[test]
fn no_parameters_bring_the_service_down() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    for operation in [
        "CreateJob",
        "DescribeJob",
        "GetJobDocument",
        "ListJobs",
        "UpdateJob",
        "CancelJob",
        "DeleteJob",
        "AssociateTargetsWithJob",
        "DescribeJobExecution",
        "ListJobExecutionsForJob",
        "ListJobExecutionsForThing",
        "CancelJobExecution",
        "DeleteJobExecution",
        "CreateThing",
        "DescribeThing",
        "ListThings",
        "DeleteThing",
        "ListThingGroupsForThing",
        "CreateThingGroup",
        "DescribeThingGroup",
        "ListThingGroups",
        "DeleteThingGroup",
        "AddThingToThingGroup",
        "RemoveThingFromThingGroup",
        "ListThingsInThingGroup",
        "DescribeEndpoint",
        "UpdateEventConfigurations",
        "DescribeEventConfigurations",
    ] {
        for odd in [
            json!(null),
            json!([]),
            json!(1),
            json!("x"),
            json!({}),
            json!({"nextToken": {}, "jobId": [], "thingName": {}}),
        ] {
            if let Err(error) = bench.control(operation, odd) {
                assert!((400..500).contains(&error.status), "{operation}: {error}");
            }
        }
    }
}

#[test]
fn an_update_may_take_retries_away_and_nothing_else() {
    let mut bench = Bench::new();
    let criteria = |list: &[(&str, u64)]| {
        let list: Vec<Value> = list
            .iter()
            .map(|(kind, number)| json!({"failureType": kind, "numberOfRetries": number}))
            .collect();
        json!({ "criteriaList": list })
    };
    bench.job("j", json!({"jobExecutionsRetryConfig": criteria(&[("FAILED", 2), ("TIMED_OUT", 1)])}));
    let update = |list: &[(&str, u64)]| json!({"jobId": "j", "jobExecutionsRetryConfig": criteria(list)});
    for other in [&[("FAILED", 0)][..], &[("ALL", 0)], &[("FAILED", 0), ("TIMED_OUT", 1)]] {
        assert_eq!(error(&mut bench, "UpdateJob", update(other)).1, "InvalidRequestException", "{other:?}");
    }
    bench.control("UpdateJob", update(&[("TIMED_OUT", 0), ("FAILED", 0)])).unwrap();
    bench.publish("j/update", r#"{"status":"FAILED"}"#);
    assert_eq!(bench.execution("j")["executionNumber"], 1);
}

#[test]
fn attributes_are_of_the_models_characters() {
    let mut bench = Bench::new();
    let thing = |attributes: Value| json!({"thingName": "x", "attributePayload": {"attributes": attributes}});
    for bad in [json!({"a b": "c"}), json!({"": "c"}), json!({"a": "b c"}), json!({"a": "x".repeat(801)})] {
        assert_eq!(
            error(&mut bench, "CreateThing", thing(bad.clone())).1,
            "InvalidRequestException",
            "{bad}"
        );
    }
    bench.control("CreateThing", thing(json!({"a_.,@/:#-1": "b_.,@/:#=[]-", "c": "x".repeat(800)}))).unwrap();
}

#[test]
fn event_configurations_tell_when_they_were_set() {
    let mut bench = Bench::new();
    assert!(bench.control("DescribeEventConfigurations", json!({})).unwrap().get("creationDate").is_none());
    let on = json!({"eventConfigurations": {"JOB": {"Enabled": true}}});
    bench.control("UpdateEventConfigurations", on.clone()).unwrap();
    bench.passes(5000);
    bench.control("UpdateEventConfigurations", on).unwrap();
    let told = bench.control("DescribeEventConfigurations", json!({})).unwrap();
    assert_eq!(told["lastModifiedDate"].as_u64(), told["creationDate"].as_u64().map(|first| first + 5));
}

#[test]
fn what_nobody_has_set_is_shown_as_the_service_shows_it() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    let job = |bench: &mut Bench| bench.control("DescribeJob", json!({"jobId": "j"})).unwrap()["job"].clone();
    let shown = job(&mut bench);
    for name in ["presignedUrlConfig", "jobExecutionsRolloutConfig", "timeoutConfig", "schedulingConfig"] {
        assert_eq!(shown[name], json!({}), "{name}");
    }
    for name in ["abortConfig", "jobExecutionsRetryConfig", "forceCanceled", "completedAt", "comment"] {
        assert_eq!(shown.get(name), None, "{name}");
    }
    bench.control("CancelJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(job(&mut bench)["forceCanceled"], false);
    let template = json!({"jobTemplateId": "t", "description": "d", "document": "{}"});
    bench.control("CreateJobTemplate", template).unwrap();
    let shown = bench.control("DescribeJobTemplate", json!({"jobTemplateId": "t"})).unwrap();
    for name in ["presignedUrlConfig", "jobExecutionsRolloutConfig", "timeoutConfig"] {
        assert_eq!(shown[name], json!({}), "{name}");
    }
}
