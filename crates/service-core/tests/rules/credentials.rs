//! Certificates and policies: what is kept of them, and what the broker is told.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::saved::again;

const ALL: &str = r#"{"Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// As the shell calls it, with a certificate that it has made.
fn issue(bench: &mut Bench, digit: char, active: bool) -> String {
    let params = json!({"setAsActive": active, "certificateId": id(digit), "certificatePem": "PEM"});
    let made = bench.control("CreateKeysAndCertificate", params).unwrap();
    made["certificateArn"].as_str().unwrap().to_owned()
}

#[test]
fn the_holder_of_a_certificate_is_what_was_attached_to_it() {
    let mut bench = Bench::new();
    let arn = issue(&mut bench, 'a', false);
    assert_eq!(bench.service.holder(&id('b')), None);
    let holder = bench.service.holder(&id('a')).unwrap();
    assert!(!holder.active && holder.things.is_empty() && holder.policies.is_empty());
    bench.control("CreatePolicy", json!({"policyName": "p", "policyDocument": ALL})).unwrap();
    bench.control("AttachPolicy", json!({"policyName": "p", "target": arn})).unwrap();
    bench.control("AttachThingPrincipal", json!({"thingName": "t1", "principal": arn})).unwrap();
    bench.control("UpdateCertificate", json!({"certificateId": id('A'), "newStatus": "ACTIVE"})).unwrap();
    again(&mut bench);
    let holder = bench.service.holder(&id('a')).unwrap();
    assert!(holder.active && holder.things.iter().any(|thing| thing.as_str() == "t1"));
    assert_eq!(holder.policies, [ALL]);
    bench.control("DetachPolicy", json!({"policyName": "p", "target": arn})).unwrap();
    bench.control("DetachThingPrincipal", json!({"thingName": "t1", "principal": arn})).unwrap();
    let holder = bench.service.holder(&id('a')).unwrap();
    assert!(holder.policies.is_empty() && holder.things.is_empty());
}

#[test]
fn lists_have_markers_that_lead_through_them() {
    let mut bench = Bench::new();
    for digit in ['c', 'a', 'b'] {
        issue(&mut bench, digit, true);
    }
    let mut marker = Value::Null;
    let mut seen = Vec::new();
    loop {
        let page = bench.control("ListCertificates", json!({"pageSize": 2, "marker": marker})).unwrap();
        seen.extend(page["certificates"].as_array().unwrap().iter().map(|one| one["certificateId"].clone()));
        marker = page["nextMarker"].clone();
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(json!(seen), json!(['a', 'b', 'c'].map(id)));
    for params in
        [json!({"pageSize": 0}), json!({"pageSize": 251}), json!({"marker": "x"}), json!({"maxResults": 1})]
    {
        assert_eq!(
            bench.control("ListCertificates", params.clone()).expect_err("refused").status,
            400,
            "{params}"
        );
    }
}

#[test]
fn limits_are_the_models() {
    let mut bench = Bench::new();
    let arn = issue(&mut bench, 'a', true);
    let policy = |name: &str, document: &str| json!({"policyName": name, "policyDocument": document});
    let long = |length: usize| format!("{{ \"Statement\" : [\"{}\"] }}", "x".repeat(length - 18));
    assert_eq!(
        bench.control("CreatePolicy", policy("p", &long(2049))).expect_err("too long").name,
        "MalformedPolicyException"
    );
    bench.control("CreatePolicy", policy(&"p".repeat(128), &long(2048))).unwrap();
    for name in ["", "a b", "a/b", &"p".repeat(129)] {
        assert_eq!(
            bench.control("CreatePolicy", policy(name, ALL)).expect_err("a bad name").name,
            "InvalidRequestException"
        );
    }
    for n in 0..11 {
        let name = format!("p{n}");
        bench.control("CreatePolicy", policy(&name, ALL)).unwrap();
        let attached = bench.control("AttachPolicy", json!({"policyName": name, "target": arn}));
        assert_eq!(
            attached.map_err(|error| error.name).err(),
            (n == 10).then_some("LimitExceededException"),
            "{n}"
        );
    }
    for bad in ["", "abc", &"g".repeat(64)] {
        assert_eq!(
            bench.control("DescribeCertificate", json!({"certificateId": bad})).expect_err("no id").status,
            400
        );
    }
}
