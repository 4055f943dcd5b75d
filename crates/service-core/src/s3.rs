//! Objects in S3 as documents and job documents name them, and the URLs that devices get in their place.
//!
//! There is no S3 here: the shell serves the objects from a directory, below a base URL. A URL is good for a while and
//! for one object; what it is sealed with is no secret from anybody who can read the service's memory or guess its seed.

use crate::{EpochMillis, ids};

/// An object: its bucket and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Object {
    /// The bucket's name.
    pub bucket: String,
    /// The key, as it stands in the URL.
    pub key: String,
}

impl S3Object {
    /// Reads a URL of one of the forms that AWS accepts: `https://s3.REGION.amazonaws.com/BUCKET/KEY`, without region,
    /// `https://BUCKET.s3.REGION.amazonaws.com/KEY`, or `s3://BUCKET/KEY`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (bucket, key) = if let Some(rest) = url.strip_prefix("s3://") {
            rest.split_once('/')?
        } else {
            let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
            let host = host.strip_suffix(".amazonaws.com")?;
            if host == "s3" || host.starts_with("s3.") || host.starts_with("s3-") {
                path.split_once('/')?
            } else {
                let (bucket, region) = host.split_once(".s3")?;
                if !region.is_empty() && !region.starts_with('.') {
                    return None;
                }
                (bucket, path)
            }
        };
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
        let good = !bucket.is_empty()
            && bucket.bytes().all(name)
            && !bucket.starts_with('.')
            && !key.is_empty()
            && key.bytes().all(sign);
        good.then(|| Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// What follows the base in the object's URL, until then.
    pub(crate) fn sealed(&self, seed: u64, until: EpochMillis) -> String {
        let Self { bucket, key } = self;
        let expires = until.0 / 1000;
        format!("{bucket}/{key}?expires={expires}&signature={:016x}", self.seal(seed, expires))
    }

    /// Whether a URL's query was given out for this object and is still good.
    pub(crate) fn is_open(&self, query: &str, seed: u64, now: EpochMillis) -> bool {
        let part = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let expires = part("expires").and_then(|text| text.parse::<u64>().ok());
        let signature = part("signature").and_then(|text| u64::from_str_radix(text, 16).ok());
        expires.is_some_and(|expires| expires > now.0 / 1000 && signature == Some(self.seal(seed, expires)))
    }

    fn seal(&self, seed: u64, expires: u64) -> u64 {
        let text = format!("{}/{}", self.bucket, self.key);
        text.bytes().fold(ids::mix(seed ^ ids::mix(expires)), |hash, byte| ids::mix(hash ^ u64::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> S3Object {
        S3Object { bucket: "b".into(), key: "dir/k.sh".into() }
    }

    #[test]
    fn the_forms_of_aws_name_the_same_object() {
        for url in [
            "https://s3.amazonaws.com/b/dir/k.sh",
            "https://s3.us-east-1.amazonaws.com/b/dir/k.sh",
            "https://s3-us-east-1.amazonaws.com/b/dir/k.sh",
            "https://b.s3.us-east-1.amazonaws.com/dir/k.sh",
            "https://b.s3.amazonaws.com/dir/k.sh",
            "s3://b/dir/k.sh",
        ] {
            assert_eq!(S3Object::parse(url), Some(object()), "{url}");
        }
        for url in [
            "",
            "https://example.com/b/k",
            "https://s3.amazonaws.com/b",
            "https://s3.amazonaws.com/../k",
            "s3:///k",
            "http://s3.amazonaws.com/b/k",
            "https://s3.amazonaws.com/b/k\"",
            "https://s3.amazonaws.com/b/",
            "s3://../k",
        ] {
            assert_eq!(S3Object::parse(url), None, "{url}");
        }
    }

    #[test]
    fn a_url_opens_its_own_object_for_its_own_time() {
        let now = EpochMillis(1_000_000);
        let url = object().sealed(7, EpochMillis(1_060_000));
        let (path, query) = url.split_once('?').unwrap();
        assert_eq!(path, "b/dir/k.sh");
        assert!(object().is_open(query, 7, now) && object().is_open(query, 7, EpochMillis(1_059_999)));
        assert!(!object().is_open(query, 7, EpochMillis(1_060_000)), "it is over");
        assert!(!object().is_open(query, 8, now), "another service's");
        assert!(!S3Object { key: "other".into(), ..object() }.is_open(query, 7, now));
        assert!(!object().is_open(&query.replace("1060", "9999"), 7, now));
        assert!(!object().is_open("", 7, now));
    }
}
