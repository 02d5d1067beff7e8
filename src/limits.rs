//! Every limit of the hot path and of storage, with what it guards and where the number comes from.

/// Longest line taken for a record, in bytes. Workers trace events may reach 1 MB a record (Logpush docs, 2026) and 40
/// custom fields of 8 KB each 320 KB; twice the larger leaves room for JSON escapes. Guards the isolate's 128 MB.
pub const LINE_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Inflated bytes looked at in one go. Large enough that a call costs nothing against its bytes, small enough that 50
/// jobs which each copy all of it stay within [`PAYLOAD_BUDGET_BYTES`].
pub const WINDOW_BYTES: usize = 128 * 1024;

/// The same for CSV. A row without values grows most when it becomes JSON: a byte a field against its name, some 26 fold
/// for all fields of `http_requests`; so a window becomes at most 430 KB, as much for each job that copies it.
pub const CSV_WINDOW_BYTES: usize = 16 * 1024;

/// Longest CSV row that has line breaks in it. What is longer is taken for a quote that nobody closed, and its lines are
/// looked at again at once: the bound is [`CSV_WINDOW_BYTES`]' again.
pub const CSV_LINES_MAX_BYTES: usize = 64 * 1024;

/// Most columns that a CSV header may name; the largest dataset has 108 fields.
pub const CSV_COLUMNS_MAX: usize = 1_000;

/// Longest name of a CSV column in bytes. Logpush's have up to 40; see [`CSV_WINDOW_BYTES`].
pub const CSV_NAME_MAX_BYTES: usize = 100;

/// Keys of the first object of a batch that are remembered to tell its form. A record has a hundred; one with more than
/// this is a record.
pub const FORM_KEYS_MAX: usize = 4_096;

/// Inflated bytes after which a batch is refused as a bomb: four times Logpush's largest `max_upload_bytes` (1 GB).
pub const RAW_MAX_BYTES: u64 = 4_000_000_000;

/// Ratio of inflated to compressed bytes that no log reaches: DEFLATE's own limit is 1,032, real batches have 10 to 14,
/// a batch of one record repeated some hundred.
pub const BOMB_RATIO: u64 = 800;

/// Inflated bytes below which the ratio is not looked at, because a small batch is harmless at any ratio.
pub const BOMB_GRACE_BYTES: u64 = 32 * 1024 * 1024;

/// Compressed bytes read before the archive key is made. Holds whole what Logpush sends with the advised
/// `max_upload_bytes` of 5,000,000 (ratio 10 and more), so that those objects carry exact metadata.
pub const FIRST_BLOCK_BYTES: usize = 512 * 1024;

/// Compressed bytes asked for by one read of the body.
pub const READ_BYTES: usize = 128 * 1024;

/// Smallest part of an R2 multipart upload but for the last (R2 limits page); used for bodies without Content-Length.
pub const MULTIPART_PART_BYTES: usize = 5 * 1024 * 1024;

/// Largest single segment of a selection, in bytes. A Durable Object's row may hold 2 MB (SQLite limits page).
pub const SEGMENT_MAX_BYTES: u64 = 1024 * 1024;

/// Selected bytes that one batch may hold before it spills to R2. Its wasm memory stays below 8 MiB.
pub const PAYLOAD_MAX_BYTES: usize = 3 * 1024 * 1024;

/// Selected bytes that all batches in flight in one isolate may hold together. With 20 of them the isolate's wasm memory
/// stays below 24 MiB; with [`BATCHES_IN_FLIGHT_MAX`] a batch still spills in pieces of 300 KB, so that a default batch
/// (119 MB raw) of which a job copies everything makes some 400 of the 1,000 calls that a request may make.
pub const PAYLOAD_BUDGET_BYTES: usize = 12 * 1024 * 1024;

/// Selected bytes that one append may carry inline to an outbox; more goes to R2. Keeps a Durable Object request small.
pub const INLINE_MAX_BYTES: usize = 1024 * 1024;

/// Bytes of one bad line that quarantine keeps; the archive has the whole.
pub const QUARANTINE_LINE_BYTES: usize = 4 * 1024;

/// Bytes of bad lines that quarantine keeps for one batch; beyond, lines are counted only, and the archive has them.
pub const QUARANTINE_MAX_BYTES: usize = 256 * 1024;

/// Batches that one isolate works on at once: 128 MB, of which each takes up to 1.2 MiB of wasm and 1 MiB of buffers.
pub const BATCHES_IN_FLIGHT_MAX: usize = 40;

/// Bytes as received that one isolate works on at once. It works off some 50 MB of them a second (docs/performance.md), and
/// Logpush waits ten seconds for the answer after the last byte: beyond this, answers would come too late for all.
pub const BYTES_IN_FLIGHT_MAX: u64 = 256 * 1024 * 1024;

/// Events of R2 that one invocation works on at once. Each has its object open and may spool beside it, and an invocation
/// has six connections (Workers limits page): with more, objects that are open would wait for spooled ones that wait for them.
pub const EVENTS_AT_ONCE: usize = 2;

/// Uploads of parts that one isolate works on at once. Each holds up to [`MULTIPART_PART_BYTES`]: 40 MiB of 128.
pub const MULTIPART_IN_FLIGHT_MAX: usize = 8;

/// Raw bytes of one push when the job sets no `max_upload_bytes`: what most intakes take.
pub const PUSH_DEFAULT_BYTES: u64 = 5_000_000;

/// Raw bytes of one push at most, whatever the job asks for: its gzip is built in the isolate's memory.
pub const PUSH_MAX_BYTES: u64 = 25_000_000;

