//! What the claims' packets are on the wire.

use core::time::Duration;

use genkan_core::inspect::Detection;
use genkan_core::nat::Forecast;
use genkan_core::punch::Moment;
use genkan_core::wire::message::{Punch, Seen};

use crate::claims::run::{Held, must};
use crate::story::{Packet, What};

/// Packets to the server right before and right after one to the peer.
#[derive(Clone, Copy, Debug)]
pub struct Around<'m> {
    /// The range detection packet before.
    pub before: &'m Packet,
    /// The packet between.
    pub between: &'m Packet,
    /// The range detection packet after.
    pub after: &'m Packet,
    /// Their round.
    pub round: u8,
}

impl Around<'_> {
    /// The lowest and the highest port that the server observed.
    #[must_use]
    pub fn hull(&self) -> (u16, u16) {
        let (one, other) = (self.before.source.port(), self.after.source.port());
        (one.min(other), one.max(other))
    }

    /// Whether a port lies between them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let (low, high) = self.hull();
        (low..=high).contains(&port)
    }
}

/// A burst that the server sent to an end, and the packet that brought it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'m> {
    /// The packet.
    pub packet: &'m Packet,
    /// What is in it.
    pub punch: &'m Punch,
}

impl Told<'_> {
    /// The ports that it names, the likeliest first.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let burst = &self.punch.burst;
        burst.ports.ports().take(burst.count.into()).collect()
    }

    /// The differential that it names.
    #[must_use]
    pub const fn differential(&self) -> Option<i8> {
        differential(self.punch.burst.ports)
    }
}

/// The differential in a forecast.
#[must_use]
pub const fn differential(forecast: Forecast) -> Option<i8> {
    match forecast {
        Forecast::Counter { differential, .. }
        | Forecast::Run { differential, .. }
        | Forecast::Around { differential, .. } => Some(differential.get()),
        _ => None,
    }
}

/// Whether it is a range detection packet of this moment.
#[must_use]
pub fn is_moment(packet: &Packet, moment: Moment) -> bool {
    is_range_packet(packet)
        && matches!(&packet.what, What::Detect(detection) if detection.which == moment as u8)
}

/// Whether it is a range detection packet.
#[must_use]
pub const fn is_range_packet(packet: &Packet) -> bool {
    matches!(&packet.what, What::Detect(Detection { request: Some(_), .. }))
}

/// Whether it is a differential detection packet.
#[must_use]
pub const fn is_measurement(packet: &Packet) -> bool {
    matches!(&packet.what, What::Detect(Detection { request: None, .. }))
}

/// Whether it is a bubble or reply: no answer to one.
#[must_use]
pub const fn is_punch(packet: &Packet) -> bool {
    matches!(&packet.what, What::Check(check) if !check.answer)
}

/// Whether it is a burst.
#[must_use]
pub const fn is_burst(packet: &Packet) -> bool {
    matches!(packet.what, What::Burst(_))
}

/// Whether it is an equipment's own range.
#[must_use]
pub const fn is_range(packet: &Packet) -> bool {
    matches!(packet.what, What::Range(_))
}

/// Whether it is detection port information about range detection packets.
#[must_use]
pub const fn is_seen_range(packet: &Packet) -> bool {
    matches!(&packet.what, What::Seen(Seen { request: 1.., .. }))
}

/// Whether it is detection port information about a measurement.
#[must_use]
pub const fn is_seen_measurement(packet: &Packet) -> bool {
    matches!(&packet.what, What::Seen(Seen { request: 0, .. }))
}

/// The longest time between packets of one burst.
pub const BURST: Duration = Duration::from_millis(10);

/// Each item once, in the order in which they come first.
#[must_use]
pub fn once(items: impl IntoIterator<Item = u16>) -> Vec<u16> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// At least two ports, and sorted they lie exactly `step` apart.
///
/// # Errors
/// They do not.
pub fn stepwise(ports: &[u16], step: i8) -> Held {
    let mut sorted = ports.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    must(sorted.len() > 1, "there is only one port")?;
    let step = u16::from(step.unsigned_abs());
    must(sorted.windows(2).all(|pair| pair[1] - pair[0] == step), "they lie otherwise apart")
}
