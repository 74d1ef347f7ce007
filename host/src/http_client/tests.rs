use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::dns::{Resolver, ResolverOptions};

fn client(allow: &[&str], plaintext: Plaintext) -> HttpClient {
    let options = ResolverOptions { servers: vec!["127.0.0.1:9".parse().unwrap()], ..ResolverOptions::default() };
    let allow = allow.iter().map(|range| range.parse().unwrap()).collect();
    let guard = EgressGuard::new(Resolver::new(options).unwrap(), allow);
    HttpClient::new(guard, &TlsClient::new(None).unwrap(), plaintext).unwrap()
}

fn post(url: &str) -> Request {
    Request {
        method: Method::Post,
        url: url.parse().unwrap(),
        headers: vec![("X-Test".to_owned(), "yes".to_owned())],
        body: Bytes::from_static(b"{}"),
        timeout: Duration::from_secs(5),
        max_answer_bytes: 4,
        when_longer: WhenLonger::Truncate,
    }
}

/// Answers one request with `answer` and gives back what it was asked.
async fn serve(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (port, served)
}

#[tokio::test]
async fn an_answer_is_cut_where_asked_and_a_redirect_is_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 6\r\n\r\nabcdef";
    let (port, served) = serve(answer).await;
    let client = client(&["127.0.0.1/32"], Plaintext::Allowed);
    let answer = client.request(post(&format!("http://localhost:{port}/hook"))).await.unwrap();
    assert_eq!((answer.status, answer.body.as_ref()), (302, b"abcd".as_slice()));
    assert!(answer.headers.contains(&("location".to_owned(), "http://127.0.0.1:1/".to_owned())));
    let asked = served.await.unwrap();
    assert!(asked.starts_with("POST /hook HTTP/1.1\r\n") && asked.contains("x-test: yes\r\n"), "{asked}");
}

#[tokio::test]
async fn a_longer_answer_fails_when_asked_to() {
    let (port, _served) = serve("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef").await;
    let client = client(&["127.0.0.1/32"], Plaintext::Allowed);
    let request = Request { when_longer: WhenLonger::Refuse, ..post(&format!("http://127.0.0.1:{port}/")) };
    assert_eq!(client.request(request).await, Err(HttpError::TooLong { limit: 4 }));
}

#[tokio::test]
async fn the_operators_network_is_out_of_reach() {
    let client = client(&[], Plaintext::Allowed);
    for host in ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let outcome = client.request(post(&format!("http://{host}:1/?token=hush"))).await;
        assert!(matches!(outcome, Err(HttpError::Egress(EgressError::Refused { .. }))), "{host}: {outcome:?}");
        assert!(!outcome.unwrap_err().to_string().contains("hush"));
    }
}

#[tokio::test]
async fn plain_http_needs_leave() {
    let client = client(&["127.0.0.0/8"], Plaintext::Forbidden);
    let outcome = client.request(post("http://127.0.0.1/")).await;
    assert_eq!(outcome, Err(HttpError::Scheme { scheme: "http".to_owned() }));
    let allowed = super::tests::client(&[], Plaintext::Allowed);
    let outcome = allowed.request(post("ftp://127.0.0.1/")).await;
    assert_eq!(outcome, Err(HttpError::Scheme { scheme: "ftp".to_owned() }));
}

#[tokio::test]
async fn a_silent_server_is_left_in_time_and_a_header_cannot_break_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = client(&["127.0.0.0/8"], Plaintext::Allowed);
    let request = Request { timeout: Duration::from_millis(200), ..post(&url) };
    assert_eq!(client.request(request).await, Err(HttpError::TimedOut { after: Duration::from_millis(200) }));
    let request = Request { headers: vec![("X".to_owned(), "a\r\nHost: b".to_owned())], ..post(&url) };
    assert!(matches!(client.request(request).await, Err(HttpError::BadRequest { .. })));
}
