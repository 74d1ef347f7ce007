//! The OpenAPI document: each handler's `#[utoipa::path]` says what is its own; what holds for all of them is added here
//! once: the key, the errors, the ids in paths, `Idempotency-Key`, and that bodies have no other fields.

use serde_json::{Map, Value, json};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema as _, ToSchema};

use super::error::Code;

const ABOUT: &str = "Self-hosted cold outreach: campaigns over your own SMTP providers, with replies, bounces and \
    provider webhooks read by extensions.\n\nSend your key as `Authorization: Bearer ak_live_…`. Lists are bare arrays, \
    newest first; the header `Link` (RFC 8288, `rel=\"next\"`) carries the next page. Every answer has `X-Request-Id`; \
    please give it when you report a problem.";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What callers are told when a call fails.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `finish` writes it")]
pub(super) struct Error {
    /// What to branch on.
    code: Code,
    /// The code's page.
    #[schema(format = "uri", example = "https://ampout.example/docs/errors/validation_failed")]
    r#type: String,
    /// For people.
    message: String,
    /// What there is to know beside; for `validation_failed`, the messages by field path.
    #[schema(value_type = Object)]
    details: Value,
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "the shape alone")]
pub(super) struct Bytes(Vec<u8>);

/// The frame that the routes are added to.
pub(super) fn frame() -> OpenApi {
    let info = InfoBuilder::new().title("ampout").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    OpenApiBuilder::new().info(info.build()).build()
}

/// The document as it is served.
pub(super) fn finished(routes: &OpenApi, public_url: &str) -> Value {
    // Its own types always have a JSON form.
    let mut document = serde_json::to_value(routes).unwrap_or_default();
    document["servers"] = json!([{ "url": public_url }]);
    document["components"]["securitySchemes"] =
        json!({ "key": { "type": "http", "scheme": "bearer", "description": "An API key: `ak_live_…`." } });
    document["components"]["schemas"]["Error"] = json!(Error::schema());
    document["components"]["schemas"]["Code"] = json!(Code::schema());
    let mut of_bodies = Vec::new();
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if METHODS.contains(&method.as_str()) {
                complete(path, method, operation);
                names_in(&operation["requestBody"], &mut of_bodies);
            }
        }
    }
    close_bodies(&mut document["components"]["schemas"], of_bodies);
    document
}

fn complete(path: &str, method: &str, operation: &mut Value) {
    let is_public = operation["security"].is_array();
    let is_mutating = method != "get";
    for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let schema = json!({ "type": "string", "format": "uuid" });
        add_parameter(operation, json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    let mut codes = vec![
        ("400", "Not JSON, or a wrong parameter."),
        ("500", "A fault of ours."),
        ("503", "The database does not answer; `Retry-After` says when to come again."),
    ];
    if !is_public {
        operation["security"] = json!([{ "key": [] }]);
        codes.push(("401", "The key is missing, malformed or revoked."));
        codes.push(("403", "The key's scopes do not allow the call."));
        codes.push(("429", "Too many calls; `Retry-After` says when to come again."));
        if is_mutating {
            codes.push(("409", "The first request with this `Idempotency-Key` is still running."));
            let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
            let about = "Within 24 h the same key and request are given the first answer again, and do nothing.";
            let header = json!({ "name": "Idempotency-Key", "in": "header", "description": about, "schema": schema });
            add_parameter(operation, header);
        }
    }
    if is_mutating {
        codes.push(("413", "The body is too large."));
        codes.push(("422", "A field is wrong, or the call breaks a rule."));
    }
    if path.contains('{') {
        codes.push(("404", "There is no such thing, or it is another account's."));
    }
    let responses = &mut operation["responses"];
    for (status, description) in codes {
        if responses[status].is_null() {
            let schema = json!({ "$ref": "#/components/schemas/Error" });
            let content = json!({ "application/json": { "schema": schema } });
            responses[status] = json!({ "description": description, "content": content });
        }
    }
}

fn add_parameter(operation: &mut Value, parameter: Value) {
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    let Some(all) = operation["parameters"].as_array_mut() else { return };
    if !all.iter().any(|known| known["name"] == parameter["name"] && known["in"] == parameter["in"]) {
        all.push(parameter);
    }
}

/// Adds the names of the schemas that `value` refers to.
fn names_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
                names.push(name.to_owned());
            }
            map.values().for_each(|value| names_in(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| names_in(item, names)),
        _ => {}
    }
}

/// Unknown fields of a request are refused, and the document says so.
fn close_bodies(schemas: &mut Value, mut names: Vec<String>) {
    let mut closed = Map::new();
    while let Some(name) = names.pop() {
        let schema = &mut schemas[name.as_str()];
        if schema["properties"].is_object() && closed.insert(name, Value::Null).is_none() {
            schema["additionalProperties"] = json!(false);
            names_in(schema, &mut names);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::http::StatusCode;
    use serde_json::Value;

    use super::super::test_support::{TestApi, request};

    #[tokio::test]
    async fn every_operation_has_a_name_of_its_own_and_a_summary() {
        let api = TestApi::start().await;
        let document = api.send(request("GET", "/openapi.json", None, None)).await.expect(StatusCode::OK);
        let mut names = HashSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{method} {path} has the name of another operation: {name}");
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                assert!(operation["tags"].is_array(), "{method} {path} has no tag");
            }
        }
        assert!(names.contains("create_outreach"));
        assert_eq!(document["openapi"], "3.1.0");
        check_references(&document, &document);
    }

    #[tokio::test]
    async fn what_callers_may_give_and_are_given_is_told() {
        let api = TestApi::start().await;
        let document = api.send(request("GET", "/openapi.json", None, None)).await.expect(StatusCode::OK);
        let schema = |name: &str| &document["components"]["schemas"][name];
        // The answer to an import of JSON has none of them.
        let of_file = schema("OfFile");
        assert!(of_file["properties"]["rejected_count"].is_object() && of_file["required"].is_null(), "{of_file}");
        for name in ["CredentialFields", "CredentialChanges"] {
            let fields = &schema(name)["properties"];
            for port in ["smtp_port", "imap_port"] {
                assert_eq!(fields[port]["maximum"].as_f64(), Some(65535.0), "{fields}");
            }
            for password in ["smtp_password", "imap_password"] {
                assert_eq!(fields[password]["maxLength"].as_u64(), Some(1024), "{fields}");
            }
        }
        let operation = |path: &str, method: &str| &document["paths"][path][method];
        assert!(operation("/bindings", "put")["responses"]["404"].is_object());
        let hook = operation("/inbound/{provider}/{token}", "post");
        assert_eq!(hook["parameters"].as_array().unwrap().len(), 2, "{hook}");
        for status in ["200", "401", "404", "422"] {
            assert!(hook["responses"][status].is_object(), "{status}: {hook}");
        }
    }

    fn check_references(part: &Value, document: &Value) {
        match part {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    let there = document.pointer(reference.trim_start_matches('#'));
                    assert!(there.is_some(), "{reference} leads nowhere");
                }
                map.values().for_each(|part| check_references(part, document));
            }
            Value::Array(items) => items.iter().for_each(|part| check_references(part, document)),
            _ => {}
        }
    }
}
