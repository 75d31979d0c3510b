//! Validated types of the OCI specifications. No I/O.
