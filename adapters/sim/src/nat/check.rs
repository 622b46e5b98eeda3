//! Which settings make sense: [`NatConfig::check`].
//!
//! Refused is what can only be a mistake: a box that maps nothing though it lets traffic pass, a counter
//! that stands still, and numbers with which time would overflow or a run would not end. A box that is to
//! refuse everything has [`NatConfig::udp`] and [`NatConfig::tcp`] false; one that grants no port on
//! request has [`Leases::most`](super::Leases::most) 0.

use core::fmt;
use core::time::Duration;

use super::config::{
    Behaviour, Blocks, Foreign, Limits, NatConfig, Overflow, Pick, Translation, Unsolicited,
};
use super::lifetimes::Lifetimes;
use super::ports::sets;

/// A setting of a NAT that makes no sense.
#[derive(Clone, PartialEq, Debug)]
pub enum NatFault {
    /// The external ports are none, or port 0 is among them.
    Ports {
        /// The first of [`NatConfig::ports`].
        first: u16,
        /// The last.
        last: u16,
    },
    /// A whole number is out of its range.
    Number {
        /// The setting.
        field: &'static str,
        /// What it is.
        value: i64,
        /// The least that it may be.
        least: i64,
        /// The most.
        most: i64,
    },
    /// The step of a sequential counter is a multiple of the number of ports: it would stand still.
    Step {
        /// What it is.
        step: i16,
        /// How many ports there are.
        ports: u32,
    },
    /// A rate or a mean is not a number, or out of its range.
    Mean {
        /// The setting.
        field: &'static str,
        /// What it is.
        value: f64,
        /// The least that it may be.
        least: f64,
        /// The most.
        most: f64,
    },
    /// A time is out of its range.
    Time {
        /// The setting.
        field: &'static str,
        /// What it is.
        value: Duration,
        /// The least that it may be.
        least: Duration,
        /// The most.
        most: Duration,
    },
    /// A box that translates has no address outside.
    NoExternalAddress,
}

impl fmt::Display for NatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { first, last } => {
                write!(f, "ports: {first} to {last}, but must rise and lie within 1 to 65535")
            }
            Self::Number { field, value, least, most } => {
                write!(f, "{field}: {value}, but must be {least} to {most}")
            }
            Self::Step { step, ports } => {
                write!(f, "pick.step: {step}, but must be no multiple of the {ports} ports")
            }
            Self::Mean { field, value, least, most } => {
                write!(f, "{field}: {value}, but must be {least} to {most}")
            }
            Self::Time { field, value, least, most } => {
                write!(f, "{field}: {value:?}, but must be {least:?} to {most:?}")
            }
            Self::NoExternalAddress => f.write_str("external: none, but must be 1 or more"),
        }
    }
}

impl core::error::Error for NatFault {}

/// The shortest that a mapping may live: it is to be there when an answer comes.
const SHORTEST: Duration = Duration::from_millis(1);

impl Foreign {
    /// The most new mappings a second, singles and bursts together: each is played.
    pub const FASTEST: f64 = 100_000.0;
    /// The most that may be alive at once on average: rate times [`Foreign::stay`].
    pub const MOST_ALIVE: f64 = 1_000_000.0;
    /// The largest mean size of a burst.
    pub const LARGEST_BURST: f64 = 10_000.0;
}

impl NatConfig {
    /// The longest of all times here: a hundred years.
    pub const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

    /// Whether these settings make sense, each by itself and together. What adds a box to a world asks;
    /// what is changed by [`Nat::config_mut`](super::Nat::config_mut) is not looked at.
    ///
    /// # Errors
    /// The first [`NatFault`].
    pub fn check(&self) -> Result<(), NatFault> {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        if first == 0 || first > last {
            return Err(NatFault::Ports { first, last });
        }
        let ports = u32::from(last - first) + 1;
        number("hops", self.hops, 1, u8::MAX)?;
        let behaviours = [Some(&self.behaviour), self.tcp_behaviour.as_ref()];
        for behaviour in behaviours.into_iter().flatten().chain(&self.on_conflict) {
            behaviour.check(ports)?;
        }
        self.check_blocks(ports)?;
        self.lifetimes.check()?;
        self.limits.check()?;
        at_most("hold_down", self.hold_down)?;
        at_most("hairpin_delay", self.hairpin_delay)?;
        match self.unsolicited {
            Unsolicited::Reset(time)
            | Unsolicited::BlockRemote(time)
            | Unsolicited::BlockPort(time) => at_most("unsolicited", time)?,
            Unsolicited::Drop | Unsolicited::Icmp | Unsolicited::Reject | Unsolicited::Occupy => {}
        }
        if let Some(leases) = &self.leases {
            time("leases.longest", leases.longest, Duration::from_secs(1))?;
        }
        self.foreign.as_ref().map_or(Ok(()), Foreign::check)
    }

    /// As [`NatConfig::check`], and whether a box with so many external addresses can translate.
    ///
    /// # Errors
    /// The first [`NatFault`].
    pub fn check_with(&self, external: usize) -> Result<(), NatFault> {
        self.check()?;
        match self.translation {
            Translation::AddressAndPort if external == 0 => Err(NatFault::NoExternalAddress),
            Translation::AddressAndPort | Translation::None => Ok(()),
        }
    }

