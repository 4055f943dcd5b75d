//! Maintenance windows: when a job that has them is handed out, and what a device sees in between.

use serde_json::{Value, json};

use crate::bench::{Bench, START, topics};
use crate::saved::again;

const MINUTE: u64 = 60_000;
/// START is 2024-07-03T09:46:40, a Wednesday: so long until 10:00.
const TO_TEN: u64 = 13 * MINUTE + 20_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A bench with the group `g`, which `t1` is in, and the job `j` on it, with a window of an hour each day at ten.
fn daily(more: Value) -> Bench {
    let mut bench = Bench::new();
    bench.control("CreateThingGroup", json!({"thingGroupName": "g"})).unwrap();
    member(&mut bench, "AddThingToThingGroup", "t1");
    let mut schedule =
        json!({"maintenanceWindows": [{"startTime": "cron(0 10 ? * * *)", "durationInMinutes": 60}]});
    let Value::Object(mut more) = more else { panic!("members wanted") };
    if let Some(Value::Object(members)) = more.remove("schedulingConfig") {
        schedule.as_object_mut().unwrap().extend(members);
    }
    more.insert("schedulingConfig".to_owned(), schedule);
    more.insert("targetSelection".to_owned(), json!("CONTINUOUS"));
    more.insert("targets".to_owned(), json!(["arn:aws:iot:us-east-1:123456789012:thinggroup/g"]));
    assert_eq!(bench.job("j", more.into()), []);
    bench
}

fn member(bench: &mut Bench, operation: &str, thing: &str) {
    bench.control(operation, json!({"thingGroupName": "g", "thingName": thing})).unwrap();
}

fn job(bench: &mut Bench) -> Value {
    bench.control("DescribeJob", json!({"jobId": "j"})).unwrap()["job"].clone()
}

fn status(bench: &mut Bench) -> String {
    job(bench)["status"].as_str().unwrap().to_owned()
}

/// What a device is told to be pending.
fn pending(bench: &mut Bench) -> Vec<String> {
    let lists: Value = serde_json::from_str(&bench.reply("get", "{}").1).unwrap();
    let of = |list: &str| lists[list].as_array().unwrap().clone();
    let all = of("inProgressJobs").into_iter().chain(of("queuedJobs"));
    all.map(|entry| entry["jobId"].as_str().unwrap().to_owned()).collect()
}

const BOTH: [&str; 2] = ["t1/jobs/notify", "t1/jobs/notify-next"];

#[test]
fn a_job_is_delivered_inside_its_windows_only() {
    let mut bench = daily(json!({}));
    assert_eq!(status(&mut bench), "SCHEDULED");
    assert_eq!(bench.passes(TO_TEN - 1), []);
    assert_eq!(topics(&bench.passes(1)), BOTH);
    assert_eq!((status(&mut bench).as_str(), pending(&mut bench)), ("IN_PROGRESS", vec!["j".to_owned()]));
    assert_eq!(bench.passes(60 * MINUTE - 1), []);
    assert_eq!(topics(&bench.passes(1)), BOTH);
    assert_eq!((status(&mut bench).as_str(), pending(&mut bench)), ("SCHEDULED", vec![]));
    assert_eq!(bench.execution("j")["status"], "QUEUED", "the operator sees it all the same");
    assert!(!bench.reply("start-next", "").1.contains("execution"));
    again(&mut bench);
    assert_eq!((status(&mut bench).as_str(), pending(&mut bench)), ("SCHEDULED", vec![]));
    assert_eq!(topics(&bench.passes(DAY - 60 * MINUTE)), BOTH);
    assert_eq!(pending(&mut bench), ["j"]);
    assert_eq!(bench.execution("j")["executionNumber"], 1);
}

#[test]
fn a_job_that_is_made_inside_a_window_begins_at_once() {
    let mut bench = Bench::new();
    let window = |start: &str| json!({"maintenanceWindows": [{"startTime": start, "durationInMinutes": 30}]});
    // From 9:30; it is 9:46:40.
    let more = json!({"targetSelection": "CONTINUOUS", "schedulingConfig": window("cron(30 9 ? * WED *)")});
    assert_eq!(topics(&bench.job("j", more)), BOTH);
    assert_eq!(status(&mut bench), "IN_PROGRESS");
    assert_eq!(bench.passes(TO_TEN - 1), []);
    assert_eq!(topics(&bench.passes(1)), BOTH);
    let told = &job(&mut bench)["scheduledJobRollouts"];
    let wanted = ["07-10", "07-17", "07-24", "07-31", "08-07", "08-14", "08-21"]
        .map(|day| json!({"startTime": format!("2024-{day}T09:30")}));
    assert_eq!(*told, json!(wanted));
}

