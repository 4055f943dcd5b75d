//! Sizes and counts of the service, in one place. Source: the quota pages of the developer guide.

/// Longest thing name, in bytes.
pub const THING_NAME_BYTES: usize = 128;
/// Longest job id, in bytes.
pub const JOB_ID_BYTES: usize = 64;
/// Largest job document at creation, in bytes.
pub const JOB_DOCUMENT_BYTES: usize = 32 * 1024;
/// Largest payload of one MQTT message, in bytes.
pub const MQTT_PAYLOAD_BYTES: usize = 128 * 1024;
/// Most pairs in a status details map.
pub const DETAILS_PAIRS: usize = 10;
/// Longest key of a status detail, in bytes (keys are ASCII).
pub const DETAILS_KEY_BYTES: usize = 128;
/// Longest value of a status detail, in UTF-16 units: the stricter reading of "characters".
pub const DETAILS_VALUE_UNITS: usize = 1024;
/// Longest step timer, in minutes: seven days.
pub const STEP_TIMEOUT_MINUTES: u16 = 10_080;
/// Most entries of a pending list on the wire.
pub const PENDING_ENTRIES: usize = 10;
/// Most entries of a pending list while jobs with maintenance windows are among them.
pub const PENDING_ENTRIES_IN_WINDOW: usize = 15;
/// Most topic filters in one SUBSCRIBE packet.
pub const FILTERS_PER_SUBSCRIBE: usize = 8;
