//! Imports of CSV files, and of JSON that is all or nothing.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use futures_util::stream;
use serde_json::{Value, json};

use super::super::test_support::{Answer, Key, TestApi};
use crate::store::contacts;

async fn upload_as(api: &TestApi, key: &Key, path: &str, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext))
        .header(header::CONTENT_TYPE, media_type)
        .body(body.into());
    api.send(request.unwrap()).await
}

async fn upload(api: &TestApi, key: &Key, body: impl Into<Body>) -> Answer {
    upload_as(api, key, "/contact_imports?name=list", "text/csv", body).await
}

async fn imports(api: &TestApi, key: &Key) -> Vec<Value> {
    api.get(key, "/contact_imports").await.expect(StatusCode::OK).as_array().unwrap().clone()
}

#[tokio::test]
async fn a_file_is_taken_with_its_good_rows() {
    let api = TestApi::start().await;
    let key = api.key().await;
    api.import(&key, &["known@example.org"]).await;
    let file = "\u{feff}First Name;E-Mail;Phone;Company\r\n\
                Ada;ada@example.org;1;\"Engines; \"\"Analytical\"\"\"\r\n\
                Bo;nobody;2;\r\n\
                Cy; KNOWN@example.org ;3;\r\n\
                \r\n\
                Di;di@bücher.example;4;\"Two\r\nlines\"\r\n\
                Di;DI@xn--bcher-kva.example;5;\r\n";
    let media_type = "text/csv; charset=UTF-8; header=present";
    let made = upload_as(&api, &key, "/contact_imports?name=Spring%20list", media_type, file).await;
    let made = made.expect(StatusCode::CREATED);
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(
        made,
        json!({
            "id": id, "name": "Spring list", "record_count": 5, "skipped": 2, "rejected_count": 1,
            "rejected": [{ "line": 3, "error": "email: \"nobody\" has no @; write local@domain" }],
            "ignored_columns": ["Phone"],
        })
    );
    let shown = api.get(&key, &format!("/contact_imports/{id}")).await.json();
    assert_eq!((&shown["record_count"], &shown["contact_count"]), (&json!(5), &json!(2)));
    let contacts = api.get(&key, &format!("/contact_imports/{id}/contacts")).await.json();
    let told =
        |n: usize| [&contacts[n]["email"], &contacts[n]["first_name"], &contacts[n]["company"]].map(Value::to_string);
    assert_eq!(told(0), ["\"di@xn--bcher-kva.example\"", "\"Di\"", "\"Two lines\""]);
    assert_eq!(told(1), ["\"ada@example.org\"", "\"Ada\"", r#""Engines; \"Analytical\"""#]);
}

#[tokio::test]
async fn a_file_may_end_without_a_line_end() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = upload(&api, &key, "email\na@b.example").await.expect(StatusCode::CREATED);
    assert_eq!(made["record_count"], 1);
    let unclosed = "email,company\nc@b.example,C\nd@b.example,\"D\ne@b.example,E";
    let made = upload(&api, &key, unclosed).await.expect(StatusCode::CREATED);
    assert_eq!((&made["record_count"], &made["rejected"][0]["line"]), (&json!(2), &json!(3)));
    upload(&api, &key, "email").await.expect_error(422, "no_contacts_provided");
}

#[tokio::test]
async fn what_a_file_lacks_is_named_and_nothing_is_made() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let details = upload(&api, &key, "name,phone\nAda,1\n").await.expect_error(422, "validation_failed");
    assert_eq!(details, json!({ "email": ["must be the name of a column; the file has name, phone"] }));
    upload(&api, &key, "email\n").await.expect_error(422, "no_contacts_provided");
    let details = upload(&api, &key, "email\nnobody\n").await.expect_error(422, "no_contacts_provided");
    assert_eq!((&details["rejected_count"], &details["rejected"][0]["line"]), (&json!(1), &json!(2)));
    let send = |path, media_type| upload_as(&api, &key, path, media_type, "email\na@b.example\n");
    let details = send("/contact_imports", "text/csv").await.expect_error(400, "bad_request");
    assert!(details["name"][0].as_str().unwrap().contains("required"), "{details}");
    send("/contact_imports?name=%20", "text/csv").await.expect_error(400, "bad_request");
    send("/contact_imports?name=l&nmae=l", "text/csv").await.expect_error(400, "bad_request");
    send("/contact_imports?name=l", "text/csv; charset=windows-1252").await.expect_error(400, "bad_request");
    send("/contact_imports?name=l", "text/plain").await.expect_error(400, "bad_request");
    assert_eq!(imports(&api, &key).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_hundred_bad_rows_are_named_and_the_others_counted() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let file = format!("email\n{}fine@example.org\n", "bad\n".repeat(250));
    let made = upload(&api, &key, file).await.expect(StatusCode::CREATED);
    assert_eq!((&made["record_count"], &made["rejected_count"]), (&json!(251), &json!(250)));
    let named = made["rejected"].as_array().unwrap();
    assert_eq!((named.len(), &named[99]["line"], made.get("skipped")), (100, &json!(101), None));
}

#[tokio::test]
async fn a_file_that_is_too_large_leaves_nothing_behind() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let announced = Request::post("/contact_imports?name=l")
        .header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext))
        .header(header::CONTENT_TYPE, "text/csv")
        .header(header::CONTENT_LENGTH, "33554433");
    api.send(announced.body(Body::from("email\n")).unwrap()).await.expect_error(413, "payload_too_large");

    // Whole chunks are written before its length is known.
    let head: String = (0..6000).map(|n| format!("a{n}@example.org,\n")).collect();
    let padding = Bytes::from(format!("b@example.org,{}\n", "x".repeat(60_000)));
    let pieces = std::iter::once(Bytes::from(format!("email,notes\n{head}"))).chain(std::iter::repeat_n(padding, 600));
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    upload(&api, &key, body).await.expect_error(413, "payload_too_large");
    assert_eq!(imports(&api, &key).await, Vec::<Value>::new());
    let made = upload(&api, &key, "email\na1@example.org\n").await.expect(StatusCode::CREATED);
    assert_eq!(made.get("skipped"), None, "no contact of it is left");
}

