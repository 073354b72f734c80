//! The files, held against each other and against the workspace they build.

use std::collections::BTreeSet;

use super::compose::{Compose, Service};
use super::{nginx_upstreams, read, root};

/// Stages of the Dockerfile by name: their lines.
fn stage(name: &str) -> Vec<String> {
    let dockerfile = read("Dockerfile").replace("\\\n", " ");
    let mut lines = dockerfile.lines().skip_while(|line| !is_stage(line, name));
    let first = lines.next().unwrap_or_else(|| panic!("the Dockerfile has no stage {name}"));
    let rest = lines.take_while(|line| !line.starts_with("FROM "));
    std::iter::once(first).chain(rest).map(str::to_owned).collect()
}

fn is_stage(line: &str, name: &str) -> bool {
    line.starts_with("FROM ") && line.ends_with(&format!(" AS {name}"))
}

/// The words of an instruction in JSON form, such as `ENTRYPOINT ["trine"]`.
fn json_words(lines: &[String], instruction: &str) -> Vec<String> {
    let line = lines.iter().find(|line| line.starts_with(instruction));
    let line = line.unwrap_or_else(|| panic!("no {instruction} in {lines:?}"));
    let list = line.find('[').map_or("[]", |at| &line[at..]);
    serde_json::from_str(list).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn assert_exists(service: &str, path: &str) {
    assert!(root().join(path).exists(), "{service}: there is no {path}");
}

#[test]
fn every_path_and_volume_of_the_compose_file_exists() {
    let compose = Compose::read();
    for service in compose.services() {
        for volume in service.words("volumes") {
            let source = volume.split(':').next().unwrap_or_default();
            match source.strip_prefix("./") {
                Some(path) => assert_exists(service.name, path),
                None => assert!(compose.has_volume(source), "{}: no volume {source}", service.name),
            }
        }
        if !service.get("build").is_null() {
            let context = service.get("build")["context"].as_str().expect("a context");
            assert_exists(service.name, &format!("{context}/Dockerfile"));
        }
    }
}

#[test]
fn every_service_has_a_health_check_and_waits_for_what_it_talks_to() {
    let compose = Compose::read();
    for service in compose.services() {
        let check = service.get("healthcheck");
        assert!(check["test"][1].is_string(), "{} has no health check", service.name);
        for key in ["interval", "timeout", "start_period", "retries"] {
            assert!(!check[key].is_null(), "{}: {key}", service.name);
        }
        let talks_to: BTreeSet<String> =
            service.addresses(&compose).into_iter().map(|(name, _)| name).collect();
        let waits_for = service.waits_for().into_iter().map(str::to_owned);
        let expected: BTreeSet<String> = talks_to.into_iter().filter(|name| name != service.name).collect();
        assert_eq!(waits_for.collect::<BTreeSet<_>>(), expected, "{}", service.name);
    }
}

#[test]
fn every_port_that_somebody_uses_is_the_one_listened_on() {
    let compose = Compose::read();
    let mut used = BTreeSet::new();
    for service in compose.services() {
        for (name, port) in service.addresses(&compose) {
            assert_eq!(port, compose.service(&name).port(), "{} -> {name}", service.name);
            used.insert(name);
        }
        for published in service.words("ports") {
            let inside = published.rsplit(':').next().expect("a port");
            assert_eq!(inside, service.port().to_string(), "{}: {published}", service.name);
            assert!(published.starts_with("127.0.0.1:"), "{published} is open to everybody");
        }
        for asked in health_words(service) {
            if let Some(rest) = asked.strip_prefix("http://127.0.0.1:") {
                let port = rest.split('/').next().expect("a port");
                assert_eq!(port, service.port().to_string(), "{}: {asked}", service.name);
            }
        }
    }
    let everybody: BTreeSet<String> =
        compose.services().iter().map(|service| service.name.to_owned()).collect();
    let unused: Vec<_> = everybody.difference(&used).collect();
    assert_eq!(unused.len(), 0, "nobody uses {unused:?}");
}

#[test]
fn every_database_that_somebody_opens_is_one_its_server_makes() {
    let compose = Compose::read();
    let mut opened = BTreeSet::new();
    for text in compose.services().into_iter().flat_map(Service::strings) {
        let Some(at) = text.find("mysql://").or_else(|| text.find("postgres://")) else { continue };
        let (kind, rest) = text[at..].split_once("://").expect("it was found");
        let (user, rest) = rest.split_once('@').expect("a user");
        let (server, rest) = rest.split_once('/').expect("a database");
        let server = compose.service(server.split(':').next().expect("a server"));
        let prefix = kind.to_uppercase();
        let made = |what: &str| &server.get("environment")[format!("{prefix}_{what}")];
        let database = rest.split('?').next();
        let made_db = if kind == "mysql" { made("DATABASE") } else { made("DB") };
        assert_eq!(made_db.as_str(), database, "{text}");
        let (user, password) = user.split_once(':').expect("a password");
        assert_eq!(
            (made("USER").as_str(), made("PASSWORD").as_str()),
            (Some(user), Some(password)),
            "{text}"
        );
        opened.insert(server.name);
    }
    assert_eq!(opened.len(), 3, "{opened:?}");
}

fn health_words(service: Service<'_>) -> Vec<String> {
    let test = service.get("healthcheck")["test"].as_array().into_iter().flatten();
    test.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

#[test]
fn nginx_balances_exactly_the_coordinators() {
    let compose = Compose::read();
    let coordinators: Vec<(String, u16)> =
        compose.coordinators().iter().map(|one| (one.name.to_owned(), one.port())).collect();
    assert_eq!(coordinators.len(), 3);
    let names: BTreeSet<_> = compose.coordinators().iter().map(|one| one.flag("--name")).collect();
    assert_eq!(names.len(), 3, "each coordinator has a name of its own");
    let upstreams = nginx_upstreams();
    assert_eq!(upstreams, [coordinators.clone(), coordinators]);
    let mounts = compose.service("nginx").words("volumes");
    assert_eq!(mounts, ["./deploy/nginx.conf:/etc/nginx/nginx.conf:ro"]);
}

#[test]
fn every_image_that_is_built_has_its_program_and_is_not_run_by_root() {
    let compose = Compose::read();
    let manifests = read("coordinator/cli/Cargo.toml") + &read("participants/Cargo.toml");
    let runtime = stage("runtime").join("\n");
    assert!(runtime.contains("\nUSER 10001:10001"), "{runtime}");
    assert!(
        runtime.contains("COPY --from=build /src/target/release/trine /usr/local/bin/trine"),
        "{runtime}"
    );
    let mut built = 0;
    for service in compose.services().into_iter().filter(|service| !service.get("build").is_null()) {
        built += 1;
        let target = service.get("build")["target"].as_str().expect("a target");
        let lines = stage(target);
        assert!(lines[0].starts_with("FROM runtime AS "), "{}", lines[0]);
        let entry = json_words(&lines, "ENTRYPOINT");
        let [program] = entry.as_slice() else { panic!("{entry:?}") };
        assert!(manifests.contains(&format!("name = \"{program}\"")), "no crate builds {program}");
        let copied = format!("COPY --from=build /src/target/release/{program} /usr/local/bin/{program}");
        assert!(lines.contains(&copied) || runtime.contains(&copied), "{target} lacks {program}");
        let asked = json_words(&lines, "HEALTHCHECK");
        assert_eq!(asked[..2], ["trine", "health"]);
        assert!(lines.contains(&format!("EXPOSE {}", service.port())), "{target}");
        assert!(asked.contains(&format!("http://127.0.0.1:{}", service.port())), "{asked:?}");
    }
    assert_eq!(built, 5, "three coordinators and two services");
}

#[test]
fn the_image_is_built_from_what_the_workspace_has() {
    let workspace = read("Cargo.toml");
    let members = workspace.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let members: Vec<&str> =
        members.expect("there are members").split(", ").map(|member| member.trim_matches('"')).collect();
    let (build, ignored) = (stage("build").join("\n"), read(".dockerignore"));
    let allowed: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    // A folder brings all that is in it.
    let is_copied = |member: &str| {
        let mut folders = std::path::Path::new(member).ancestors().filter_map(std::path::Path::to_str);
        folders.any(|folder| allowed.contains(folder))
    };
    for member in &members {
        assert!(build.contains(&format!("\nCOPY {member}/Cargo.toml {member}/")), "{member}");
        let manifest = format!("{member}/Cargo.toml");
        assert!(is_copied(member) || allowed.contains(manifest.as_str()), "{member} is ignored");
    }
    assert!(build.contains(&format!("for crate in {}; do", members.join(" "))), "{build}");
    // The empty programs of the crates that are copied afterwards make room for the real ones; the others stay.
    let copied: Vec<_> = members.iter().filter(|member| is_copied(member)).collect();
    let removed: Vec<_> = copied.iter().map(|member| format!("{member}/src")).collect();
    assert!(build.contains(&format!("&& rm -r {}\n", removed.join(" "))), "{build}");
    for path in &allowed {
        assert_exists(".dockerignore", path);
    }
    // Everything that is built must not be left out, and reads SQL from beside the crates.
    for needed in ["coordinator", "engine", "migrations", "participants", "protocol", "sdk"] {
        assert!(allowed.contains(needed), "{needed} is ignored");
    }
    let toolchain = read("rust-toolchain.toml");
    let release = toolchain.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next());
    let release = release.expect("the toolchain has a channel");
    assert!(build.starts_with(&format!("FROM rust:{release}-slim-trixie AS build")), "{build}");
    assert_eq!(build.matches("cargo build --release --locked ").count(), 2);
}
