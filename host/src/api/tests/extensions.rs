//! Extensions and bindings.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::super::test_support::{Answer, Key, TestApi};

fn script(version: &str, verdict: &str) -> String {
    format!(
        "//! name: polite-declines\n//! version: {version}\n//! hooks: reply-classifier\n//! description: A test.\n\
         //! example: {{ \"input\": {{ \"subject\": \"no thanks\" }}, \"expect\": {{ \"verdict\": \"{verdict}\" }} }}\n\n\
         fn classify(message) {{\n    #{{ verdict: \"{verdict}\" }}\n}}\n"
    )
}

async fn upload(api: &TestApi, key: &Key, kind: &str, bytes: impl Into<Body>) -> Answer {
    let request = Request::post("/extensions").header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
    api.send(request.header(header::CONTENT_TYPE, kind).body(bytes.into()).unwrap()).await
}

fn binding(extension: &Value, mode: &str) -> Value {
    json!({"scope": "account", "hook": "reply-classifier", "extension_id": extension, "mode": mode})
}

#[tokio::test]
async fn a_script_is_uploaded_tried_bound_and_swapped() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let first =
        upload(&api, &key, "text/rhai", script("1.0.0", "unsubscribe-request")).await.expect(StatusCode::CREATED);
    assert_eq!(
        (&first["status"], &first["examples"]["passed"], &first["owner"]),
        (&json!("checked"), &json!(1), &json!("account"))
    );
    let again =
        upload(&api, &key, "text/rhai", script("1.0.0", "unsubscribe-request")).await.expect(StatusCode::CREATED);
    assert_eq!(again["id"], first["id"]);
    let other = upload(&api, &key, "text/rhai", script("1.0.0", "ignore")).await;
    other.expect_error(422, "unprocessable");
    assert!(other.text.contains("raise the version"), "{}", other.text);

    let one = format!("/extensions/{}", first["id"].as_str().unwrap());
    let tried = api.post(&key, &format!("{one}/test"), json!({"input": {"subject": "no thanks"}})).await;
    assert_eq!(tried.expect(StatusCode::OK)["decision"]["verdict"], "unsubscribe-request");
    let raw = Request::post(format!("{one}/test")).header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
    let raw = raw.header(header::CONTENT_TYPE, "message/rfc822").body(Body::from("Subject: no thanks\r\n\r\nno\r\n"));
    assert_eq!(api.send(raw.unwrap()).await.expect(StatusCode::OK)["decision"]["verdict"], "unsubscribe-request");
    assert_eq!(api.get(&key, &format!("{one}/source")).await.text, script("1.0.0", "unsubscribe-request"));

    let bound = api.call("PUT", &key, "/bindings", Some(json!({"bindings": [binding(&first["id"], "active")]}))).await;
    assert_eq!(bound.expect(StatusCode::OK)["bindings"][0]["extension_id"], first["id"]);
    assert_eq!(api.get(&key, &one).await.json()["status"], "active");
    api.call("DELETE", &key, &one, None).await.expect_error(422, "unprocessable");

    let second = upload(&api, &key, "text/rhai", script("1.1.0", "ignore")).await.expect(StatusCode::CREATED);
    let swap = Some(json!({"bindings": [binding(&second["id"], "active"), binding(&first["id"], "shadow")]}));
    api.call("PUT", &key, "/bindings", swap).await.expect(StatusCode::OK);
    assert_eq!(api.get(&key, &one).await.json()["status"], "shadow");
    api.call("PUT", &key, "/bindings", Some(json!({"bindings": []}))).await.expect(StatusCode::OK);
    assert_eq!(api.get(&key, &one).await.json()["status"], "retired");
    api.call("DELETE", &key, &one, None).await.expect(StatusCode::OK);
    api.get(&key, &one).await.expect_error(404, "extension_not_found");
}

