//! Taking `null` and `""` out of objects and arrays.

use super::Made;
use crate::batch::json;
use memchr::memmem;

/// A value that nests deeper than this is written as a string that holds its JSON. A record may nest 128 deep, and an
/// event holds its values one or two levels deeper, where readers with the same limit (serde_json, and this Worker) would
/// refuse all of it. Elasticsearch maps 20 levels (`index.mapping.depth.limit`).
const DEPTH_MAX: usize = 64;

/// Writes an object or array without the members and elements that are `null` or `""`, at any depth, if there are any.
pub fn clean(raw: &[u8], out: &mut Vec<u8>) -> Made {
    // Both may be inside of texts, which only costs the slow way.
    let is_clean = memmem::find(raw, b"null").is_none() && memmem::find(raw, b"\"\"").is_none();
    if depth(raw) > DEPTH_MAX {
        return super::put_text(raw, out);
    }
    if is_clean {
        return Made::AsItIs;
    }
    write(raw, out);
    Made::Written
}

fn write(raw: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let separate = |out: &mut Vec<u8>| {
        if out.len() > begin + 1 {
            out.push(b',');
        }
    };
    match raw.first() {
        Some(b'{') => {
            out.push(b'{');
            for (key, value) in json::members(raw).filter(|(_, value)| !is_empty(value)) {
                separate(out);
                out.extend_from_slice(key);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
        Some(b'[') => {
            out.push(b'[');
            for element in json::elements(raw).filter(|element| !is_empty(element)) {
                separate(out);
                write(element, out);
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(raw),
    }
}

/// Whether it is `null` or `""`.
pub fn is_empty(raw: &[u8]) -> bool {
    matches!(raw, b"null" | b"\"\"")
}

/// How deep brackets nest; those inside of texts are not told apart when there is none too deep.
fn depth(raw: &[u8]) -> usize {
    let opening = raw
        .iter()
        .filter(|byte| matches!(byte, b'{' | b'['))
        .count();
    if opening <= DEPTH_MAX {
        return opening;
    }
    let (mut depth, mut deepest, mut in_text, mut at) = (0_usize, 0, false, 0);
    while let Some(byte) = raw.get(at) {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' => at += 1,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}
