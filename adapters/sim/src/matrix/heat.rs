//! Tables of a matrix as one SVG: a cell's colour is the share of runs that met, and in it stand the
//! share, the median of both ends' packets and the median time in milliseconds.
//!
//! The picture needs nothing outside itself and follows the viewer's light or dark scheme. Resting
//! the pointer on a cell shows its figures whole.

use core::fmt::Write as _;

use super::cell::Cell;
use super::kinds::Kind;
use super::peers::is_plain_enough;
use super::table::Table;

/// A cell, the names of the rows, a table's head and what is between two tables.
const WIDE: usize = 64;
const HIGH: usize = 50;
const NAMES: usize = 76;
const HEAD: usize = 64;
const SPACE: usize = 26;
const MARGIN: usize = 16;
const LEGEND: usize = 62;
/// Columns that the legend needs.
const LEAST: usize = 8;

/// Classes of shares, from their least on.
const CLASSES: [(f64, &str, &str); 5] = [
    (0.99, "s4", "≥ 99 %"),
    (0.95, "s3", "≥ 95 %"),
    (0.50, "s2", "≥ 50 %"),
    (0.05, "s1", "≥ 5 %"),
    (0.0, "s0", "less"),
];

/// Draws the tables, one below the other.
#[must_use]
pub fn draw(tables: &[Table]) -> String {
    let columns = tables.iter().map(|table| table.kinds.len()).max().unwrap_or(0).max(LEAST);
    let width = 2 * MARGIN + NAMES + columns * WIDE;
    let mut body = String::new();
    let mut y = MARGIN;
    for table in tables {
        one(&mut body, table, y);
        y += HEAD + table.kinds.len() * HIGH + SPACE;
    }
    legend(&mut body, y);
    let height = y + LEGEND;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>How often pairs of NATs meet</title>\n{STYLE}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, class: &str, (x, y): (usize, usize), text: &str) {
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
}

fn one(body: &mut String, table: &Table, y: usize) {
    let conditions = &table.conditions;
    let title = format!(
        "{} foreign mappings a second at each NAT, {:.3} % loss",
        conditions.rate,
        conditions.loss * 100.0
    );
    let title = title.replace(".000 %", " %");
    text(body, "title", (MARGIN, y + 16), &title);
    text(body, "dim", (MARGIN, y + 34), "rows: who asks; columns: who is asked for");
    let (left, top) = (MARGIN + NAMES, y + HEAD);
    for (place, kind) in table.kinds.iter().enumerate() {
        let (x, y) = (left + place * WIDE + WIDE / 2, top + place * HIGH + HIGH / 2 + 4);
        let what = format!("{}<title>{}</title>", kind.name, kind.what);
        text(body, "column", (x, top - 8), &what);
        text(body, "row", (left - 8, y), &what);
    }
    for (place, (row, column, cell)) in table.pairs().enumerate() {
        let size = table.kinds.len().max(1);
        let at = (left + place % size * WIDE, top + place / size * HIGH);
        square(body, (row, column, cell), at);
    }
}

fn square(body: &mut String, (row, column, cell): (Kind, Kind, Option<&Cell>), at: (usize, usize)) {
    let (class, lines) = words(cell);
    let told = match cell {
        Some(cell) if cell.runs > 0 => {
            let (low, high) = cell.interval();
            format!(
                ": {} of {} met, {:.2} to {:.2} % with 95 % confidence",
                cell.met,
                cell.runs,
                low * 100.0,
                high * 100.0
            )
        }
        _ => String::new(),
    };
    let (x, y, wide, high) = (at.0 + 1, at.1 + 1, WIDE - 2, HIGH - 2);
    let _ = writeln!(
        body,
        "<g class=\"{class}\"><title>{} to {}{told}</title>\
         <rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" rx=\"3\"/>",
        row.name, column.name
    );
    let first = at.1 + HIGH / 2 + 4 - 7 * (lines.len() - 1);
    for (place, line) in lines.iter().enumerate() {
        let weight = if place == 0 { "share" } else { "small" };
        text(body, weight, (at.0 + WIDE / 2, first + 14 * place), line);
    }
    if is_plain_enough(row, column) {
        let _ =
            writeln!(body, "<circle class=\"plain\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", x + 8, y + 8);
    }
    body.push_str("</g>\n");
}

