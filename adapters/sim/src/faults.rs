//! What a line does to what travels on it.
//!
//! A [`Faults`] describes one direction of one line. A path from one host to another is the sender's
//! line up followed by the receiver's line down ([`Faults::then`]), unless the pair was given a path
//! of its own.

use core::fmt;
use core::time::Duration;

use crate::rng::Rng;

/// The longest time in a [`Faults`]: what is under way for longer than a day is as good as lost.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A setting of a line that makes no sense.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LineFault {
    /// A probability is not between 0 and 1.
    Probability {
        /// The setting.
        field: &'static str,
        /// What it is.
        value: f64,
    },
    /// A time is longer than a day.
    Time {
        /// The setting.
        field: &'static str,
        /// What it is.
        value: Duration,
    },
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probability { field, value } => {
                write!(f, "{field} is {value}, which is no probability (0 to 1)")
            }
            Self::Time { field, value } => {
                write!(f, "{field} is {value:?}, and may be {LONGEST:?} at most")
            }
        }
    }
}

impl core::error::Error for LineFault {}

/// The behaviour of one direction of a line.
#[derive(Clone, PartialEq, Debug)]
pub struct Faults {
    /// The delay that everything has.
    pub latency: Duration,
    /// A further delay between zero and this, drawn for each packet.
    pub jitter: Duration,
    /// Probability that a packet is lost. A lost TCP segment is sent again, and is late.
    pub loss: f64,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a datagram is held back by up to [`Faults::reorder_by`].
    pub reorder: f64,
    /// How long a datagram is held back at most.
    pub reorder_by: Duration,
    /// Probability that one to three bits of a datagram are flipped.
    pub corrupt: f64,
    /// Probability that a datagram loses its end.
    pub truncate: f64,
    /// Longer datagrams are dropped (UDP payload, in bytes).
    pub mtu: usize,
    /// How many routers there are: a datagram with no larger hop limit does not arrive. On the way
    /// from one host to another these stand between the sender's NATs and the receiver's.
    pub hops: u8,
    /// Bytes a second, with 28 (UDP) or 40 (TCP) for the headers of each packet. `None`: no limit.
    pub rate: Option<u64>,
    /// Bytes that may wait where there is a rate; what comes on top is dropped.
    pub queue: usize,
    /// Nothing passes over UDP.
    pub udp_blocked: bool,
    /// Nothing passes over TCP.
    pub tcp_blocked: bool,
}

impl Default for Faults {
    /// 10 ms, four routers and no faults, so that a path between two hosts takes 20 ms.
    fn default() -> Self {
        Self::latency(Duration::from_millis(10))
    }
}

impl Faults {
    /// A faultless line with this delay.
    #[must_use]
    pub const fn latency(latency: Duration) -> Self {
        Self {
            latency,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
            corrupt: 0.0,
            truncate: 0.0,
            mtu: 1472,
            hops: 4,
            rate: None,
            queue: 64 * 1_024,
            udp_blocked: false,
            tcp_blocked: false,
        }
    }

    /// A faultless line with this delay in milliseconds.
    #[must_use]
    pub const fn millis(latency: u64) -> Self {
        Self::latency(Duration::from_millis(latency))
    }

    /// A cable in one house: 0.2 ms, no router.
    #[must_use]
    pub const fn lan() -> Self {
        let mut faults = Self::latency(Duration::from_micros(200));
        faults.hops = 0;
        faults
    }

    /// Wireless in one house: 2 ms, up to 8 ms more, 0.5 % lost.
    #[must_use]
    pub const fn wifi() -> Self {
        let mut faults = Self::millis(2);
        faults.jitter = Duration::from_millis(8);
        faults.loss = 0.005;
        faults
    }

    /// A fixed line: 8 ms, up to 2 ms more, 0.1 % lost.
    #[must_use]
    pub const fn broadband() -> Self {
        let mut faults = Self::millis(8);
        faults.jitter = Duration::from_millis(2);
        faults.loss = 0.001;
        faults
    }

    /// A phone: 35 ms, up to 30 ms more, 1 % lost, 1 % out of order.
    #[must_use]
    pub const fn mobile() -> Self {
        let mut faults = Self::millis(35);
        faults.jitter = Duration::from_millis(30);
        faults.loss = 0.01;
        faults.reorder = 0.01;
        faults.reorder_by = Duration::from_millis(60);
        faults
    }

    /// A geostationary satellite: 270 ms, up to 20 ms more, 0.5 % lost.
    #[must_use]
    pub const fn satellite() -> Self {
        let mut faults = Self::millis(270);
        faults.jitter = Duration::from_millis(20);
        faults.loss = 0.005;
        faults
    }

    /// Everything at once, for tests that must hold on any line: 20 ms, up to 80 ms more, 15 % lost,
    /// 10 % doubled, 10 % held back by up to a second, 2 % damaged, 1 % cut short.
    #[must_use]
    pub const fn hostile() -> Self {
        let mut faults = Self::millis(20);
        faults.jitter = Duration::from_millis(80);
        faults.loss = 0.15;
        faults.duplicate = 0.1;
        faults.reorder = 0.1;
        faults.reorder_by = Duration::from_secs(1);
        faults.corrupt = 0.02;
        faults.truncate = 0.01;
        faults
    }

