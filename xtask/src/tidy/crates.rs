//! Who may depend on whom, among our crates; and what the engine may use from outside.
//!
//! The rules read `cargo metadata`, so renamed, inherited and target-specific dependencies are all seen. Development
//! dependencies are free: tests may use any crate of ours.

use serde_json::Value;

use super::Problem;
use super::tree::Tree;

/// What one crate may depend on.
struct Rule {
    package: &'static str,
    /// Crates of ours it may use.
    ours: &'static [&'static str],
    /// Crates of ours it may use only through a feature: (crate, feature).
    behind: &'static [(&'static str, &'static str)],
    /// Crates of others it may use; `None` means any.
    others: Option<&'static [&'static str]>,
}

const RULES: [Rule; 13] = [
    Rule { package: "trine-protocol", ours: &[], behind: &[], others: None },
    Rule { package: "trine-engine", ours: &["trine-protocol"], behind: &[], others: Some(&["thiserror"]) },
    Rule { package: "trine-sdk", ours: &["trine-protocol"], behind: &[], others: None },
    Rule { package: "trine-clock", ours: &["trine-engine", "trine-protocol"], behind: &[], others: None },
    Rule {
        package: "trine-store",
        ours: &["trine-clock", "trine-engine", "trine-protocol"],
        behind: &[],
        others: None,
    },
    Rule {
        package: "trine-dispatch",
        ours: &["trine-clock", "trine-engine", "trine-protocol"],
        behind: &[],
        others: None,
    },
    Rule {
        package: "trine-server",
        ours: &["trine-clock", "trine-dispatch", "trine-engine", "trine-protocol", "trine-store"],
        behind: &[],
        others: None,
    },
    Rule {
        package: "trine-cli",
        ours: &["trine-clock", "trine-protocol", "trine-server", "trine-store"],
        behind: &[("trine-participants", "demo")],
        others: None,
    },
    Rule { package: "trine-participants", ours: &["trine-protocol", "trine-sdk"], behind: &[], others: None },
    Rule { package: "trine-examples", ours: &["trine-participants", "trine-sdk"], behind: &[], others: None },
    Rule { package: "trine-sim", ours: &["trine-engine", "trine-protocol"], behind: &[], others: None },
    Rule { package: "trine-testkit", ours: &[], behind: &[], others: None },
    Rule { package: "xtask", ours: &[], behind: &[], others: None },
];

/// Checks the members that `cargo metadata` reports.
pub(super) fn check(metadata: &Value, tree: &Tree) -> Result<Vec<Problem>, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let members: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let path = package["manifest_path"].as_str().unwrap_or_default();
        let manifest = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let text = tree.text(manifest).unwrap_or_default();
        let Some(rule) = RULES.iter().find(|rule| rule.package == name) else {
            let remedy = "say in DESIGN terms what it may use: a row in xtask/src/tidy/crates.rs";
            problems.push(Problem::new(manifest, 1, format!("no dependency rule for `{name}`"), remedy));
            continue;
        };
        for (dependency, what) in violations(rule, package, &members) {
            let remedy =
                "keep to the table in xtask/src/tidy/crates.rs, or move the code to where it may live";
            problems.push(Problem::new(manifest, line_of(text, &dependency), what, remedy));
        }
        if !text.contains("[lints]\nworkspace = true") {
            let remedy = "add `[lints]` with `workspace = true`";
            problems.push(Problem::new(manifest, 1, "the workspace's lints are not inherited", remedy));
        }
    }
    Ok(problems)
}

/// Dependencies of `package` that `rule` does not allow, each with what is wrong.
fn violations(rule: &Rule, package: &Value, members: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let normal = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"] != "dev");
    for dependency in normal {
        let name = dependency["name"].as_str().unwrap_or_default();
        let user = rule.package;
        if !members.contains(&name) {
            if rule.others.is_some_and(|allowed| !allowed.contains(&name)) {
                found.push((name.to_owned(), format!("`{user}` uses `{name}` from outside")));
            }
            continue;
        }
        if rule.ours.contains(&name) {
            continue;
        }
        match rule.behind.iter().find(|(behind, _)| *behind == name) {
            None => found.push((name.to_owned(), format!("`{user}` depends on `{name}`"))),
            Some(_) if dependency["optional"] != true => {
                found.push((name.to_owned(), format!("`{user}` depends on `{name}` without being asked to")));
            }
            Some((_, feature)) => {
                for other in features_enabling(package, name).filter(|other| other != feature) {
                    found.push((other.to_owned(), format!("feature `{other}` of `{user}` enables `{name}`")));
                }
            }
        }
    }
    found
}

