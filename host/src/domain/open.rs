//! Who loads an open pixel: somebody who looks at the message, or a machine on its way to them. A machine's look is no open.
//!
//! What is known, and from whom:
//! - Gmail shows images through GoogleImageProxy in the moment of the look, and so does Yahoo through YahooMailProxy: opens. A
//!   Gmail session that is open when the message arrives loads them ahead, with a name of its own
//!   (SparkPost, "Gmail is prefetching images", 2022): none.
//! - Apple Mail Privacy Protection loads all images when the message arrives, looked at or not, and keeps them (Twilio
//!   SendGrid, "Understanding Apple Mail Privacy Protection"; Word to the Wise, "Apple MPP", 2021): when the person looks,
//!   nobody is asked, so such a recipient's opens can't be known. Senders see the bare name "Mozilla/5.0" in their logs.
//! - Security gateways load what is in a message while they take it or within seconds, some by HEAD, some with the name of a
//!   program or without any (Word to the Wise, "Prefetches and proxies", 2024). Nobody reads a message within seconds of its
//!   acceptance but through a webmail's proxy.
//! - Browsers say when they load ahead (`Sec-Purpose`, and its elders), and what for (`Sec-Fetch-Dest`).
//!
//! In doubt it is an open: names that people's mail programs may bear are not guessed at.

use std::time::Duration;

/// Sooner after the acceptance nobody but a machine looks.
const TOO_SOON: Duration = Duration::from_secs(5);
/// Webmails that load an image for whoever looks at the message, in that moment.
const PROXIES: [&str; 2] = ["googleimageproxy", "yahoomailproxy"];
/// The whole name of Apple's proxies.
const APPLE: &str = "mozilla/5.0";
/// The end of the name under which Gmail loads ahead.
const GMAIL_AHEAD: &str = "edge/12.246 mozilla/5.0";
/// Parts of names of programs that read for nobody. "bot" alone would be a maker of phones, too.
const MACHINES: [&str; 24] = [
    "bot/",
    "bot;",
    "bot)",
    "crawler",
    "spider",
    "scanner",
    "headless",
    "curl/",
    "wget/",
    "python",
    "go-http-client",
    "java/",
    "libwww",
    "axios/",
    "node-fetch",
    "phantomjs",
    "barracuda",
    "proofpoint",
    "mimecast",
    "symantec",
    "forcepoint",
    "fortinet",
    "ironport",
    "trendmicro",
];

/// A request for the pixel, as far as it tells who asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look<'a> {
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Sec-Purpose`, `Purpose` or another by which a program says that it loads ahead.
    pub purpose: Option<&'a str>,
    /// `Sec-Fetch-Dest`.
    pub destination: Option<&'a str>,
    /// Whether a page of our own shows the message.
    pub is_preview: bool,
    /// How long ago a server took the message; none while that is not known.
    pub age: Option<Duration>,
}

/// Why a look is no open; none when it is one.
pub fn reason_against(look: &Look<'_>) -> Option<&'static str> {
    if look.is_preview {
        return Some("a preview");
    }
    let lower = |text: Option<&str>| text.unwrap_or_default().trim().to_ascii_lowercase();
    let purpose = lower(look.purpose);
    if ["prefetch", "prerender", "preview"].iter().any(|ahead| purpose.contains(ahead)) {
        return Some("loaded ahead");
    }
    if look.destination.is_some_and(|destination| !destination.eq_ignore_ascii_case("image")) {
        return Some("not shown as an image");
    }
    let accept = lower(look.accept);
    if !accept.is_empty() && !accept.contains("image/") && !accept.contains("*/*") {
        return Some("no image was asked for");
    }
    let name = lower(look.user_agent);
    if name.is_empty() {
        return Some("a program without a name");
    }
    if name == APPLE {
        return Some("Apple's privacy protection");
    }
    if name.ends_with(GMAIL_AHEAD) {
        return Some("Gmail, ahead");
    }
    if PROXIES.iter().any(|proxy| name.contains(proxy)) {
        return None;
    }
    if MACHINES.iter().any(|machine| name.contains(machine)) {
        return Some("a machine by its name");
    }
    look.age.is_some_and(|age| age < TOO_SOON).then_some("sooner than anybody reads")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLOOK: &str =
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; Microsoft Outlook 16.0)";
    const CUBOT: &str = "Mozilla/5.0 (Linux; Android 13; CUBOT P80 Build/TP1A) AppleWebKit/537.36 Mobile Safari/537.36";
    const GMAIL: &str = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
    const YAHOO: &str = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html";
    const GMAIL_AHEAD: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0";

    fn by(name: &str) -> Look<'_> {
        Look { user_agent: Some(name), age: Some(Duration::from_secs(60)), ..Look::default() }
    }

    #[track_caller]
    fn check(look: &Look<'_>, expected: Option<&str>) {
        assert_eq!(reason_against(look), expected, "{look:?}");
    }

    #[test]
    fn people_open_through_their_programs_and_their_webmails_proxies() {
        for name in [OUTLOOK, CUBOT, GMAIL, YAHOO] {
            check(&by(name), None);
            check(
                &Look { accept: Some("image/avif,image/webp,*/*;q=0.8"), destination: Some("image"), ..by(name) },
                None,
            );
            check(&Look { age: None, accept: Some("*/*"), ..by(name) }, None);
        }
    }

    #[test]
    fn machines_on_the_way_open_nothing() {
        check(&by("Mozilla/5.0"), Some("Apple's privacy protection"));
        check(&by(GMAIL_AHEAD), Some("Gmail, ahead"));
        check(&by(""), Some("a program without a name"));
        check(&Look { user_agent: None, ..by("") }, Some("a program without a name"));
        for name in
            ["curl/8.5.0", "python-requests/2.32", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/)"]
        {
            check(&by(name), Some("a machine by its name"));
        }
        check(&Look { accept: Some("text/html"), ..by(OUTLOOK) }, Some("no image was asked for"));
        check(&Look { purpose: Some("prefetch;prerender"), ..by(OUTLOOK) }, Some("loaded ahead"));
        check(&Look { destination: Some("document"), ..by(OUTLOOK) }, Some("not shown as an image"));
        check(&Look { is_preview: true, ..by(GMAIL) }, Some("a preview"));
    }

    #[test]
    fn nobody_reads_within_seconds_but_where_a_webmail_says_so() {
        let at = |name, millis| Look { age: Some(Duration::from_millis(millis)), ..by(name) };
        check(&at(OUTLOOK, 4_999), Some("sooner than anybody reads"));
        check(&at(OUTLOOK, 5_000), None);
        check(&at(GMAIL, 100), None);
    }
}
