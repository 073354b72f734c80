//! Layers, messages and secrets, and whether the documents are right. No test here uses the environment.

use expect_test::expect_file;

use super::keys::{DefaultValue, KEYS, OTHER_VARIABLES};
use super::*;

fn file(text: &str) -> Sources {
    Sources { file: Some(FileText { name: "trine.toml".into(), text: text.into() }), ..Sources::default() }
}

fn variables(pairs: &[(&str, &str)]) -> Sources {
    let variables = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Sources { variables, ..Sources::default() }
}

fn error(sources: &Sources) -> String {
    Config::load(sources).map(|config| panic!("accepted: {config:?}")).unwrap_err().to_string()
}

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

#[test]
fn a_key_without_a_value_has_the_default_of_the_crate_that_uses_it() {
    let config = Config::defaults();
    assert_eq!(config.dispatch_options(), dispatch::Options::DEFAULT);
    let shard = ShardOptions { refresh_after_ms: Some(5_000), ..ShardOptions::DEFAULT };
    assert_eq!(config.runtime_options().shard, shard);
    let (store, alone) = (config.store_options(), store::Options::new("memory:", "a"));
    assert_eq!(
        (store.lanes, store.lapse_after_ms, store.timeout_ms),
        (alone.lanes, alone.lapse_after_ms, alone.timeout_ms)
    );
}

#[test]
fn the_page_of_the_configuration_has_the_table_of_all_keys() {
    let page = std::fs::read_to_string(format!("{DOCS}/configuration.md")).unwrap();
    let (words, _) = page.split_once("| Key |").unwrap();
    // With UPDATE_EXPECT=1 the page is written.
    expect_file![format!("{DOCS}/configuration.md")].assert_eq(&format!("{words}{}", reference_markdown()));
}

/// Documents write `` `store.lapse_after` (10 s)``.
#[test]
fn documents_that_state_a_default_state_the_one_that_holds() {
    let mut stated = 0;
    for page in ["api", "concepts", "dtm", "operating", "errors/TX0020", "errors/TX0022"] {
        let text = std::fs::read_to_string(format!("{DOCS}/{page}.md")).unwrap();
        for key in KEYS {
            for said in text.split(&format!("`{}` (", key.name)).skip(1) {
                let said: String = said.chars().take_while(|c| !matches!(c, ',' | ';' | ')')).collect();
                let digits: String = said.chars().filter(char::is_ascii_digit).collect();
                let Ok(number) = digits.parse::<u64>() else { continue };
                let unit = said.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
                let number = match unit.split(' ').next().unwrap_or_default() {
                    "GiB" => number << 30,
                    "MiB" => number << 20,
                    "s" => number * 1_000,
                    _ => number,
                };
                let holds = match key.default {
                    DefaultValue::Count(count) => count as u64 == number,
                    DefaultValue::Millis(millis) => millis == number,
                    DefaultValue::Text(text) => text.contains(&digits),
                };
                assert!(holds, "{page}.md says `{}` ({said}); the default is {}", key.name, key.default);
                stated += 1;
            }
        }
    }
    assert!(stated > 15, "{stated}");
}

#[test]
fn flags_override_variables_override_the_file_overrides_defaults() {
    let mut sources = file("name = \"a\"\n[http]\naddr = \"a:1\"\nheader_timeout = \"1s\"\n");
    sources.variables = vec![("TRINE_HTTP_ADDR".into(), "b:2".into()), ("TRINE_NAME".into(), "b".into())];
    sources.flags = vec![Flag { flag: "--http", key: "http.addr", value: "c:3".into() }];
    let config = Config::load(&sources).unwrap();
    assert_eq!((config.http.addr.as_str(), config.name.as_str()), ("c:3", "b"));
    assert_eq!(config.http.header_timeout, HumanDuration::from_millis(1_000));
    let origin = |key: &str| config.origin(key).unwrap().to_string();
    assert_eq!(origin("http.addr"), "flag --http");
    assert_eq!(origin("name"), "variable TRINE_NAME");
    assert_eq!(origin("http.header_timeout"), "trine.toml:4");
    assert_eq!(origin("log.filter"), "default");
}

