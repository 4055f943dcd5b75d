//! Rollouts and schedules: which executions are queued when.

use serde_json::{Value, json};
use service_core::EpochMillis;

use crate::bench::{Bench, START, topics};

const MINUTE: u64 = 60_000;

fn fleet(things: usize) -> (Bench, Value) {
    let mut bench = Bench::new();
    bench.control("CreateThingGroup", json!({"thingGroupName": "g"})).unwrap();
    for n in 0..things {
        let name = format!("b{n}");
        bench.thing(&name);
        bench.control("AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": name})).unwrap();
    }
    (bench, json!(["arn:aws:iot:us-east-1:123456789012:thinggroup/g"]))
}

fn job(bench: &mut Bench) -> Value {
    bench.control("DescribeJob", json!({"jobId": "j"})).unwrap()["job"].clone()
}

fn count(bench: &mut Bench, status: &str) -> Value {
    job(bench)["jobProcessDetails"][format!("numberOf{status}Things")].clone()
}

#[test]
fn a_batch_a_minute_is_queued_and_the_job_tells_what_is_left() {
    let (mut bench, targets) = fleet(5);
    let more = json!({"targets": targets, "jobExecutionsRolloutConfig": {"maximumPerMinute": 2}});
    let published = bench.job("j", more);
    assert_eq!(
        topics(&published),
        ["b0/jobs/notify", "b0/jobs/notify-next", "b1/jobs/notify", "b1/jobs/notify-next"]
    );
    assert_eq!(job(&mut bench)["isConcurrent"], true);
    assert_eq!(job(&mut bench)["jobProcessDetails"]["processingTargets"], targets);
    assert_eq!(bench.passes(MINUTE - 1), []);
    assert_eq!(bench.passes(1).len(), 4);
    assert_eq!(bench.passes(MINUTE).len(), 2);
    assert_eq!((count(&mut bench, "Queued"), bench.service.deadline()), (json!(5), None));
    assert_eq!(job(&mut bench)["isConcurrent"], false);
    assert_eq!(job(&mut bench)["jobProcessDetails"].get("processingTargets"), None);
}

