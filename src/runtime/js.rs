//! The few platform APIs that the SDK does not wrap, and byte streams read in large blocks.

use crate::limits::READ_BYTES;
use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// `ReadableStreamBYOBReader`, with the `min` option.
    type ByobReader;
    #[wasm_bindgen(method, catch)]
    fn read(this: &ByobReader, view: &Uint8Array, options: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn cancel(this: &ByobReader) -> Result<Promise, JsValue>;

    /// A `ReadableStream` of bytes.
    pub type ByteStream;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader(this: &ByteStream, options: &JsValue) -> Result<ByobReader, JsValue>;

    /// A pair of streams whose readable side has a known length, as R2 wants it.
    pub type FixedLengthStream;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(length: f64) -> Result<FixedLengthStream, JsValue>;
    /// The side that R2 reads.
    #[wasm_bindgen(method, getter)]
    pub fn readable(this: &FixedLengthStream) -> JsValue;
    /// The side that we write.
    #[wasm_bindgen(method, getter)]
    pub fn writable(this: &FixedLengthStream) -> web_sys::WritableStream;

    /// The runtime's own pair of streams: a write ends when its bytes were read.
    pub type IdentityTransformStream;
    #[wasm_bindgen(constructor, catch)]
    pub fn new() -> Result<IdentityTransformStream, JsValue>;
    /// The side that gives what was written.
    #[wasm_bindgen(method, getter)]
    pub fn readable(this: &IdentityTransformStream) -> web_sys::ReadableStream;
    /// The side that is written.
    #[wasm_bindgen(method, getter)]
    pub fn writable(this: &IdentityTransformStream) -> web_sys::WritableStream;

    /// The runtime's own gzip.
    pub type CompressionStream;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(format: &str) -> Result<CompressionStream, JsValue>;
    /// The side that gives gzip.
    #[wasm_bindgen(method, getter)]
    pub fn readable(this: &CompressionStream) -> web_sys::ReadableStream;
    /// The side that takes bytes.
    #[wasm_bindgen(method, getter)]
    pub fn writable(this: &CompressionStream) -> web_sys::WritableStream;

    /// The runtime's own inflate; strict: one member, and nothing behind it.
    pub type DecompressionStream;
    #[wasm_bindgen(constructor, catch)]
    pub fn new(format: &str) -> Result<DecompressionStream, JsValue>;
    #[wasm_bindgen(method, catch, js_name = pipeThrough)]
    fn pipe_through(this: &ByteStream, transform: &JsValue) -> Result<JsValue, JsValue>;

    /// An R2 bucket; the SDK's builder only begins a put when it is awaited, ours has to begin at once.
    pub type R2Bucket;
    #[wasm_bindgen(method, catch)]
    pub fn put(
        this: &R2Bucket,
        key: &str,
        value: &JsValue,
        options: &JsValue,
    ) -> Result<Promise, JsValue>;

    /// `Error`, for its message.
    type ErrorLike;
    #[wasm_bindgen(method, getter)]
    fn message(this: &ErrorLike) -> Option<String>;

    /// A `send_email` binding. The SDK's type for it goes by the name of a class, which the local runtime's has not.
    pub type SendEmail;
    #[wasm_bindgen(method, catch)]
    pub fn send(this: &SendEmail, message: &JsValue) -> Result<Promise, JsValue>;

    /// The global `fetch`. Takes any body, unlike the SDK's.
    #[wasm_bindgen(catch)]
    pub fn fetch(url: &str, init: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    fn random_uuid() -> String;
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues, catch)]
    fn get_random_values(bytes: &Uint8Array) -> Result<Uint8Array, JsValue>;
}

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = env)]
    static ENV: JsValue;
}

/// What the deployment sets, where nobody hands it down. Bindings and variables are those that handlers and objects get.
pub fn env() -> worker::Env {
    ENV.with(|env| env.clone().unchecked_into())
}

/// WebCrypto.
pub mod subtle {
    use super::{Array, JsValue, Promise, Uint8Array, wasm_bindgen};