/// Class and lines of a cell.
fn words(cell: Option<&Cell>) -> (&'static str, Vec<String>) {
    let Some(cell) = cell else { return ("full", vec!["full".into()]) };
    if cell.runs == 0 {
        return ("full", vec!["not run".into()]);
    }
    if cell.is_hopeless() {
        return ("s0", vec!["–".into()]);
    }
    let share = cell.rate();
    let class = CLASSES.iter().find(|(least, ..)| share >= *least).map_or("s0", |class| class.1);
    let mut lines = vec![cell.percent()];
    if let (Some(packets), Some(took)) = (cell.packets(0.5), cell.took(0.5)) {
        lines.push(format!("{packets} pk"));
        lines.push(format!("{} ms", took.as_millis()));
    }
    (class, lines)
}

fn legend(body: &mut String, y: usize) {
    text(body, "dim", (MARGIN, y + 11), "met");
    let mut x = MARGIN + 30;
    for (_, class, what) in CLASSES {
        let _ = writeln!(
            body,
            "<g class=\"{class}\"><rect x=\"{x}\" y=\"{y}\" width=\"14\" height=\"14\" rx=\"3\"/></g>"
        );
        text(body, "dim", (x + 20, y + 11), what);
        x += 76;
    }
    let _ = writeln!(body, "<circle class=\"mark\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", x + 6, y + 7);
    text(body, "dim", (x + 16, y + 11), "plain punching would do");
    let words = "Percent that met, median packets of both ends, median time; \
                 – no way, told at once; full: the box has no port left.";
    text(body, "dim", (MARGIN, y + 34), words);
}

const STYLE: &str = "\
<style>
text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #222; }
.paper { fill: #fff; }
.title { font-weight: 600; font-size: 14px; }
.dim { fill: #666; }
.column, .row { font-weight: 600; }
.column, .share, .small { text-anchor: middle; }
.row { text-anchor: end; }
.share { font-size: 13px; font-weight: 600; }
.full rect { fill: none; stroke: #ccc; stroke-dasharray: 3 3; }
.full text { fill: #777; font-weight: 400; }
.s0 rect { fill: #eee; } .s0 text { fill: #666; }
.s1 rect { fill: #d6e6f9; }
.s2 rect { fill: #93bfee; }
.s3 rect { fill: #2b74c4; } .s4 rect { fill: #0f4c8f; }
.s3 text, .s4 text { fill: #fff; }
.plain, .mark { fill: #c98500; } .s3 .plain, .s4 .plain { fill: #ffd166; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; }
  .paper { fill: #16181c; }
  .dim { fill: #a2a2a2; }
  .full rect { stroke: #484d55; }
  .full text, .s0 text { fill: #a2a2a2; }
  .s0 rect { fill: #25282e; }
  .s1 rect { fill: #143354; }
  .s2 rect { fill: #205a99; }
  .s3 rect { fill: #5a9fe6; } .s4 rect { fill: #a6cdf7; }
  .s3 text, .s4 text { fill: #0c1420; }
  .plain, .mark { fill: #e8bd6a; } .s3 .plain, .s4 .plain { fill: #8a4b00; }
}
</style>
";

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow;

    use super::*;
    use crate::matrix::{Conditions, KINDS, table};

    #[test]
    fn each_pair_has_its_cell_with_figures_no_way_or_full() {
        let kinds = [KINDS[0], KINDS[9], KINDS[11]];
        let go = |_| ControlFlow::Continue(());
        let tables =
            [0.0, 50.0].map(|rate| table(&kinds, &Conditions::new(rate, 0.02), 0..20, 1, go));
        let svg = draw(&tables);
        let count = |what: &str| svg.matches(what).count();
        assert_eq!(count("<g class="), 2 * 9 + CLASSES.len());
        // A block of 512 is full at a rate of 50; two that draw have no way.
        assert_eq!((count(">full</text>"), count(">–</text>")), (5, 4 + 1));
        assert_eq!(count("<circle class=\"plain\""), 2 * 5, "all pairs with a cone");
        assert_eq!(count("of 20 met"), 9 + 4);
        assert!(svg.contains("50 foreign mappings a second at each NAT, 2 % loss"));
        let cell = tables[0].at(0, 0).unwrap();
        assert!(svg.contains(&format!(">{} pk</text>", cell.packets(0.5).unwrap())));
        for open in ["g", "text", "title", "svg"] {
            assert_eq!(
                count(&format!("<{open} ")) + count(&format!("<{open}>")),
                count(&format!("</{open}>")),
                "{open}"
            );
        }
    }
}
