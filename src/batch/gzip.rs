//! One gzip member (RFC 1952): header, deflated data, checksum and length. The wrapper is read here and not by the
//! decoder, because its checksum is slow: see `crc32.rs`.

use super::crc32::Crc32;
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// The first bytes of a gzip member.
pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The only method that there is.
const DEFLATE: u8 = 8;
/// Of the fixed part of a header, behind the magic: method, flags, time, extra flags, system.
const FIXED_BYTES: usize = 8;
const HAS_HEADER_SUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;
/// Checksum and length.
const TRAILER_BYTES: usize = 8;

/// The member is not as RFC 1952 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes taken.
    pub used: usize,
    /// Bytes made.
    pub made: usize,
    /// Whether the member is whole, or wrong.
    pub is_end: Result<bool, Corrupt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Fixed,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeaderSum,
    Data,
    Trailer,
}

/// Inflates one member, and after [`Self::begin`] the next.
pub struct Member {
    part: Part,
    flags: u8,
    /// What came of a part of fixed length.
    held: Vec<u8>,
    header: Crc,
    inflate: Decompress,
    crc: Crc32,
    made: u32,
}

impl Default for Member {
    fn default() -> Self {
        let mut member = Self {
            part: Part::Fixed,
            flags: 0,
            held: Vec::with_capacity(TRAILER_BYTES),
            header: Crc::new(),
            inflate: Decompress::new(false),
            crc: Crc32::default(),
            made: 0,
        };
        member.header.update(&GZIP_MAGIC);
        member
    }
}

impl Member {
    /// Makes ready for a further member, behind its magic.
    pub fn begin(&mut self) {
        self.inflate.reset(false);
        self.part = Part::Fixed;
        self.held.clear();
        self.header.reset();
        self.header.update(&GZIP_MAGIC);
        self.crc = Crc32::default();
        self.made = 0;
    }

