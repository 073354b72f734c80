//! The OpenAPI document is complete.

use super::*;

#[test]
fn every_route_of_the_table_is_described() {
    let document = serde_json::to_value(openapi()).unwrap();
    for (method, path) in [
        ("post", "/v1/transactions"),
        ("get", "/v1/transactions"),
        ("get", "/v1/transactions/{gid}"),
        ("post", "/v1/transactions/{gid}/branches"),
        ("post", "/v1/transactions/{gid}/commit"),
        ("post", "/v1/transactions/{gid}/abort"),
        ("get", "/v1/transactions/{gid}/history"),
        ("get", "/v1/transactions/{gid}/events"),
        ("post", "/v1/workflows/{gid}"),
        ("post", "/v1/workflows/{gid}/steps"),
        ("post", "/v1/workflows/{gid}/finish"),
        ("post", "/v1/admin/transactions/{gid}/replay"),
        ("post", "/v1/admin/transactions/{gid}/force"),
        ("post", "/v1/admin/replay"),
        ("post", "/v1/participants"),
        ("get", "/v1/participants"),
        ("delete", "/v1/participants/{name}"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    ] {
        let operation = &document["paths"][path][method];
        assert!(operation["operationId"].is_string(), "{method} {path} is not described");
        assert!(operation["responses"]["200"].is_object() || method == "delete", "{method} {path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(openapi()).unwrap();
    let text = document.to_string();
    for (start, _) in text.match_indices("#/components/schemas/") {
        let name: String =
            text[start + "#/components/schemas/".len()..].chars().take_while(|c| *c != '"').collect();
        assert!(
            document["components"]["schemas"][&name].is_object(),
            "{name} is referred to, but not defined"
        );
    }
}

#[test]
fn every_operation_says_how_it_refuses() {
    let document = serde_json::to_value(openapi()).unwrap();
    let create = &document["paths"]["/v1/transactions"]["post"]["responses"];
    for status in ["200", "202", "400", "408", "409", "413", "415", "422", "500", "503"] {
        assert!(create[status].is_object(), "createTransaction does not tell of {status}");
    }
    let schema = &create["422"]["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Problem");
    assert!(create["503"]["headers"]["Retry-After"].is_object());
}

#[test]
fn bodies_that_may_be_left_out_say_so() {
    let document = serde_json::to_value(openapi()).unwrap();
    let required = |path: &str| document["paths"][path]["post"]["requestBody"]["required"].clone();
    assert_eq!(required("/v1/transactions/{gid}/abort"), false);
    assert_eq!(required("/v1/admin/transactions/{gid}/replay"), false);
    assert_eq!(required("/v1/transactions"), true);
}

#[test]
fn every_code_has_its_page() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    for code in Code::ALL {
        let page = std::fs::read_to_string(pages.join(format!("{code}.md"))).unwrap_or_default();
        assert!(
            page.starts_with(&format!("# {code}: {}", code.title())),
            "docs/errors/{code}.md is missing or has another title"
        );
        assert!(
            page.contains(&format!("\"status\": {}", code.http_status())),
            "docs/errors/{code}.md shows another status"
        );
    }
}
