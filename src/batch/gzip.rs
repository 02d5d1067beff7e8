//! One gzip member after the other (RFC 1952): header, raw DEFLATE, checksum.
//!
//! zlib-rs could read the wrapper itself, but then it also computes the checksum, which without the CPU's own instruction
//! for it takes a third of the time of inflating. Here whoever has the instruction computes it: natively a library, in
//! the Worker the runtime.

use flate2::{Decompress, FlushDecompress, Status};

/// The first bytes of a gzip member.
pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Continues a CRC-32 (that of gzip) over more bytes; 0 begins one.
pub type Crc32 = fn(u32, &[u8]) -> u32;

/// The CRC-32 of a library, which uses the CPU's instructions where the target has them.
#[must_use]
pub fn crc32(so_far: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(so_far);
    hasher.update(bytes);
    hasher.finalize()
}

/// DEFLATE, the only method that there is.
const METHOD_DEFLATE: u8 = 8;

const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
/// A decoder must give up when one of these is set: it would not find the data.
const RESERVED: u8 = 0b1110_0000;

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Method, flags, time, two hints: `usize` bytes of eight are read.
    Fixed(usize),
    /// The two bytes of the length of the extra field.
    ExtraLength(usize, u16),
    /// Bytes of the extra field that are to come.
    Extra(u16),
    Name,
    Comment,
    /// The two bytes of the header's checksum.
    HeaderCrc(usize, u16),
    Data,
    /// CRC-32 and length, each four bytes, least significant first.
    Trailer(usize, u64),
}

/// What became of some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of the input that are done with.
    pub used: usize,
    /// Bytes written to the output.
    pub made: usize,
    /// What comes after this.
    pub then: Then,
}

/// What comes after some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// More of the member.
    More,
    /// The member ended, and its checksum was right.
    Ended,
    /// This is no gzip, or its checksum is wrong. What was made before counts.
    Corrupt,
}

/// Reads members, each from behind its magic.
#[derive(Debug)]
pub struct Gzip {
    inflate: Decompress,
    part: Part,
    flags: u8,
    header_crc: u32,
    crc: u32,
    crc32: Crc32,
}

impl Gzip {
    /// A decoder that stands behind the magic of a member.
    #[must_use]
    pub fn new(crc32: Crc32) -> Self {
        Self {
            inflate: Decompress::new(false),
            part: Part::Fixed(0),
            flags: 0,
            header_crc: self::crc32(0, &GZIP_MAGIC),
            crc: 0,
            crc32,
        }
    }

    /// Stands behind the magic of another member.
    pub fn reset(&mut self) {
        self.inflate.reset(false);
        self.part = Part::Fixed(0);
        self.flags = 0;
        self.header_crc = self::crc32(0, &GZIP_MAGIC);
        self.crc = 0;
    }

    /// Takes input, which is not empty, until it is used up, `room` is full, or the member ends.
    pub fn take(&mut self, input: &[u8], room: &mut [u8]) -> Taken {
        let mut used = 0;
        while !matches!(self.part, Part::Data) {
            let Some(byte) = input.get(used) else {
                return Taken {
                    used,
                    made: 0,
                    then: Then::More,
                };
            };
            used += 1;
            let then = self.wrapper(*byte);
            if then != Then::More {
                return Taken {
                    used,
                    made: 0,
                    then,
                };
            }
        }
        let rest = input.get(used..).unwrap_or_default();
        let taken = if rest.is_empty() {
            Taken {
                used: 0,
                made: 0,
                then: Then::More,
            }
        } else {
            self.data(rest, room)
        };
        Taken {
            used: used + taken.used,
            ..taken
        }
    }

