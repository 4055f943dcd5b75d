//! The control plane: its operations by their API names, one file per family.

mod certificates;
pub(crate) mod error;
mod executions;
mod groups;
mod jobs;
pub(crate) mod params;
mod policies;
mod settings;
mod tags;
pub(crate) mod templates;
mod things;

use serde_json::Value;

use crate::state::Turn;
use error::ControlError;

/// Performs an operation.
pub(crate) fn perform(turn: &mut Turn<'_>, operation: &str, params: Value) -> Result<Value, ControlError> {
    match operation {
        "CreateJob" => jobs::create::create(turn, params),
        "DescribeJob" => jobs::describe(turn, params),
        "GetJobDocument" => jobs::document(turn, params),
        "ListJobs" => jobs::list(turn, params),
        "UpdateJob" => jobs::update(turn, params),
        "CancelJob" => jobs::cancel(turn, params),
        "DeleteJob" => jobs::delete(turn, params),
        "AssociateTargetsWithJob" => jobs::associate(turn, params),
        "DescribeJobExecution" => executions::describe(turn, params),
        "ListJobExecutionsForJob" => executions::list_for_job(turn, params),
        "ListJobExecutionsForThing" => executions::list_for_thing(turn, params),
        "CancelJobExecution" => executions::cancel(turn, params),
        "DeleteJobExecution" => executions::delete(turn, params),
        "CreateThing" => things::create(turn, params),
        "UpdateThing" => things::update(turn, params),
        "DescribeThing" => things::describe(turn, params),
        "ListThings" => things::list(turn, params),
        "DeleteThing" => things::delete(turn, params),
        "ListThingGroupsForThing" => things::groups(turn, params),
        "CreateThingGroup" => groups::create(turn, params),
        "UpdateThingGroup" => groups::update(turn, params),
        "DescribeThingGroup" => groups::describe(turn, params),
        "ListThingGroups" => groups::list(turn, params),
        "DeleteThingGroup" => groups::delete(turn, params),
        "AddThingToThingGroup" => groups::add(turn, params),
        "RemoveThingFromThingGroup" => groups::remove(turn, params),
        "UpdateThingGroupsForThing" => groups::update_for_thing(turn, params),
        "ListThingsInThingGroup" => groups::things(turn, params),
        "CreateJobTemplate" => templates::create(turn, params),
        "DescribeJobTemplate" => templates::describe(turn, params),
        "ListJobTemplates" => templates::list(turn, params),
        "DeleteJobTemplate" => templates::delete(turn, params),
        "ListManagedJobTemplates" => templates::list_managed(turn, params),
        "DescribeManagedJobTemplate" => templates::describe_managed(turn, params),
        "CreateKeysAndCertificate" => certificates::create(turn, params),
        "DescribeCertificate" => certificates::describe(turn, params),
        "ListCertificates" => certificates::list(turn, params),
        "UpdateCertificate" => certificates::update(turn, params),
        "DeleteCertificate" => certificates::delete(turn, params),
        "AttachThingPrincipal" => certificates::attach(turn, params),
        "DetachThingPrincipal" => certificates::detach(turn, params),
        "ListThingPrincipals" => certificates::of_thing(turn, params),
        "ListPrincipalThings" => certificates::things(turn, params),
        "CreatePolicy" => policies::create(turn, params),
        "GetPolicy" => policies::describe(turn, params),
        "ListPolicies" => policies::list(turn, params),
        "DeletePolicy" => policies::delete(turn, params),
        "AttachPolicy" | "AttachPrincipalPolicy" => policies::attach(turn, params),
        "DetachPolicy" | "DetachPrincipalPolicy" => policies::detach(turn, params),
        "ListAttachedPolicies" => policies::attached(turn, params),
        "ListTargetsForPolicy" => policies::targets(turn, params),
        "TagResource" => tags::tag(turn, params),
        "UntagResource" => tags::untag(turn, params),
        "ListTagsForResource" => tags::list(turn, params),
        "DescribeEndpoint" => settings::endpoint(turn, params),
        "UpdateEventConfigurations" => settings::update_events(turn, params),
        "DescribeEventConfigurations" => settings::describe_events(turn, params),
        _ => Err(ControlError::unknown_operation(operation)),
    }
}
