//! Plots as SVG, drawn by plotters, with their legends, to stand within a page.

use plotters::{
    chart::ChartBuilder,
    prelude::{Circle, IntoDrawingArea, SVGBackend},
    series::LineSeries,
    style::{Color, IntoFont, RGBColor, ShapeStyle, WHITE},
};

const SIZE: (u32, u32) = (760, 320);
const COLOURS: [RGBColor; 5] = [
    RGBColor(31, 96, 196),
    RGBColor(214, 98, 20),
    RGBColor(34, 139, 84),
    RGBColor(150, 60, 160),
    RGBColor(110, 110, 110),
];
const LIMIT: RGBColor = RGBColor(200, 30, 30);

/// Points in the order in which they are joined.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// Joined, or a point each.
    pub joined: bool,
}

/// A plot with its axes from 0; `limit` is drawn across. `None` when there is nothing to see.
pub fn plot(axes: (&str, &str), lines: &[Line], limit: Option<(&str, f64)>) -> Option<String> {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    points().next()?;
    let right = most(&mut points().map(|point| point.0)).max(1e-3) * 1.02;
    let top = most(&mut points().map(|point| point.1).chain(limit.map(|limit| limit.1))).max(1e-3) * 1.08;
    let mut svg = String::new();
    draw(&mut svg, axes, lines, limit, (right, top)).ok()?;
    svg.push_str(&legend(lines, limit));
    Some(svg)
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn legend(lines: &[Line], limit: Option<(&str, f64)>) -> String {
    let named = lines.iter().enumerate().map(|(index, line)| (line.name.as_str(), colour(index)));
    let all = named.chain(limit.map(|(name, _)| (name, LIMIT)));
    let shown: Vec<String> = all
        .map(|(name, RGBColor(red, green, blue))| {
            format!("<span style=\"color:rgb({red},{green},{blue})\">■</span> {name}")
        })
        .collect();
    format!("<p><small>{}</small></p>", shown.join(" &nbsp; "))
}

fn draw(
    svg: &mut String,
    (x, y): (&str, &str),
    lines: &[Line],
    limit: Option<(&str, f64)>,
    (right, top): (f64, f64),
) -> Result<(), Box<dyn std::error::Error>> {
    let limit =
        limit.map(|(name, at)| Line { name: name.to_owned(), points: vec![(0.0, at), (right, at)], joined: true });
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(66)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .label_style(("sans-serif", 14).into_font())
        .axis_desc_style(("sans-serif", 14).into_font())
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .light_line_style(WHITE)
        .draw()?;
    for (index, line) in lines.iter().chain(limit.iter()).enumerate() {
        let colour = if index == lines.len() { LIMIT } else { colour(index) };
        let style = ShapeStyle::from(&colour).stroke_width(2);
        let points = line.points.iter().copied();
        if line.joined {
            chart.draw_series(LineSeries::new(points, style))?;
        } else {
            chart.draw_series(points.map(|point| Circle::new(point, 3, colour.mix(0.6).filled())))?;
        }
    }
    area.present()?;
    Ok(())
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_there_is_and_nothing_from_nothing() {
        let line = |points: Vec<(f64, f64)>| [Line { name: "p95".to_owned(), points, joined: true }];
        let svg = plot(("calls", "ms"), &line(vec![(1.0, 90.0), (2.0, 120.0)]), Some(("limit", 500.0))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("limit") && !svg.contains("href"), "{svg}");
        assert_eq!([0.0, 0.5, 12.0, 1.25].map(number), ["0", "0.5", "12", "1.25"]);
        assert_eq!(plot(("calls", "ms"), &line(Vec::new()), None), None);
    }
}