    fn data(&mut self, input: &[u8], room: &mut [u8]) -> Taken {
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let result = self.inflate.decompress(input, room, FlushDecompress::None);
        let used = usize::try_from(self.inflate.total_in() - in_before).unwrap_or(input.len());
        let made = usize::try_from(self.inflate.total_out() - out_before).unwrap_or(0);
        self.crc = (self.crc32)(self.crc, room.get(..made).unwrap_or_default());
        let then = match result {
            Ok(Status::StreamEnd) => {
                self.part = Part::Trailer(0, 0);
                Then::More
            }
            // No progress with input at hand would be a decoder that wants what is not there.
            Ok(_) if used == 0 && made == 0 => Then::Corrupt,
            Ok(_) => Then::More,
            Err(_) => Then::Corrupt,
        };
        Taken { used, made, then }
    }

    /// Takes a byte of what stands around the data.
    fn wrapper(&mut self, byte: u8) -> Then {
        if !matches!(self.part, Part::HeaderCrc(..) | Part::Trailer(..)) {
            self.header_crc = self::crc32(self.header_crc, &[byte]);
        }
        self.part = match self.part {
            Part::Fixed(0) if byte != METHOD_DEFLATE => return Then::Corrupt,
            Part::Fixed(1) if byte & RESERVED != 0 => return Then::Corrupt,
            Part::Fixed(at) => {
                if at == 1 {
                    self.flags = byte;
                }
                if at < 7 {
                    Part::Fixed(at + 1)
                } else {
                    self.after(HAS_EXTRA)
                }
            }
            Part::ExtraLength(0, _) => Part::ExtraLength(1, u16::from(byte)),
            Part::ExtraLength(_, low) => match low | (u16::from(byte) << 8) {
                0 => self.after(HAS_NAME),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.after(HAS_NAME),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.after(HAS_COMMENT),
            Part::Comment if byte == 0 => self.after(HAS_HEADER_CRC),
            Part::HeaderCrc(0, _) => Part::HeaderCrc(1, u16::from(byte)),
            Part::HeaderCrc(_, low) => {
                if low | (u16::from(byte) << 8) != (self.header_crc & 0xffff) as u16 {
                    return Then::Corrupt;
                }
                Part::Data
            }
            Part::Trailer(at, before) => {
                let trailer = before | (u64::from(byte) << (8 * at));
                if at == 7 {
                    // The length is that of the data modulo 2^32.
                    let length = self.inflate.total_out() & 0xffff_ffff;
                    let is_right = trailer == u64::from(self.crc) | (length << 32);
                    return if is_right { Then::Ended } else { Then::Corrupt };
                }
                Part::Trailer(at + 1, trailer)
            }
            part @ (Part::Name | Part::Comment | Part::Data) => part,
        };
        Then::More
    }

    /// The first part of the header, from the one that `flag` announces on, that is there.
    fn after(&self, flag: u8) -> Part {
        [
            (HAS_EXTRA, Part::ExtraLength(0, 0)),
            (HAS_NAME, Part::Name),
            (HAS_COMMENT, Part::Comment),
            (HAS_HEADER_CRC, Part::HeaderCrc(0, 0)),
        ]
        .into_iter()
        .skip_while(|(of, _)| *of != flag)
        .find(|(of, _)| self.flags & of != 0)
        .map_or(Part::Data, |(_, part)| part)
    }
}

#[cfg(test)]
mod tests {
    use super::{GZIP_MAGIC, Gzip, Then, crc32};
    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::{Read, Write};

    /// What was made, how many bytes were used, and how it ended, with the input cut into pieces.
    fn unpack(member: &[u8], piece: usize, room: usize) -> (Vec<u8>, usize, Then) {
        let mut gzip = Gzip::new(crc32);
        let (mut made, mut room) = (Vec::new(), vec![0; room]);
        let mut at = GZIP_MAGIC.len();
        while at < member.len() {
            let end = member.len().min(at + piece);
            let taken = gzip.take(&member[at..end], &mut room);
            made.extend_from_slice(&room[..taken.made]);
            at += taken.used;
            if taken.then != Then::More {
                return (made, at, taken.then);
            }
        }
        (made, at, Then::More)
    }

