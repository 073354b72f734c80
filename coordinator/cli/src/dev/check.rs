//! The check at the end of the tour: compares the databases of both services, and finds units that were lost or invented.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the inventory service says of its stock.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Stock {
    /// Can be sold.
    pub(super) available: i64,
    /// Held for an order that is not decided.
    pub(super) frozen: i64,
    /// Gone to a customer.
    pub(super) sold: i64,
    /// Ever put in.
    pub(super) stocked: i64,
    /// By SKU.
    skus: Vec<Sku>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Sku {
    sku: String,
    available: i64,
    frozen: i64,
    sold: i64,
    stocked: i64,
}

/// What the order service says of its orders.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Orders {
    /// Not decided.
    pub(super) pending: Sum,
    /// Committed.
    pub(super) confirmed: Sum,
    /// Undone.
    pub(super) cancelled: Sum,
    confirmed_by_sku: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Sum {
    /// How many orders.
    pub(super) orders: i64,
    /// How many units in them.
    pub(super) quantity: i64,
}

/// Everything that is wrong after all transactions have settled; empty when all is well. Units of every SKU must add up. Units
/// sold must be in an order for `tour_sku` alone, because people may sell the others without one.
pub(super) fn problems(stock: &Stock, orders: &Orders, tour_sku: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for one in &stock.skus {
        let Sku { sku, available, frozen, sold, stocked } = one;
        if available + frozen + sold != *stocked {
            problems.push(format!(
                "{sku}: {available} available + {frozen} frozen + {sold} sold is not {stocked} put in"
            ));
        }
        if *available < 0 || *frozen < 0 || *sold < 0 {
            problems.push(format!("{sku}: there is less than nothing of it"));
        }
        if *frozen != 0 {
            problems.push(format!("{sku}: {frozen} units are frozen for nobody"));
        }
    }
    let sold = stock.skus.iter().find(|one| one.sku == tour_sku).map_or(0, |one| one.sold);
    let confirmed = orders.confirmed_by_sku.get(tour_sku).copied().unwrap_or_default();
    if confirmed != sold {
        problems.push(format!("{tour_sku}: {sold} sold, but confirmed orders are for {confirmed}"));
    }
    if orders.pending.orders != 0 {
        problems.push(format!("{} orders are pending for ever", orders.pending.orders));
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stock(available: i64, frozen: i64, sold: i64, stocked: i64) -> Stock {
        let one =
            json!({"sku": "A-1", "available": available, "frozen": frozen, "sold": sold, "stocked": stocked});
        let mut all = one.clone();
        all["skus"] = json!([one]);
        serde_json::from_value(all).unwrap()
    }

    fn orders(pending: i64, confirmed: i64) -> Orders {
        serde_json::from_value(json!({
            "pending": {"orders": pending, "quantity": pending}, "confirmed": {"orders": 1, "quantity": confirmed},
            "cancelled": {"orders": 0, "quantity": 0}, "confirmed_by_sku": {"A-1": confirmed}
        }))
        .unwrap()
    }

    #[test]
    fn what_adds_up_is_no_problem() {
        assert_eq!(problems(&stock(5, 0, 5, 10), &orders(0, 5), "A-1"), [""; 0]);
    }

    #[test]
    fn everything_lost_or_invented_is_found() {
        for (stock, orders, word) in [
            (stock(5, 0, 4, 10), orders(0, 4), "is not 10 put in"),
            (stock(5, 1, 4, 10), orders(0, 4), "frozen for nobody"),
            (stock(5, 0, 5, 10), orders(0, 3), "confirmed orders are for 3"),
            (stock(5, 0, 5, 10), orders(1, 5), "pending for ever"),
            (stock(11, 0, -1, 10), orders(0, -1), "less than nothing"),
        ] {
            let found = problems(&stock, &orders, "A-1");
            assert!(found.len() == 1 && found[0].contains(word), "{word}: {found:?}");
        }
    }
}
