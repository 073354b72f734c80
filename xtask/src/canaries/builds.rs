//! Checks in seconds that every canary builds. Canaries that touch different functions are built together; if the build fails, the
//! group is halved until the broken ones are found. A good result is remembered by a fingerprint of the sources.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use super::place::{self, CRATES, FILES, Place, position};
use super::table::Canary;
use crate::run;

/// Lines of the compiler's output that are shown for one canary.
const SHOWN_LINES_MAX: usize = 12;

/// Fails when a canary is stale or does not build, and names each that does so.
pub(super) fn check(root: &Path, canaries: &[&Canary]) -> Result<(), String> {
    let stamp = run::target_directory(root)?.join("canaries/builds.ok");
    let found = fingerprint(root, canaries)?;
    if fs::read_to_string(&stamp).is_ok_and(|known| known == found) {
        return Ok(());
    }
    let (mut placed, mut bad) = (Vec::new(), Vec::new());
    for canary in canaries {
        match Placed::find(root, canary)? {
            Ok(here) => placed.push(here),
            Err(stale) => bad.push(format!("{}: {stale}", canary.breaks)),
        }
    }
    let place = Place::prepare(root, "builds")?;
    let mut compile = |group: &[&Canary]| place.with(group, Place::check);
    if let Some(said) = compile(&[])? {
        return Err(format!("the engine does not build without any canary:\n{said}"));
    }
    let groups = groups(&placed);
    for group in &groups {
        for (canary, said) in broken(group, &mut compile)? {
            bad.push(format!("{}: does not build:\n{}", canary.breaks, head(&said)));
        }
    }
    if !bad.is_empty() {
        return Err(format!(
            "{} of {} canaries are no canaries any more\n{}",
            bad.len(),
            canaries.len(),
            bad.join("\n")
        ));
    }
    println!("canaries: {} build, in {} groups", canaries.len(), groups.len());
    place::write(&stamp, &found)
}

/// A canary, and the function it touches.
struct Placed<'a> {
    canary: &'a Canary,
    function: usize,
}

impl<'a> Placed<'a> {
    fn find(root: &Path, canary: &'a Canary) -> Result<Result<Self, String>, String> {
        let text = place::read(&root.join(canary.file))?;
        Ok(position(&text, canary).map(|at| Self { canary, function: function_at(&text, at) }))
    }

    fn meets(&self, other: &Self) -> bool {
        self.canary.file == other.canary.file && self.function == other.function
    }
}

/// Where the function around `at` begins, as far as lines tell.
fn function_at(text: &str, at: usize) -> usize {
    let is_head = |line: &str| {
        let line = line.trim_start();
        !line.starts_with("//") && line.split(' ').take(4).any(|word| word == "fn")
    };
    let mut lines = text.split_inclusive('\n').scan(0, |offset, line| {
        let begins = *offset;
        *offset += line.len();
        Some((begins, line))
    });
    let mut head = 0;
    while let Some((begins, line)) = lines.next().filter(|(begins, _)| *begins <= at) {
        if is_head(line) {
            head = begins;
        }
    }
    head
}

/// Groups by first fit, such that no two canaries of a group touch the same function: one could hide the error of the
/// other.
fn groups<'a>(placed: &[Placed<'a>]) -> Vec<Vec<&'a Canary>> {
    let mut groups: Vec<Vec<&Placed<'a>>> = Vec::new();
    for here in placed {
        match groups.iter_mut().find(|group| !group.iter().any(|other| other.meets(here))) {
            Some(group) => group.push(here),
            None => groups.push(vec![here]),
        }
    }
    groups.into_iter().map(|group| group.into_iter().map(|here| here.canary).collect()).collect()
}

/// The canaries of a group that do not build, each with the compiler's output.
fn broken<'a>(
    group: &[&'a Canary],
    compile: &mut impl FnMut(&[&'a Canary]) -> Result<Option<String>, String>,
) -> Result<Vec<(&'a Canary, String)>, String> {
    let Some(said) = compile(group)? else { return Ok(Vec::new()) };
    if let [canary] = group {
        return Ok(vec![(*canary, said)]);
    }
    let (left, right) = group.split_at(group.len() / 2);
    let mut found = broken(left, compile)?;
    found.extend(broken(right, compile)?);
    Ok(found)
}

fn head(said: &str) -> String {
    said.lines().take(SHOWN_LINES_MAX).map(|line| format!("    {line}\n")).collect()
}

/// Changes when a source of the copy or a canary changes.
fn fingerprint(root: &Path, canaries: &[&Canary]) -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    for canary in canaries {
        (canary.breaks, canary.file, canary.replace, canary.with).hash(&mut hasher);
    }
    for name in FILES {
        place::read(&root.join(name))?.hash(&mut hasher);
    }
    for name in CRATES {
        hash_directory(&root.join(name), &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash_directory(path: &Path, hasher: &mut impl Hasher) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot)? {
        entries.push(entry.map_err(cannot)?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        entry.file_name().hash(hasher);
        if entry.file_type().map_err(cannot)?.is_dir() {
            hash_directory(&entry.path(), hasher)?;
        } else {
            fs::read(entry.path()).map_err(cannot)?.hash(hasher);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn canary(breaks: &'static str) -> Canary {
        Canary { law: "", breaks, file: "a.rs", replace: "x", with: "y" }
    }

    const FIVE: [Canary; 5] = [canary("0"), canary("1"), canary("2"), canary("3"), canary("4")];

    #[test]
    fn canaries_that_do_not_build_are_named_wherever_they_are_in_their_group() {
        let all: Vec<&Canary> = FIVE.iter().collect();
        for bad in [&[][..], &["0"], &["4"], &["1", "2"], &["0", "1", "2", "3", "4"]] {
            let mut compile = |group: &[&Canary]| {
                let said: Vec<&str> =
                    group.iter().map(|canary| canary.breaks).filter(|it| bad.contains(it)).collect();
                Ok((!said.is_empty()).then(|| said.join(",")))
            };
            let found = broken(&all, &mut compile).unwrap();
            let names: Vec<&str> = found.iter().map(|(canary, _)| canary.breaks).collect();
            assert_eq!(names, bad);
            assert!(found.iter().all(|(canary, said)| canary.breaks == said));
        }
    }

    #[test]
    fn canaries_of_one_function_are_in_different_groups() {
        let at = |index: usize, function| Placed { canary: &FIVE[index], function };
        let found = groups(&[at(0, 10), at(1, 10), at(2, 20), at(3, 20), at(4, 30)]);
        let names: Vec<Vec<&str>> =
            found.iter().map(|group| group.iter().map(|canary| canary.breaks).collect()).collect();
        assert_eq!(names, [vec!["0", "2", "4"], vec!["1", "3"]]);
    }

    #[test]
    fn a_position_belongs_to_the_function_that_begins_before_it() {
        let text =
            "use a;\npub(super) fn one() {\n    1\n}\n\n    fn two() {\n    // fn in words\n    2\n}\n";
        let [one, two] = ["pub(super) fn one", "    fn two"].map(|head| text.find(head).unwrap());
        assert_eq!(function_at(text, text.find("1\n").unwrap()), one);
        assert_eq!(function_at(text, text.find("2\n").unwrap()), two);
        assert_eq!(function_at(text, 3), 0);
    }
}