#[test]
fn a_rate_grows_with_what_has_succeeded() {
    let (mut bench, targets) = fleet(9);
    let rate = json!({"baseRatePerMinute": 1, "incrementFactor": 2.0, "rateIncreaseCriteria": {"numberOfSucceededThings": 1}});
    bench.job("j", json!({"targets": targets, "jobExecutionsRolloutConfig": {"exponentialRate": rate}}));
    assert_eq!(count(&mut bench, "Queued"), 1);
    bench.raw("$aws/things/b0/jobs/j/update", br#"{"status":"SUCCEEDED"}"#);
    assert_eq!(job(&mut bench)["status"], "IN_PROGRESS", "there are things that it has not reached");
    bench.passes(MINUTE);
    assert_eq!(count(&mut bench, "Queued"), 2);
    bench.passes(MINUTE);
    assert_eq!(count(&mut bench, "Queued"), 4);
    for thing in ["b1", "b2"] {
        bench.raw(&format!("$aws/things/{thing}/jobs/j/update"), br#"{"status":"SUCCEEDED"}"#);
    }
    bench.passes(MINUTE);
    assert_eq!((count(&mut bench, "Queued"), bench.service.deadline()), (json!(6), None));
}

#[test]
fn what_has_not_been_reached_is_never_queued_once_the_job_is_cancelled_deleted_or_aborted() {
    for end in ["CancelJob", "DeleteJob", "abort"] {
        let (mut bench, targets) = fleet(5);
        let abort = json!({"criteriaList": [{"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 1, "minNumberOfExecutedThings": 1}]});
        bench.job("j", json!({"targets": targets, "jobExecutionsRolloutConfig": {"maximumPerMinute": 2}, "abortConfig": abort}));
        if end == "abort" {
            bench.raw("$aws/things/b0/jobs/j/update", br#"{"status":"FAILED"}"#);
            assert_eq!(job(&mut bench)["reasonCode"], "ABORT_CANCEL");
        } else {
            bench.control(end, json!({"jobId": "j", "force": true})).unwrap();
        }
        assert_eq!((bench.service.deadline(), bench.passes(10 * MINUTE)), (None, vec![]), "{end}");
    }
}

#[test]
fn a_thing_that_joins_does_not_wait_and_one_that_leaves_is_passed_over() {
    let (mut bench, targets) = fleet(4);
    let more = json!({"targets": targets, "targetSelection": "CONTINUOUS", "jobExecutionsRolloutConfig": {"maximumPerMinute": 1}});
    bench.job("j", more);
    bench.control("AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": "t1"})).unwrap();
    assert_eq!(count(&mut bench, "Queued"), 2, "one batch of one, and who has joined");
    bench.control("RemoveThingFromThingGroup", json!({"thingGroupName": "g", "thingName": "b1"})).unwrap();
    let published = bench.passes(MINUTE);
    assert_eq!(topics(&published), ["b2/jobs/notify", "b2/jobs/notify-next"]);
}

#[test]
fn a_thing_that_was_deleted_is_not_handed_what_it_has_not_got_yet() {
    let (mut bench, targets) = fleet(3);
    let retry = json!({"criteriaList": [{"failureType": "ALL", "numberOfRetries": 1}]});
    bench.job(
        "j",
        json!({
            "targets": targets,
            "jobExecutionsRolloutConfig": {"maximumPerMinute": 1},
            "jobExecutionsRetryConfig": retry,
            "timeoutConfig": {"inProgressTimeoutInMinutes": 1},
        }),
    );
    bench.raw("$aws/things/b0/jobs/start-next", b"{}");
    for thing in ["b0", "b1"] {
        bench.control("DeleteThing", json!({"thingName": thing})).unwrap();
    }
    assert_eq!(topics(&bench.passes(MINUTE)), ["b2/jobs/notify", "b2/jobs/notify-next"]);
    assert_eq!((count(&mut bench, "TimedOut"), count(&mut bench, "Queued")), (json!(1), json!(1)));
    bench.raw("$aws/things/b2/jobs/j/update", br#"{"status":"SUCCEEDED"}"#);
    assert_eq!(job(&mut bench)["status"], "COMPLETED");
}

#[test]
fn a_thing_that_leaves_and_joins_again_before_its_turn_is_queued_once() {
    let (mut bench, targets) = fleet(3);
    let more = json!({"targets": targets, "targetSelection": "CONTINUOUS", "jobExecutionsRolloutConfig": {"maximumPerMinute": 1}});
    bench.job("j", more);
    for change in ["RemoveThingFromThingGroup", "AddThingToThingGroup"] {
        bench.control(change, json!({"thingGroupName": "g", "thingName": "b1"})).unwrap();
    }
    assert_eq!(count(&mut bench, "Queued"), 2);
    assert_eq!(topics(&bench.passes(MINUTE)), ["b2/jobs/notify", "b2/jobs/notify-next"]);
}

#[test]
fn a_thing_that_a_job_reaches_by_two_groups_has_one_execution_until_that_has_ended() {
    let (mut bench, _) = fleet(1);
    bench.control("CreateThingGroup", json!({"thingGroupName": "h"})).unwrap();
    let targets = ["g", "h"].map(|group| format!("arn:aws:iot:us-east-1:123456789012:thinggroup/{group}"));
    bench.job("j", json!({"targets": targets, "targetSelection": "CONTINUOUS"}));
    let member = json!({"thingGroupName": "h", "thingName": "b0"});
    bench.control("AddThingToThingGroup", member.clone()).unwrap();
    assert_eq!(count(&mut bench, "Queued"), 1);
    bench.raw("$aws/things/b0/jobs/j/update", br#"{"status":"SUCCEEDED"}"#);
    for change in ["RemoveThingFromThingGroup", "AddThingToThingGroup"] {
        bench.control(change, member.clone()).unwrap();
    }
    assert_eq!((count(&mut bench, "Succeeded"), count(&mut bench, "Queued")), (json!(1), json!(1)));
}

#[test]
fn a_snapshot_is_of_the_things_that_were_there_when_it_was_taken() {
    let (mut bench, targets) = fleet(2);
    bench.job("j", json!({"targets": targets, "jobExecutionsRolloutConfig": {"maximumPerMinute": 1}}));
    bench.control("RemoveThingFromThingGroup", json!({"thingGroupName": "g", "thingName": "b1"})).unwrap();
    assert_eq!(topics(&bench.passes(MINUTE)), ["b1/jobs/notify", "b1/jobs/notify-next"]);
}

#[test]
fn another_pace_holds_from_the_next_batch_on() {
    let (mut bench, targets) = fleet(9);
    bench.job("j", json!({"targets": targets, "jobExecutionsRolloutConfig": {"maximumPerMinute": 1}}));
    bench
        .control("UpdateJob", json!({"jobId": "j", "jobExecutionsRolloutConfig": {"maximumPerMinute": 5}}))
        .unwrap();
    assert_eq!(count(&mut bench, "Queued"), 1);
    bench.passes(MINUTE);
    assert_eq!(count(&mut bench, "Queued"), 6);
}

/// START is 2024-07-03T09:46:40.
fn scheduled(more: &Value) -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.job("j", json!({"schedulingConfig": more})), []);
    assert_eq!(job(&mut bench)["status"], "SCHEDULED");
    bench
}

#[test]
fn a_scheduled_job_begins_at_its_minute() {
    let mut bench = scheduled(&json!({"startTime": "2024-07-03T10:30"}));
    assert_eq!(job(&mut bench)["schedulingConfig"]["startTime"], "2024-07-03T10:30");
    let begin = 1_720_002_600_000;
    assert_eq!(bench.service.deadline(), Some(EpochMillis(begin)));
    assert_eq!(bench.passes(begin - 1 - START), []);
    assert_eq!(bench.reply("$next/get", "{}").1, r#"{"timestamp":1720002599}"#);
    assert_eq!(topics(&bench.passes(1)), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    assert_eq!(job(&mut bench)["status"], "IN_PROGRESS");
    assert_eq!(job(&mut bench)["lastUpdatedAt"], begin / 1000);
}

#[test]
fn a_scheduled_job_can_be_cancelled_or_by_force_deleted_before_it_begins() {
    let mut bench = scheduled(&json!({"startTime": "2024-07-03T10:30"}));
    let refused = bench.control("DeleteJob", json!({"jobId": "j"})).expect_err("still to come");
    assert_eq!(refused.name, "InvalidStateTransitionException");
    bench.control("UpdateJob", json!({"jobId": "j", "description": "d"})).unwrap();
    bench.control("CancelJob", json!({"jobId": "j"})).unwrap();
    assert_eq!((bench.service.deadline(), job(&mut bench)["status"].clone()), (None, json!("CANCELED")));
    let mut bench = scheduled(&json!({"startTime": "2024-07-03T10:30"}));
    bench.control("DeleteJob", json!({"jobId": "j", "force": true})).unwrap();
    assert_eq!((bench.service.deadline(), bench.passes(10 * 60 * MINUTE)), (None, vec![]));
}

#[test]
fn a_continuous_job_takes_the_members_of_the_moment_it_begins() {
    let (mut bench, targets) = fleet(1);
    bench.job("j", json!({"targets": targets, "targetSelection": "CONTINUOUS", "schedulingConfig": {"startTime": "2024-07-03T10:30"}}));
    bench.control("AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": "t1"})).unwrap();
    assert_eq!(count(&mut bench, "Queued"), 0, "nothing is queued before the start");
    bench.passes(60 * MINUTE);
    assert_eq!(count(&mut bench, "Queued"), 2);
}

#[test]
fn the_end_of_a_schedule_stops_cancels_or_cancels_by_force() {
    for (behavior, queued, running, status) in [
        ("STOP_ROLLOUT", "QUEUED", "IN_PROGRESS", "IN_PROGRESS"),
        ("CANCEL", "CANCELED", "IN_PROGRESS", "CANCELED"),
        ("FORCE_CANCEL", "CANCELED", "CANCELED", "CANCELED"),
    ] {
        let (mut bench, targets) = fleet(2);
        let more = json!({
            "targets": targets,
            "schedulingConfig": {"endTime": "2024-07-03T10:17", "endBehavior": behavior},
        });
        bench.job("j", more);
        bench.raw("$aws/things/b0/jobs/start-next", b"{}");
        bench.passes(31 * MINUTE);
        let mut of = |thing: &str| {
            bench.control("DescribeJobExecution", json!({"jobId": "j", "thingName": thing})).unwrap()["execution"]["status"].clone()
        };
        assert_eq!((of("b0"), of("b1")), (json!(running), json!(queued)), "{behavior}");
        assert_eq!(job(&mut bench)["status"], status, "{behavior}");
    }
}

#[test]
fn after_the_end_a_continuous_job_takes_nobody_and_completes_with_its_last_execution() {
    let (mut bench, targets) = fleet(1);
    bench.job("j", json!({"targets": targets, "targetSelection": "CONTINUOUS", "schedulingConfig": {"endTime": "2024-07-03T10:17"}}));
    bench.passes(31 * MINUTE);
    bench.control("AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": "t1"})).unwrap();
    assert_eq!(count(&mut bench, "Queued"), 1);
    bench.raw("$aws/things/b0/jobs/j/update", br#"{"status":"SUCCEEDED"}"#);
    assert_eq!((job(&mut bench)["status"].clone(), bench.service.deadline()), (json!("COMPLETED"), None));
}

#[test]
fn after_the_end_a_failure_is_not_tried_again() {
    let mut bench = Bench::new();
    let criteria = json!([{"failureType": "FAILED", "numberOfRetries": 2}]);
    bench.job(
        "j",
        json!({"schedulingConfig": {"endTime": "2024-07-03T10:17"}, "jobExecutionsRetryConfig": {"criteriaList": criteria}}),
    );
    bench.publish("j/update", r#"{"status":"FAILED"}"#);
    assert_eq!(count(&mut bench, "Queued"), 1, "before the end it is");
    bench.passes(31 * MINUTE);
    bench.publish("j/update", r#"{"status":"FAILED"}"#);
    assert_eq!(
        (count(&mut bench, "Queued"), job(&mut bench)["status"].clone()),
        (json!(0), json!("COMPLETED"))
    );
}

#[test]
fn after_the_end_a_job_takes_no_further_targets() {
    let (mut bench, targets) = fleet(1);
    bench.job("j", json!({"targets": targets, "targetSelection": "CONTINUOUS", "schedulingConfig": {"endTime": "2024-07-03T10:17"}}));
    bench.passes(31 * MINUTE);
    let more = json!({"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"]});
    let refused = bench.control("AssociateTargetsWithJob", more).expect_err("the end has passed");
    assert_eq!(refused.name, "InvalidRequestException");
    assert_eq!((count(&mut bench, "Queued"), job(&mut bench)["targets"].clone()), (json!(1), targets));
}

#[test]
fn a_thing_joins_a_group_once_by_whichever_of_its_children() {
    let mut bench = Bench::new();
    for (name, parent) in [("top", None), ("a", Some("top")), ("b", Some("top"))] {
        bench
            .control("CreateThingGroup", json!({"thingGroupName": name, "parentGroupName": parent}))
            .unwrap();
    }
    let member = |bench: &mut Bench, operation: &str, group: &str| {
        bench.control(operation, json!({"thingGroupName": group, "thingName": "t1"})).unwrap();
    };
    member(&mut bench, "AddThingToThingGroup", "a");
    let top = json!(["arn:aws:iot:us-east-1:123456789012:thinggroup/top"]);
    bench.job("j", json!({"targets": top, "targetSelection": "CONTINUOUS"}));
    bench.publish("j/update", r#"{"status":"SUCCEEDED"}"#);
    member(&mut bench, "AddThingToThingGroup", "b");
    assert_eq!(bench.execution("j")["executionNumber"], 1, "it has been in the target all along");
    member(&mut bench, "RemoveThingFromThingGroup", "a");
    member(&mut bench, "RemoveThingFromThingGroup", "b");
    member(&mut bench, "AddThingToThingGroup", "b");
    assert_eq!(bench.execution("j")["executionNumber"], 2);
    // A group in between may be a target, too.
    let between = json!(["arn:aws:iot:us-east-1:123456789012:thinggroup/a"]);
    bench.job("k", json!({"targets": between, "targetSelection": "CONTINUOUS"}));
    member(&mut bench, "AddThingToThingGroup", "a");
    assert_eq!(bench.execution("k")["status"], "QUEUED");
}

#[test]
fn a_thing_that_moves_within_a_group_stays_in_it() {
    let mut bench = Bench::new();
    for (name, parent) in [("top", None), ("a", Some("top")), ("b", Some("top"))] {
        bench
            .control("CreateThingGroup", json!({"thingGroupName": name, "parentGroupName": parent}))
            .unwrap();
    }
    let update = |add: Value, remove: Value| json!({"thingName": "t1", "thingGroupsToAdd": add, "thingGroupsToRemove": remove});
    bench.control("UpdateThingGroupsForThing", update(json!(["a"]), json!([]))).unwrap();
    let top = json!(["arn:aws:iot:us-east-1:123456789012:thinggroup/top"]);
    bench.job("j", json!({"targets": top, "targetSelection": "CONTINUOUS"}));
    let (moved, published) =
        bench.try_control("UpdateThingGroupsForThing", update(json!(["b"]), json!(["a"])));
    assert_eq!((moved, published), (Ok(json!({})), vec![]));
    assert_eq!(
        (&bench.execution("j")["status"], &bench.execution("j")["executionNumber"]),
        (&json!("QUEUED"), &json!(1))
    );
}

#[test]
fn too_many_groups_at_once_change_nothing() {
    let mut bench = Bench::new();
    let names: Vec<String> = (0..11).map(|n| format!("g{n}")).collect();
    for name in &names {
        bench.control("CreateThingGroup", json!({"thingGroupName": name})).unwrap();
    }
    let update = |add: &[String], remove: &[String]| json!({"thingName": "t1", "thingGroupsToAdd": add, "thingGroupsToRemove": remove});
    let listed = |bench: &mut Bench| {
        bench.control("ListThingGroupsForThing", json!({"thingName": "t1"})).unwrap()["thingGroups"]
            .as_array()
            .unwrap()
            .len()
    };
    let refused = bench.control("UpdateThingGroupsForThing", update(&names, &[])).expect_err("eleven");
    assert_eq!((refused.name, listed(&mut bench)), ("InvalidRequestException", 0));
    bench.control("UpdateThingGroupsForThing", update(&names[..10], &[])).unwrap();
    bench.control("UpdateThingGroupsForThing", update(&names[10..], &names[..1])).unwrap();
    assert_eq!(listed(&mut bench), 10);
    let again = json!({"thingName": "t1", "thingGroupName": "g5"});
    bench.control("AddThingToThingGroup", again).unwrap();
    let eleventh = json!({"thingName": "t1", "thingGroupName": "g0"});
    assert_eq!(
        bench.control("AddThingToThingGroup", eleventh).expect_err("eleven").name,
        "InvalidRequestException"
    );
}

#[test]
fn without_an_end_the_behaviour_at_the_end_does_not_apply() {
    let mut bench = scheduled(&json!({"startTime": "2024-07-03T10:30", "endBehavior": "CANCEL"}));
    bench.passes(60 * MINUTE);
    assert_eq!((count(&mut bench, "Queued"), bench.service.deadline()), (json!(1), None));
}

#[test]
fn a_schedule_or_a_pace_that_cannot_be_kept_is_refused_by_name() {
    let mut bench = Bench::new();
    let rate = |member: &str, value: Value| {
        let mut rate = json!({"baseRatePerMinute": 50, "incrementFactor": 1.5, "rateIncreaseCriteria": {"numberOfNotifiedThings": 10}});
        rate[member] = value;
        json!({"jobExecutionsRolloutConfig": {"exponentialRate": rate}})
    };
    let schedule = |config: Value| json!({ "schedulingConfig": config });
    for (more, part) in [
        (json!({"jobExecutionsRolloutConfig": {"maximumPerMinute": 0}}), "maximumPerMinute"),
        (json!({"jobExecutionsRolloutConfig": {"maximumPerMinute": 1001}}), "maximumPerMinute"),
        (json!({"jobExecutionsRolloutConfig": {"perHour": 1}}), "perHour"),
        (rate("baseRatePerMinute", json!(0)), "baseRatePerMinute"),
        (rate("incrementFactor", json!(1.0)), "incrementFactor"),
        (rate("incrementFactor", json!(1.25)), "incrementFactor"),
        (rate("rateIncreaseCriteria", json!({})), "rateIncreaseCriteria"),
        (
            rate("rateIncreaseCriteria", json!({"numberOfNotifiedThings": 1, "numberOfSucceededThings": 1})),
            "rateIncreaseCriteria",
        ),
        (schedule(json!({"startTime": "2024-07-03T10:00"})), "30 minutes"),
        (schedule(json!({"startTime": "2026-07-03T10:00"})), "a year"),
        (
            schedule(json!({"startTime": "tomorrow"})),
            "Provided time tomorrow UTC must follow the format YYYY-MM-DDThh:mm.",
        ),
        (schedule(json!({"endTime": "2024-07-03T10:00"})), "30 minutes"),
        (schedule(json!({"endTime": "2027-07-03T10:00"})), "two years"),
        (schedule(json!({"endBehavior": "BURN"})), "endBehavior"),
        (schedule(json!({"endTime": "2024-07-04T10:00", "endBehavior": "BURN"})), "endBehavior"),
        (
            json!({"presignedUrlConfig": {"roleArn": "arn:aws:iam::1:role/r", "expiresInSec": 59}}),
            "expiresInSec",
        ),
    ] {
        let mut params = json!({"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": "{}"});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = bench.control("CreateJob", params).expect_err("refused");
        assert_eq!((error.status, error.name), (400, "InvalidRequestException"), "{more}");
        assert!(error.message.contains(part), "{more}: {error}");
    }
}
