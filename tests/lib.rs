//! The suites stand in `simulation/`, `conformance/` and `shipped/`; this library is empty.