    #[wasm_bindgen]
    extern "C" {
        /// Makes a key of its bytes.
        #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
        pub fn import_key(
            format: &str,
            bytes: &Uint8Array,
            algorithm: &JsValue,
            may_leave: bool,
            uses: &Array,
        ) -> Result<Promise, JsValue>;
        /// Makes a key of its numbers (`jwk`).
        #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
        pub fn import_jwk(
            format: &str,
            jwk: &JsValue,
            algorithm: &JsValue,
            may_leave: bool,
            uses: &Array,
        ) -> Result<Promise, JsValue>;
        /// Says whether a signature is the key's.
        #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
        pub fn verify(
            algorithm: &str,
            key: &JsValue,
            signature: &Uint8Array,
            bytes: &Uint8Array,
        ) -> Result<Promise, JsValue>;
        /// Signs bytes.
        #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
        pub fn sign(algorithm: &str, key: &JsValue, bytes: &Uint8Array)
        -> Result<Promise, JsValue>;
    }
}

/// A name that no other attempt has.
pub fn unique_name() -> String {
    random_uuid()
}

/// 128 bits that nobody can guess.
pub fn random_128() -> Result<[u8; 16], JsValue> {
    let mut random = [0; 16];
    get_random_values(&Uint8Array::new_with_length(16))?.copy_to(&mut random);
    Ok(random)
}

/// The text of a thrown value.
pub fn describe(error: &JsValue) -> String {
    error
        .unchecked_ref::<ErrorLike>()
        .message()
        .or_else(|| error.as_string())
        .unwrap_or_else(|| format!("{error:?}"))
}

