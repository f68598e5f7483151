//! The Atoll API against golden JSON.

use crate::client::{get, post};
use crate::node::{quick, start};
use serde_json::json;

fn h(byte: &str) -> String {
    format!("0x{}", byte.repeat(32))
}

#[tokio::test]
async fn what_is_there() {
    let node = start(quick()).await;
    let signature = format!("0x{}{}01", "01".repeat(32), "02".repeat(32));
    let confirmation = json!({
        "term": 1, "slot": 7, "tick": 2, "index": 3, "running": h("05"), "time_us": 99,
        "before": h("04"), "after": h("05"), "signature": signature,
    });
    let slot = json!({
        "slot": 7, "hash": get(node.address, "/atoll/slots/7").await.json()["hash"], "term": 0,
        "time_us": 0, "parent": h("00"), "ticks": 3, "running": h("00"), "hub_block": 0,
        "hub_cursor": 0, "transactions": 9, "finalised": true,
        "environments": [{
            "environment": "evm", "commands": 4, "batch": h("01"), "receipts": h("02"),
            "outbox": h("00"), "state_root": null,
        }],
    });
    let cases = [
        (
            "/atoll/environments".to_owned(),
            json!({ "environments": [
                { "name": "perps", "id": 1, "kind": "exchange", "spec_hash": h("01"),
                  "program_id": h("00"), "chain_id": null, "commit_interval_slots": 10 },
                { "name": "evm", "id": 2, "kind": "evm", "spec_hash": h("02"),
                  "program_id": h("00"), "chain_id": 4242, "commit_interval_slots": 10 },
            ] }),
        ),
        (
            "/atoll/status".to_owned(),
            json!({
                "version": "atoll/test", "network": h("01"),
                "sequencer": "0x0505050505050505050505050505050505050505", "term": 1,
                "head_slot": 7, "finalised_slot": 6, "head_time_us": 99,
                "environments": [{
                    "environment": "perps", "commands": 12, "root_slot": 5,
                    "state_root": h("02"), "halted": null, "conserved": true,
                }],
            }),
        ),
        ("/atoll/slots/latest".to_owned(), slot.clone()),
        ("/atoll/slots/7".to_owned(), slot),
        (
            "/atoll/roots?environment=perps&slot=4&limit=1".to_owned(),
            json!({ "roots": [{ "environment": "perps", "slot": 4, "state_root": h("03") }] }),
        ),
        (
            format!("/atoll/transactions/{}", h("aa")),
            json!({
                "hash": h("aa"), "environment": "evm", "lane": "post_only", "bytes": "0x01",
                "confirmation": confirmation, "finalised": false,
            }),
        ),
        (
            format!("/atoll/receipts/{}", h("aa")),
            json!({
                "transaction": h("aa"), "environment": "perps", "slot": 7, "command": 2,
                "success": false, "code": 501, "label": "off_tick", "message": "off tick",
                "bytes": "0x04",
            }),
        ),
    ];
    for (path, expected) in cases {
        let answer = get(node.address, &path).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
    let witness = get(node.address, "/atoll/witnesses?environment=2&slot=2&commands=3..5").await;
    // Streamed: two chunks.
    assert_eq!(witness.text(), "2\r\n\u{3}\u{3}\r\n2\r\n\u{4}\u{4}\r\n0\r\n\r\n");
    let body = r#"{"environment":"perps","bytes":"0xff"}"#;
    let answer = post(node.address, "/atoll/transactions", body).await.json();
    let receipt = json!({
        "success": true, "code": null, "label": null, "message": "", "bytes": "0x",
    });
    let expected = json!({ "hash": h("08"), "confirmation": confirmation, "receipt": receipt });
    assert_eq!(answer, expected);
    let body = r#"{"environment":1,"bytes":"0xff","wait":"admission"}"#;
    let answer = post(node.address, "/atoll/transactions", body).await.json();
    assert_eq!(answer, json!({ "hash": h("08"), "confirmation": null, "receipt": null }));
}

#[tokio::test]
async fn what_is_not_there() {
    let node = start(quick()).await;
    let zero = h("00");
    for (path, status, label) in [
        ("/nowhere", 404, "not_found"),
        ("/atoll/nowhere", 404, "not_found"),
        ("/evm", 404, "not_found"),
        ("/evm/evm/x", 404, "not_found"),
        ("/atoll/slots/1", 410, "not_kept"),
        ("/atoll/slots/-1", 400, "malformed"),
        ("/atoll/slots/99999999999999999999", 400, "malformed"),
        ("/atoll/roots?environment=nowhere", 404, "unknown_environment"),
        ("/atoll/roots?what=1", 400, "malformed"),
        ("/atoll/roots?slot=1&slot=2", 400, "malformed"),
        ("/atoll/transactions/0x12", 400, "malformed"),
        ("/atoll/markets", 404, "unknown_environment"),
        ("/atoll/markets/A/B?environment=nowhere", 404, "unknown_environment"),
        ("/atoll/markets?colour=red", 400, "malformed"),
        ("/atoll/accounts/0x12", 400, "malformed"),
        (&format!("/atoll/transactions/{zero}"), 404, "not_found"),
        ("/atoll/transactions", 405, "method_not_allowed"),
        ("/atoll/witnesses?slot=1", 400, "malformed"),
        ("/atoll/witnesses?environment=evm&slot=1&commands=5..5", 400, "malformed"),
    ] {
        let answer = get(node.address, path).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["label"]),
            (status, &json!(label)),
            "{path}"
        );
    }
    let paths = &get(node.address, "/nowhere").await.json()["paths"];
    assert!(paths["GET /atoll/status"].is_string(), "{paths}");
    for (body, status, code) in [
        ("", 400, 100),
        ("{}", 400, 100),
        (r#"{"environment":"perps","bytes":"ff"}"#, 400, 100),
        (r#"{"environment":"perps","bytes":"0xff","more":1}"#, 400, 100),
        (r#"{"environment":"perps","bytes":"0xff","wait":"long"}"#, 400, 100),
        (r#"{"environment":"moon","bytes":"0xff"}"#, 404, 102),
        (r#"{"environment":"perps","bytes":"0x0190"}"#, 400, 400),
        (r#"{"environment":"perps","bytes":"0x0258"}"#, 429, 600),
        (r#"{"environment":"perps","bytes":"0x0259"}"#, 503, 601),
    ] {
        let answer = post(node.address, "/atoll/transactions", body).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let node = start(quick()).await;
    get(node.address, "/atoll").await;
    let answer = get(node.address, "/metrics").await;
    assert!(answer.head.contains("application/openmetrics-text; version=1.0.0"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(
        text.contains("atoll_gateway_requests_total{door=\"Atoll\",status=\"200\"} 1"),
        "{text}"
    );
    assert!(text.contains("# TYPE atoll_gateway_request_seconds histogram"), "{text}");
}
