//! Sixteen bytes looked at in one go. In wasm that needs simd128, on x86-64 SSE2, which every one has; anywhere else the
//! compiler makes of it what it can.

/// Bytes of a lane.
pub(super) const LANE: usize = 16;

/// Sixteen bytes. A mask has a bit for each of them, the first one lowest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane(imp::Bytes);

impl Lane {
    /// The lane that begins at `at`, if there are so many bytes.
    #[inline(always)]
    pub fn load(bytes: &[u8], at: usize) -> Option<Self> {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(Self::of(bytes))
    }

    #[inline(always)]
    pub fn of(bytes: &[u8; LANE]) -> Self {
        Self(imp::load(bytes))
    }

    /// Where a quote stands, and where anything else that ends a plain run inside a string: a backslash, a control
    /// character.
    #[inline(always)]
    pub fn string_stops(self) -> (u32, u32) {
        imp::string_stops(self.0)
    }

    /// Where no decimal digit stands.
    #[inline(always)]
    pub fn non_digits(self) -> u32 {
        imp::non_digits(self.0)
    }

    /// Where both are equal.
    #[inline(always)]
    pub fn equal(self, other: Self) -> u32 {
        imp::equal(self.0, other.0)
    }

    /// The bits of both.
    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(imp::or(self.0, other.0))
    }

    /// Whether a byte is beyond ASCII.
    #[inline(always)]
    pub fn has_high(self) -> bool {
        imp::high(self.0) != 0
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod imp {
    use core::arch::wasm32::{
        i8x16_bitmask, i8x16_eq, u8x16_bitmask, u8x16_gt, u8x16_lt, u8x16_splat, u8x16_sub, v128,
        v128_load, v128_or,
    };

    pub type Bytes = v128;

    #[inline(always)]
    pub fn load(bytes: &[u8; 16]) -> v128 {
        // SAFETY: sixteen bytes may be read there, and no alignment is asked for.
        unsafe { v128_load(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    pub fn string_stops(bytes: v128) -> (u32, u32) {
        let quotes = i8x16_eq(bytes, u8x16_splat(b'"'));
        let others = v128_or(
            i8x16_eq(bytes, u8x16_splat(b'\\')),
            u8x16_lt(bytes, u8x16_splat(0x20)),
        );
        (
            u32::from(i8x16_bitmask(quotes)),
            u32::from(i8x16_bitmask(others)),
        )
    }

    #[inline(always)]
    pub fn non_digits(bytes: v128) -> u32 {
        let values = u8x16_sub(bytes, u8x16_splat(b'0'));
        u32::from(u8x16_bitmask(u8x16_gt(values, u8x16_splat(9))))
    }

    #[inline(always)]
    pub fn equal(a: v128, b: v128) -> u32 {
        u32::from(i8x16_bitmask(i8x16_eq(a, b)))
    }

    #[inline(always)]
    pub fn or(a: v128, b: v128) -> v128 {
        v128_or(a, b)
    }

    #[inline(always)]
    pub fn high(bytes: v128) -> u32 {
        u32::from(i8x16_bitmask(bytes))
    }
}

#[cfg(target_arch = "x86_64")]
mod imp {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8,
    };

    pub type Bytes = __m128i;

    #[inline(always)]
    pub fn load(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: sixteen bytes may be read there, and no alignment is asked for.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn mask(bytes: __m128i) -> u32 {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe { _mm_movemask_epi8(bytes) as u32 }
    }

    #[inline(always)]
    pub fn string_stops(bytes: __m128i) -> (u32, u32) {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe {
            let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            (mask(quotes), mask(_mm_or_si128(backslashes, controls)))
        }
    }

    #[inline(always)]
    pub fn non_digits(bytes: __m128i) -> u32 {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe {
            let values = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8));
            mask(_mm_cmpeq_epi8(
                _mm_max_epu8(values, _mm_set1_epi8(10)),
                values,
            ))
        }
    }

    #[inline(always)]
    pub fn equal(a: __m128i, b: __m128i) -> u32 {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe { mask(_mm_cmpeq_epi8(a, b)) }
    }

    #[inline(always)]
    pub fn or(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe { _mm_or_si128(a, b) }
    }

    #[inline(always)]
    pub fn high(bytes: __m128i) -> u32 {
        mask(bytes)
    }
}

/// What the others have to agree with.
#[cfg(any(
    test,
    not(any(
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "x86_64"
    ))
))]
#[path = "lanes_plain.rs"]
mod plain;

#[cfg(not(any(
    all(target_arch = "wasm32", target_feature = "simd128"),
    target_arch = "x86_64"
)))]
use plain as imp;

#[cfg(test)]
mod tests {
    use super::{Lane, plain};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_see_what_is_seen_byte_by_byte(
            bytes in proptest::array::uniform16(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(0x1f_u8), Just(b' '), Just(b'/'), Just(b':'), b'0'..=b'9']),
            other in any::<[u8; 16]>(), same in any::<[bool; 16]>(),
        ) {
            let mut other = other;
            for (at, same) in same.into_iter().enumerate() {
                if same {
                    other[at] = bytes[at];
                }
            }
            let (lane, second) = (Lane::of(&bytes), Lane::of(&other));
            prop_assert_eq!(lane.string_stops(), plain::string_stops(bytes));
            prop_assert_eq!(lane.non_digits(), plain::non_digits(bytes));
            prop_assert_eq!(lane.equal(second), plain::equal(bytes, other));
            prop_assert_eq!(lane.has_high(), plain::high(bytes) != 0);
            prop_assert_eq!(lane.or(second).has_high(), plain::high(plain::or(bytes, other)) != 0);
        }
    }
}