/// Features of `package` that turn on its optional dependency `name`.
fn features_enabling<'a>(package: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    let (explicit, through) = (format!("dep:{name}"), format!("{name}/"));
    let features = package["features"].as_object().into_iter().flatten();
    features
        .filter(move |(_, enables)| {
            let mut enables = enables.as_array().into_iter().flatten().filter_map(Value::as_str);
            enables.any(|enabled| enabled == explicit || enabled.starts_with(&through))
        })
        .map(|(feature, _)| feature.as_str())
}

fn line_of(manifest: &str, key: &str) -> usize {
    let position = manifest
        .lines()
        .position(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', ' ', '='])));
    position.map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MANIFEST: &str = "[package]\n[lints]\nworkspace = true\n[dependencies]\ntokio.workspace = true\n";

    /// What tidy says about one crate with these dependencies and features.
    fn problems(package: &str, dependencies: Value, features: Value) -> Vec<String> {
        let mut packages: Vec<Value> = RULES
            .iter()
            .filter(|rule| rule.package != package)
            .map(|rule| json!({"name": rule.package, "manifest_path": "/w/other/Cargo.toml", "dependencies": []}))
            .collect();
        packages.push(json!({
            "name": package, "manifest_path": "/w/this/Cargo.toml", "dependencies": dependencies, "features": features,
        }));
        let tree = Tree::of(&[("this/Cargo.toml", MANIFEST), ("other/Cargo.toml", MANIFEST)]);
        let metadata = json!({"packages": packages, "workspace_root": "/w"});
        check(&metadata, &tree).unwrap().iter().map(ToString::to_string).collect()
    }

    fn normal(name: &str) -> Value {
        json!([{"name": name, "kind": null, "optional": false}])
    }

    #[test]
    fn each_forbidden_edge_is_caught() {
        for (package, dependency) in [
            ("trine-protocol", "trine-engine"),
            ("trine-engine", "trine-sdk"),
            ("trine-sdk", "trine-engine"),
            ("trine-store", "trine-dispatch"),
            ("trine-dispatch", "trine-store"),
            ("trine-server", "trine-sdk"),
            ("trine-participants", "trine-cli"),
            ("trine-examples", "trine-cli"),
            ("trine-sim", "trine-cli"),
            ("xtask", "trine-protocol"),
        ] {
            let found = problems(package, normal(dependency), json!({}));
            assert_eq!(found.len(), 1, "{package} -> {dependency}: {found:?}");
            assert!(found[0].contains(&format!("`{package}` depends on `{dependency}`")), "{found:?}");
        }
    }

    #[test]
    fn the_engine_may_use_thiserror_and_nothing_else_from_outside() {
        assert_eq!(problems("trine-engine", normal("thiserror"), json!({})), [""; 0]);
        let found = problems("trine-engine", normal("tokio"), json!({}));
        assert!(
            found[0].starts_with("this/Cargo.toml:5: `trine-engine` uses `tokio` from outside"),
            "{found:?}"
        );
    }

    #[test]
    fn development_dependencies_are_free() {
        let dev = json!([{"name": "trine-cli", "kind": "dev", "optional": false}]);
        assert_eq!(problems("trine-sdk", dev, json!({})), [""; 0]);
    }

    #[test]
    fn the_command_line_reaches_participants_through_demo_only() {
        let optional = json!([{"name": "trine-participants", "kind": null, "optional": true}]);
        let demo = json!({"default": ["demo"], "demo": ["dep:trine-participants"]});
        assert_eq!(problems("trine-cli", optional.clone(), demo), [""; 0]);

        let other = json!({"extra": ["dep:trine-participants"]});
        let found = problems("trine-cli", optional, other);
        assert!(
            found[0].contains("feature `extra` of `trine-cli` enables `trine-participants`"),
            "{found:?}"
        );

        let found = problems("trine-cli", normal("trine-participants"), json!({}));
        assert!(found[0].contains("without being asked to"), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_rule_or_without_the_lints_is_caught() {
        let metadata = json!({"workspace_root": "/w", "packages": [
            {"name": "surprise", "manifest_path": "/w/s/Cargo.toml", "dependencies": []},
            {"name": "xtask", "manifest_path": "/w/x/Cargo.toml", "dependencies": []},
        ]});
        let tree = Tree::of(&[("s/Cargo.toml", MANIFEST), ("x/Cargo.toml", "[package]\n")]);
        let found = check(&metadata, &tree).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].what.contains("no dependency rule for `surprise`"));
        assert!(found[1].what.contains("lints"));
    }
}
