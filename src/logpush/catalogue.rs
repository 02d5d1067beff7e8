//! The datasets and their fields.