    /// Takes what follows the magic. Takes and makes nothing only when `input` or `room` is empty.
    pub fn step(&mut self, input: &[u8], room: &mut [u8]) -> Step {
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty())
            && self.part != Part::Data
        {
            let result = self.wrapper(rest, &mut used);
            if result != Ok(false) {
                return Step {
                    used,
                    made: 0,
                    is_end: result,
                };
            }
        }
        let rest = input.get(used..).unwrap_or_default();
        if self.part != Part::Data || (rest.is_empty() && used > 0) {
            return Step {
                used,
                made: 0,
                is_end: Ok(false),
            };
        }
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let result = self.inflate.decompress(rest, room, FlushDecompress::None);
        let taken = usize::try_from(self.inflate.total_in() - in_before).unwrap_or(rest.len());
        let made = usize::try_from(self.inflate.total_out() - out_before).unwrap_or(0);
        self.crc.update(room.get(..made).unwrap_or_default());
        self.made = self.made.wrapping_add(made as u32);
        let is_end = match result {
            Ok(Status::StreamEnd) => {
                self.part = Part::Trailer;
                Ok(false)
            }
            // No progress with input and room at hand would be a decoder that wants what is not there.
            Ok(_) if taken == 0 && made == 0 && !rest.is_empty() => Err(Corrupt),
            Ok(_) => Ok(false),
            Err(_) => Err(Corrupt),
        };
        Step {
            used: used + taken,
            made,
            is_end,
        }
    }

    /// Takes a piece of the header or the trailer; true at the end of the member.
    fn wrapper(&mut self, input: &[u8], used: &mut usize) -> Result<bool, Corrupt> {
        match self.part {
            Part::Fixed => {
                let fixed = self.fixed::<FIXED_BYTES>(input, used);
                let come = fixed.as_ref().map_or(self.held.as_slice(), |all| all);
                // Before the rest has come, because it may never: then this is no gzip, and not one that is cut off.
                if let [method, flags, ..] = come
                    && (*method != DEFLATE || flags & RESERVED != 0)
                {
                    return Err(Corrupt);
                }
                let Some([_, flags, ..]) = fixed else {
                    return Ok(false);
                };
                self.flags = flags;
                self.part = Part::ExtraLength;
            }
            Part::ExtraLength if self.flags & HAS_EXTRA != 0 => {
                let Some(length) = self.fixed(input, used) else {
                    return Ok(false);
                };
                self.part = Part::Extra(u16::from_le_bytes(length));
            }
            Part::Extra(left @ 1..) => {
                let taken = usize::from(left).min(input.len());
                self.header.update(input.get(..taken).unwrap_or_default());
                *used += taken;
                self.part = Part::Extra(left - taken as u16);
            }
            Part::ExtraLength | Part::Extra(0) => self.part = Part::Name,
            Part::Name if self.flags & HAS_NAME != 0 => self.text(input, used, Part::Comment),
            Part::Name => self.part = Part::Comment,
            Part::Comment if self.flags & HAS_COMMENT != 0 => {
                self.text(input, used, Part::HeaderSum);
            }
            Part::Comment => self.part = Part::HeaderSum,
            Part::HeaderSum if self.flags & HAS_HEADER_SUM != 0 => {
                let expected = self.header.sum() as u16;
                let Some(sum) = self.fixed(input, used) else {
                    return Ok(false);
                };
                if u16::from_le_bytes(sum) != expected {
                    return Err(Corrupt);
                }
                self.part = Part::Data;
            }
            Part::HeaderSum => self.part = Part::Data,
            Part::Data => {}
            Part::Trailer => {
                let Some(trailer) = self.fixed::<TRAILER_BYTES>(input, used) else {
                    return Ok(false);
                };
                let [a, b, c, d, e, f, g, h] = trailer;
                let (sum, length) = (
                    u32::from_le_bytes([a, b, c, d]),
                    u32::from_le_bytes([e, f, g, h]),
                );
                if sum != self.crc.sum() || length != self.made {
                    return Err(Corrupt);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gathers a part of fixed length; `None` as long as it is not whole.
    fn fixed<const N: usize>(&mut self, input: &[u8], used: &mut usize) -> Option<[u8; N]> {
        let taken = (N - self.held.len().min(N)).min(input.len());
        let piece = input.get(..taken).unwrap_or_default();
        self.held.extend_from_slice(piece);
        if self.part != Part::HeaderSum {
            self.header.update(piece);
        }
        *used += taken;
        let whole = <[u8; N]>::try_from(self.held.as_slice()).ok()?;
        self.held.clear();
        Some(whole)
    }

    /// Passes over a text that ends with a zero.
    fn text(&mut self, input: &[u8], used: &mut usize, next: Part) {
        let end = memchr::memchr(0, input);
        let taken = end.map_or(input.len(), |end| end + 1);
        self.header.update(input.get(..taken).unwrap_or_default());
        *used += taken;
        if end.is_some() {
            self.part = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Corrupt, GZIP_MAGIC, Member};
    use flate2::bufread::GzDecoder;
    use flate2::{Compression, Crc, GzBuilder, write::DeflateEncoder};
    use proptest::prelude::*;
    use std::io::{Read, Write};

    /// What the member says, its end, and how many bytes are left over.
    fn read(gzip: &[u8], chunk: usize, room: usize) -> (Vec<u8>, Result<bool, Corrupt>, usize) {
        let mut member = Member::default();
        let mut room = vec![0; room];
        let mut out = Vec::new();
        let (mut at, mut is_end) = (GZIP_MAGIC.len(), Ok(false));
        'all: for piece in gzip[at..].chunks(chunk) {
            let mut rest = piece;
            while !rest.is_empty() {
                let step = member.step(rest, &mut room);
                assert!(step.used + step.made > 0 || step.is_end.is_err());
                out.extend_from_slice(&room[..step.made]);
                rest = &rest[step.used..];
                at += step.used;
                is_end = step.is_end;
                if is_end != Ok(false) {
                    break 'all;
                }
            }
        }
        (out, is_end, gzip.len() - at)
    }

    fn with_header(
        text: &[u8],
        extra: Option<&[u8]>,
        name: Option<&str>,
        comment: Option<&str>,
        sum: bool,
    ) -> Vec<u8> {
        let mut builder = GzBuilder::new().mtime(7);
        if let Some(extra) = extra {
            builder = builder.extra(extra);
        }
        if let Some(name) = name {
            builder = builder.filename(name);
        }
        if let Some(comment) = comment {
            builder = builder.comment(comment);
        }
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        let whole = encoder.finish().unwrap();
        if !sum {
            return whole;
        }
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(text).unwrap();
        let data = deflate.finish().unwrap();
        let (mut header, rest) = (whole.clone(), whole[whole.len() - 8..].to_vec());
        header.truncate(whole.len() - 8 - data.len());
        header[3] |= 2;
        let mut crc = Crc::new();
        crc.update(&header);
        header.extend_from_slice(&(crc.sum() as u16).to_le_bytes());
        [header, data, rest].concat()
    }

    #[test]
    fn a_header_that_can_not_be_right_is_wrong_before_it_is_whole() {
        for (rest, is_end) in [
            (&[8][..], Ok(false)),
            (&[8, 0, 1], Ok(false)),
            (&[0xff, 0, 1], Err(Corrupt)),
            (&[8, 0xff, 1], Err(Corrupt)),
        ] {
            let gzip = [&GZIP_MAGIC[..], rest].concat();
            for chunk in [1, 9] {
                assert_eq!(read(&gzip, chunk, 9).1, is_end, "{rest:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_header_any_chunking_and_any_damage_is_read_as_the_library_reads_it(
            text in proptest::collection::vec(any::<u8>(), 0..600),
            repeat in 1_usize..60,
            extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            name in proptest::option::of("[a-z]{0,8}"),
            comment in proptest::option::of("[a-z]{0,8}"),
            sum in any::<bool>(),
            chunk in 1_usize..300,
            room in 1_usize..5_000,
            damage in proptest::option::of((any::<prop::sample::Index>(), 1_u8..=255)),
            is_in_head in any::<bool>(),
        ) {
            let text = text.repeat(repeat);
            let mut gzip = with_header(&text, extra.as_deref(), name.as_deref(), comment.as_deref(), sum);
            if let Some((at, change)) = damage {
                let most = if is_in_head { 40.min(gzip.len()) } else { gzip.len() };
                let at = 2 + at.index(most - 2);
                gzip[at] ^= change;
            }
            let mut library = GzDecoder::new(gzip.as_slice());
            let mut expected = Vec::new();
            let theirs = library.read_to_end(&mut expected);
            let (out, is_end, left) = read(&gzip, chunk, room);
            match theirs {
                Ok(_) => {
                    prop_assert_eq!((is_end, &out), (Ok(true), &expected));
                    prop_assert_eq!(left, library.into_inner().len());
                }
                Err(_) => {
                    prop_assert!(is_end != Ok(true), "ours took what the library refuses");
                    prop_assert!(out.starts_with(&expected) || expected.starts_with(&out));
                }
            }
        }
    }

    #[test]
    fn a_wrong_checksum_and_a_wrong_length_are_corrupt() {
        let gzip = with_header(&b"text ".repeat(10_000), None, None, None, false);
        for at in gzip.len() - 8..gzip.len() {
            let mut wrong = gzip.clone();
            wrong[at] ^= 0x10;
            assert_eq!(read(&wrong, 100, 1_000).1, Err(Corrupt), "{at}");
        }
        assert_eq!(read(&gzip, 100, 1_000).1, Ok(true));
    }
}
