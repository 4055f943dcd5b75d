//! Tags, and the smaller operations of the registry.

use serde_json::{Value, json};

use crate::bench::Bench;

const JOB: &str = "arn:aws:iot:us-east-1:123456789012:job/j";

fn tags(bench: &mut Bench, arn: &str) -> Value {
    bench.control("ListTagsForResource", json!({"resourceArn": arn})).unwrap()["tags"].clone()
}

#[test]
fn tags_are_set_at_creation_added_taken_away_and_gone_with_their_job() {
    let mut bench = Bench::new();
    bench.job("j", json!({"tags": [{"Key": "a", "Value": "1"}]}));
    bench
        .control(
            "TagResource",
            json!({"resourceArn": JOB, "tags": [{"Key": "a", "Value": "2"}, {"Key": "b"}]}),
        )
        .unwrap();
    assert_eq!(tags(&mut bench, JOB), json!([{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]));
    bench.control("UntagResource", json!({"resourceArn": JOB, "tagKeys": ["a", "x"]})).unwrap();
    assert_eq!(tags(&mut bench, JOB), json!([{"Key": "b", "Value": ""}]));
    bench.control("DeleteJob", json!({"jobId": "j", "force": true})).unwrap();
    bench.job("j", json!({}));
    assert_eq!(tags(&mut bench, JOB), json!([]));
}

#[test]
fn tags_belong_to_something_that_is_there() {
    let mut bench = Bench::new();
    for (arn, status) in [
        (JOB, 404),
        ("arn:aws:iot:us-east-1:123456789012:thinggroup/g", 404),
        ("arn:aws:iot:us-east-1:123456789012:jobtemplate/t", 404),
        ("arn:aws:iot:us-east-1:123456789012:thing/t1", 400),
        ("x", 400),
    ] {
        let error = bench.control("ListTagsForResource", json!({"resourceArn": arn})).expect_err("refused");
        assert_eq!(error.status, status, "{arn}");
    }
}

#[test]
fn a_thing_and_a_group_are_changed_under_their_version() {
    let mut bench = Bench::new();
    let update = |attributes: Value, merge: bool| json!({"thingName": "t1", "attributePayload": {"attributes": attributes, "merge": merge}});
    bench.control("UpdateThing", update(json!({"a": "1", "b": "2"}), false)).unwrap();
    bench.control("UpdateThing", update(json!({"a": "", "c": "3"}), true)).unwrap();
    let thing = bench.control("DescribeThing", json!({"thingName": "t1"})).unwrap();
    assert_eq!((&thing["attributes"], &thing["version"]), (&json!({"b": "2", "c": "3"}), &json!(3)));
    bench.control("CreateThingGroup", json!({"thingGroupName": "g"})).unwrap();
    let properties = json!({"thingGroupName": "g", "thingGroupProperties": {"thingGroupDescription": "d"}, "expectedVersion": 1});
    assert_eq!(bench.control("UpdateThingGroup", properties.clone()).unwrap(), json!({"version": 2}));
    let error = bench.control("UpdateThingGroup", properties).expect_err("the version has gone on");
    assert_eq!((error.status, error.name), (409, "VersionConflictException"));
}

#[test]
fn a_thing_changes_several_groups_at_once_or_none() {
    let mut bench = Bench::new();
    for group in ["a", "b", "c"] {
        bench.control("CreateThingGroup", json!({"thingGroupName": group})).unwrap();
    }
    let groups = |bench: &mut Bench| {
        let listed = bench.control("ListThingGroupsForThing", json!({"thingName": "t1"})).unwrap();
        listed["thingGroups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["groupName"].clone())
            .collect::<Vec<_>>()
    };
    bench
        .control("UpdateThingGroupsForThing", json!({"thingName": "t1", "thingGroupsToAdd": ["a", "b"]}))
        .unwrap();
    let missing = json!({"thingName": "t1", "thingGroupsToRemove": ["a"], "thingGroupsToAdd": ["nope"]});
    assert_eq!(bench.control("UpdateThingGroupsForThing", missing).expect_err("no such group").status, 404);
    assert_eq!(groups(&mut bench), ["a", "b"]);
    bench
        .control(
            "UpdateThingGroupsForThing",
            json!({"thingName": "t1", "thingGroupsToRemove": ["a"], "thingGroupsToAdd": ["c"]}),
        )
        .unwrap();
    assert_eq!(groups(&mut bench), ["b", "c"]);
}

#[test]
fn groups_are_listed_by_what_they_are_below() {
    let mut bench = Bench::new();
    for (group, parent) in [("top", None), ("mid", Some("top")), ("low", Some("mid")), ("other", None)] {
        bench
            .control("CreateThingGroup", json!({"thingGroupName": group, "parentGroupName": parent}))
            .unwrap();
    }
    let mut list = |params: Value| {
        let listed = bench.control("ListThingGroups", params).unwrap();
        listed["thingGroups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["groupName"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(json!({})), ["low", "mid", "other", "top"]);
    assert_eq!(list(json!({"recursive": "false"})), ["other", "top"]);
    assert_eq!(list(json!({"parentGroup": "top"})), ["low", "mid"]);
    assert_eq!(list(json!({"parentGroup": "top", "recursive": false})), ["mid"]);
}