    /// The same line with this probability of loss.
    #[must_use]
    pub const fn with_loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// The same line with this jitter.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// The same line with so many bytes a second, and so many that may wait.
    #[must_use]
    pub const fn with_rate(mut self, rate: u64, queue: usize) -> Self {
        self.rate = Some(rate);
        self.queue = queue;
        self
    }

    /// The same line where UDP does not pass.
    #[must_use]
    pub const fn without_udp(mut self) -> Self {
        self.udp_blocked = true;
        self
    }

    /// The same line where TCP does not pass.
    #[must_use]
    pub const fn without_tcp(mut self) -> Self {
        self.tcp_blocked = true;
        self
    }

    /// Whether the settings make sense. Lines and paths are checked where they are set.
    ///
    /// # Errors
    /// When a probability is not between 0 and 1, or a time longer than a day.
    pub fn check(&self) -> Result<(), LineFault> {
        let probabilities = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("truncate", self.truncate),
        ];
        for (field, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                return Err(LineFault::Probability { field, value });
            }
        }
        let times =
            [("latency", self.latency), ("jitter", self.jitter), ("reorder_by", self.reorder_by)];
        for (field, value) in times {
            if value > LONGEST {
                return Err(LineFault::Time { field, value });
            }
        }
        Ok(())
    }

    /// This line followed by `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let either = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b);
        Self {
            latency: self.latency + next.latency,
            jitter: self.jitter + next.jitter,
            loss: either(self.loss, next.loss),
            duplicate: either(self.duplicate, next.duplicate),
            reorder: either(self.reorder, next.reorder),
            reorder_by: self.reorder_by.max(next.reorder_by),
            corrupt: either(self.corrupt, next.corrupt),
            truncate: either(self.truncate, next.truncate),
            mtu: self.mtu.min(next.mtu),
            hops: self.hops.saturating_add(next.hops),
            rate: self.rate.into_iter().chain(next.rate).min(),
            queue: self.queue.min(next.queue),
            udp_blocked: self.udp_blocked || next.udp_blocked,
            tcp_blocked: self.tcp_blocked || next.tcp_blocked,
        }
    }

    /// How long one packet takes.
    pub(crate) fn delay(&self, rng: &mut Rng) -> Duration {
        let mut delay = self.latency + rng.up_to(self.jitter);
        if rng.chance(self.reorder) {
            delay += rng.up_to(self.reorder_by);
        }
        delay
    }

    /// How long one TCP segment takes.
    pub(crate) fn segment_delay(&self, rng: &mut Rng) -> Duration {
        self.latency + rng.up_to(self.jitter)
    }

    /// Damages a datagram as this line does; true when it did.
    pub(crate) fn damage(&self, rng: &mut Rng, bytes: &mut Vec<u8>) -> bool {
        let mut damaged = false;
        if !bytes.is_empty() && rng.chance(self.corrupt) {
            for _ in 0..=rng.below(3) {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
            damaged = true;
        }
        if !bytes.is_empty() && rng.chance(self.truncate) {
            bytes.truncate(rng.index(bytes.len()));
            damaged = true;
        }
        damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_series_add_up() {
        let path = Faults::millis(10).with_loss(0.5).then(&Faults::millis(5).with_loss(0.5));
        assert_eq!(path.latency, Duration::from_millis(15));
        assert!((path.loss - 0.75).abs() < 1e-9);
        assert!(Faults::lan().then(&Faults::lan().without_udp()).udp_blocked);
    }

    #[test]
    fn every_probability_and_every_time_is_looked_at() {
        type Spoil = fn(&mut Faults);
        let spoilt: [(Spoil, &str); 8] = [
            (|line| line.loss = 1.01, "loss"),
            (|line| line.duplicate = -0.1, "duplicate"),
            (|line| line.reorder = f64::NAN, "reorder"),
            (|line| line.corrupt = f64::INFINITY, "corrupt"),
            (|line| line.truncate = 2.0, "truncate"),
            (|line| line.latency = Duration::MAX, "latency"),
            (|line| line.jitter = Duration::MAX, "jitter"),
            (|line| line.reorder_by = LONGEST * 2, "reorder_by"),
        ];
        for (spoil, field) in spoilt {
            let mut line = Faults { loss: 1.0, latency: LONGEST, ..Faults::hostile() };
            assert_eq!(line.check(), Ok(()));
            spoil(&mut line);
            let text = line.check().unwrap_err().to_string();
            assert!(text.starts_with(&format!("{field} is ")), "{text}");
        }
    }

    #[test]
    fn a_faultless_line_draws_no_numbers() {
        let mut rng = Rng::new(1);
        let mut bytes = vec![1, 2, 3];
        assert_eq!(Faults::default().delay(&mut rng), Duration::from_millis(10));
        assert!(!Faults::default().damage(&mut rng, &mut bytes));
        assert_eq!((rng, bytes), (Rng::new(1), vec![1, 2, 3]));
    }

    #[test]
    fn damage_changes_or_shortens() {
        let mut rng = Rng::new(1);
        let mut faults = Faults { corrupt: 1.0, ..Faults::default() };
        let mut bytes = vec![0; 40];
        assert!(faults.damage(&mut rng, &mut bytes));
        let flipped: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert!(flipped <= 3 && bytes.len() == 40);
        faults.truncate = 1.0;
        assert!(faults.damage(&mut rng, &mut bytes) && bytes.len() < 40);
    }
}
