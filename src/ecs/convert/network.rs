//! Addresses, ports and what else has a number in networks.

use super::{Made, is_text, json, number, put_text, scalar};
use std::net::IpAddr;

fn is_ip(raw: &[u8]) -> bool {
    json::text(raw)
        .and_then(|text| std::str::from_utf8(&text).ok()?.parse::<IpAddr>().ok())
        .is_some()
}

/// A valid address; brackets, ports and zones are no part of one.
pub fn ip(raw: &[u8]) -> Made {
    if is_ip(raw) {
        Made::AsItIs
    } else {
        Made::Unfit
    }
}

/// A list of valid addresses.
pub fn ips(raw: &[u8], out: &mut Vec<u8>) -> Made {
    if is_ip(raw) {
        return super::array_of_one(raw, out);
    }
    let is_list = raw.first() == Some(&b'[') && json::elements(raw).all(is_ip);
    if is_list { Made::AsItIs } else { Made::Unfit }
}

pub fn port(raw: &[u8], out: &mut Vec<u8>) -> Made {
    match number::integer(raw) {
        Some(0) => Made::LeftOut,
        Some(1..=65_535) => number::long(raw, out),
        _ => Made::Unfit,
    }
}

pub fn asn(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = scalar(raw) else {
        return Made::Unfit;
    };
    let digits = match text.split_at_checked(2) {
        Some((prefix, digits)) if prefix.eq_ignore_ascii_case(b"AS") => digits,
        _ => &text,
    };
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    let Some(number) = digits
        .parse::<u32>()
        .ok()
        .filter(|_| !digits.starts_with('+'))
    else {
        return Made::Unfit;
    };
    // AS 0 is reserved (RFC 7607): the address is in none, or nobody looked.
    if number == 0 {
        return Made::Stays;
    }
    if !is_text(raw) {
        return Made::AsItIs;
    }
    out.extend_from_slice(number.to_string().as_bytes());
    Made::Written
}

pub fn country(raw: &[u8], out: &mut Vec<u8>) -> Made {
    match raw {
        [b'"', first, second, b'"']
            if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() =>
        {
            if raw.iter().any(u8::is_ascii_lowercase) {
                put_text(
                    &[first.to_ascii_uppercase(), second.to_ascii_uppercase()],
                    out,
                )
            } else {
                Made::AsItIs
            }
        }
        [b'"', ..] => Made::Stays,
        _ => Made::Unfit,
    }
}

pub fn transport(raw: &[u8], out: &mut Vec<u8>) -> Made {
    if let Some(number) = number::integer(raw) {
        let name = usize::try_from(number)
            .ok()
            .and_then(|at| PROTOCOLS.split(' ').nth(at));
        return match name {
            Some("-") => Made::Nothing,
            Some(name) => put_text(name.as_bytes(), out),
            None if (0..256).contains(&number) => Made::Nothing,
            None => Made::Unfit,
        };
    }
    super::As::Lowercase.convert(raw, out)
}

/// IANA's registry "Protocol Numbers" (<https://www.iana.org/assignments/protocol-numbers>), from 0 to 146, in lower case
/// as ECS wants it; `-` for a number without a keyword.
const PROTOCOLS: &str = "hopopt icmp igmp ggp ipv4 st tcp cbt egp igp bbn-rcc-mon nvp-ii pup argus emcon xnet chaos udp \
    mux dcn-meas hmp prm xns-idp trunk-1 trunk-2 leaf-1 leaf-2 rdp irtp iso-tp4 netblt mfe-nsp merit-inp dccp 3pc idpr \
    xtp ddp idpr-cmtp tp++ il ipv6 sdrp ipv6-route ipv6-frag idrp rsvp gre dsr bna esp ah i-nlsp swipe narp min-ipv4 tlsp \
    skip ipv6-icmp ipv6-nonxt ipv6-opts - cftp - sat-expak kryptolan rvd ippc - sat-mon visa ipcv cpnx cphb wsn pvp \
    br-sat-mon sun-nd wb-mon wb-expak iso-ip vmtp secure-vmtp vines iptm nsfnet-igp dgp tcf eigrp ospfigp sprite-rpc larp \
    mtp ax.25 ipip micp scc-sp etherip encap - gmtp ifmp pnni pim aris scps qnx a/n ipcomp snp compaq-peer ipx-in-ip vrrp \
    pgm - l2tp ddx iatp stp srp uti smp sm ptp isis fire crtp crudp sscopmce iplt sps pipe sctp fc rsvp-e2e-ignore \
    mobility-header udplite mpls-in-ip manet hip shim6 wesp rohc ethernet aggfrag nsh homa";

#[cfg(test)]
mod tests {
    use super::PROTOCOLS;

    #[test]
    fn the_names_of_protocols_stand_at_their_numbers() {
        let names: Vec<&str> = PROTOCOLS.split(' ').collect();
        assert_eq!(names.len(), 147);
        for (number, name) in [
            (0, "hopopt"),
            (1, "icmp"),
            (6, "tcp"),
            (17, "udp"),
            (33, "dccp"),
            (47, "gre"),
            (50, "esp"),
            (58, "ipv6-icmp"),
            (61, "-"),
            (63, "-"),
            (68, "-"),
            (69, "sat-mon"),
            (89, "ospfigp"),
            (99, "-"),
            (103, "pim"),
            (114, "-"),
            (115, "l2tp"),
            (132, "sctp"),
            (136, "udplite"),
            (143, "ethernet"),
            (146, "homa"),
        ] {
            assert_eq!(names[number], name, "{number}");
        }
    }
}