#[tokio::test]
async fn a_list_that_changed_in_between_is_not_overwritten() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let etag = api.get(&key, "/bindings").await.header("etag").to_owned();
    let put = |etag: String| {
        let request = Request::put("/bindings").header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
        let request = request.header(header::CONTENT_TYPE, "application/json").header(header::IF_MATCH, etag);
        api.send(request.body(Body::from(r#"{"bindings": []}"#)).unwrap())
    };
    let newer = put(etag.clone()).await;
    newer.expect(StatusCode::OK);
    put(etag).await.expect_error(412, "precondition_failed");
    put(newer.header("etag").to_owned()).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_broken_script_is_refused_with_its_place() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let broken = script("1.0.0", "ignore").replace("#{ verdict", "#{{ verdict");
    let answer = upload(&api, &key, "text/rhai", broken).await;
    answer.expect_error(422, "unprocessable");
    assert!(answer.json()["message"].as_str().unwrap().contains("upload.rhai:8:"), "{}", answer.text);
    upload(&api, &key, "text/plain", "x").await.expect_error(400, "bad_request");
    let large = format!("{}//{}", script("1.0.0", "ignore"), "x".repeat(16 * 1024));
    upload(&api, &key, "text/rhai", large).await.expect_error(422, "unprocessable");
}

#[tokio::test]
async fn anothers_script_is_neither_seen_nor_bound() {
    let api = TestApi::start().await;
    let (ours, theirs) = (api.key().await, api.key().await);
    let made = upload(&api, &ours, "text/rhai", script("1.0.0", "ignore")).await.expect(StatusCode::CREATED);
    let one = format!("/extensions/{}", made["id"].as_str().unwrap());
    api.get(&theirs, &one).await.expect_error(404, "extension_not_found");
    let stolen = Some(json!({"bindings": [binding(&made["id"], "active")]}));
    let details = api.call("PUT", &theirs, "/bindings", stolen).await.expect_error(422, "validation_failed");
    assert_eq!(details["bindings.0.extension_id"], json!(["there is no such extension"]));
    let campaign = api.campaign(&ours, json!({})).await;
    let foreign = Some(json!({"bindings": []}));
    let path = format!("/bindings?scope=campaign&scope_id={campaign}");
    api.call("PUT", &theirs, &path, foreign).await.expect_error(404, "campaign_not_found");
    api.get(&theirs, &path).await.expect_error(404, "campaign_not_found");
    assert_eq!(api.get(&ours, &path).await.expect(StatusCode::OK)["bindings"], json!([]));
}

#[tokio::test]
async fn a_version_that_was_deleted_comes_back_as_it_was_or_not_at_all() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = upload(&api, &key, "text/rhai", script("1.0.0", "ignore")).await.expect(StatusCode::CREATED);
    let one = format!("/extensions/{}", made["id"].as_str().unwrap());
    api.call("DELETE", &key, &one, None).await.expect(StatusCode::OK);
    let other = upload(&api, &key, "text/rhai", script("1.0.0", "human-reply")).await;
    other.expect_error(422, "unprocessable");
    assert!(other.json()["message"].as_str().unwrap().contains("raise the version"), "{}", other.text);
    upload(&api, &key, "text/rhai", script("1.0.0", "ignore")).await.expect(StatusCode::CREATED);
    upload(&api, &key, "text/rhai", script("1.0.1", "human-reply")).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn facts_that_cannot_be_read_are_told_by_their_path() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = upload(&api, &key, "text/rhai", script("1.0.0", "ignore")).await.expect(StatusCode::CREATED);
    let test = format!("/extensions/{}/test", made["id"].as_str().unwrap());
    for (input, field) in [
        (json!({"text": 5}), "input.text"),
        (json!({"headers": [{"name": "From", "value": 1}]}), "input.headers[0].value"),
        (json!({"enrollment": {"enrollment_id": "x"}}), "input.enrollment"),
        (json!([]), "input"),
    ] {
        let told = api.post(&key, &test, json!({"hook": "reply-classifier", "input": input})).await;
        let details = told.expect_error(422, "validation_failed");
        assert_eq!(details.as_object().unwrap().keys().collect::<Vec<_>>(), [field], "{details}");
    }
}

#[tokio::test]
async fn an_adapter_is_bound_only_where_it_is_asked() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let adapter = "//! name: our-mailer\n//! version: 1.0.0\n//! hooks: provider-adapter\n\nfn ingest(request, settings) { #{ events: [] } }\n";
    let made = upload(&api, &key, "text/rhai", adapter).await.expect(StatusCode::CREATED);
    let list = Some(json!({"bindings": [{"hook": "provider-adapter", "extension_id": made["id"]}]}));
    let campaign = api.campaign(&key, json!({})).await;
    let path = format!("/bindings?scope=campaign&scope_id={campaign}");
    let details = api.call("PUT", &key, &path, list.clone()).await.expect_error(422, "validation_failed");
    assert!(details["bindings.0.hook"][0].as_str().unwrap().contains("never for a campaign"), "{details}");
    api.call("PUT", &key, "/bindings", list).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_scope_that_is_wrong_in_the_query_is_told_by_its_parameter() {
    let api = TestApi::start().await;
    let key = api.key().await;
    for (query, parameter) in [
        ("scope=everybody", "scope"),
        ("scope=campaign", "scope_id"),
        ("scope=campaign&scope_id=7", "scope_id"),
        ("scope=account&scope_id=019ab7c0-0000-7000-8000-000000000000", "scope_id"),
        ("scope=system&scope_id=019ab7c0-0000-7000-8000-000000000000", "scope_id"),
        ("scope_id=019ab7c0-0000-7000-8000-000000000000", "scope_id"),
        ("scopes=account", "scopes"),
    ] {
        for (method, body) in [("GET", None), ("PUT", Some(json!({"bindings": []})))] {
            let told = api.call(method, &key, &format!("/bindings?{query}"), body).await;
            let details = told.expect_error(400, "bad_request");
            assert_eq!(details.as_object().unwrap().keys().collect::<Vec<_>>(), [parameter], "{method} {query}");
        }
    }
    let list = json!({"bindings": [{"scope": "campaign", "hook": "send-gate", "extension_id": "019ab7c0-0000-7000-8000-000000000000"}]});
    let details = api.call("PUT", &key, "/bindings", Some(list)).await.expect_error(422, "validation_failed");
    assert_eq!(details["bindings.0.scope_id"], json!(["must be the id of a campaign"]));
}

#[tokio::test]
async fn the_shipped_extensions_are_listed() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let listed = api.get(&key, "/extensions").await.expect(StatusCode::OK);
    let classifier = listed.as_array().unwrap().iter().find(|e| e["name"] == "reply-classifier").unwrap();
    assert_eq!((&classifier["origin"], &classifier["status"]), (&json!("shipped"), &json!("active")));
    let path = format!("/extensions/{}", classifier["id"].as_str().unwrap());
    api.call("DELETE", &key, &path, None).await.expect_error(422, "unprocessable");
}

