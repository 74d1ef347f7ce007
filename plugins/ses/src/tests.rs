use super::ingest;
use super::sns::path_at_amazon;

#[test]
fn every_example_is_decided_as_expected() {
    ampout_plugin::testkit::check_provider_adapter(env!("CARGO_MANIFEST_DIR"), ingest);
}

#[test]
fn it_conforms() {
    ampout_plugin::testkit::conformance::check(env!("CARGO_MANIFEST_DIR"), ingest);
}

#[test]
fn only_amazon_s_own_hosts_are_asked() {
    let check = |url: &str, expected: Option<&str>| assert_eq!(path_at_amazon(url), expected, "{url}");
    check("https://sns.eu-west-1.amazonaws.com/a.pem", Some("/a.pem"));
    check("https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription", Some("/?Action=ConfirmSubscription"));
    for url in [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://user@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@example.net/a.pem",
        "https://sns.eu-west-1.amazonaws.com.example.net/a.pem",
        "https://sns.example.net/.amazonaws.com/a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://sns..amazonaws.com/a.pem",
        "https://sns.amazonaws.com/a.pem",
        "https://snsx.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/../a.pem",
        "https://sns.eu-west-1.amazonaws.com/a b.pem",
        "https://sns.eu-west-1.amazonaws.com",
        "https://SNS.eu-west-1.amazonaws.com/a.pem",
        "",
    ] {
        check(url, None);
    }
}
