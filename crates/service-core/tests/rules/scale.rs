//! Many things and many jobs: every thing has its own queue.

use serde_json::json;
use service_core::Message;

use crate::bench::Bench;

#[test]
fn a_job_for_many_things_is_worked_off_by_each_on_its_own() {
    const THINGS: usize = 3000;
    let mut bench = Bench::new();
    bench.control("CreateThingGroup", json!({"thingGroupName": "fleet"})).unwrap();
    for n in 0..THINGS {
        let name = format!("board-{n}");
        bench.thing(&name);
        bench.control("AddThingToThingGroup", json!({"thingGroupName": "fleet", "thingName": name})).unwrap();
    }
    let fleet = json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/fleet"]});
    let published = bench.job("first", fleet.clone());
    assert_eq!(published.len(), 2 * THINGS, "notify and notify-next for each");
    assert_eq!(bench.job("second", fleet).len(), THINGS, "the first stays in front of the second");
    for n in 0..THINGS {
        let of = |rest: &str| format!("$aws/things/board-{n}/jobs/{rest}");
        let started = bench.raw(&of("start-next"), b"{}");
        assert_eq!(started.publications, []);
        let ended = bench.raw(&of("first/update"), br#"{"status":"SUCCEEDED"}"#);
        let topics: Vec<&Message> = ended.publications.iter().collect();
        assert!(
            topics.iter().all(|message| message.topic.starts_with(&of("notify"))),
            "nobody else hears of it"
        );
        assert_eq!(topics.len(), 2);
    }
    let job = bench.control("DescribeJob", json!({"jobId": "first"})).unwrap();
    assert_eq!(job["job"]["status"], "COMPLETED");
    assert_eq!(job["job"]["jobProcessDetails"]["numberOfSucceededThings"], THINGS);
    let job = bench.control("DescribeJob", json!({"jobId": "second"})).unwrap();
    assert_eq!(job["job"]["jobProcessDetails"]["numberOfQueuedThings"], THINGS);
}

#[test]
fn a_long_queue_is_worked_off_in_the_order_of_creation() {
    let mut bench = Bench::new();
    for n in 0..200 {
        bench.job(&format!("job-{n}"), json!({}));
    }
    for n in 0..200 {
        let (_, body) = bench.reply("start-next", "");
        assert!(body.contains(&format!(r#""jobId":"job-{n}""#)), "{n}: {body}");
        bench.publish(&format!("job-{n}/update"), r#"{"status":"SUCCEEDED"}"#);
    }
    assert_eq!(bench.reply("$next/get", "").1, r#"{"timestamp":1720000000}"#);
}