#[test]
fn what_is_in_progress_runs_on_and_is_retried_in_the_next_window() {
    let mut bench = daily(
        json!({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}}),
    );
    bench.passes(TO_TEN);
    bench.publish("start-next", "");
    assert_eq!(bench.passes(60 * MINUTE), [], "nothing has changed for the device");
    assert_eq!((status(&mut bench).as_str(), pending(&mut bench)), ("SCHEDULED", vec!["j".to_owned()]));
    assert_eq!(topics(&bench.publish("j/update", r#"{"status":"FAILED"}"#).publications), BOTH);
    assert_eq!((bench.execution("j")["executionNumber"].clone(), pending(&mut bench)), (json!(2), vec![]));
    assert_eq!(topics(&bench.passes(DAY - 60 * MINUTE)), BOTH);
    assert_eq!(pending(&mut bench), ["j"]);
}

#[test]
fn who_joins_or_leaves_between_windows_is_told_nothing_until_the_next_one() {
    let mut bench = daily(json!({}));
    bench.thing("t2");
    member(&mut bench, "AddThingToThingGroup", "t2");
    assert_eq!(job(&mut bench)["jobProcessDetails"]["numberOfQueuedThings"], 0, "it has not begun");
    bench.passes(TO_TEN);
    bench.passes(60 * MINUTE);
    bench.thing("t3");
    let joining = json!({"thingGroupName": "g", "thingName": "t3"});
    assert_eq!(bench.try_control("AddThingToThingGroup", joining).1, []);
    let leaving = json!({"thingGroupName": "g", "thingName": "t2"});
    assert_eq!(bench.try_control("RemoveThingFromThingGroup", leaving).1, []);
    let counts = job(&mut bench)["jobProcessDetails"].clone();
    assert_eq!((&counts["numberOfQueuedThings"], &counts["numberOfRemovedThings"]), (&json!(2), &json!(1)));
    let opening = bench.passes(DAY - 60 * MINUTE);
    assert_eq!(topics(&opening), [BOTH[0], BOTH[1], "t3/jobs/notify", "t3/jobs/notify-next"]);
}

#[test]
fn batches_are_released_inside_windows_only() {
    let mut bench = daily(json!({"jobExecutionsRolloutConfig": {"maximumPerMinute": 1}}));
    for n in 0..90 {
        let thing = format!("b{n}");
        bench.thing(&thing);
        member(&mut bench, "AddThingToThingGroup", &thing);
    }
    let queued =
        |bench: &mut Bench| job(bench)["jobProcessDetails"]["numberOfQueuedThings"].as_u64().unwrap();
    bench.passes(TO_TEN);
    let minute_by_minute =
        |bench: &mut Bench, minutes: u64| (0..minutes).for_each(|_| drop(bench.passes(MINUTE)));
    minute_by_minute(&mut bench, 70);
    assert_eq!((queued(&mut bench), status(&mut bench).as_str()), (60, "SCHEDULED"));
    bench.passes(DAY - 70 * MINUTE);
    assert_eq!(queued(&mut bench), 61);
    minute_by_minute(&mut bench, 50);
    assert_eq!(queued(&mut bench), 91);
}

#[test]
fn between_windows_a_job_is_cancelled_aborted_and_deleted_as_inside_them() {
    let abort = json!({"criteriaList": [{"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 1, "minNumberOfExecutedThings": 1}]});
    for end in ["CancelJob", "DeleteJob", "abort"] {
        let mut bench = daily(json!({ "abortConfig": abort }));
        bench.thing("t2");
        member(&mut bench, "AddThingToThingGroup", "t2");
        bench.passes(TO_TEN);
        if end == "abort" {
            bench.publish("start-next", "");
        }
        bench.passes(60 * MINUTE);
        if end == "abort" {
            bench.publish("j/update", r#"{"status":"FAILED"}"#);
            assert_eq!(job(&mut bench)["reasonCode"], "ABORT_CANCEL");
        } else {
            let (result, published) = bench.try_control(end, json!({"jobId": "j", "force": true}));
            assert_eq!((result.is_ok(), published), (true, vec![]), "{end}");
        }
        assert_eq!((bench.service.deadline(), bench.passes(2 * DAY)), (None, vec![]), "{end}");
        assert_eq!(pending(&mut bench), [""; 0], "{end}");
    }
}

#[test]
fn a_start_and_an_end_bound_the_windows() {
    let mut bench =
        daily(json!({"schedulingConfig": {"startTime": "2024-07-04T10:30", "endTime": "2024-07-06T10:30"}}));
    let told = |bench: &mut Bench| job(bench)["scheduledJobRollouts"].as_array().unwrap().len();
    assert_eq!(told(&mut bench), 2, "on the 5th and the 6th; that of the 4th has begun before the start");
    assert_eq!(bench.passes(TO_TEN + DAY + 30 * MINUTE - 1), []);
    assert_eq!(topics(&bench.passes(1)), BOTH, "the window of the 4th is open at the start");
    bench.passes(2 * DAY);
    assert_eq!(
        (bench.now.0, status(&mut bench).as_str()),
        (START + TO_TEN + 3 * DAY + 30 * MINUTE, "IN_PROGRESS")
    );
    assert_eq!(pending(&mut bench), ["j"], "what was queued before the end may run while the window is open");
    bench.passes(30 * MINUTE);
    assert_eq!((status(&mut bench).as_str(), pending(&mut bench)), ("IN_PROGRESS", vec![]));
    again(&mut bench);
    assert_eq!(bench.service.deadline(), None);
    bench.control("CancelJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(bench.execution("j")["status"], "CANCELED");
}

#[test]
fn the_end_between_two_windows_ends_the_job_when_nothing_is_open() {
    let mut bench = daily(json!({"schedulingConfig": {"endTime": "2024-07-04T09:00"}}));
    bench.passes(TO_TEN);
    bench.publish("j/update", r#"{"status":"SUCCEEDED"}"#);
    bench.passes(60 * MINUTE);
    assert_eq!(status(&mut bench), "IN_PROGRESS", "no further window is due before the end");
    bench.passes(DAY);
    assert_eq!((status(&mut bench).as_str(), bench.service.deadline()), ("COMPLETED", None));
    assert_eq!(job(&mut bench).get("scheduledJobRollouts"), None);
}

#[test]
fn windows_that_meet_or_overlap_are_one() {
    let mut bench = Bench::new();
    let windows = json!([
        {"startTime": "cron(0 10 ? * * *)", "durationInMinutes": 60},
        {"startTime": "cron(0 11 ? * * *)", "durationInMinutes": 30},
        {"startTime": "cron(0/10 10 ? * * *)", "durationInMinutes": 20},
    ]);
    bench.job(
        "j",
        json!({"targetSelection": "CONTINUOUS", "schedulingConfig": {"maintenanceWindows": windows}}),
    );
    assert_eq!(topics(&bench.passes(TO_TEN)), BOTH);
    for minute in 1..90 {
        assert_eq!(bench.passes(MINUTE), [], "{minute}");
    }
    assert_eq!(topics(&bench.passes(MINUTE)), BOTH);
    assert_eq!(status(&mut bench), "SCHEDULED");
}

#[test]
fn a_service_that_slept_through_windows_takes_them_up_where_it_is() {
    let mut bench = daily(json!({}));
    assert_eq!(bench.passes(TO_TEN + 10 * DAY + 90 * MINUTE), []);
    assert_eq!((status(&mut bench).as_str(), pending(&mut bench)), ("SCHEDULED", vec![]));
    assert_eq!(topics(&bench.passes(DAY - 60 * MINUTE)), BOTH);
}

#[test]
fn fifteen_are_listed_while_a_job_is_in_its_window() {
    let mut bench = Bench::new();
    for n in 0..20 {
        bench.job(&format!("plain{n}"), json!({}));
    }
    assert_eq!(pending(&mut bench).len(), 10);
    for n in 0..9 {
        bench.control("DeleteJob", json!({"jobId": format!("plain{n}"), "force": true})).unwrap();
    }
    let windows = json!([{"startTime": "cron(0 10 ? * * *)", "durationInMinutes": 60}]);
    bench.job(
        "j",
        json!({"targetSelection": "CONTINUOUS", "schedulingConfig": {"maintenanceWindows": windows}}),
    );
    assert_eq!(pending(&mut bench).len(), 10);
    bench.passes(TO_TEN);
    assert_eq!(pending(&mut bench).len(), 12, "eleven, and the one in its window");
}

#[test]
fn a_window_that_cannot_be_kept_is_refused() {
    let mut bench = Bench::new();
    let window = |start: &str, minutes: u64| json!([{"startTime": start, "durationInMinutes": minutes}]);
    let good = "cron(0 10 ? * * *)";
    for (selection, schedule, part) in [
        ("SNAPSHOT", json!({"maintenanceWindows": window(good, 60)}), "CONTINUOUS"),
        ("CONTINUOUS", json!({"maintenanceWindows": window(good, 0)}), "1430"),
        ("CONTINUOUS", json!({"maintenanceWindows": window(good, 1431)}), "1430"),
        ("CONTINUOUS", json!({"maintenanceWindows": window("0 10 ? * * *", 60)}), "cron("),
        ("CONTINUOUS", json!({"maintenanceWindows": window("cron(0 10 31 2 ? *)", 60)}), "at least once"),
        (
            "CONTINUOUS",
            json!({"maintenanceWindows": window("cron(0 9 ? * * *)", 30), "endTime": "2024-07-04T08:00"}),
            "at least once",
        ),
        ("CONTINUOUS", json!({"maintenanceWindows": [{"startTime": good}]}), "durationInMinutes"),
        (
            "CONTINUOUS",
            json!({"maintenanceWindows": [{"startTime": good, "durationInMinutes": 5, "zone": "x"}]}),
            "zone",
        ),
        ("CONTINUOUS", json!({"maintenanceWindows": "always"}), "a list"),
    ] {
        let params = json!({
            "jobId": "j",
            "document": "{}",
            "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"],
            "targetSelection": selection,
            "schedulingConfig": schedule,
        });
        let refused = bench.control("CreateJob", params).expect_err("refused");
        assert_eq!((refused.status, refused.name), (400, "InvalidRequestException"), "{schedule}");
        assert!(refused.message.contains(part), "{schedule}: {refused}");
    }
    for (start, minutes) in [(good, 1), ("cron(30 9 ? * * *)", 1430)] {
        let more = json!({"targetSelection": "CONTINUOUS", "schedulingConfig": {"maintenanceWindows": window(start, minutes)}});
        bench.job(&format!("j{minutes}"), more);
    }
    bench.job("none", json!({"schedulingConfig": {"maintenanceWindows": []}}));
}

#[test]
fn a_template_brings_its_windows_unless_the_job_has_its_own() {
    let mut bench = Bench::new();
    let window =
        |hour: u64| json!([{"startTime": format!("cron(0 {hour} ? * * *)"), "durationInMinutes": 60}]);
    let template =
        json!({"jobTemplateId": "t", "description": "d", "document": "{}", "maintenanceWindows": window(10)});
    bench.control("CreateJobTemplate", template).unwrap();
    let described = bench.control("DescribeJobTemplate", json!({"jobTemplateId": "t"})).unwrap();
    assert_eq!(described["maintenanceWindows"], window(10));
    let arn = "arn:aws:iot:us-east-1:123456789012:jobtemplate/t";
    let plain = json!({"jobTemplateArn": arn, "targetSelection": "CONTINUOUS"});
    let own = json!({"jobTemplateArn": arn, "targetSelection": "CONTINUOUS", "schedulingConfig": {"maintenanceWindows": window(12)}});
    let dated = json!({"jobTemplateArn": arn, "targetSelection": "CONTINUOUS", "schedulingConfig": {"startTime": "2024-07-04T09:00"}});
    for (id, more, hour) in [("a", plain, 10), ("b", own, 12), ("c", dated, 10)] {
        bench.job(id, more);
        let job = bench.control("DescribeJob", json!({"jobId": id})).unwrap()["job"].clone();
        assert_eq!(
            (&job["status"], &job["schedulingConfig"]["maintenanceWindows"]),
            (&json!("SCHEDULED"), &window(hour))
        );
    }
    let of_job = json!({"jobTemplateId": "u", "description": "d", "jobArn": "arn:aws:iot:us-east-1:123456789012:job/b"});
    bench.control("CreateJobTemplate", of_job).unwrap();
    assert_eq!(
        bench.control("DescribeJobTemplate", json!({"jobTemplateId": "u"})).unwrap()["maintenanceWindows"],
        window(12)
    );
    for bad in [json!("x"), json!([{"startTime": "x", "durationInMinutes": 1}])] {
        let template =
            json!({"jobTemplateId": "v", "description": "d", "document": "{}", "maintenanceWindows": bad});
        assert_eq!(bench.control("CreateJobTemplate", template).expect_err("refused").status, 400);
    }
}
