//! An HTTP source of Sumo Logic, which a secret in its path opens.
//!
//! Source: Sumo Logic's "HTTP Logs and Metrics Source" (100 KB to 1 MB of uncompressed data a request, gzip) and
//! "Troubleshooting HTTP Sources" (200; 401 for a wrong URL; 408, 429, 503, 504 to try again).

use super::{Kind, Limits, https};

pub(super) const KIND: Kind = Kind {
    limits: Limits {
        // One MiB, which is what a segment of a selection holds at most, so that none has to be cut.
        max_bytes: Some(1_048_576),
        ..Limits::NONE
    },
    ..https::KIND
};
