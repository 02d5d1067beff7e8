//! Destination strings.
