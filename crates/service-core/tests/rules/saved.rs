//! A service that is saved and goes on elsewhere is the same service.

use serde_json::json;
use service_core::{EpochMillis, Service, Settings};

use crate::bench::Bench;

fn saved(service: &Service) -> Vec<u8> {
    let mut bytes = Vec::new();
    service.save(&mut bytes).unwrap();
    bytes
}

/// Puts the bench's service through saving and restoring.
pub(crate) fn again(bench: &mut Bench) {
    let bytes = saved(&bench.service);
    let restored = Service::restore(Settings::default(), &bytes).unwrap();
    assert_eq!(restored.deadline(), bench.service.deadline());
    assert_eq!(saved(&restored), bytes);
    bench.service = restored;
}

#[test]
fn queues_timers_rollouts_and_schedules_go_on() {
    let mut bench = Bench::with(Settings { seed: 42, ..Settings::default() });
    bench.thing("t2");
    bench.control("CreateThingGroup", json!({"thingGroupName": "g"})).unwrap();
    bench.control("AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": "t1"})).unwrap();
    bench
        .control("UpdateEventConfigurations", json!({"eventConfigurations": {"JOB": {"Enabled": true}}}))
        .unwrap();
    let group = json!(["arn:aws:iot:us-east-1:123456789012:thinggroup/g"]);
    bench.job(
        "timed",
        json!({"timeoutConfig": {"inProgressTimeoutInMinutes": 5}, "tags": [{"Key": "k", "Value": "v"}]}),
    );
    bench.publish("start-next", r#"{"statusDetails":{"step":"1"}}"#);
    bench.job("continuous", json!({"targets": group, "targetSelection": "CONTINUOUS"}));
    let both =
        json!(["arn:aws:iot:us-east-1:123456789012:thing/t1", "arn:aws:iot:us-east-1:123456789012:thing/t2"]);
    bench.job("paced", json!({"targets": both, "jobExecutionsRolloutConfig": {"maximumPerMinute": 1}}));
    bench.job("later", json!({"schedulingConfig": {"startTime": "2024-07-03T10:30"}}));
    bench.job(
        "url",
        json!({
            "document": r#"{"u":"${aws:iot:s3-presigned-url:https://s3.amazonaws.com/b/k}"}"#,
            "presignedUrlConfig": {"roleArn": "arn:aws:iam::1:role/r", "expiresInSec": 60},
        }),
    );
    let mut twin = Bench { service: bench.service.clone(), now: bench.now };
    again(&mut bench);
    assert_eq!(bench.service.seed(), 42);
    for one in [&mut bench, &mut twin] {
        one.control("AddThingToThingGroup", json!({"thingGroupName": "g", "thingName": "t2"})).unwrap();
    }
    let mut heard = 0;
    for minute in 0..60 {
        let messages = bench.passes(60_000);
        assert_eq!(messages, twin.passes(60_000), "minute {minute}");
        heard += messages.len();
        assert_eq!(bench.publish("get", "{}"), twin.publish("get", "{}"));
        assert_eq!(bench.publish("url/get", "{}"), twin.publish("url/get", "{}"));
    }
    assert!(heard >= 5, "the time-out, the second batch and the start have come: {heard}");
}

#[test]
fn what_is_no_saved_state_is_refused() {
    let whole = saved(&Bench::new().service);
    for bytes in [&b""[..], b"{}", &whole[..whole.len() - 1]] {
        assert!(Service::restore(Settings::default(), bytes).is_err());
    }
    assert_eq!(Service::restore(Settings::default(), &whole).unwrap().deadline(), None::<EpochMillis>);
}
