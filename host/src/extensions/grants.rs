//! From where an extension may fetch: only where its manifest asks for a host *and* the operator grants that host to an
//! extension of its name. This file knows names of hosts; whether an address is public is the egress guard's matter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

const LONGEST_PATTERN: usize = 253;

/// A host such as `api.example.com`, or hosts such as `sns.*.amazonaws.com`: a `*` stands for one label and for nothing
/// else. `api.example.com:8443` is that port; without one it is the usual port of the URL's scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    labels: Vec<String>,
    port: Option<u16>,
}

/// Leave of the operator: the extension of this name may fetch from this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The extension's name.
    pub extension: String,
    /// Where it may fetch from.
    pub host: HostPattern,
}

/// Why a host can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no host: write api.example.com, or sns.*.amazonaws.com where * is one whole label before the last two"
)]
pub struct BadHost {
    given: String,
}

/// Why a grant can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGrant {
    /// No `=`.
    #[error("write extension=host")]
    NoName,
    /// The host.
    #[error(transparent)]
    Host(#[from] BadHost),
}

impl HostPattern {
    /// Whether a URL leads to such a host.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let port_fits = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            // `Url` drops a port that is the scheme's own.
            None => url.port().is_none(),
        };
        let Some(host) = url.host_str() else { return false };
        let labels = host.strip_suffix('.').unwrap_or(host).split('.');
        port_fits
            && labels.clone().count() == self.labels.len()
            && self.labels.iter().zip(labels).all(|(pattern, label)| pattern == "*" || pattern == label)
    }
}

impl FromStr for HostPattern {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost { given: text.chars().take(LONGEST_PATTERN).collect() };
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
        };
        let labels: Vec<String> = host.to_ascii_lowercase().split('.').map(str::to_owned).collect();
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let is_label = |label: &String| !label.is_empty() && label.bytes().all(is_letter);
        let fixed = labels.len().saturating_sub(2);
        // `*.com` would be the whole network.
        let is_fine =
            labels.iter().enumerate().all(|(place, label)| is_label(label) || (label == "*" && place < fixed));
        if !is_fine || host.len() > LONGEST_PATTERN {
            return Err(bad());
        }
        Ok(Self { labels, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.labels.join("."))?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for HostPattern {
    type Error = BadHost;
    fn try_from(text: String) -> Result<Self, BadHost> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl FromStr for Grant {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let (extension, host) = text.split_once('=').ok_or(BadGrant::NoName)?;
        Ok(Self { extension: extension.trim().to_owned(), host: host.trim().parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, url: &str, covers: bool) {
        let pattern: HostPattern = pattern.parse().unwrap();
        assert_eq!(pattern.covers(&url.parse().unwrap()), covers, "{pattern} {url}");
    }

    #[test]
    fn a_star_is_one_label_and_no_more() {
        check("sns.*.amazonaws.com", "https://sns.eu-west-1.amazonaws.com/cert.pem", true);
        check("sns.*.amazonaws.com", "https://SNS.eu-west-1.AMAZONAWS.com./cert.pem", true);
        check("sns.*.amazonaws.com", "https://sns.amazonaws.com/", false);
        check("sns.*.amazonaws.com", "https://sns.a.b.amazonaws.com/", false);
        check("sns.*.amazonaws.com", "https://sns.x.amazonaws.com.evil.example/", false);
        check("sns.*.amazonaws.com", "https://evil.example/sns.x.amazonaws.com", false);
        check("sns.*.amazonaws.com", "https://sns.x.amazonaws.com@evil.example/", false);
        check("sns.*.amazonaws.com", "https://evilsns.x.amazonaws.com/", false);
    }

    #[test]
    fn a_port_that_is_not_the_schemes_own_must_be_named() {
        check("api.example.com", "https://api.example.com:443/", true);
        check("api.example.com", "https://api.example.com:8443/", false);
        check("api.example.com:8443", "https://api.example.com:8443/", true);
        check("api.example.com:8443", "https://api.example.com/", false);
    }

    #[test]
    fn what_would_cover_too_much_is_refused() {
        for text in ["*", "*.com", "*.*", "api.*", "a*.example.com", "", "a..b", "https://a.b", "a.b/c", "a.b:http"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("ses".parse::<Grant>(), Err(BadGrant::NoName));
        assert_eq!("ses = sns.*.amazonaws.com".parse::<Grant>().unwrap().extension, "ses");
    }
}
