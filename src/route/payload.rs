//! The records that a job selected, held in blocks so that growing never copies and freeing never fragments.

/// Bytes of one block. One wasm page: the allocator serves and takes back blocks without splitting them.
const BLOCK_BYTES: usize = 64 * 1024;

/// A run of whole records that one push can carry; pushes are made of whole segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Segment {
    /// Records.
    pub records: u64,
    /// Their bytes as written out: newlines and delimiters included.
    pub bytes: u64,
}

/// Selected records as they are written out, cut into segments.
#[derive(Debug, Default)]
pub struct Payload {
    blocks: Vec<Vec<u8>>,
    segments: Vec<Segment>,
    len: usize,
}

impl Payload {
    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segments, in the order of the bytes.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The bytes, in order.
    pub fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        self.blocks.iter().map(Vec::as_slice)
    }

    /// Adds a record and what ends it, in a new segment when the last one would pass a limit.
    pub fn push(&mut self, record: &[u8], end: &[u8], max_records: u64, max_bytes: u64) {
        let bytes = (record.len() + end.len()) as u64;
        match self.segments.last_mut() {
            Some(last) if last.records < max_records && last.bytes + bytes <= max_bytes => {
                last.records += 1;
                last.bytes += bytes;
            }
            _ => self.segments.push(Segment { records: 1, bytes }),
        }
        // In nearly every case it fits what is left of the last block.
        if let Some(block) = self.blocks.last_mut()
            && BLOCK_BYTES - block.len() >= record.len() + end.len()
        {
            block.extend_from_slice(record);
            block.extend_from_slice(end);
            self.len += record.len() + end.len();
            return;
        }
        self.write(record);
        self.write(end);
    }

    fn write(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let room = self
                .blocks
                .last()
                .map_or(0, |block| BLOCK_BYTES - block.len());
            if room == 0 {
                self.blocks.push(Vec::with_capacity(BLOCK_BYTES));
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(block) = self.blocks.last_mut() {
                block.extend_from_slice(now);
            }
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Payload, Segment};

    #[test]
    fn lines_come_back_in_order_and_segments_keep_their_limits() {
        let mut payload = Payload::default();
        let lines: Vec<Vec<u8>> = (0..500)
            .map(|n| vec![b'a' + (n % 26) as u8; n * 7])
            .collect();
        for line in &lines {
            payload.push(line, b"\n", 40, 50_000);
        }
        let expected: Vec<u8> = lines
            .iter()
            .flat_map(|line| [line.as_slice(), b"\n"].concat())
            .collect();
        assert_eq!(payload.blocks().collect::<Vec<_>>().concat(), expected);
        assert_eq!(payload.len(), expected.len());
        let records: u64 = payload
            .segments()
            .iter()
            .map(|segment| segment.records)
            .sum();
        assert_eq!(records, 500);
        assert!(
            payload
                .segments()
                .iter()
                .all(|s| s.records <= 40 && s.bytes <= 50_000)
        );
    }

    #[test]
    fn a_line_longer_than_a_segment_is_a_segment_of_its_own() {
        let mut payload = Payload::default();
        payload.push(b"short", b"\n", 10, 8);
        payload.push(&[b'x'; 100], b"\n", 10, 8);
        assert_eq!(
            payload.segments(),
            [
                Segment {
                    records: 1,
                    bytes: 6
                },
                Segment {
                    records: 1,
                    bytes: 101
                }
            ]
        );
    }
}
