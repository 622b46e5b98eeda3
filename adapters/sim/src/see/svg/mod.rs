//! A transcript as an SVG sequence diagram.
//!
//! Time runs down, and each host has a lane, in order of appearance; a NAT has one when something
//! ends there. An arrow begins when its packet is sent and ends when it arrives, so it slants with
//! the time that it took; it ends with a cross where the packet was lost or dropped. Notes stand at
//! their host's lane. Moments follow each other in steps that grow only slowly with the time
//! between them; a gap of [`LONG_GAP`] or more is drawn as one, with its length.
//!
//! The picture needs nothing outside itself and follows the viewer's light or dark scheme. Resting
//! the pointer on an arrow or a note shows its whole line.

mod layout;
mod style;

#[cfg(test)]
mod tests;

use core::fmt::Write as _;
use core::ops::Range;
use core::time::Duration;

use super::open::Opener;
use crate::packet::Via;
use crate::transcript::{Entry, Fate, Line, Note, What};
use layout::{Layout, Moment};

/// A gap in time that is drawn as one.
pub const LONG_GAP: Duration = Duration::from_millis(900);

/// Longest label and note, in characters; the rest is cut off.
const LABEL: usize = 52;
const NOTE: usize = 72;
/// How far the head of an arrow is from the lane, and the way that a lost packet seems to go.
const HEAD: f64 = 7.0;
const LOST_AFTER: f64 = 0.62;
const LOST_SINKS: f64 = 12.0;

/// Draws the lines in `shown`, cut to those that there are; how many there are before and after stands
/// above and below. `opener` names what is inside sealed messages ([`Opener::default`] opens none).
#[must_use]
pub fn draw(lines: &[Line], opener: &Opener, shown: Range<usize>) -> String {
    let end = shown.end.min(lines.len());
    let begin = shown.start.min(end);
    let (shown, after) = (&lines[begin..end], lines.len() - end);
    let layout = Layout::of(shown);
    let mut sheet = Sheet::default();
    lanes(&mut sheet, &layout);
    for (moment, y) in layout.moments() {
        time_or_gap(&mut sheet, &layout, moment, y);
    }
    for (number, line) in shown.iter().enumerate() {
        match line {
            Line::Packet(entry) => arrow(&mut sheet, &layout, (number, entry), opener),
            Line::Note(note) => write_note(&mut sheet, &layout, note, layout.row(number)),
        }
    }
    if begin > 0 {
        sheet.text((8.0, layout::TOP - 14.0), "more", &format!("… {begin} before"));
    }
    if after > 0 {
        let below = (layout::FIRST_LANE, layout.bottom() + 38.0);
        sheet.text(below, "more", &format!("… {after} more"));
    }
    let (width, height) = (layout.width(), layout.bottom() + 54.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n\
         <title>Sequence diagram</title>\n{}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{}{}</svg>\n",
        style::STYLE,
        sheet.lines,
        sheet.texts
    )
}

/// What is drawn: texts above all lines.
#[derive(Default)]
struct Sheet {
    lines: String,
    texts: String,
}