#[tokio::test]
async fn of_two_rows_with_one_address_the_first_is_taken_wherever_they_stand() {
    let api = TestApi::start().await;
    let key = api.key().await;
    // In no order, and more than are written in one transaction.
    let row = |n: u32| format!("p{}@company{}.test,Person\n", n.wrapping_mul(2_654_435_761), n % 97);
    let rows: String = (0..23_000).map(row).collect();
    let file = format!("email,first_name\nZed@z.test,First\n{rows}zed@Z.test,Second\n{}", row(7));
    let made = upload(&api, &key, file).await.expect(StatusCode::CREATED);
    assert_eq!((&made["record_count"], &made["skipped"]), (&json!(23_003), &json!(2)));
    let path = format!("/contact_imports/{}", made["id"].as_str().unwrap());
    assert_eq!(api.get(&key, &path).await.json()["contact_count"], 23_001);
    // Ids are given in the order of the file.
    let newest = api.get(&key, &format!("{path}/contacts?limit=1")).await.json();
    assert_eq!(newest[0]["email"], row(22_999).split(',').next().unwrap());
    let zed = contacts::by_email(&mut api.app.store.read().await.unwrap(), key.account, "zed@z.test").await.unwrap();
    assert_eq!(zed.unwrap().first_name.as_deref(), Some("First"));
}

#[tokio::test]
async fn a_wrong_contact_at_the_end_of_a_long_list_keeps_all_others_out() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let mut contacts: Vec<Value> = (0..6000).map(|n| json!({ "email": format!("a{n}@example.org") })).collect();
    let list = |contacts: &[Value]| json!({ "contact_import": { "name": "l", "contacts": contacts } });
    contacts.push(json!({ "email": "nobody" }));
    let details = api.post(&key, "/contact_imports", list(&contacts)).await.expect_error(422, "validation_failed");
    assert!(details["contact_import.contacts.6000.email"][0].is_string(), "{details}");
    assert_eq!(imports(&api, &key).await, Vec::<Value>::new());
    contacts.pop();
    contacts.push(json!({ "email": "A0@example.org", "first_name": "again" }));
    let made = api.post(&key, "/contact_imports", list(&contacts)).await.expect(StatusCode::CREATED);
    assert_eq!((&made["record_count"], &made["skipped"]), (&json!(6001), &json!(1)));
    assert_eq!(imports(&api, &key).await[0]["contact_count"], 6000);
}