#[tokio::test]
async fn a_replay_says_what_would_change_and_what_it_takes() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let made = upload(&api, &key, "text/rhai", script("1.0.0", "ignore")).await.expect(StatusCode::CREATED);
    let path = format!("/extensions/{}/replay", made["id"].as_str().unwrap());
    let replayed = api.post(&key, &path, json!({})).await.expect(StatusCode::OK);
    assert_eq!(replayed, json!({ "examined": 0, "changed": [] }));
    api.post(&key, &path, json!({ "since": "7d", "limit": 10 })).await.expect(StatusCode::OK);
    let wrong = json!({ "since": "yesterday", "limit": 0, "hook": "send-gate" });
    let details = api.post(&key, &path, wrong).await.expect_error(422, "validation_failed");
    assert!(details["since"][0].as_str().unwrap().contains("how long ago, such as 7d"), "{details}");
    assert_eq!((details["limit"].is_array(), details["hook"].is_array()), (true, true), "{details}");
    let stranger = api.key().await;
    api.post(&stranger, &path, json!({})).await.expect_error(404, "extension_not_found");

    let policy = "//! name: keep-all\n//! version: 1.0.0\n//! hooks: bounce-policy\n\nfn judge(stats) { #{ decision: \"keep\" } }\n";
    let made = upload(&api, &key, "text/rhai", policy).await.expect(StatusCode::CREATED);
    let path = format!("/extensions/{}/replay", made["id"].as_str().unwrap());
    let why = json!(["bounce-policy can't be replayed: only messages and provider requests are stored"]);
    for body in [json!({}), json!({ "hook": "bounce-policy" })] {
        let details = api.post(&key, &path, body).await.expect_error(422, "validation_failed");
        assert_eq!(details["hook"], why);
    }
}

#[tokio::test]
async fn a_list_that_is_sent_again_is_answered_as_the_first_time() {
    let api = TestApi::start().await;
    let key = api.key().await;
    let script = upload(&api, &key, "text/rhai", script("1.0.0", "ignore")).await.expect(StatusCode::CREATED);
    let body = json!({"bindings": [binding(&script["id"], "active")]});
    let replace = async |version: &str| {
        let request = Request::put("/bindings").header(header::AUTHORIZATION, format!("Bearer {}", key.plaintext));
        let request = request.header(header::CONTENT_TYPE, "application/json").header(header::IF_MATCH, version);
        api.send(request.header("idempotency-key", "once").body(Body::from(body.to_string())).unwrap()).await
    };
    let version = api.get(&key, "/bindings").await.header("etag").to_owned();
    let first = replace(&version).await;
    first.expect(StatusCode::OK);
    assert_ne!(first.header("etag"), version);
    // Carried out once more it would be refused: the version is another now.
    let again = replace(&version).await;
    assert_eq!((again.status, &again.text, again.header("etag")), (StatusCode::OK, &first.text, first.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), "true");
}
