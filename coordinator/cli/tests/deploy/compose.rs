//! `docker-compose.yml` as compose understands it, as far as the tests ask: merge keys are resolved, variables have their
//! defaults.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{nginx_upstreams, read};

/// The file.
pub(super) struct Compose {
    whole: Value,
}

/// One service of it.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    keys: &'a Map<String, Value>,
}

impl Compose {
    pub(super) fn read() -> Self {
        let whole: Value = serde_saphyr::from_str(&read("docker-compose.yml")).expect("the file is YAML");
        Self { whole: interpolated(&whole) }
    }

    pub(super) fn services(&self) -> Vec<Service<'_>> {
        let services = self.whole["services"].as_object().expect("there are services");
        services
            .iter()
            .map(|(name, keys)| Service { name, keys: keys.as_object().expect("a service has keys") })
            .collect()
    }

    pub(super) fn service(&self, name: &str) -> Service<'_> {
        let found = self.services().into_iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("there is no service {name}"))
    }

    /// The coordinators, by name.
    pub(super) fn coordinators(&self) -> Vec<Service<'_>> {
        let serves = |service: &Service<'_>| service.words("command").first().is_some_and(|w| w == "serve");
        self.services().into_iter().filter(serves).collect()
    }

    pub(super) fn has_volume(&self, name: &str) -> bool {
        self.whole["volumes"].as_object().is_some_and(|volumes| volumes.contains_key(name))
    }
}

impl<'a> Service<'a> {
    pub(super) fn get(self, key: &str) -> &'a Value {
        self.keys.get(key).unwrap_or(&Value::Null)
    }

    /// A list of words, such as a command.
    pub(super) fn words(self, key: &str) -> Vec<String> {
        words(self.get(key))
    }

    /// The flag's value in the command, written either way.
    pub(super) fn flag(self, flag: &str) -> Option<String> {
        let words = self.words("command");
        let joined = words.iter().find_map(|word| word.strip_prefix(&format!("{flag}=")).map(str::to_owned));
        joined
            .or_else(|| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1).cloned()))
    }

    /// Services it waits for until they are healthy.
    pub(super) fn waits_for(self) -> BTreeSet<&'a str> {
        let depends = self.get("depends_on").as_object();
        let healthy = |(name, how): (&'a String, &'a Value)| {
            assert_eq!(how["condition"], "service_healthy", "{} on {name}", self.name);
            name.as_str()
        };
        depends.into_iter().flatten().map(healthy).collect()
    }

    /// The port it listens on inside the network.
    pub(super) fn port(self) -> u16 {
        if let Some(addr) = self.flag("--http") {
            let port = addr.strip_prefix("0.0.0.0:").unwrap_or_else(|| panic!("{addr} reaches nobody"));
            return port.parse().expect("a port");
        }
        let image = self.get("image").as_str().unwrap_or_default();
        match image.split(':').next() {
            Some("postgres") => 5432,
            Some("mysql") => 3306,
            Some("nginx") => nginx_listens(),
            _ => panic!("nobody knows where {} listens", self.name),
        }
    }

    /// Every string of it.
    pub(super) fn strings(self) -> Vec<&'a str> {
        let mut found = Vec::new();
        self.keys.values().for_each(|value| collect(value, &mut found));
        found
    }

    /// Addresses of services that it is told: name and port.
    pub(super) fn addresses(self, compose: &Compose) -> BTreeSet<(String, u16)> {
        let mut found = BTreeSet::new();
        for service in compose.services() {
            let prefix = format!("{}:", service.name);
            for text in self.strings() {
                let named = text.match_indices(&prefix);
                for (at, _) in named.filter(|(at, _)| text[..*at].ends_with(['@', '/'])) {
                    let rest = &text[at + prefix.len()..];
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    if let Ok(port) = digits.parse() {
                        found.insert((service.name.to_owned(), port));
                    }
                }
            }
        }
        if self.get("image").as_str().is_some_and(|image| image.starts_with("nginx")) {
            found.extend(nginx_upstreams().into_iter().flatten());
        }
        found
    }
}

fn nginx_listens() -> u16 {
    let config = read("deploy/nginx.conf");
    let port = config.split("listen ").nth(1).and_then(|rest| rest.split(';').next());
    port.and_then(|port| port.parse().ok()).expect("nginx listens on a port")
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|word| word.as_str().expect("words are strings").to_owned()).collect()
}

fn collect<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(values) => values.values().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// With every variable replaced by its default.
fn interpolated(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(defaults(text)),
        Value::Array(values) => values.iter().map(interpolated).collect(),
        Value::Object(values) => {
            values.iter().map(|(key, value)| (key.clone(), interpolated(value))).collect()
        }
        other => other.clone(),
    }
}

/// `${NAME:-default}` is the only form that is used; `$$` is a dollar.
fn defaults(text: &str) -> String {
    let Some((before, after)) = text.split_once('$') else { return text.to_owned() };
    if let Some(rest) = after.strip_prefix('$') {
        return format!("{before}${}", defaults(rest));
    }
    let inner = after.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let (variable, rest) = inner.unwrap_or_else(|| panic!("a variable without braces in `{text}`"));
    let (_, default) =
        variable.split_once(":-").unwrap_or_else(|| panic!("the variable `{variable}` has no default"));
    format!("{before}{default}{}", defaults(rest))
}

#[test]
fn variables_are_read_as_compose_reads_them() {
    assert_eq!(defaults("a ${B:-c}:${D:-1.2} $$E"), "a c:1.2 $E");
    assert!(std::panic::catch_unwind(|| defaults("${B}")).is_err());
    assert!(std::panic::catch_unwind(|| defaults("$B")).is_err());
}