    fn check_blocks(&self, ports: u32) -> Result<(), NatFault> {
        match self.blocks {
            Blocks::None => Ok(()),
            Blocks::Masked { .. } => self.check_sets(),
            Blocks::Contiguous { size, most } => {
                number("blocks.size", size, 1, ports)?;
                number("blocks.most", most, 1, u16::MAX)?;
                self.extension.map_or(Ok(()), |extra| number("extension", extra, 1, size))
            }
            Blocks::Scattered { size } => number("blocks.size", size, 1, ports),
            Blocks::PortSet { a, k } => {
                number("blocks.a", a, 0, 15_u8)?;
                number("blocks.k", k, 1, 16 - a)?;
                self.check_sets()
            }
        }
    }

    /// With one set, the second host would get no port.
    fn check_sets(&self) -> Result<(), NatFault> {
        let count = sets(&self.ports, self.blocks).len();
        number("blocks (sets of ports)", u32::try_from(count).unwrap_or(u32::MAX), 2, u16::MAX)
    }
}

impl Behaviour {
    fn check(&self, ports: u32) -> Result<(), NatFault> {
        match self.allocation.pick {
            Pick::Sequential { step, .. } => {
                number("pick.step", step.unsigned_abs(), 1, 64_u16)?;
                let still = u32::from(step.unsigned_abs()).is_multiple_of(ports);
                if still && ports > 1 { Err(NatFault::Step { step, ports }) } else { Ok(()) }
            }
            Pick::RandomStart { tries } => number("pick.tries", tries, 1, u32::MAX),
            Pick::Random => Ok(()),
        }
    }
}

impl Lifetimes {
    fn check(&self) -> Result<(), NatFault> {
        let tcp = &self.tcp;
        let mut shortest = NatConfig::LONGEST;
        for (field, value) in [
            ("lifetimes.udp_initial", self.udp_initial),
            ("lifetimes.udp_single", self.udp_single.unwrap_or(self.udp_initial)),
            ("lifetimes.udp_replied", self.udp_replied),
            ("lifetimes.tcp.syn_sent", tcp.syn_sent),
            ("lifetimes.tcp.syn_received", tcp.syn_received),
            ("lifetimes.tcp.established", tcp.established),
            ("lifetimes.tcp.unacknowledged", tcp.unacknowledged),
            ("lifetimes.tcp.fin_wait", tcp.fin_wait),
            ("lifetimes.tcp.close_wait", tcp.close_wait),
            ("lifetimes.tcp.last_ack", tcp.last_ack),
            ("lifetimes.tcp.time_wait", tcp.time_wait),
        ] {
            time(field, value, SHORTEST)?;
            shortest = shortest.min(value);
        }
        at_most("lifetimes.tcp.closed", tcp.closed)?;
        at_most("lifetimes.tcp.refused", tcp.refused)?;
        at_most("lifetimes.udp_stream_after", self.udp_stream_after)?;
        at_most("lifetimes.sweep", self.sweep)?;
        match self.shortened_above {
            Some((_, divisor)) => {
                let most = shortest.as_nanos() / SHORTEST.as_nanos();
                let most = u32::try_from(most).unwrap_or(u32::MAX);
                number("lifetimes.shortened_above", divisor, 1, most)
            }
            None => Ok(()),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), NatFault> {
        for (field, most) in [
            ("limits.per_inside", self.per_inside),
            ("limits.total", self.total),
            ("limits.rate", self.rate.map(|rate| rate as usize)),
        ] {
            let most = most.map_or(1, |most| u32::try_from(most).unwrap_or(u32::MAX));
            number(field, most, 1, u32::MAX)?;
        }
        match self.overflow {
            Overflow::LockOut(time) | Overflow::Crash(time) => at_most("limits.overflow", time),
            Overflow::Drop | Overflow::EvictOldest => Ok(()),
        }
    }
}

impl Foreign {
    fn check(&self) -> Result<(), NatFault> {
        at_most("foreign.stay", self.stay)?;
        mean("foreign.rate", self.rate, 0.0, Self::FASTEST)?;
        mean("foreign.bursts", self.bursts, 0.0, Self::FASTEST)?;
        mean("foreign.burst_size", self.burst_size, 1.0, Self::LARGEST_BURST)?;
        let all = self.rate + self.bursts * self.burst_size;
        mean("foreign.rate + bursts * burst_size", all, 0.0, Self::FASTEST)?;
        let alive = all * self.stay.as_secs_f64();
        mean("foreign.stay * (rate + bursts * burst_size)", alive, 0.0, Self::MOST_ALIVE)
    }
}

fn number(
    field: &'static str,
    value: impl Into<i64>,
    least: i64,
    most: impl Into<i64>,
) -> Result<(), NatFault> {
    let (value, most) = (value.into(), most.into());
    let fits = (least..=most).contains(&value);
    if fits { Ok(()) } else { Err(NatFault::Number { field, value, least, most }) }
}

fn mean(field: &'static str, value: f64, least: f64, most: f64) -> Result<(), NatFault> {
    // Not a number is not within either.
    let fits = (least..=most).contains(&value);
    if fits { Ok(()) } else { Err(NatFault::Mean { field, value, least, most }) }
}

fn time(field: &'static str, value: Duration, least: Duration) -> Result<(), NatFault> {
    let most = NatConfig::LONGEST;
    let fits = (least..=most).contains(&value);
    if fits { Ok(()) } else { Err(NatFault::Time { field, value, least, most }) }
}

fn at_most(field: &'static str, value: Duration) -> Result<(), NatFault> {
    time(field, value, Duration::ZERO)
}