/// Bytes of an object that storage gets in one request; a larger one goes in parts. A request that breaks off begins anew,
/// so it should not be long, and parts cost two requests more: Amazon's own tools change over at 8 MiB and recommend it from
/// 100 MB on.
pub const OBJECT_WHOLE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of a part, but for the last one. S3, R2 and Google want 5 MiB at least and 10,000 parts at most; a batch of
/// [`RAW_MAX_BYTES`] that does not shrink makes 477, which also stays below the 1,000 requests of an alarm.
pub const OBJECT_PART_BYTES: u64 = 8 * 1024 * 1024;

/// How long storage may take to give an upload up: nobody needs its answer.
pub const OBJECT_ABORT_DEADLINE_MILLIS: u64 = 3_000;

/// Bytes that are read of the answer which says that an object was made of its parts. It has some hundred; while the storage
/// works it may send blanks before it.
pub const OBJECT_ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Records of one push when the job sets no `max_upload_records` (Logpush's own default).
pub const PUSH_DEFAULT_RECORDS: u64 = 100_000;

/// How long a destination may take to answer a push. Ingest never waits for it.
pub const PUSH_DEADLINE_MILLIS: u64 = 30_000;

/// How long the body of an answer is waited for once its status is there: what a server has to say comes at once.
pub const ANSWER_BODY_DEADLINE_MILLIS: u64 = 3_000;

/// Bytes of a destination's answer that are read.
pub const ANSWER_MAX_BYTES: usize = 4 * 1024;

/// How long an outbox remembers a batch it has delivered: longer than Logpush retries (its retention window is hours, and
/// a job is disabled after 24 h of failing).
pub const REMEMBER_BATCH_MILLIS: u64 = 3 * 24 * 3_600_000;

/// How long the jobs of a dataset are cached in an isolate: a change is seen everywhere within this time.
pub const JOBS_CACHE_MILLIS: u64 = 3_000;

/// Bytes of payloads in an outbox's table before it takes no more and the ledger owes the selection: half of a Durable
/// Object's 10 GB. What lies in R2 does not count.
pub const OUTBOX_MAX_BYTES: u64 = 5_000_000_000;

/// Bytes of one session's lines that one batch shows; what is above is counted. Some 200 whole records of `http_requests`, or
/// a thousand of ten fields: more than anybody reads before the next batch.
pub const TAIL_BATCH_MAX_BYTES: usize = 256 * 1024;

/// The same for all batches in flight in one isolate and all sessions together, and again for what is on its way to the
/// sessions' objects: 4 MiB of wasm and 4 MiB of buffers of 128.
pub const TAIL_BUDGET_BYTES: usize = 4 * 1024 * 1024;

/// Calls to objects of sessions that one isolate has in flight. Each holds its lines; an object that does not answer holds
/// its place for [`TAIL_DEADLINE_MILLIS`].
pub const TAIL_CALLS_MAX: usize = 64;

/// How long the object of a session may take to take its lines. The batch has been answered by then; the runtime ends what
/// goes on 30 s after the answer (Workers limits page).
pub const TAIL_DEADLINE_MILLIS: u64 = 5_000;

/// Sessions of one dataset of a zone or account at once: each is one more filter for every record. Cloudflare has one.
pub const TAIL_SESSIONS_PER_DATASET: usize = 5;

/// Sessions of a deployment at once. The registry looks at all of them every [`JOBS_CACHE_MILLIS`] for each isolate.
pub const TAIL_SESSIONS_MAX: usize = 50;

/// How long a session lasts: as Cloudflare's.
pub const TAIL_SESSION_SECS: u64 = 3_600;

/// How long a session lasts that nobody listens to: as Cloudflare's.
pub const TAIL_UNATTENDED_SECS: u64 = 300;

/// Viewers of one session at once. With [`TAIL_WINDOW_BYTES`] and [`TAIL_PLAIN_BYTES`] it bounds what an object holds for
/// viewers that do not read: 64 MiB of 128.
pub const TAIL_VIEWERS_MAX: usize = 8;

/// Bytes that may be on the way to a viewer that acknowledges what it gets. At the largest rate that is half a second.
pub const TAIL_WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// Bytes that a viewer gets which acknowledges nothing: nobody knows how many of them it has read, and the runtime holds
/// those which it has not.
pub const TAIL_PLAIN_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes of one message to a viewer, but for a single line that is longer.
pub const TAIL_MESSAGE_BYTES: usize = 64 * 1024;

/// Lines that a session shows in a second, and bytes of them; what is above is counted. A table in a browser is behind at a
/// tenth of it.
pub const TAIL_LINES_PER_SEC: u64 = 5_000;

/// See [`TAIL_LINES_PER_SEC`].
pub const TAIL_BYTES_PER_SEC: u64 = 4 * 1024 * 1024;

/// Bytes of records that a retrieval writes out before it hands them on. Large enough that handing on costs nothing against
/// its bytes; a window of records may come on top.
pub const RETRIEVAL_PIECE_BYTES: usize = 128 * 1024;

/// Objects that one retrieval reads: a request may make 1,000 calls (Workers limits page), and others find the objects.
pub const RETRIEVAL_MAX_OBJECTS: usize = 900;

/// Bytes after inflating that one retrieval reads, unless one object alone has more. Guards the 30 s of CPU time that a
/// request has (Workers limits page).
pub const RETRIEVAL_MAX_RAW_BYTES: u64 = 2_000_000_000;

/// Retrievals that one isolate works on at once. Each holds a piece of records, a block, and up to six open objects.
pub const RETRIEVALS_IN_FLIGHT_MAX: usize = 8;

/// Records with one RayID that are answered. There is one, or a handful: no answer may fill the memory.
pub const RAY_ANSWER_MAX_RECORDS: u64 = 1_000;
