//! Which operation a method and path mean: the tables of the AWS API models.
//!
//! A new operation is one line here. The two services share paths, so a request's service has to be known or guessed
//! first (see [`find`]).

use crate::jobs::Plane;

/// One operation's place. `{name}` in a path stands for one level and binds the member of that name.
#[derive(Debug)]
pub(crate) struct Route {
    method: &'static str,
    path: &'static str,
    /// The operation's name in the API.
    pub(crate) operation: &'static str,
}

const fn route(method: &'static str, path: &'static str, operation: &'static str) -> Route {
    Route { method, path, operation }
}

/// `iot`. Literal levels stand before levels that bind.
const CONTROL: &[Route] = &[
    route("PUT", "/jobs/{jobId}", "CreateJob"),
    route("GET", "/jobs/{jobId}", "DescribeJob"),
    route("PATCH", "/jobs/{jobId}", "UpdateJob"),
    route("PUT", "/jobs/{jobId}/cancel", "CancelJob"),
    route("DELETE", "/jobs/{jobId}", "DeleteJob"),
    route("GET", "/jobs", "ListJobs"),
    route("GET", "/jobs/{jobId}/job-document", "GetJobDocument"),
    route("POST", "/jobs/{jobId}/targets", "AssociateTargetsWithJob"),
    route("GET", "/jobs/{jobId}/things", "ListJobExecutionsForJob"),
    route("GET", "/things/{thingName}/jobs", "ListJobExecutionsForThing"),
    route("GET", "/things/{thingName}/jobs/{jobId}", "DescribeJobExecution"),
    route("PUT", "/things/{thingName}/jobs/{jobId}/cancel", "CancelJobExecution"),
    route(
        "DELETE",
        "/things/{thingName}/jobs/{jobId}/executionNumber/{executionNumber}",
        "DeleteJobExecution",
    ),
    route("PUT", "/job-templates/{jobTemplateId}", "CreateJobTemplate"),
    route("GET", "/job-templates/{jobTemplateId}", "DescribeJobTemplate"),
    route("GET", "/job-templates", "ListJobTemplates"),
    route("DELETE", "/job-templates/{jobTemplateId}", "DeleteJobTemplate"),
    route("GET", "/managed-job-templates", "ListManagedJobTemplates"),
    route("GET", "/managed-job-templates/{templateName}", "DescribeManagedJobTemplate"),
    route("POST", "/things/{thingName}", "CreateThing"),
    route("GET", "/things/{thingName}", "DescribeThing"),
    route("PATCH", "/things/{thingName}", "UpdateThing"),
    route("GET", "/things", "ListThings"),
    route("DELETE", "/things/{thingName}", "DeleteThing"),
    route("PUT", "/thing-groups/addThingToThingGroup", "AddThingToThingGroup"),
    route("PUT", "/thing-groups/removeThingFromThingGroup", "RemoveThingFromThingGroup"),
    route("PUT", "/thing-groups/updateThingGroupsForThing", "UpdateThingGroupsForThing"),
    route("POST", "/thing-groups/{thingGroupName}", "CreateThingGroup"),
    route("GET", "/thing-groups/{thingGroupName}", "DescribeThingGroup"),
    route("DELETE", "/thing-groups/{thingGroupName}", "DeleteThingGroup"),
    route("GET", "/thing-groups", "ListThingGroups"),
    route("GET", "/thing-groups/{thingGroupName}/things", "ListThingsInThingGroup"),
    route("GET", "/things/{thingName}/thing-groups", "ListThingGroupsForThing"),
    route("POST", "/keys-and-certificate", "CreateKeysAndCertificate"),
    route("GET", "/certificates/{certificateId}", "DescribeCertificate"),
    route("GET", "/certificates", "ListCertificates"),
    route("PUT", "/certificates/{certificateId}", "UpdateCertificate"),
    route("DELETE", "/certificates/{certificateId}", "DeleteCertificate"),
    route("PUT", "/things/{thingName}/principals", "AttachThingPrincipal"),
    route("DELETE", "/things/{thingName}/principals", "DetachThingPrincipal"),
    route("GET", "/things/{thingName}/principals", "ListThingPrincipals"),
    route("GET", "/principals/things", "ListPrincipalThings"),
    route("POST", "/policies/{policyName}", "CreatePolicy"),
    route("GET", "/policies/{policyName}", "GetPolicy"),
    route("GET", "/policies", "ListPolicies"),
    route("DELETE", "/policies/{policyName}", "DeletePolicy"),
    route("PUT", "/target-policies/{policyName}", "AttachPolicy"),
    route("POST", "/target-policies/{policyName}", "DetachPolicy"),
    route("POST", "/attached-policies/{target}", "ListAttachedPolicies"),
    route("POST", "/policy-targets/{policyName}", "ListTargetsForPolicy"),
    route("PUT", "/principal-policies/{policyName}", "AttachPrincipalPolicy"),
    route("DELETE", "/principal-policies/{policyName}", "DetachPrincipalPolicy"),
    route("GET", "/endpoint", "DescribeEndpoint"),
    route("PATCH", "/event-configurations", "UpdateEventConfigurations"),
    route("GET", "/event-configurations", "DescribeEventConfigurations"),
    route("POST", "/tags", "TagResource"),
    route("POST", "/untag", "UntagResource"),
    route("GET", "/tags", "ListTagsForResource"),
];

