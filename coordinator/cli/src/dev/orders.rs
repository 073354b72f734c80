//! The requests of the tour, as JSON that a person would write, and as the `curl` that sends the same bytes.

use std::fmt::Write as _;

/// The SKU of the tour.
pub(super) const SKU: &str = "A-1";

/// An order of some units: the order service writes it, the inventory gives the units, both or neither.
pub(super) fn place(gid: &str, pattern: &str, quantity: u32) -> String {
    let payload = format!(r#"{{"sku": "{SKU}", "quantity": {quantity}}}"#);
    format!(
        r#"{{"gid": "{gid}", "pattern": "{pattern}", "branches": [
  {{"id": "stock", "url": "inventory:/stock/branch", "payload": {payload}}},
  {{"id": "order", "url": "order:/orders/branch", "payload": {payload}}}]}}"#
    )
}

/// Units that come in.
pub(super) fn stock(quantity: u64) -> String {
    format!(r#"{{"sku": "{SKU}", "quantity": {quantity}}}"#)
}

/// The inventory's next calls fail.
pub(super) fn flaky(calls: u32) -> String {
    format!(r#"{{"error_rate": 1.0, "remaining": {calls}}}"#)
}

/// Every call of the inventory takes this long.
pub(super) fn slow(millis: u32) -> String {
    format!(r#"{{"delay_ms": {millis}}}"#)
}

/// The command that posts `body`; `wait` asks for the answer once the transaction has settled.
pub(super) fn curl(url: &str, body: &str, wait: Option<u32>) -> String {
    let mut command = format!("curl -s {url} -H 'content-type: application/json'");
    if let Some(seconds) = wait {
        let _ = write!(command, " -H 'prefer: wait={seconds}'");
    }
    let _ = write!(command, " -d '{body}'");
    command
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use trine_protocol::v1::CreateTransaction;

    use super::*;

    #[test]
    fn an_order_is_a_document_of_the_api() {
        for pattern in ["tcc", "saga", "two_phase"] {
            let body = place("tour-x-1", pattern, 2);
            let parsed: CreateTransaction = serde_json::from_str(&body).unwrap();
            assert_eq!((parsed.pattern.as_str(), parsed.branches.len()), (pattern, 2));
        }
    }

    #[test]
    fn a_command_can_be_pasted() {
        expect![[r#"
            curl -s http://h:1/v1/transactions -H 'content-type: application/json' -H 'prefer: wait=10' -d '{"gid": "t-1", "pattern": "tcc", "branches": [
              {"id": "stock", "url": "inventory:/stock/branch", "payload": {"sku": "A-1", "quantity": 2}},
              {"id": "order", "url": "order:/orders/branch", "payload": {"sku": "A-1", "quantity": 2}}]}'"#]]
        .assert_eq(&curl("http://h:1/v1/transactions", &place("t-1", "tcc", 2), Some(10)));
        // A quote in a body would end the shell's.
        for body in [stock(1), flaky(2), slow(3)] {
            assert!(!body.contains('\''), "{body}");
            serde_json::from_str::<serde_json::Value>(&body).unwrap();
        }
    }
}
