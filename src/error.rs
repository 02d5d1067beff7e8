//! What failed, sorted by what the caller must do next.