#[test]
fn a_listener_for_grpc_may_be_left_out() {
    for off in ["off", ""] {
        let flag = Flag { flag: "--grpc", key: "grpc.addr", value: off.into() };
        let config = Config::load(&Sources { flags: vec![flag], ..Sources::default() }).unwrap();
        assert_eq!(config.grpc.listens(), None);
    }
    assert_eq!(Config::load(&file("[grpc]\naddr = \"a:1\"")).unwrap().grpc.listens(), Some("a:1"));
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let mut names: Vec<_> = KEYS.iter().map(keys::Key::variable).collect();
    names.extend(OTHER_VARIABLES.map(str::to_owned));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    for key in KEYS {
        let config = Config::load(&variables(&[(&key.variable(), &key.default.to_string())])).unwrap();
        assert_eq!(config.origin(key.name), Some(&Origin::Variable(key.variable())));
    }
}

#[test]
fn text_that_looks_like_a_number_or_a_boolean_stays_text() {
    for text in ["12345", "true", "0x10", "1e3", "2026-01-31"] {
        let config = Config::load(&variables(&[("TRINE_NAME", text)])).unwrap();
        assert_eq!(config.name, text);
        let url = format!("sqlite:{text}");
        assert_eq!(Config::load(&variables(&[("TRINE_STORE_URL", &url)])).unwrap().store.url.expose(), url);
    }
    let config = Config::load(&variables(&[("TRINE_HTTP_CONNECTIONS_MAX", " 10_000 ")])).unwrap();
    assert_eq!(config.http.connections_max, 10_000);
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_key() {
    for (text, expected) in [
        (
            "[http]\naddr = \"a:1\"\n\nadr = 1",
            "trine.toml:4: unknown key `http.adr`; did you mean `http.addr`?",
        ),
        ("nam = \"x\"", "trine.toml:1: unknown key `nam`; did you mean `name`?"),
        ("[htpp]\naddr = \"x\"", "trine.toml:2: unknown key `htpp.addr`; did you mean `http.addr`?"),
        ("[stor]", "trine.toml:1: unknown section `stor`; did you mean `store`?"),
        ("store.ulr = \"x\"", "trine.toml:1: unknown key `store.ulr`; did you mean `store.url`?"),
        (
            "[dispatch]\nper_host = 3",
            "trine.toml:2: unknown key `dispatch.per_host`; did you mean `dispatch.per_host_max`?",
        ),
    ] {
        assert_eq!(error(&file(text)), expected);
    }
}

#[test]
fn an_unknown_variable_names_the_nearest_one() {
    for (name, nearest) in [
        ("TRINE_HTTP_ADRR", "TRINE_HTTP_ADDR"),
        ("TRINE_STORE", "TRINE_STORE_URL"),
        ("TRINE_CONFG", "TRINE_CONFIG"),
        ("TRINE_HTTP_BODY_BYTES", "TRINE_HTTP_BODY_BYTES_MAX"),
    ] {
        let expected = format!("variable {name}: unknown variable `{name}`; did you mean `{nearest}`?");
        assert_eq!(error(&variables(&[(name, "x")])), expected);
    }
    let others = [("TRINE_CONFIG", "x"), ("TRINE_URL", "x"), ("PATH", "x"), ("TRINEX", "x")];
    Config::load(&variables(&others)).unwrap();
}

#[test]
fn an_unknown_flag_key_is_an_error_too() {
    let flag = Flag { flag: "--htp", key: "http.add", value: "x".into() };
    let sources = Sources { flags: vec![flag], ..Sources::default() };
    assert_eq!(error(&sources), "flag --htp: unknown key `http.add`; did you mean `http.addr`?");
}

#[test]
fn values_that_cannot_be_used_say_why() {
    for (text, expected) in [
        (
            "[dispatch]\nper_host_max = 0",
            "trine.toml:2: `dispatch.per_host_max` is 0; it must be 1 to 100000",
        ),
        ("[dispatch]\nper_host_max = \"9\"", "`dispatch.per_host_max` must be a whole number, not a string"),
        ("[http]\nheader_timeout = \"11m\"", "`http.header_timeout` is 11m; it must be 100ms to 10m"),
        (
            "[http]\nheader_timeout = 30",
            "`http.header_timeout` must be a string such as \"30s\", not a integer",
        ),
        ("[http]\nheader_timeout = \"soon\"", "`http.header_timeout` is not a duration: "),
        ("[http]\naddr = \"36789\"", "`http.addr` is \"36789\"; write host:port"),
        ("[http]\naddr = \"::1:36789\"", "`http.addr` is \"::1:36789\"; write host:port"),
        ("[http]\naddr = \"a:99999\"", "`http.addr` is \"a:99999\"; write host:port"),
        ("[http]\naddr = \"off\"", "`http.addr` is \"off\"; write host:port"),
        (
            "[grpc]\naddr = \"no\"",
            "`grpc.addr` is \"no\"; write host:port, such as 127.0.0.1:36789 or [::1]:36789, or off",
        ),
        (
            "[jobs]\nsweep = \"*/5 * * * *\"",
            "`jobs.sweep` is \"*/5 * * * *\", which is no schedule; write six fields",
        ),
        ("[jobs]\nsweep = \"\"", "which is no schedule"),
        (
            "[retention]\nsettled_after = \"0s\"",
            "`retention.settled_after` is 0s; it must be 1s to 100 years",
        ),
        ("[retention]\nsettled_after = \"no\"", "is neither \"never\" nor a duration"),
        ("[log]\nformat = \"xml\"", "`log.format` is \"xml\"; it must be one of auto, pretty, json"),
        ("[log]\nfilter = \"trine=loud\"", "`log.filter` cannot be used: "),
        ("[store]\nurl = \"trine.db\"", "`store.url` is \"trine.db\"; write sqlite:PATH, postgres://"),
        ("[store]\nurl = \"memory:x\"", "`store.url` is \"memory:x\"; write sqlite:PATH, postgres://"),
        ("[store]\nurl = \"sqlite:\"", "`store.url` names no file"),
        (
            "[store]\nurl = \"postgres:a\"",
            "`store.url` names no host; write postgres://user:password@host/database",
        ),
        (
            "[store]\nallow = \"fsync, sync\"",
            "`store.allow` names \"sync\", which is no risk; known are fsync, ",
        ),
        ("name = \"a b\"", "`name` is \"a b\"; it must be at most 64 of"),
        ("http = 3", "`http` is a section, not a integer; write [http]"),
        ("[store.url]\nx = 1", "`store.url` must be a string, not a table"),
        ("\n\n[http\n", "trine.toml:3: not TOML: "),
        ("a = 1\na = 2", "trine.toml:2: not TOML: "),
    ] {
        let error = error(&file(text));
        assert!(error.contains(expected), "{text:?}\nsays     {error}\nexpected {expected}");
        assert!(error.starts_with("trine.toml:"), "{error}");
    }
    let error = error(&variables(&[("TRINE_RUNTIME_RESIDENTS_MAX", "many")]));
    assert_eq!(
        error,
        "variable TRINE_RUNTIME_RESIDENTS_MAX: `runtime.residents_max` is not a whole number: \"many\""
    );
}

#[test]
fn a_lapse_of_fewer_than_three_heartbeats_is_refused_where_it_was_set() {
    assert_eq!(
        error(&file("[store]\nlapse_after = \"5s\"")),
        "trine.toml:2: `store.lapse_after` is 5s; it must be at least three times `store.heartbeat_every`, which is 2s: \
         6s or more"
    );
    assert_eq!(
        error(&variables(&[("TRINE_STORE_HEARTBEAT_EVERY", "4s")])),
        "variable TRINE_STORE_HEARTBEAT_EVERY: `store.heartbeat_every` is 4s; it must be at most a third of \
         `store.lapse_after`, which is 10s"
    );
    Config::load(&file("[store]\nlapse_after = \"6s\"")).unwrap();
}

#[test]
fn every_problem_is_reported_at_once() {
    let mut sources = file("x = 1\n[http]\naddr = 1\n");
    sources.variables = vec![("TRINE_Y".into(), "1".into())];
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(error.problems().len(), 3);
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn keeping_for_ever_has_no_limit() {
    let config = Config::load(&file("[retention]\nsettled_after = \"never\"")).unwrap();
    assert_eq!(config.retention_ms(), None);
    let config = Config::load(&file("[retention]\nsettled_after = \"10years\"")).unwrap();
    assert!(config.retention_ms() > Some(9 * 365 * 24 * 60 * 60 * 1_000));
}

#[test]
fn the_effective_configuration_can_be_loaded_again() {
    let config = Config::load(&file("name = \"a\"\n[retention]\nsettled_after = \"never\"")).unwrap();
    let text = config.effective_toml();
    assert!(text.contains("name = \"a\"  # trine.toml:1\n"), "{text}");
    assert!(text.contains("\n[http]\naddr = \"127.0.0.1:36789\"  # default\n"), "{text}");
    let again = Config::load(&file(&text)).unwrap();
    assert_eq!(toml::Table::try_from(&again).unwrap(), toml::Table::try_from(&config).unwrap());
}

#[test]
fn secrets_appear_nowhere() {
    let url = "sqlite://joe:hunter2@db/trine?password=hunter2";
    let config = Config::load(&variables(&[("TRINE_STORE_URL", url)])).unwrap();
    assert_eq!(config.store.url.expose(), url);
    let text = config.effective_toml();
    assert!(
        text.contains("url = \"sqlite://joe:***@db/trine?password=***\"  # variable TRINE_STORE_URL"),
        "{text}"
    );
    let bad = url.replace("sqlite", "redis");
    for secret in ["hunter2@x", "x@hunter2", "x/hunter2", "hunter2?x", "x#hunter2", "p@ss#hunter2/rd?hunter2"]
    {
        for scheme in ["postgres", "mysql", "mariadb", "redis", "postgres:x"] {
            let url = format!("{scheme}://u:{secret}@h/db");
            let shown = error(&variables(&[("TRINE_STORE_URL", &url)]));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
    let unclosed = file(&format!("[store]\nurl = \"{url}\n"));
    for shown in [
        text,
        format!("{config:?}"),
        error(&variables(&[("TRINE_STORE_URL", &bad)])),
        error(&variables(&[("TRINE_STORE_URL", &url.replace("sqlite://", "mysql:"))])),
        error(&unclosed),
        format!("{unclosed:?}"),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_coordinator_has_a_name_even_if_nobody_gave_it_one() {
    assert_eq!(Config::load(&file("name = \"orders-1\"")).unwrap().coordinator_name(), "orders-1");
    let made_up = Config::defaults().coordinator_name();
    Config::load(&variables(&[("TRINE_NAME", &made_up)])).unwrap();
    assert!(made_up.contains(&std::process::id().to_string()), "{made_up}");
}

#[test]
fn the_reference_has_a_row_for_every_key() {
    let text = reference_markdown();
    assert_eq!(text.lines().count(), KEYS.len() + 2);
    for key in KEYS {
        let row = format!("| `{}` | `{}` | `", key.name, key.variable());
        assert!(text.contains(&row), "{}", key.name);
        assert!(
            key.meaning.len() > 10 && !key.meaning.ends_with('.') && !key.meaning.contains('|'),
            "{}",
            key.name
        );
    }
}
