//! The checksum of a gzip member (CRC-32 of RFC 1952), quick without an instruction for it.
//!
//! wasm has none, and tables cost a third of inflating there. So long input is folded first: a multiple of the CRC's
//! polynomial with only four terms, x^24048 + x^22928 + x^17720 + 1, lets a byte be added to the bytes 140, 791 and 3006
//! behind it and be forgotten, which is three XORs that go in lanes of 16 bytes. What remains are the last 3006 bytes, and
//! those go through the tables. (After Kadatch's and Russell's "Chorba", with a multiple whose exponents are whole bytes.)

use flate2::Crc;

/// How far behind a byte those lie that it is added to.
const OFFSETS: [usize; 3] = [140, 791, 3006];
/// The farthest of them.
const REACH: usize = OFFSETS[2];
/// Bytes folded at once; not more than the nearest offset, so that none of them depends on another.
const BLOCK: usize = 128;
/// Blocks between two moves of what is remembered.
const BLOCKS: usize = 64;
/// Input below this goes through the tables at once.
const FOLD_MIN: usize = 4 * REACH;

/// A checksum that grows.
#[derive(Debug, Default)]
pub struct Crc32 {
    sum: u32,
}

impl Crc32 {
    /// The checksum of what came so far.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sum = if bytes.len() < FOLD_MIN {
            by_table(self.sum, bytes)
        } else {
            folded(self.sum, bytes)
        };
    }
}

/// The checksum of some bytes, continued with more.
fn by_table(sum: u32, bytes: &[u8]) -> u32 {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
        return bytes.iter().fold(sum, |sum, byte| with_byte(sum, *byte));
    };
    // The library begins with all ones, and what a checksum begins with is as good as added to the first four bytes.
    let mut crc = Crc::new();
    crc.update(&(u32::from_le_bytes(*head) ^ sum).to_le_bytes());
    crc.update(rest);
    crc.sum()
}

fn with_byte(sum: u32, byte: u8) -> u32 {
    let mut crc = !sum ^ u32::from(byte);
    for _ in 0..8 {
        crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    }
    !crc
}

/// [`by_table`] of at least [`REACH`] bytes.
fn folded(sum: u32, bytes: &[u8]) -> u32 {
    // What is remembered, and behind it what is being folded.
    let mut space = [0_u8; REACH + BLOCKS * BLOCK];
    let to_fold = (bytes.len() - REACH) / BLOCK * BLOCK;
    let (fold, rest) = bytes.split_at_checked(to_fold).unwrap_or((&[], bytes));
    // The sum so far is as good as added to the first four bytes. It lies before the memory, so to speak: a byte there
    // that reaches exactly the first one.
    if let Some(head) = space.get_mut(..4) {
        head.copy_from_slice(&(!sum).to_le_bytes());
    }
    for chunk in fold.chunks(BLOCKS * BLOCK) {
        let mut at = REACH;
        for block in chunk.chunks_exact(BLOCK) {
            fold_block(&mut space, at, block);
            at += BLOCK;
        }
        space.copy_within(chunk.len()..chunk.len() + REACH, 0);
    }
    // The rest is no longer than what is remembered and a block: it takes what reaches it, and passes nothing on.
    let mut last = [0_u8; REACH + BLOCK];
    let Some(last) = last.get_mut(..rest.len()) else {
        return by_table(sum, bytes);
    };
    last.copy_from_slice(rest);
    let remembered = space.get(..REACH).unwrap_or_default();
    for offset in OFFSETS {
        let reaching = remembered.get(REACH - offset..).unwrap_or_default();
        for (byte, from) in last.iter_mut().zip(reaching) {
            *byte ^= from;
        }
    }
    // What stands there now begins with nothing added: undo the ones that the library begins with.
    by_table(u32::MAX, last)
}

#[inline]
fn fold_block(space: &mut [u8; REACH + BLOCKS * BLOCK], at: usize, block: &[u8]) {
    let Some((before, now)) = space.split_at_mut_checked(at) else {
        return;
    };
    let reaching = |offset: usize| before.get(at - offset..at - offset + BLOCK);
    let (Some(now), Some(a), Some(b), Some(c)) = (
        now.get_mut(..BLOCK),
        reaching(OFFSETS[0]),
        reaching(OFFSETS[1]),
        reaching(OFFSETS[2]),
    ) else {
        return;
    };
    for ((((now, byte), a), b), c) in now.iter_mut().zip(block).zip(a).zip(b).zip(c) {
        *now = byte ^ a ^ b ^ c;
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, BLOCKS, Crc32, FOLD_MIN, REACH, with_byte};
    use flate2::Crc;
    use proptest::prelude::*;

    fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn obvious(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |sum, byte| with_byte(sum, *byte))
    }

    fn sum_of(pieces: &[&[u8]]) -> u32 {
        let mut crc = Crc32::default();
        let mut library = Crc::new();
        for piece in pieces {
            crc.update(piece);
            library.update(piece);
        }
        assert_eq!(crc.sum(), library.sum());
        crc.sum()
    }

    #[test]
    fn known_sums() {
        for (text, sum) in [("", 0), ("a", 0xe8b7_be43), ("123456789", 0xcbf4_3926)] {
            assert_eq!(sum_of(&[text.as_bytes()]), sum);
        }
    }

    #[test]
    fn every_length_around_a_limit_sums_as_bit_by_bit() {
        let bytes = bytes(7, FOLD_MIN + 3 * BLOCKS * BLOCK + REACH);
        for middle in [
            3,
            FOLD_MIN,
            FOLD_MIN + BLOCK,
            FOLD_MIN + BLOCKS * BLOCK,
            REACH + 2 * BLOCKS * BLOCK,
        ] {
            for length in middle - 3..middle + 4 {
                assert_eq!(
                    sum_of(&[&bytes[..length]]),
                    obvious(&bytes[..length]),
                    "{length}"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pieces_sum_as_the_whole(seed in any::<u64>(), cuts in proptest::collection::vec(0_usize..40_000, 0..4)) {
            let bytes = bytes(seed, 40_000);
            let mut cuts = cuts;
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(sum_of(&pieces), obvious(&bytes));
        }
    }
}