/// `{name: value, …}`.
pub fn object(entries: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a property of a plain object can not fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

/// Bytes as a JavaScript array.
pub fn bytes(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &Uint8Array) -> String {
    let bytes = bytes.to_vec();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Several runs of bytes as one JavaScript array, copied once.
pub fn concatenated<'b>(blocks: impl Iterator<Item = &'b [u8]>, length: usize) -> Uint8Array {
    let joined = Uint8Array::new_with_length(u32::try_from(length).unwrap_or(u32::MAX));
    let mut at = 0_u32;
    for block in blocks {
        let end = at + block.len() as u32;
        joined.subarray(at, end).copy_from(block);
        at = end;
    }
    joined
}

/// A stream of gzip, inflated. One member, and nothing behind it: anything else is an error of the stream.
pub fn gunzipped(stream: &JsValue) -> Result<JsValue, JsValue> {
    let inflate = DecompressionStream::new("gzip")?;
    stream.unchecked_ref::<ByteStream>().pipe_through(&inflate)
}

/// Reads a stream of bytes in large blocks, in one buffer that goes back and forth.
pub struct BlockReader {
    inner: ByobReader,
    buffer: Option<ArrayBuffer>,
    block_bytes: u32,
    options: JsValue,
    is_done: bool,
}

impl BlockReader {
    /// A reader of a `ReadableStream` of bytes, in blocks of [`READ_BYTES`].
    pub fn new(stream: &JsValue) -> Result<Self, JsValue> {
        Self::with_block_bytes(stream, READ_BYTES)
    }

    /// A reader in blocks of `block_bytes`.
    pub fn with_block_bytes(stream: &JsValue, block_bytes: usize) -> Result<Self, JsValue> {
        let block_bytes = block_bytes as u32;
        let mode = object(&[("mode", "byob".into())]);
        Ok(Self {
            inner: stream.unchecked_ref::<ByteStream>().get_reader(&mode)?,
            buffer: Some(ArrayBuffer::new(block_bytes)),
            block_bytes,
            options: object(&[("min", JsValue::from_f64(f64::from(block_bytes)))]),
            is_done: false,
        })
    }

    /// A reader that waits for no more than is there, at most `block_bytes` at once.
    pub fn as_it_comes(stream: &JsValue, block_bytes: usize) -> Result<Self, JsValue> {
        Ok(Self {
            options: object(&[("min", JsValue::from_f64(1.0))]),
            ..Self::with_block_bytes(stream, block_bytes)?
        })
    }

    /// Tells the sender that no more is wanted.
    pub async fn cancel(self) {
        if let Ok(cancelled) = self.inner.cancel() {
            // A stream that failed answers with the error that is known already.
            let _ = JsFuture::from(cancelled).await;
        }
    }

    /// The next block, full but for the last one; `None` at the end. The block is only good until the next call, unless
    /// it is copied.
    pub async fn next(&mut self) -> Result<Option<Uint8Array>, JsValue> {
        if self.is_done {
            return Ok(None);
        }
        let buffer = self
            .buffer
            .take()
            .unwrap_or_else(|| ArrayBuffer::new(self.block_bytes));
        let view = Uint8Array::new(&buffer);
        let answer = JsFuture::from(self.inner.read(&view, &self.options)?).await?;
        let value = Reflect::get(&answer, &"value".into())?;
        self.is_done = Reflect::get(&answer, &"done".into())?.is_truthy();
        // A cancelled stream ends without a value.
        let Ok(block) = value.dyn_into::<Uint8Array>() else {
            self.is_done = true;
            return Ok(None);
        };
        self.buffer = Some(block.buffer());
        // The last block may come together with the end of the stream.
        Ok((block.length() > 0).then_some(block))
    }
}

/// The SQL storage of a Durable Object. Every call is bound with `catch`: an exception that passes Rust by strands the caller.
pub mod sql {
    use super::{Array, JsValue, Reflect, wasm_bindgen};
    use serde::de::DeserializeOwned;
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen]
    extern "C" {
        type SqlStorage;
        #[wasm_bindgen(method, catch, variadic)]
        fn exec(
            this: &SqlStorage,
            query: &str,
            bindings: Box<[JsValue]>,
        ) -> Result<Cursor, JsValue>;
        type Cursor;
        #[wasm_bindgen(method, catch, js_name = toArray)]
        fn to_array(this: &Cursor) -> Result<Array, JsValue>;
        #[wasm_bindgen(method, getter, js_name = rowsRead)]
        fn rows_read(this: &Cursor) -> f64;

        type Storage;
        #[wasm_bindgen(method, getter)]
        fn sql(this: &Storage) -> SqlStorage;
        #[wasm_bindgen(method, catch, js_name = transactionSync)]
        fn transaction_sync(
            this: &Storage,
            work: &mut dyn FnMut() -> Result<(), JsValue>,
        ) -> Result<(), JsValue>;
    }

    /// An object's database, or why it could not be opened: a constructor has nobody to tell.
    pub struct Database(Result<Sql, String>);

    impl Database {
        /// Opens the database of the object that `state` belongs to and brings it up to date.
        pub fn open(state: &worker::State, migrations: &[&str]) -> Self {
            let opened = Sql::of(state).and_then(|sql| {
                sql.migrate(migrations)?;
                Ok(sql)
            });
            Self(opened.map_err(|e| e.to_string()))
        }

        /// The database.
        ///
        /// # Errors
        /// When it could not be opened.
        pub fn get(&self) -> worker::Result<&Sql> {
            self.0
                .as_ref()
                .map_err(|e| worker::Error::RustError(format!("the database did not open: {e}")))
        }
    }

    /// A database.
    pub struct Sql {
        storage: Storage,
        sql: SqlStorage,
    }

    /// A value bound to a `?`. Integers go as doubles, exact up to 2^53: millis, bytes and counts stay below.
    pub trait Param {
        /// The JavaScript value.
        fn into_param(self) -> JsValue;
    }
    macro_rules! numbers {
        ($($t:ty),*) => {$(impl Param for $t { fn into_param(self) -> JsValue { JsValue::from_f64(self as f64) } })*};
    }
    numbers!(u64, i64, u32, usize);
    impl Param for &str {
        fn into_param(self) -> JsValue {
            JsValue::from_str(self)
        }
    }
    impl Param for &String {
        fn into_param(self) -> JsValue {
            JsValue::from_str(self)
        }
    }
    impl Param for JsValue {
        fn into_param(self) -> JsValue {
            self
        }
    }
    impl<T: Param> Param for Option<T> {
        fn into_param(self) -> JsValue {
            self.map_or(JsValue::NULL, Param::into_param)
        }
    }

    /// `params![a, b]`: the values bound to a query.
    macro_rules! params {
        ($($value:expr),* $(,)?) => { vec![$($crate::runtime::js::sql::Param::into_param($value)),*] };
    }
    pub(crate) use params;

    impl Sql {
        /// The database of the object that `state` belongs to.
        fn of(state: &worker::State) -> worker::Result<Self> {
            let storage: Storage =
                Reflect::get(state.as_raw().as_ref(), &"storage".into())?.unchecked_into();
            let sql = storage.sql();
            Ok(Self { storage, sql })
        }

        /// Runs `work` in one transaction: when it fails, none of what it wrote is there.
        pub fn atomically<T>(&self, work: impl FnOnce() -> worker::Result<T>) -> worker::Result<T> {
            let mut work = Some(work);
            let mut done = None;
            // The runtime rolls back when the callback throws, so a failure has to pass through it as an exception.
            let transaction = self.storage.transaction_sync(&mut || {
                let Some(work) = work.take() else {
                    return Ok(());
                };
                let result = work();
                let outcome = result.as_ref().map(drop).map_err(|e| e.to_string().into());
                done = Some(result);
                outcome
            });
            match done {
                Some(Ok(value)) => transaction.map(|()| value).map_err(Into::into),
                Some(Err(e)) => Err(e),
                None => Err(match transaction {
                    Err(e) => e.into(),
                    Ok(()) => worker::Error::RustError("the transaction did not run".to_owned()),
                }),
            }
        }

        /// Runs the migrations that this database has not seen. Their order is their number.
        fn migrate(&self, migrations: &[&str]) -> worker::Result<()> {
            #[derive(serde::Deserialize)]
            struct Version {
                version: usize,
            }
            self.run(
                "CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL)",
                vec![],
            )?;
            let seen = self
                .first::<Version>("SELECT count(*) AS version FROM schema", vec![])?
                .map_or(0, |row| row.version);
            for (number, migration) in migrations.iter().enumerate().skip(seen) {
                self.atomically(|| {
                    self.run(migration, vec![])?;
                    self.run("INSERT INTO schema (version) VALUES (?)", params![number])
                })?;
            }
            Ok(())
        }

        /// Runs a statement.
        pub fn run(&self, query: &str, params: Vec<JsValue>) -> worker::Result<()> {
            self.objects(query, params).map(drop)
        }

        /// Runs a query and returns its rows as JavaScript objects.
        pub fn objects(&self, query: &str, params: Vec<JsValue>) -> worker::Result<Array> {
            Ok(self
                .sql
                .exec(query, params.into_boxed_slice())?
                .to_array()?)
        }

        /// Runs a query and returns its rows.
        pub fn rows<T: DeserializeOwned>(
            &self,
            query: &str,
            params: Vec<JsValue>,
        ) -> worker::Result<Vec<T>> {
            self.objects(query, params)?
                .iter()
                .map(|row| {
                    serde_wasm_bindgen::from_value(row)
                        .map_err(|e| worker::Error::RustError(format!("unexpected row: {e}")))
                })
                .collect()
        }

        /// Runs a query whose rows are one text each, in the column `row`. Returns them, and how many rows SQLite read.
        pub fn texts(
            &self,
            query: &str,
            params: Vec<JsValue>,
        ) -> worker::Result<(Vec<String>, u64)> {
            let cursor = self.sql.exec(query, params.into_boxed_slice())?;
            let rows = cursor.to_array()?;
            let column = JsValue::from_str("row");
            let text = |row: JsValue| {
                Reflect::get(&row, &column)
                    .ok()
                    .and_then(|text| text.as_string())
                    .ok_or_else(|| worker::Error::RustError("a row is no text".to_owned()))
            };
            let texts = rows.iter().map(text).collect::<worker::Result<_>>()?;
            Ok((texts, cursor.rows_read() as u64))
        }

        /// Runs a query and returns its first row.
        pub fn first<T: DeserializeOwned>(
            &self,
            query: &str,
            params: Vec<JsValue>,
        ) -> worker::Result<Option<T>> {
            Ok(self.rows(query, params)?.into_iter().next())
        }
    }
}
