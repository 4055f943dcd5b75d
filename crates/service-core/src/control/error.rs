//! Errors of the HTTP planes, with the names and statuses that client libraries know.

use serde_json::{Map, Value};

/// An operation that was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ControlError {
    /// For the header `x-amzn-ErrorType`, such as `ResourceNotFoundException`.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// For the member `message` of the body.
    pub message: String,
    /// Further members of the body, such as `resourceArn`.
    pub members: Map<String, Value>,
}

impl ControlError {
    pub(crate) fn new(name: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { name, status, message: message.into(), members: Map::new() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", 400, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", 404, message)
    }

    pub(crate) fn state_transition(message: impl Into<String>) -> Self {
        Self::new("InvalidStateTransitionException", 409, message)
    }

    pub(crate) fn version_conflict(message: impl Into<String>) -> Self {
        Self::new("VersionConflictException", 409, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new("LimitExceededException", 410, message)
    }

    pub(crate) fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new("DeleteConflictException", 409, message)
    }

    /// Something of that name is there; the body names it.
    pub(crate) fn already_exists(kind: &str, id: &str, arn: String) -> Self {
        let mut error =
            Self::new("ResourceAlreadyExistsException", 409, format!("{kind} {id} already exists."));
        error.members.insert("resourceId".to_owned(), id.into());
        error.members.insert("resourceArn".to_owned(), arn.into());
        error
    }

    pub(crate) fn unknown_operation(operation: &str) -> Self {
        let shown: String = operation.chars().take(64).collect();
        Self::new("NotImplemented", 501, format!("The operation {shown} is not part of this service."))
    }
}
