//! Which hosts a destination may name.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Endings of names that never lead out of a machine or a private network: RFC 6761, RFC 6762 (5 and appendix G), RFC 8375
/// (`home.arpa`), ICANN's `internal`, and what routers give out.
const PRIVATE_SUFFIXES: [&str; 10] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
];

/// Whether the host is, as far as its text says, on the public Internet.
///
/// Special-purpose ranges of the IANA registries (RFC 6890) are private, also when an IPv6 address carries one of IPv4's.
/// What a name resolves to is not looked at: a Worker can not see it.
pub(super) fn is_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.rsplit_once('.').is_some_and(|(_, last)| {
                !PRIVATE_SUFFIXES.contains(&last.to_ascii_lowercase().as_str())
            })
        }
        Host::Ipv4(address) => is_public_v4(*address),
        Host::Ipv6(address) => is_public_v6(*address),
    }
}

/// Whether the host is this machine.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.rsplit('.')
                .next()
                .is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|inner| inner.is_loopback())
        }
    }
}

/// The URL of `host[:port]`: HTTPS, but for a loopback host, which only `allow_private` lets in and which has no
/// certificate.
///
/// # Errors
///
/// When it is no host.
pub fn origin(host: &str) -> Result<Url, url::ParseError> {
    let url = Url::parse(&format!("https://{host}"))?;
    if url.host().is_some_and(|host| is_loopback(&host)) {
        return Url::parse(&format!("http://{host}"));
    }
    Ok(url)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // Benchmarks (RFC 2544), CGNAT (RFC 6598), protocol assignments (RFC 6890).
        [198, 18 | 19, _, _] | [100, 64..=127, _, _] | [192, 0, 0, _] => true,
        // "This" network, multicast, reserved, broadcast.
        [0 | 224..=255, _, _, _] => true,
        _ => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
        }
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        // Unspecified, loopback and IPv4-compatible; IPv4-mapped; NAT64 (RFC 6052): the inner address decides.
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => is_public_v4(v4(g, h)),
        // 6to4 carries one as well.
        (0x2002, ..) => is_public_v4(v4(b, c)),
        // The rest of what is not global unicast: unique-local, link-local, multicast, NAT64 for local use, discard.
        _ if a & 0xe000 != 0x2000 => false,
        // Documentation (RFC 3849, RFC 9637) and 2001::/23, protocol assignments with Teredo among them.
        (0x2001, 0x0db8 | 0..=0x01ff, ..) | (0x3fff, 0..=0x0fff, ..) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        let url = url::Url::parse(&format!("https://{text}/")).unwrap();
        is_public(&url.host().unwrap())
    }

    #[test]
    fn names_that_lead_out_are_public() {
        for host in [
            "logs.example.com",
            "logs.example.com.",
            "localhost.example.com",
            "internal.example",
            "x.locals",
        ] {
            assert!(public(host), "{host}");
        }
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "nas.home.arpa",
            "siem.lan.",
            "siem.CORP",
            "siem",
            "siem.",
        ] {
            assert!(!public(host), "{host}");
        }
    }

    #[test]
    fn addresses_of_special_ranges_are_not_public() {
        let private = [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            // Other spellings of 127.0.0.1 and 169.254.169.254.
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "0xa9fea9fe",
            "127.1",
            "[::]",
            "[::1]",
            "[fe80::1]",
            "[fd00::1]",
            "[fc00::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:100.64.0.1]",
            "[::7f00:1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::1]",
            "[2002:a00:1::]",
            "[2001::1]",
            "[fec0::1]",
            "[100::1]",
        ];
        for host in private {
            assert!(!public(host), "{host}");
        }
        let open = [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2606:4700:4700::1111]",
            "[::ffff:1.1.1.1]",
            "[64:ff9b::101:101]",
            "[2002:101:101::]",
            "[2001:4860::8888]",
        ];
        for host in open {
            assert!(public(host), "{host}");
        }
    }

    #[test]
    fn loopback_has_several_spellings() {
        let loopback = |text: &str| {
            let url = url::Url::parse(&format!("https://{text}/")).unwrap();
            is_loopback(&url.host().unwrap())
        };
        for host in [
            "localhost",
            "a.localhost",
            "localhost.",
            "127.0.0.1",
            "127.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(loopback(host), "{host}");
        }
        for host in [
            "10.0.0.1",
            "logs.example.com",
            "localhost.example.com",
            "[fd00::1]",
        ] {
            assert!(!loopback(host), "{host}");
        }
    }
}
