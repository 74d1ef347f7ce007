use super::*;

#[track_caller]
fn check(records: &[(u16, &str)], expected: MxAnswer) {
    assert_eq!(read_exchangers(records.iter().map(|(preference, host)| (*preference, (*host).to_owned()))), expected);
}

#[test]
fn exchangers_are_sorted_and_a_null_mx_counts_only_alone() {
    let of = |preference, host: &str| Exchanger { preference, host: host.to_owned() };
    check(&[], MxAnswer::NoMx);
    check(&[(0, ".")], MxAnswer::NullMx);
    check(
        &[(20, "MX2.example."), (10, "mx1.example.")],
        MxAnswer::Exchangers(vec![of(10, "mx1.example"), of(20, "mx2.example")]),
    );
    check(&[(0, "."), (10, "mx.example.")], MxAnswer::Exchangers(vec![of(10, "mx.example")]));
}

/// A server that never answers: a socket that nobody reads.
fn silent_resolver() -> (std::net::UdpSocket, Resolver) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let options = ResolverOptions {
        servers: vec![socket.local_addr().unwrap()],
        timeout: Duration::from_millis(100),
        attempts: 1,
        ..ResolverOptions::default()
    };
    (socket, Resolver::new(options).unwrap())
}

#[tokio::test]
async fn localhost_needs_no_server() {
    let (_socket, resolver) = silent_resolver();
    let expected: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    for name in ["localhost", "LocalHost.", "smtp.localhost"] {
        assert_eq!(resolver.addresses(name).await.as_deref(), Ok(expected.as_slice()));
    }
}

#[tokio::test]
async fn silence_is_no_answer_and_never_a_missing_domain() {
    let (_socket, resolver) = silent_resolver();
    let mx = resolver.mail_exchangers("silent.example").await;
    assert!(matches!(mx, MxAnswer::NoAnswer { .. }), "{mx:?}");
    let addresses = resolver.addresses("silent.example").await.unwrap_err();
    assert!(addresses.is_temporary(), "{addresses:?}");
}

#[tokio::test]
async fn what_is_no_name_is_told_without_asking() {
    let (_socket, resolver) = silent_resolver();
    let long = "a".repeat(64);
    for name in ["", ".", long.as_str()] {
        assert!(matches!(resolver.addresses(name).await, Err(DnsError::NotAName { .. })), "{name:?}");
        assert_eq!(resolver.mail_exchangers(name).await, MxAnswer::NoMx, "{name:?}");
    }
}