impl Sheet {
    fn path(&mut self, class: &str, path: &str) {
        let _ = writeln!(self.lines, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let text = escape(text);
        let _ =
            writeln!(self.texts, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }
}

fn lanes(sheet: &mut Sheet, layout: &Layout) {
    for (x, name) in layout.lanes() {
        sheet.path("lane", &format!("M{x:.1} {:.1}V{:.1}", layout::TOP, layout.bottom()));
        for y in layout.names_at() {
            sheet.text((x, y), "name", name);
        }
    }
}

fn time_or_gap(sheet: &mut Sheet, layout: &Layout, moment: Moment, y: f64) {
    let label = match moment {
        Moment::At(at) => format!("{:.3}", at.as_secs_f64()),
        Moment::Gap(gap) => {
            let (left, right) = (layout::FIRST_LANE - 20.0, layout.last_lane() + 20.0);
            sheet.path("gap", &format!("M{left:.1} {y:.1}H{right:.1}"));
            format!("{} later", in_words(gap))
        }
    };
    sheet.text((layout::TIME_COLUMN, y + 4.0), "time", &label);
}

fn in_words(gap: Duration) -> String {
    match gap.as_secs() {
        0..100 => format!("{:.1} s", gap.as_secs_f64()),
        100..7_200 => format!("{:.1} min", gap.as_secs_f64() / 60.0),
        _ => format!("{:.1} h", gap.as_secs_f64() / 3_600.0),
    }
}

fn write_note(sheet: &mut Sheet, layout: &Layout, note: &Note, y: f64) {
    let x = layout.x(&note.host);
    let (left, middle, right) = (x - 3.0, y, x + 3.0);
    sheet.path(
        "note-mark",
        &format!(
            "M{left:.1} {middle:.1}L{x:.1} {:.1}L{right:.1} {middle:.1}L{x:.1} {:.1}Z",
            y - 3.0,
            y + 3.0
        ),
    );
    let (title, text) = (escape(&note.to_string()), escape(&cut(&note.text, NOTE)));
    let (x, y) = (x + 9.0, y + 4.0);
    let _ = writeln!(
        sheet.texts,
        "<text class=\"note\" x=\"{x:.1}\" y=\"{y:.1}\">{text}<title>{title}</title></text>"
    );
}

fn arrow(sheet: &mut Sheet, layout: &Layout, (number, entry): (usize, &Entry), opener: &Opener) {
    let y = layout.row(number);
    let name = opener.name(entry);
    let label = What(entry, name.as_deref()).to_string();
    let full = format!("t={:.6} {} → {} {label}", entry.at.as_secs_f64(), entry.from, entry.to);
    let start = layout.x(&entry.from);
    let goal = layout.x(&entry.to);
    // To itself, or from one unknown address to another: a short way to the right.
    let goal = if (goal - start).abs() < 1.0 { start + layout::SPACING / 3.0 } else { goal };
    let way = goal - start;
    let (end, end_y) = match entry.fate {
        Fate::Delivered(at) => (goal - HEAD.copysign(way), layout.arrival(number, at).max(y)),
        Fate::InFlight => (goal - HEAD.copysign(way), layout.bottom()),
        Fate::Unroutable(_) if layout.has_lane(&entry.to) => (goal, y + LOST_SINKS),
        Fate::Unreceived => (goal, y + LOST_SINKS),
        _ => (start + way * LOST_AFTER, y + LOST_SINKS),
    };
    let class = match entry.via {
        Via::Udp => "udp",
        Via::Tcp(_) => "tcp",
        _ => "control",
    };
    let (ending, mark) = match entry.fate {
        Fate::Delivered(_) => ("", head(class, end, end_y, way)),
        Fate::InFlight => (" flying", String::new()),
        _ => (" lost", cross(end, end_y)),
    };
    let full = escape(&full);
    let _ = writeln!(
        sheet.lines,
        "<g><title>{full}</title><path class=\"arrow {class}{ending}\" \
         d=\"M{start:.1} {y:.1}L{end:.1} {end_y:.1}\"/>{mark}</g>",
    );
    let slope = (end_y - y) / (end - start);
    let x = start + label_at((end - start).abs()).copysign(way);
    let y = y + slope * (x - start);
    let (angle, text) = (slope.atan().to_degrees(), escape(&cut(&label, LABEL)));
    let _ = writeln!(
        sheet.texts,
        "<text class=\"label {class}\" transform=\"translate({x:.1} {y:.1}) rotate({angle:.2})\" \
         y=\"-4\">{text}<title>{full}</title></text>"
    );
}

/// How far from its beginning an arrow of this length has the middle of its label: between two lanes,
/// and not near its beginning. There is the end of the arrow that it answers, close above it.
fn label_at(length: f64) -> f64 {
    let half = (length + HEAD) / 2.0;
    let between = ((half / layout::SPACING).floor() + 0.5) * layout::SPACING;
    let next = between + layout::SPACING;
    if (0.45 * length..=length).contains(&between) {
        between
    } else if next <= 0.9 * length {
        next
    } else {
        half
    }
}

fn head(class: &str, x: f64, y: f64, way: f64) -> String {
    let back = x - HEAD.copysign(way);
    let tip = x + HEAD.copysign(way);
    let (up, down) = (y - 3.5, y + 3.5);
    format!(
        "<path class=\"head {class}\" d=\"M{back:.1} {up:.1}L{tip:.1} {y:.1}L{back:.1} {down:.1}Z\"/>"
    )
}

fn cross(x: f64, y: f64) -> String {
    let (left, right, up, down) = (x - 4.5, x + 4.5, y - 4.5, y + 4.5);
    format!(
        "<path class=\"cross\" d=\"M{left:.1} {up:.1}L{right:.1} {down:.1}\
         M{left:.1} {down:.1}L{right:.1} {up:.1}\"/>"
    )
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// What XML does not allow goes: markup becomes entities, control characters spaces.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
