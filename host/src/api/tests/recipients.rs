//! The pixel and the unsubscribe page, as mail programs, machines on the way and people meet them.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;

use crate::catalog::Catalog;
use crate::domain::ids::{EnrollmentId, SendId};
use crate::domain::status::SendState;
use crate::store::page::Page;
use crate::store::sends::Send;
use crate::store::{contacts, suppressions};
use crate::test_support::{START, TestApp};

const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0";
const APPLE: &str = "Mozilla/5.0";

struct World {
    app: TestApp,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl World {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let catalog = Catalog::start(&app).await.unwrap();
        let router = super::super::router(app.app.clone(), catalog);
        Self { app, router }
    }

    /// A message that was sent a minute ago.
    async fn sent(&self) -> Send {
        let sender = self.app.sender(self.app.account().await, None).await;
        let send = self.app.sent(sender, "bob@example.com").await;
        self.app.clock.advance(Duration::from_secs(60));
        send
    }

    async fn call(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        let path = url.strip_prefix("http://ampout.example").unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Somebody or something with this name loads the pixel.
    async fn look(&self, send: &Send, name: &str) {
        let answer = self.call("GET", &self.app.links.pixel(send.id), &[("user-agent", name)]).await;
        answer.is_pixel();
    }

    async fn is_opened(&self, send: &Send) -> bool {
        self.app.enrollment(send.enrollment_id).await.opened_at.is_some()
    }
}

impl Answer {
    #[track_caller]
    fn is_pixel(&self) {
        assert_eq!(self.status, StatusCode::OK);
        assert_eq!(self.headers["content-type"], "image/gif");
        assert!(self.headers["cache-control"].to_str().unwrap().contains("no-store"));
    }
}

#[tokio::test]
async fn the_first_look_of_a_person_is_an_open_and_no_other() {
    let world = World::start().await;
    let send = world.sent().await;
    world.look(&send, APPLE).await;
    let head = world.call("HEAD", &world.app.links.pixel(send.id), &[("user-agent", PERSON)]).await;
    head.is_pixel();
    assert!(!world.is_opened(&send).await);
    world.look(&send, PERSON).await;
    let opened = world.app.enrollment(send.enrollment_id).await.opened_at;
    assert_eq!(opened, Some(world.app.clock.now()));
    world.app.clock.advance(Duration::from_secs(60));
    world.look(&send, PERSON).await;
    assert_eq!(world.app.enrollment(send.enrollment_id).await.opened_at, opened);
    assert_eq!(world.app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.opened"]);
}

#[tokio::test]
async fn what_looks_before_anybody_can_or_at_our_own_preview_is_no_open() {
    let world = World::start().await;
    let sender = world.app.sender(world.app.account().await, None).await;
    let send = world.app.sent(sender, "bob@example.com").await;
    world.look(&send, PERSON).await;
    let held = world.app.sending(sender, "eve@example.com").await;
    world.look(&held.send, PERSON).await;
    assert!(!world.is_opened(&held.send).await, "its server has not even answered");
    world.app.clock.advance(Duration::from_secs(60));
    let preview = [("user-agent", PERSON), ("referer", "http://ampout.example/campaigns")];
    world.call("GET", &world.app.links.pixel(send.id), &preview).await.is_pixel();
    let ahead = [("user-agent", PERSON), ("sec-purpose", "prefetch")];
    world.call("GET", &world.app.links.pixel(send.id), &ahead).await.is_pixel();
    assert!(!world.is_opened(&send).await);
    world.look(&send, PERSON).await;
    assert!(world.is_opened(&send).await);
}

#[tokio::test]
async fn whoever_has_the_pixel_has_the_message() {
    let world = World::start().await;
    let sender = world.app.sender(world.app.account().await, None).await;
    let send = world.app.in_doubt(sender, "bob@example.com").await;
    world.look(&send, APPLE).await;
    assert_eq!(world.app.send(send.id).await.state, SendState::Sent);
    world.look(&send, PERSON).await;
    assert!(!world.is_opened(&send).await, "it counts as sent since this very moment");
    world.app.clock.advance(Duration::from_secs(60));
    world.look(&send, PERSON).await;
    assert_eq!(world.app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.opened"]);
    let other = world.app.in_doubt(sender, "eve@example.com").await;
    world.look(&other, PERSON).await;
    assert_eq!(world.app.told(other.enrollment_id).await, ["enrollment.sent", "enrollment.opened"]);
}

#[tokio::test]
async fn a_pixel_of_ours_is_always_shown_and_no_other_ever() {
    let world = World::start().await;
    let send = world.sent().await;
    let url = world.app.links.pixel(send.id);
    world.call("GET", &world.app.links.pixel(SendId::new(START)), &[("user-agent", PERSON)]).await.is_pixel();
    let altered = url.replace("/t/", "/t/A");
    let cut = url.strip_suffix(".gif").unwrap();
    let unsubscribe = format!("{}.gif", world.app.links.unsubscribe(send.enrollment_id).replace("/u/", "/t/"));
    for url in [altered.as_str(), cut, &unsubscribe, "http://ampout.example/t/%FF.gif", "http://ampout.example/t/.gif"]
    {
        let answer = world.call("GET", url, &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{url}");
        assert!(answer.body.contains("\"not_found\""), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_page_asks_and_changes_nothing_and_the_click_unsubscribes_once() {
    let world = World::start().await;
    let send = world.sent().await;
    let url = world.app.links.unsubscribe(send.enrollment_id);
    let page = world.call("GET", &url, &[("accept", "text/html")]).await;
    assert_eq!((page.status, page.body.matches("<button").count()), (StatusCode::OK, 1));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["cache-control"], "no-store");
    world.call("HEAD", &url, &[]).await;
    assert_eq!(world.app.enrollment(send.enrollment_id).await.stopped_at, None);

    let done = world.call("POST", &url, &[("content-type", "application/x-www-form-urlencoded")]).await;
    let again = world.call("POST", &url, &[]).await;
    assert_eq!((done.status, &done.body), (StatusCode::OK, &again.body));
    let enrollment = world.app.enrollment(send.enrollment_id).await;
    assert_eq!(enrollment.stop_reason.as_deref(), Some("unsubscribed"));
    assert_eq!(world.app.told(send.enrollment_id).await, ["enrollment.sent", "enrollment.unsubscribed"]);
    let mut conn = world.app.store.read().await.unwrap();
    let contact = contacts::find(&mut conn, send.account_id, send.contact_id).await.unwrap().unwrap();
    assert!(contact.unsubscribed_at.is_some());
    let suppressed = suppressions::list(&mut conn, send.account_id, &Page::first(10)).await.unwrap();
    assert_eq!(suppressed.iter().map(|it| it.value.as_str()).collect::<Vec<_>>(), ["bob@example.com"]);
}

#[tokio::test]
async fn a_link_that_is_not_ours_is_told_to_people_and_to_programs_in_their_own_words() {
    let world = World::start().await;
    let gone = world.app.links.unsubscribe(EnrollmentId::new(START));
    let altered = format!("{gone}A");
    for url in [gone.as_str(), &altered, "http://ampout.example/u/%FF"] {
        for method in ["GET", "POST"] {
            let page = world.call(method, url, &[("accept", "text/html,*/*;q=0.8")]).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND);
            assert!(page.body.contains("<h1>This link does not work</h1>") && !page.body.contains("<form"));
            let error = world.call(method, url, &[]).await;
            assert_eq!(error.status, StatusCode::NOT_FOUND);
            assert!(error.body.contains("\"not_found\""), "{}", error.body);
        }
    }
}
