//! Where things stand: lanes from left to right, moments from top to bottom.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use super::{LONG_GAP, NOTE};
use crate::transcript::{Fate, Line};

/// The right edge of the time column.
pub(super) const TIME_COLUMN: f64 = 92.0;
/// The first lane, and from each lane to the next.
pub(super) const FIRST_LANE: f64 = 150.0;
pub(super) const SPACING: f64 = 300.0;
/// Room to the right of the last lane, and for one character of a note.
const RIGHT: f64 = 60.0;
const CHARACTER: f64 = 6.3;
/// Where lanes begin.
pub(super) const TOP: f64 = 40.0;
/// The height of a row with a text, the least height of a step in time, and the most that a step
/// adds for the time that it takes.
const ROW: f64 = 22.0;
/// A note stands so far below what arrives at the same moment.
const NOTE_SINKS: f64 = 9.0;
const STEP: f64 = 5.0;
const SLOPE: f64 = 26.0;
const GAP: f64 = 30.0;
/// After so much height the lanes' names stand again.
const PAGE: f64 = 900.0;
/// The lane of all addresses that nobody has.
const ELSEWHERE: &str = "elsewhere";

/// What the time column shows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Moment {
    At(Duration),
    Gap(Duration),
}

#[derive(Debug)]
pub(super) struct Layout {
    lanes: Vec<String>,
    /// The first row of each moment.
    heights: BTreeMap<Duration, f64>,
    /// The row of each line.
    rows: Vec<f64>,
    /// How far below the first packet of its moment each packet stands; those that go
    /// together arrive so far below each other too.
    below: Vec<f64>,
    moments: Vec<(Moment, f64)>,
    bottom: f64,
    right: f64,
}

impl Layout {
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut texts: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
        for (number, line) in lines.iter().enumerate() {
            match line {
                Line::Packet(entry) => {
                    texts.entry(entry.at).or_default().push(number);
                    if let Fate::Delivered(at) = entry.fate {
                        texts.entry(at).or_default();
                    }
                }
                Line::Note(note) => texts.entry(note.at).or_default().push(number),
            }
        }
        // What a host was told comes before what it then sent, whatever the transcript's order.
        for same_time in texts.values_mut() {
            same_time.sort_by_key(|&number| matches!(lines[number], Line::Packet(_)));
        }
        let mut layout = Self {
            lanes: lanes(lines),
            heights: BTreeMap::new(),
            rows: vec![0.0; lines.len()],
            below: vec![0.0; lines.len()],
            moments: Vec::new(),
            bottom: TOP,
            right: 0.0,
        };
        layout.stack(&texts, lines);
        let end = |line: &Line| match line {
            Line::Note(note) => {
                let characters = note.text.chars().count().min(NOTE + 1);
                layout.x(&note.host) + CHARACTER * characters as f64
            }
            Line::Packet(_) => 0.0,
        };
        layout.right = lines.iter().map(end).fold(layout.last_lane(), f64::max);
        layout
    }

    /// Gives each moment its height, and each line its row.
    fn stack(&mut self, texts: &BTreeMap<Duration, Vec<usize>>, all: &[Line]) {
        let mut y = TOP + 6.0;
        // The last row with a text: the next one must not touch it.
        let mut last_text = TOP;
        let mut before = None;
        // How far below a moment's first row things arrive.
        let mut lowest: BTreeMap<Duration, f64> = BTreeMap::new();
        for (&at, lines) in texts {
            let gap = before.map_or(Duration::ZERO, |before| at - before);
            if gap >= LONG_GAP {
                self.moments.push((Moment::Gap(gap), y + GAP));
                y += 2.0 * GAP;
                last_text = y - ROW;
            } else {
                y += STEP + SLOPE * (gap.as_secs_f64() / LONG_GAP.as_secs_f64()).sqrt();
            }
            if !lines.is_empty() {
                y = y.max(last_text + ROW);
                self.moments.push((Moment::At(at), y));
            }
            self.heights.insert(at, y);
            y += lowest.remove(&at).unwrap_or(0.0);
            let mut first_packet = None;
            for (place, &line) in lines.iter().enumerate() {
                y += match (place, &all[line]) {
                    (0, Line::Packet(_)) => 0.0,
                    (0, Line::Note(_)) => NOTE_SINKS,
                    _ => ROW,
                };
                self.rows[line] = y;
                if let Line::Packet(entry) = &all[line] {
                    self.below[line] = y - *first_packet.get_or_insert(y);
                    if let Fate::Delivered(at) = entry.fate {
                        let lowest = lowest.entry(at).or_default();
                        *lowest = lowest.max(self.below[line]);
                    }
                }
                last_text = y;
            }
            before = Some(at);
        }
        self.bottom = y + 18.0;
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = (f64, &str)> {
        self.lanes.iter().enumerate().map(|(number, name)| (lane_x(number), name.as_str()))
    }

    pub(super) fn has_lane(&self, name: &str) -> bool {
        self.lanes.iter().any(|lane| lane == name)
    }

    /// The lane of a host, a NAT or an address.
    pub(super) fn x(&self, name: &str) -> f64 {
        let named = self.lanes.iter().position(|lane| lane == name);
        let elsewhere = || self.lanes.iter().position(|lane| lane == ELSEWHERE);
        lane_x(named.or_else(elsewhere).unwrap_or(0))
    }

    pub(super) fn last_lane(&self) -> f64 {
        lane_x(self.lanes.len().saturating_sub(1))
    }

    /// Where something arrives at a moment: a line that is a packet.
    pub(super) fn arrival(&self, line: usize, at: Duration) -> f64 {
        let below = self.below.get(line).copied().unwrap_or(0.0);
        self.heights.get(&at).map_or(self.bottom, |y| y + below)
    }

    /// Where a line is.
    pub(super) fn row(&self, line: usize) -> f64 {
        self.rows.get(line).copied().unwrap_or(self.bottom)
    }

    pub(super) fn moments(&self) -> impl Iterator<Item = (Moment, f64)> {
        self.moments.iter().copied()
    }

    /// Where the lanes' names stand: above, below, and in between in long gaps.
    pub(super) fn names_at(&self) -> Vec<f64> {
        let mut places = vec![TOP - 14.0];
        let mut last = TOP;
        for &(moment, y) in &self.moments {
            if matches!(moment, Moment::Gap(_)) && y - last > PAGE {
                places.push(y - 8.0);
                last = y;
            }
        }
        places.push(self.bottom + 14.0);
        places
    }

    pub(super) const fn bottom(&self) -> f64 {
        self.bottom
    }

    pub(super) const fn width(&self) -> f64 {
        self.right + RIGHT
    }
}

fn lane_x(number: usize) -> f64 {
    FIRST_LANE + SPACING * number as f64
}

/// The lanes in order of appearance. Addresses that nobody has share the last one.
fn lanes(lines: &[Line]) -> Vec<String> {
    let mut lanes: Vec<String> = Vec::new();
    let mut elsewhere = false;
    let mut add = |name: &str| {
        if name.parse::<SocketAddr>().is_ok() {
            elsewhere = true;
        } else if !lanes.iter().any(|lane| lane == name) {
            lanes.push(name.into());
        }
    };
    for line in lines {
        match line {
            Line::Packet(entry) => {
                add(&entry.from);
                add(&entry.to);
            }
            Line::Note(note) => add(&note.host),
        }
    }
    if elsewhere {
        lanes.push(ELSEWHERE.into());
    }
    lanes
}