/// `iot-jobs-data`.
const DATA: &[Route] = &[
    route("GET", "/things/{thingName}/jobs", "GetPendingJobExecutions"),
    route("PUT", "/things/{thingName}/jobs/$next", "StartNextPendingJobExecution"),
    route("GET", "/things/{thingName}/jobs/{jobId}", "DescribeJobExecution"),
    route("POST", "/things/{thingName}/jobs/{jobId}", "UpdateJobExecution"),
];

/// Whether there is such an operation, of either service.
pub(crate) fn is_operation(name: &str) -> bool {
    CONTROL.iter().chain(DATA).any(|route| route.operation == name)
}

/// A route, and the members that its path has bound.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) plane: Plane,
    pub(crate) operation: &'static str,
    pub(crate) members: Vec<(&'static str, String)>,
}

/// Finds the operation for a method and the levels of a path, which are decoded already.
///
/// `signed` is the service that the request was signed for. Where that is not known, `$next` tells the data plane;
/// everything else is the control plane's if it has such an operation.
pub(crate) fn find(method: &str, levels: &[String], signed: Option<Plane>) -> Option<Hit> {
    let planes: &[Plane] = match signed {
        Some(Plane::Control) => &[Plane::Control],
        Some(Plane::Data) => &[Plane::Data],
        None if levels.last().is_some_and(|last| last == "$next") => &[Plane::Data],
        None => &[Plane::Control, Plane::Data],
    };
    planes.iter().find_map(|&plane| {
        let table = match plane {
            Plane::Control => CONTROL,
            Plane::Data => DATA,
        };
        table.iter().filter(|route| route.method == method).find_map(|route| {
            bind(route.path, levels).map(|members| Hit { plane, operation: route.operation, members })
        })
    })
}

fn bind(path: &'static str, levels: &[String]) -> Option<Vec<(&'static str, String)>> {
    let pattern: Vec<&'static str> = path.trim_start_matches('/').split('/').collect();
    if pattern.len() != levels.len() {
        return None;
    }
    let mut members = Vec::new();
    for (wanted, given) in pattern.into_iter().zip(levels) {
        match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => members.push((name, given.clone())),
            None if wanted == given => {}
            None => return None,
        }
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_name_the_operation() {
        let table = [
            ("PUT", "jobs/j1", "CreateJob"),
            ("GET", "jobs/j1", "DescribeJob"),
            ("PUT", "jobs/j1/cancel", "CancelJob"),
            ("POST", "things/t1", "CreateThing"),
            ("PUT", "thing-groups/addThingToThingGroup", "AddThingToThingGroup"),
            ("DELETE", "things/t/jobs/j/executionNumber/2", "DeleteJobExecution"),
        ];
        for (method, path, operation) in table {
            assert_eq!(find(method, &levels(path), None).unwrap().operation, operation, "{method} {path}");
        }
        assert!(find("POST", &levels("jobs/j1"), None).is_none());
        assert!(find("GET", &levels("jobs/j1/"), None).is_none());
    }

    #[test]
    fn the_signature_tells_the_services_apart_where_paths_do_not() {
        let listing = levels("things/t1/jobs");
        let of = |signed| find("GET", &listing, signed).unwrap().operation;
        assert_eq!(of(None), "ListJobExecutionsForThing");
        assert_eq!(of(Some(Plane::Control)), "ListJobExecutionsForThing");
        assert_eq!(of(Some(Plane::Data)), "GetPendingJobExecutions");
    }

    #[test]
    fn an_unsigned_request_for_next_is_a_devices() {
        let next = levels("things/t1/jobs/$next");
        assert_eq!(find("PUT", &next, None).unwrap().operation, "StartNextPendingJobExecution");
        let describe = find("GET", &next, None).unwrap();
        assert_eq!((describe.plane, describe.operation), (Plane::Data, "DescribeJobExecution"));
        assert_eq!(describe.members, [("thingName", "t1".into()), ("jobId", "$next".into())]);
        let update = find("POST", &levels("things/t1/jobs/j1"), None).unwrap();
        assert_eq!(update.operation, "UpdateJobExecution");
    }

    fn levels(path: &str) -> Vec<String> {
        path.split('/').map(str::to_owned).collect()
    }
}
