//! The result of a scenario, and its output: tables, one JSON file, curves.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::options::Options;
use super::rows::{LEGEND, Row, table};
use super::{Bench, disk, targets};
use crate::run;

/// What a scenario found.
pub(super) struct Report {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) json: Map<String, Value>,
    /// The ratio that `--min-ratio` is about.
    pub(super) ratio: Option<f64>,
    /// Requests that were not answered as expected; a figure with errors in it is not a figure.
    pub(super) errors: Vec<String>,
    /// Figures with a target, by the target's key.
    pub(super) figures: Vec<(&'static str, f64)>,
    /// Curves, in the form that `bench-draw` reads.
    pub(super) curves: Vec<Value>,
}

impl Report {
    pub(super) fn new(name: &'static str, heading: &str) -> Self {
        let text = format!("{name}: {heading}\n");
        Self {
            name,
            text,
            json: Map::new(),
            ratio: None,
            errors: Vec::new(),
            figures: Vec::new(),
            curves: Vec::new(),
        }
    }

    /// Adds a block of rows under a heading.
    pub(super) fn add_rows(&mut self, heading: &str, rows: &[Row]) {
        self.text += &format!("- {heading}\n{}", table(rows));
        self.json.insert(heading.to_owned(), rows.iter().map(Row::json).collect());
        self.errors.extend(rows.iter().flat_map(Row::errors));
    }

    /// Adds a figure with a target.
    pub(super) fn add_figure(&mut self, key: &'static str, figure: f64) {
        self.figures.push((key, figure));
    }

    pub(super) fn add_line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }
}

/// Prints the reports, and writes the JSON file and the curves.
pub(super) fn publish(bench: &Bench, reports: &[Report], options: &Options) -> Result<(), String> {
    let machine = machine(bench)?;
    let figures: Vec<(&str, f64)> =
        reports.iter().flat_map(|report| report.figures.iter().copied()).collect();
    let all = as_json(reports, &figures, &machine);
    if options.json {
        println!("{all:#}");
    } else {
        for report in reports {
            println!("{}", report.text);
        }
        println!("{LEGEND}{}", machine["words"].as_str().unwrap_or_default());
        if options.has_targets() {
            println!("\n{}", targets::table(&figures));
        }
    }
    let out = options.out.clone().unwrap_or_else(|| bench.target.join("bench"));
    fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let file = out.join("bench.json");
    fs::write(&file, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", file.display()))?;
    eprintln!("written: {}", file.display());
    draw(bench, reports, &out)
}

fn machine(bench: &Bench) -> Result<Value, String> {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let write_ms = disk::durable_write_ms(bench)?;
    let words = format!("{processors} processors; a durable write of one page takes {write_ms:.2} ms here");
    Ok(json!({
        "processors": processors, "durable_write_ms": write_ms, "rounds": bench.rounds,
        "seconds": bench.short_seconds, "store": bench.store.name(), "words": words,
    }))
}

fn as_json(reports: &[Report], figures: &[(&str, f64)], machine: &Value) -> Value {
    let scenarios: Map<String, Value> =
        reports.iter().map(|report| (report.name.to_owned(), Value::Object(report.json.clone()))).collect();
    let figures: Map<String, Value> =
        figures.iter().map(|(key, figure)| ((*key).to_owned(), json!(figure))).collect();
    json!({"machine": machine, "scenarios": scenarios, "figures": figures})
}

fn draw(bench: &Bench, reports: &[Report], out: &Path) -> Result<(), String> {
    let curves: Vec<&Value> = reports.iter().flat_map(|report| &report.curves).collect();
    if curves.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(bench.programs.join("bench-draw"));
    command.arg(out).stdin(Stdio::piped()).stdout(Stdio::null());
    let failed = |error: std::io::Error| format!("bench-draw: {error}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(json!(curves).to_string().as_bytes()).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", run::show(&command))) }
}

/// An error when requests failed or the first ratio is below the wanted one.
pub(super) fn judge(reports: &[Report], min_ratio: Option<f64>) -> Result<(), String> {
    let errors: Vec<String> = reports
        .iter()
        .flat_map(|report| report.errors.iter().map(move |error| format!("{}: {error}", report.name)))
        .collect();
    if !errors.is_empty() {
        return Err(format!("not every request was answered as expected:\n  {}", errors.join("\n  ")));
    }
    let Some(wanted) = min_ratio else { return Ok(()) };
    let Some(ratio) = reports.iter().find_map(|report| report.ratio) else {
        return Err("this scenario has no ratio to compare with --min-ratio".to_owned());
    };
    if ratio < wanted {
        Err(format!("the ratio is {ratio:.3}, at least {wanted} was asked for"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ratio: Option<f64>, errors: &[&str]) -> Report {
        let errors = errors.iter().map(ToString::to_string).collect();
        Report { ratio, errors, ..Report::new("x", "") }
    }

    #[test]
    fn a_ratio_below_the_wanted_one_fails() {
        assert!(judge(&[report(Some(0.31), &[])], Some(0.3)).is_ok());
        assert!(judge(&[report(Some(0.29), &[])], Some(0.3)).is_err());
        assert!(judge(&[report(Some(0.29), &[])], None).is_ok());
        assert!(judge(&[report(None, &[])], Some(0.3)).is_err());
    }

    #[test]
    fn an_unexpected_answer_fails_whatever_the_ratio() {
        let error = judge(&[report(Some(1.0), &["503: busy (7 times)"])], None).unwrap_err();
        assert!(error.contains("x: 503: busy (7 times)"), "{error}");
    }

    #[test]
    fn the_file_has_every_figure_by_its_key() {
        let all = as_json(&[report(None, &[])], &[("saga2-64", 0.5)], &json!({"processors": 2}));
        assert_eq!((&all["figures"]["saga2-64"], &all["machine"]["processors"]), (&json!(0.5), &json!(2)));
        assert!(all["scenarios"]["x"].is_object());
    }
}
