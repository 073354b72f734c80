//! Draws the curves of `cargo xtask bench`: reads them as JSON from standard input, and writes two SVG files for each into the
//! directory that the only argument names: throughput, and the 99th percentile of latency.

use std::error::Error;
use std::path::{Path, PathBuf};

use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (720, 420);
const COLOURS: [RGBColor; 5] = [
    RGBColor(90, 90, 90),
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(0, 130, 80),
    RGBColor(140, 70, 160),
];

/// One curve: a name, the title of its axis, and a line for each coordinator.
struct Curve {
    name: String,
    axis: String,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    /// x, throughput, p99 in milliseconds.
    points: Vec<[f64; 3]>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory =
        PathBuf::from(std::env::args().nth(1).ok_or("the directory for the drawings is missing")?);
    let curves: Value = serde_json::from_reader(std::io::stdin())?;
    for curve in curves.as_array().into_iter().flatten() {
        let curve = Curve::read(curve).ok_or_else(|| format!("not a curve: {curve}"))?;
        for (figure, what, index) in
            [("throughput", "transactions per second", 1), ("p99", "p99, milliseconds", 2)]
        {
            let file = directory.join(format!("{}-{figure}.svg", curve.name));
            curve.draw(&file, what, index).map_err(|error| format!("{}: {error}", file.display()))?;
            println!("{}", file.display());
        }
    }
    Ok(())
}

impl Curve {
    fn read(value: &Value) -> Option<Self> {
        let line = |line: &Value| {
            let points = line["points"]
                .as_array()?
                .iter()
                .map(|point| Some([point[0].as_f64()?, point[1].as_f64()?, point[2].as_f64()?]));
            Some(Line { name: line["name"].as_str()?.to_owned(), points: points.collect::<Option<_>>()? })
        };
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            axis: value["axis"].as_str()?.to_owned(),
            lines: value["lines"].as_array()?.iter().map(line).collect::<Option<_>>()?,
        })
    }

    /// The smallest and the largest x, and the largest y.
    fn extent(&self, index: usize) -> (f64, f64, f64) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let least = points().map(|point| point[0]).fold(f64::INFINITY, f64::min);
        let most = points().map(|point| point[0]).fold(0.0, f64::max);
        (least, most, points().map(|point| point[index]).fold(0.0, f64::max))
    }

    fn draw(&self, file: &Path, what: &str, index: usize) -> Result<(), Box<dyn Error>> {
        let (least, most, top) = self.extent(index);
        let area = SVGBackend::new(file, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        // A logarithmic axis has no zero, so zero is drawn at one.
        let range = (least.max(1.0)..most.max(2.0)).log_scale();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            // The last number of the axis is as wide as that.
            .margin_right(40)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(range, 0.0..top.max(0.001) * 1.05)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&self.axis).y_desc(what).light_line_style(TRANSPARENT).max_light_lines(1);
        mesh.x_label_formatter(&|x| number(*x)).y_label_formatter(&|y| number(*y)).draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<(f64, f64)> =
                line.points.iter().map(|point| (point[0].max(1.0), point[index])).collect();
            chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// With three decimals at most, and none that are zero.
fn number(number: f64) -> String {
    ((number * 1000.0).round() / 1000.0).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_curve_is_read_and_drawn_with_its_lines() {
        let value = json!({"name": "initiators", "axis": "initiators", "lines": [
            {"name": "null", "points": [[1, 100, 0.5], [64, 4000, 9]]},
            {"name": "trine", "points": [[1, 50, 2], [64, 2000, 30]]},
        ]});
        let curve = Curve::read(&value).unwrap();
        assert_eq!(curve.extent(1), (1.0, 64.0, 4000.0));
        let file = std::env::temp_dir().join(format!("bench-draw-{}.svg", std::process::id()));
        curve.draw(&file, "transactions per second", 1).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(
            svg.contains("<svg") && svg.matches("<polyline").count() >= 2 && svg.contains("trine"),
            "{svg}"
        );
    }

    #[test]
    fn points_without_three_numbers_are_no_curve() {
        let value = json!({"name": "x", "axis": "x", "lines": [{"name": "a", "points": [[1, 2]]}]});
        assert!(Curve::read(&value).is_none());
    }
}
