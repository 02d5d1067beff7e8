//! Names of the DNS.
//!
//! Types and response codes are IANA's registry "Domain Name System (DNS) Parameters", in the case that it writes:
//! "Resource Record (RR) TYPEs" as of 2026-08-20 and "DNS RCODEs"
//! (<https://www.iana.org/assignments/dns-parameters/dns-parameters.xhtml>). Reserved and unassigned values have no name.
//! Of the two names of response code 16 it is EDNS's, because TSIG's never is in the header of an answer.

use super::{Made, json, put_text, scalar};

/// A domain name without the dots at its ends.
pub fn name(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    let mut name = &*text;
    while let Some(rest) = name.strip_prefix(b".") {
        name = rest;
    }
    while let Some(rest) = name.strip_suffix(b".") {
        name = rest;
    }
    match name.len() {
        0 => Made::LeftOut,
        length if length == text.len() => Made::AsItIs,
        _ => put_text(name, out),
    }
}

/// The name of a number; a text that is no number is one already.
pub fn mnemonic(raw: &[u8], name: fn(u16) -> Option<&'static str>, out: &mut Vec<u8>) -> Made {
    let Some(text) = scalar(raw) else {
        return Made::Unfit;
    };
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    match text.parse().map(name) {
        Ok(Some(name)) => put_text(name.as_bytes(), out),
        Ok(None) => Made::LeftOut,
        Err(_) if is_number || !super::is_text(raw) => Made::Unfit,
        Err(_) => Made::AsItIs,
    }
}

/// The mnemonic of a type.
pub fn type_name(number: u16) -> Option<&'static str> {
    let at = TYPES.binary_search_by_key(&number, |(number, _)| *number);
    TYPES.get(at.ok()?).map(|(_, name)| *name)
}

/// The name of a response code.
pub fn rcode_name(number: u16) -> Option<&'static str> {
    let at = RCODES.binary_search_by_key(&number, |(number, _)| *number);
    RCODES.get(at.ok()?).map(|(_, name)| *name)
}

const RCODES: &[(u16, &str)] = &[
    (0, "NoError"),
    (1, "FormErr"),
    (2, "ServFail"),
    (3, "NXDomain"),
    (4, "NotImp"),
    (5, "Refused"),
    (6, "YXDomain"),
    (7, "YXRRSet"),
    (8, "NXRRSet"),
    (9, "NotAuth"),
    (10, "NotZone"),
    (11, "DSOTYPENI"),
    (16, "BADVERS"),
    (17, "BADKEY"),
    (18, "BADTIME"),
    (19, "BADMODE"),
    (20, "BADNAME"),
    (21, "BADALG"),
    (22, "BADTRUNC"),
    (23, "BADCOOKIE"),
];

#[rustfmt::skip]
const TYPES: &[(u16, &str)] = &[
    (1, "A"), (2, "NS"), (3, "MD"), (4, "MF"), (5, "CNAME"), (6, "SOA"), (7, "MB"), (8, "MG"), (9, "MR"), (10, "NULL"),
    (11, "WKS"), (12, "PTR"), (13, "HINFO"), (14, "MINFO"), (15, "MX"), (16, "TXT"), (17, "RP"), (18, "AFSDB"),
    (19, "X25"), (20, "ISDN"), (21, "RT"), (22, "NSAP"), (23, "NSAP-PTR"), (24, "SIG"), (25, "KEY"), (26, "PX"),
    (27, "GPOS"), (28, "AAAA"), (29, "LOC"), (30, "NXT"), (31, "EID"), (32, "NIMLOC"), (33, "SRV"), (34, "ATMA"),
    (35, "NAPTR"), (36, "KX"), (37, "CERT"), (38, "A6"), (39, "DNAME"), (40, "SINK"), (41, "OPT"), (42, "APL"),
    (43, "DS"), (44, "SSHFP"), (45, "IPSECKEY"), (46, "RRSIG"), (47, "NSEC"), (48, "DNSKEY"), (49, "DHCID"),
    (50, "NSEC3"), (51, "NSEC3PARAM"), (52, "TLSA"), (53, "SMIMEA"), (55, "HIP"), (56, "NINFO"), (57, "RKEY"),
    (58, "TALINK"), (59, "CDS"), (60, "CDNSKEY"), (61, "OPENPGPKEY"), (62, "CSYNC"), (63, "ZONEMD"), (64, "SVCB"),
    (65, "HTTPS"), (66, "DSYNC"), (67, "HHIT"), (68, "BRID"), (69, "UNECE"), (70, "ISO"), (99, "SPF"), (100, "UINFO"),
    (101, "UID"), (102, "GID"), (103, "UNSPEC"), (104, "NID"), (105, "L32"), (106, "L64"), (107, "LP"), (108, "EUI48"),
    (109, "EUI64"), (128, "NXNAME"), (249, "TKEY"), (250, "TSIG"), (251, "IXFR"), (252, "AXFR"), (253, "MAILB"),
    (254, "MAILA"), (255, "*"), (256, "URI"), (257, "CAA"), (258, "AVC"), (259, "DOA"), (260, "AMTRELAY"),
    (261, "RESINFO"), (262, "WALLET"), (263, "CLA"), (264, "IPN"), (32768, "TA"), (32769, "DLV"),
];

#[cfg(test)]
mod tests {
    use super::{RCODES, TYPES};

    #[test]
    fn the_tables_can_be_searched() {
        for table in [TYPES, RCODES] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0));
        }
        assert_eq!(TYPES.len(), 99);
    }
}
