use super::*;
use crate::dns::ResolverOptions;

fn guard(allow: &[&str]) -> EgressGuard {
    // Nobody listens there: whatever is answered was answered without the DNS.
    let options = ResolverOptions {
        servers: vec!["127.0.0.1:9".parse().unwrap()],
        timeout: Duration::from_millis(50),
        attempts: 1,
        ..ResolverOptions::default()
    };
    EgressGuard::new(Resolver::new(options).unwrap(), allow.iter().map(|range| range.parse().unwrap()).collect())
}

async fn check(allow: &[&str], host: &str, expected: Result<&str, &str>) {
    let resolved = guard(allow).resolve(host, 25).await.map_err(|error| error.to_string());
    match expected {
        Ok(addresses) => {
            let resolved: Vec<String> = resolved.unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(resolved.join(" "), addresses, "{host}");
        }
        Err(part) => assert!(resolved.clone().unwrap_err().contains(part), "{host}: {resolved:?}"),
    }
}

#[tokio::test]
async fn literals_are_checked_like_names() {
    check(&[], "8.8.8.8", Ok("8.8.8.8:25")).await;
    check(&[], "[2606:4700::1111]", Ok("[2606:4700::1111]:25")).await;
    check(&[], "2606:4700::1111", Ok("[2606:4700::1111]:25")).await;
    for host in ["127.0.0.1", "127.0.0.1.", "[::1]", "::1", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST."] {
        check(&[], host, Err("a loopback address")).await;
    }
    check(&[], "169.254.169.254", Err("a link-local address")).await;
    check(&[], "10.1.2.3", Err("10.1.2.3 is at a private address; to let the engine connect there, the operator adds its range to AMPOUT_EGRESS_ALLOW")).await;
}

#[tokio::test]
async fn odd_spellings_of_addresses_are_refused() {
    let odd = [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.0x1",
        "[127.0.0.1]",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "",
        ".",
        "..",
        "a b",
        "127.0.0.1\r\n",
        "user@host",
        "host:25",
        "１２７.0.0.１",
    ];
    for host in odd {
        check(&["0.0.0.0/0", "::/0"], host, Err("neither a host name nor an IP address")).await;
    }
}

#[tokio::test]
async fn the_operator_may_open_a_range() {
    check(&["127.0.0.0/8"], "localhost", Ok("127.0.0.1:25")).await;
    check(&["127.0.0.0/8", "::1/128"], "localhost", Ok("127.0.0.1:25 [::1]:25")).await;
    check(&["10.0.0.0/8"], "[::ffff:10.1.1.1]", Ok("10.1.1.1:25")).await;
    check(&["10.0.0.0/8"], "127.0.0.1", Err("loopback")).await;
}

#[tokio::test]
async fn a_connection_goes_to_the_next_address_when_one_refuses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let guard = guard(&["127.0.0.0/8", "::1/128"]);
    let stream = guard.connect("localhost", port, Duration::from_secs(5)).await.unwrap();
    assert!(stream.nodelay().unwrap());
    drop(listener);
    let error = guard.connect("localhost", port, Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, EgressError::Unreachable { .. }) && error.is_temporary(), "{error}");
}