    fn pack(data: &[u8], builder: GzBuilder) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// The header again with a checksum of it, which flate2 reads and does not write.
    fn with_header_crc(member: &[u8], header_length: usize) -> Vec<u8> {
        let mut header = member[..header_length].to_vec();
        header[3] |= 2;
        let crc = crc32(0, &header).to_le_bytes();
        [&header, &crc[..2], &member[header_length..]].concat()
    }

    fn builders() -> [(GzBuilder, usize); 4] {
        let extra = || GzBuilder::new().extra(vec![7; 300]);
        [
            (GzBuilder::new(), 10),
            (GzBuilder::new().mtime(77).filename("name"), 15),
            (GzBuilder::new().comment("what it is").extra(Vec::new()), 23),
            (extra().filename("n").comment("c"), 10 + 302 + 4),
        ]
    }

    #[test]
    fn every_form_of_header_is_read_in_any_pieces() {
        let data = "{\"a\":1}\n".repeat(4_000).into_bytes();
        for (builder, header_length) in builders() {
            let plain = pack(&data, builder);
            for member in [with_header_crc(&plain, header_length), plain] {
                let mut read = Vec::new();
                flate2::read::GzDecoder::new(member.as_slice())
                    .read_to_end(&mut read)
                    .unwrap();
                assert_eq!(read, data);
                let longer = [member.as_slice(), b"more"].concat();
                for (piece, room) in [(1, 7), (3, 100_000), (1 << 20, 1_000)] {
                    let (made, used, then) = unpack(&longer, piece, room);
                    assert_eq!(
                        (made == data, used, then),
                        (true, member.len(), Then::Ended)
                    );
                }
            }
        }
    }

    #[test]
    fn a_wrong_byte_in_header_or_trailer_is_told_and_what_was_made_counts() {
        let data = b"{\"a\":1}\n".repeat(1_000);
        let member = with_header_crc(&pack(&data, GzBuilder::new()), 10);
        let end = member.len();
        // Method, reserved flag, header checksum; checksum and length of the data.
        for (at, made) in [
            (2, 0),
            (3, 0),
            (10, 0),
            (end - 8, data.len()),
            (end - 1, data.len()),
        ] {
            let mut wrong = member.clone();
            wrong[at] ^= 0x80;
            let (out, _, then) = unpack(&wrong, 64, 4_096);
            assert_eq!((out.len(), then), (made, Then::Corrupt), "byte {at}");
        }
        for cut in [3, 11, 12, end - 9, end - 1] {
            assert_eq!(
                unpack(&member[..cut], 64, 4_096).2,
                Then::More,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_decoder_reads_another_member_after_a_reset() {
        let mut gzip = Gzip::new(crc32);
        let mut room = vec![0; 1_000];
        for text in [b"one".as_slice(), b"another"] {
            let member = pack(text, GzBuilder::new());
            let first = gzip.take(&member[2..], &mut room);
            assert_eq!(&room[..first.made], text);
            let last = gzip.take(&member[2 + first.used..], &mut room);
            assert_eq!((last.made, last.then), (0, Then::Ended));
            gzip.reset();
        }
    }

    proptest! {
        #[test]
        fn it_ends_as_the_library_does(
            data in proptest::collection::vec(0_u8..4, 0..3_000),
            broken in proptest::option::of((any::<prop::sample::Index>(), 1_u8..)),
            piece in 1_usize..500,
        ) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&data).unwrap();
            let mut member = encoder.finish().unwrap();
            if let Some((at, bits)) = broken {
                // Past the magic, which is the caller's.
                let at = 2 + at.index(member.len() - 2);
                member[at] ^= bits;
            }
            let mut library = flate2::Decompress::new_gzip(15);
            let mut room = vec![0; 1 << 20];
            let result = library.decompress(&member, &mut room, flate2::FlushDecompress::None);
            let (made, _, then) = unpack(&member, piece, 1 << 20);
            prop_assert_eq!(&made[..], &room[..library.total_out() as usize]);
            prop_assert_eq!(then == Then::Ended, matches!(result, Ok(flate2::Status::StreamEnd)));
            prop_assert_eq!(then == Then::Corrupt, result.is_err());
        }
    }
}
