//! The transactions that are measured: their shape, their bodies in the native API and in the dtm dialect, and the same calls
//! as a plan for the null coordinator.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// Pattern and number of branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One branch after the other.
    Saga(usize),
    /// A saga of four: one, then two side by side, then one.
    Graph,
    Tcc(usize),
    TwoPhase(usize),
    Message(usize),
}

/// What `options.exposure` of a saga says. `None` of an `Option<Exposure>` leaves the field out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposure {
    Auto,
    Ahead,
    Exact,
}

impl Exposure {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ahead => "ahead",
            Self::Exact => "exact",
        }
    }
}

impl Shape {
    fn pattern(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Saga(_) | Self::Graph => ("saga", &["action", "compensate"]),
            Self::Tcc(_) => ("tcc", &["try", "confirm", "cancel"]),
            Self::TwoPhase(_) => ("two_phase", &["prepare", "commit", "rollback"]),
            Self::Message(_) => ("message", &["deliver"]),
        }
    }

    pub(super) fn branches(self) -> usize {
        match self {
            Self::Graph => 4,
            Self::Saga(count) | Self::Tcc(count) | Self::TwoPhase(count) | Self::Message(count) => count,
        }
    }

    pub(super) fn is_saga(self) -> bool {
        matches!(self, Self::Saga(_) | Self::Graph)
    }

    /// How many calls are made side by side, round after round, when nobody refuses.
    fn rounds(self) -> Vec<usize> {
        match self {
            Self::Saga(count) => vec![1; count],
            Self::Graph => vec![1, 2, 1],
            Self::Tcc(count) | Self::TwoPhase(count) => vec![count, count],
            Self::Message(count) => vec![count],
        }
    }

    /// The path at the null coordinator.
    pub(super) fn null_path(self) -> String {
        let rounds: Vec<String> = self.rounds().iter().map(usize::to_string).collect();
        format!("/{}", rounds.join(","))
    }

    /// The body of `POST /v1/transactions`, with all branches at one participant.
    pub(super) fn native(self, participant: &str, exposure: Option<Exposure>, payload: &Value) -> Value {
        let (pattern, ops) = self.pattern();
        let mut options = json!({"retry": {"initial": "200ms", "max_interval": "1s", "max_attempts": 1000}});
        if !matches!(self, Self::Message(_)) {
            options["deadline"] = json!("10m");
        }
        if let Some(exposure) = exposure.filter(|_| self.is_saga()) {
            options["exposure"] = json!(exposure.as_str());
        }
        let branches = (1..=self.branches()).map(|number| {
            let mut branch = json!({"id": format!("b{number}"), "payload": payload});
            for op in ops {
                branch[*op] = json!(format!("{participant}/b{number}/{op}"));
            }
            if self == Self::Graph {
                let after: &[&str] = [&[][..], &["b1"], &["b1"], &["b2", "b3"]][number - 1];
                branch["after"] = json!(after);
            }
            branch
        });
        let branches: Vec<Value> = branches.collect();
        json!({"pattern": pattern, "labels": {"customer": "7"}, "options": options, "branches": branches})
    }

    /// The body of `POST /api/dtmsvr/submit`. Only sagas in sequence and messages are one request in the dialect.
    pub(super) fn dtm(self, participant: &str, payload: &Value, waited: bool) -> Option<Value> {
        let (kind, ops): (_, &[&str]) = match self {
            Self::Saga(_) => ("saga", &["action", "compensate"]),
            Self::Message(_) => ("msg", &["action"]),
            Self::Graph | Self::Tcc(_) | Self::TwoPhase(_) => return None,
        };
        let steps = (1..=self.branches()).map(|number| {
            let urls =
                ops.iter().map(|op| ((*op).to_owned(), json!(format!("{participant}/b{number}/{op}"))));
            Value::Object(urls.collect())
        });
        let steps: Vec<Value> = steps.collect();
        let payloads = vec![payload.to_string(); self.branches()];
        Some(json!({
            "gid": "%GID%", "trans_type": kind, "protocol": "http", "wait_result": waited, "steps": steps, "payloads": payloads,
        }))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph => f.write_str("graph of 4"),
            Self::Saga(1) | Self::Tcc(1) | Self::TwoPhase(1) | Self::Message(1) => {
                f.write_str(self.pattern().0)
            }
            _ => write!(f, "{} of {}", self.pattern().0, self.branches()),
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    /// `saga:5`, `tcc:2`, `graph`, `message` (of one).
    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, count) = text.split_once(':').unwrap_or((text, "1"));
        let count: usize =
            count.parse().ok().filter(|count| (1..=50).contains(count)).ok_or("1 to 50 branches")?;
        match pattern {
            "saga" => Ok(Self::Saga(count)),
            "graph" if count == 1 => Ok(Self::Graph),
            "tcc" => Ok(Self::Tcc(count)),
            "two_phase" => Ok(Self::TwoPhase(count)),
            "message" => Ok(Self::Message(count)),
            _ => Err("one of saga:N, graph, tcc:N, two_phase:N, message:N".to_owned()),
        }
    }
}

/// The payload of the benchmark's branches.
pub(super) fn payload() -> Value {
    json!({"sku": "A-1", "quantity": 2})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_read_and_named() {
        for (text, name) in
            [("saga:5", "saga of 5"), ("graph", "graph of 4"), ("tcc:2", "tcc of 2"), ("message", "message")]
        {
            assert_eq!(text.parse::<Shape>().unwrap().to_string(), name);
        }
        for text in ["saga:0", "saga:x", "graph:2", "job:1"] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_null_coordinator_makes_as_many_calls_as_the_pattern_does() {
        for (shape, path) in [
            (Shape::Saga(2), "/1,1"),
            (Shape::Graph, "/1,2,1"),
            (Shape::Tcc(2), "/2,2"),
            (Shape::TwoPhase(3), "/3,3"),
            (Shape::Message(1), "/1"),
        ] {
            assert_eq!(shape.null_path(), path);
        }
    }

    #[test]
    fn each_branch_has_the_targets_of_its_pattern() {
        let body = Shape::Tcc(2).native("http://p", None, &payload());
        assert_eq!(body["branches"][1]["confirm"], "http://p/b2/confirm");
        assert_eq!(body["branches"][1]["payload"]["sku"], "A-1");
        let body = Shape::Graph.native("http://p", None, &payload());
        assert_eq!(
            (&body["branches"][0]["after"], &body["branches"][3]["after"]),
            (&json!([]), &json!(["b2", "b3"]))
        );
    }

    #[test]
    fn only_sagas_state_an_exposure() {
        let exposure = |shape: Shape| {
            shape.native("http://p", Some(Exposure::Ahead), &payload())["options"]["exposure"].clone()
        };
        assert_eq!(exposure(Shape::Saga(2)), "ahead");
        assert_eq!(exposure(Shape::Tcc(2)), Value::Null);
    }

    #[test]
    fn the_dialect_has_sagas_and_messages_in_one_request() {
        let body = Shape::Saga(2).dtm("http://p", &payload(), true).unwrap();
        assert_eq!(body["steps"][1]["compensate"], "http://p/b2/compensate");
        assert_eq!(
            (&body["payloads"][0], &body["wait_result"]),
            (&json!(payload().to_string()), &json!(true))
        );
        assert!(Shape::Tcc(2).dtm("http://p", &payload(), true).is_none());
    }
}
