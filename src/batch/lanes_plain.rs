//! Lanes byte by byte: what runs where there is nothing better, and what the others have to agree with.

pub type Bytes = [u8; 16];

#[cfg(not(any(
    all(target_arch = "wasm32", target_feature = "simd128"),
    target_arch = "x86_64"
)))]
pub fn load(bytes: &[u8; 16]) -> Bytes {
    *bytes
}

fn mask(bytes: Bytes, is: impl Fn(u8) -> bool) -> u32 {
    bytes
        .into_iter()
        .enumerate()
        .fold(0, |mask, (at, byte)| mask | u32::from(is(byte)) << at)
}

pub fn string_stops(bytes: Bytes) -> (u32, u32) {
    (
        mask(bytes, |byte| byte == b'"'),
        mask(bytes, |byte| byte == b'\\' || byte < 0x20),
    )
}

pub fn non_digits(bytes: Bytes) -> u32 {
    mask(bytes, |byte| !byte.is_ascii_digit())
}

pub fn equal(a: Bytes, b: Bytes) -> u32 {
    let mut differing = a;
    for (byte, other) in differing.iter_mut().zip(b) {
        *byte ^= other;
    }
    mask(differing, |byte| byte == 0)
}

pub fn or(a: Bytes, b: Bytes) -> Bytes {
    let mut both = a;
    for (byte, other) in both.iter_mut().zip(b) {
        *byte |= other;
    }
    both
}

pub fn high(bytes: Bytes) -> u32 {
    mask(bytes, |byte| byte >= 0x80)
}
