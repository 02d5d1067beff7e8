//! What `validate/origin` says of `logpull_options`, the query string by which older jobs choose fields.

use crate::logpush::catalogue::Dataset;

const TIMESTAMPS: [&str; 5] = ["unixnano", "unix", "rfc3339", "rfc3339ms", "rfc3339ns"];

/// Checks `fields=A,B&timestamps=rfc3339&sample=0.1`, or a URL that ends with it. Other parameters are ignored, because a
/// copied URL of Logpull has a `start` and an `end`. Without a schema every field is taken.
///
/// # Errors
///
/// The name of the part that is wrong, and what to do.
pub fn check_logpull_options(text: &str, schema: Option<&Dataset>) -> Result<(), String> {
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        match name {
            "fields" => check_fields(&value, schema)?,
            "timestamps" if !TIMESTAMPS.contains(&value.as_ref()) => {
                return Err(format!(
                    "timestamps: must be one of {}",
                    TIMESTAMPS.join(", ")
                ));
            }
            "sample"
                if !value
                    .parse()
                    .is_ok_and(|rate: f64| rate > 0.0 && rate <= 1.0) =>
            {
                return Err("sample: must be a number above 0 and at most 1".to_owned());
            }
            "CVE-2021-44228" | "CVE-2021-4428" if !matches!(value.as_ref(), "true" | "false") => {
                return Err(format!("{name}: must be true or false"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_fields(list: &str, schema: Option<&Dataset>) -> Result<(), String> {
    for name in list.split(',') {
        if name.is_empty() {
            return Err(
                "fields: has an empty name; write field names with commas between them".to_owned(),
            );
        }
        let Some(schema) = schema.filter(|schema| !schema.fields.contains_key(name)) else {
            continue;
        };
        let meant = schema
            .nearest_field(name)
            .map(|nearest| format!("; did you mean {nearest}?"))
            .unwrap_or_default();
        let dataset = &schema.name;
        return Err(format!("fields: {name} is no field of {dataset}{meant}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logpush::scope::ScopeKind;

    #[test]
    fn each_part_has_its_form() {
        let schema = Dataset::find(ScopeKind::Zone, "dns_logs");
        let table = [
            ("", Ok(())),
            (
                "fields=QueryName,Timestamp&timestamps=rfc3339&sample=0.1&CVE-2021-44228=true",
                Ok(()),
            ),
            ("sample=1&timestamps=unixnano&start=1&end=2", Ok(())),
            (
                "https://h.example/logs/received?start=1&fields=QueryName",
                Ok(()),
            ),
            ("fields=QueryName%2CTimestamp", Ok(())),
            (
                "fields=QueryNam",
                Err("fields: QueryNam is no field of dns_logs; did you mean QueryName?"),
            ),
            (
                "fields=Zzzzzzz",
                Err("fields: Zzzzzzz is no field of dns_logs"),
            ),
            (
                "fields=",
                Err("fields: has an empty name; write field names with commas between them"),
            ),
            (
                "timestamps=iso",
                Err("timestamps: must be one of unixnano, unix, rfc3339, rfc3339ms, rfc3339ns"),
            ),
            (
                "timestamps",
                Err("timestamps: must be one of unixnano, unix, rfc3339, rfc3339ms, rfc3339ns"),
            ),
            (
                "sample=0",
                Err("sample: must be a number above 0 and at most 1"),
            ),
            (
                "sample=1.1",
                Err("sample: must be a number above 0 and at most 1"),
            ),
            (
                "sample=NaN",
                Err("sample: must be a number above 0 and at most 1"),
            ),
            (
                "CVE-2021-44228=1",
                Err("CVE-2021-44228: must be true or false"),
            ),
        ];
        for (text, expected) in table {
            let expected = expected.map_err(String::from);
            assert_eq!(
                check_logpull_options(text, schema.as_ref()),
                expected,
                "{text}"
            );
        }
        assert_eq!(check_logpull_options("fields=Anything", None), Ok(()));
    }
}
