//! A port that the NAT itself opens on request: PCP (RFC 6887) or, where the box speaks only that,
//! NAT-PMP (RFC 6886).
//!
//! A lease makes its end the easiest kind there is: one port for all destinations, open to anybody,
//! known before any packet, and kept without keepalives. [`LeaseClient`] asks for one, keeps it and
//! gives it back. It is sans-IO: requests go to UDP port [`CONTROL_PORT`] of the default gateway from
//! any socket on the inside address, and what comes from there goes to
//! [`LeaseClient::handle_answer`]. Announcements of a box that has lost its leases come to port 5350
//! of the multicast address 224.0.0.1 (RFC 6886 section 3.2.1) and go there as well.
//!
//! Nothing here is trusted beyond the local network: a box can grant a port that leads nowhere. The
//! server's sighting of the leased socket says whether it does.
//!
//! ```text
//! mod.rs       when to ask, and what an answer means
//! pcp.rs       PCP's bytes
//! nat_pmp.rs   NAT-PMP's bytes
//! ```

mod nat_pmp;
mod pcp;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use heapless::Vec;

use crate::time::{Instant, micros};

/// The UDP port on which the box listens (RFC 6886 section 1.1, RFC 6887 section 19.1).
pub const CONTROL_PORT: u16 = 5_351;

/// The longest request, in bytes.
pub const MAX_REQUEST: usize = 60;

/// A request to the box.
pub type Request = Vec<u8, MAX_REQUEST>;

/// How long a lease is asked for, in seconds (RFC 6886 section 3.3 recommends it).
const LIFETIME: u32 = 7_200;
/// What is granted beyond a day counts as a day (RFC 6887 section 15 bounds what is sensible).
const LONGEST: u32 = 86_400;
/// From the first request to the second, doubling (RFC 6887 section 8.1.1).
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// Up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(1_024);
/// Requests are at least so far apart (RFC 6887 section 11.2.1).
const SHORTEST_WAIT: Duration = Duration::from_secs(4);
/// How long a refusal lasts that may pass soon, and one that will not.
const SOON: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(1_800);

/// A port that the box has opened for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lease {
    /// The box's external address, where it says so: NAT-PMP does not.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub address: Option<IpAddr>,
    /// The external port, never 0.
    pub port: u16,
    /// When it ends unless it is renewed.
    pub until: Instant,
}

/// Why there is no lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refused {
    /// The box does not want to, or the port is somebody else's.
    NotAuthorized,
    /// It has no more ports, or no address on the outside.
    NoResources,
    /// It speaks neither protocol as we do.
    Unsupported,
    /// It sees us at another address: another NAT lies between (RFC 6887 section 7.4,
    /// `ADDRESS_MISMATCH`).
    Between,
    /// Another reason, by the protocol's number.
    Other(u16),
}

impl Refused {
    const fn pause(self) -> Duration {
        match self {
            Self::NoResources => SOON,
            _ => LONG,
        }
    }
}

/// What an answer of the box says, whichever protocol it is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// This port, for so many seconds.
    Granted {
        address: Option<IpAddr>,
        port: u16,
        seconds: u32,
    },
    Refused(Refused),
    /// The box speaks only NAT-PMP.
    OlderVersion,
    /// It says that it is there, and since when.
    Announced,
}

/// An [`Answer`] with the box's own count of seconds since it last lost its leases.
type Timed = (Answer, u32);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Pcp,
    NatPmp,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    inside: SocketAddr,
    nonce: [u8; 12],
    /// The external address and port that we had.
    had: Option<(Option<IpAddr>, u16)>,
    /// In seconds; 0 ends the lease.
    lifetime: u32,
}

/// Asks for one port and keeps it.
///
/// Call [`LeaseClient::poll_request`] when [`LeaseClient::poll_timeout`] has come and after each
/// answer. A box that does not answer is asked ever more seldom, up to 17 minutes apart. Another
/// network means another client.
#[derive(Clone, Debug)]
pub struct LeaseClient {
    inside: SocketAddr,
    nonce: [u8; 12],
    protocol: Protocol,
    lease: Option<Lease>,
    /// What was leased last: it is asked for again.
    had: Option<(Option<IpAddr>, u16)>,
    refused: Option<Refused>,
    /// A request is out.
    waits: bool,
    /// Requests without an answer, one after the other.
    tries: u8,
    due: Option<Instant>,
    sent_at: Option<Instant>,
    ending: bool,
    /// The box's count of seconds, and when it was heard.
    epoch: Option<(u32, Instant)>,
}

impl LeaseClient {
    /// Asks for a port for `inside`, the address and port that the socket is bound to as the box sees
    /// it. `nonce` is drawn, and stays secret: whoever knows it can change the lease.
    #[must_use]
    pub const fn new(now: Instant, inside: SocketAddr, nonce: [u8; 12]) -> Self {
        Self {
            inside,
            nonce,
            protocol: Protocol::Pcp,
            lease: None,
            had: None,
            refused: None,
            waits: false,
            tries: 0,
            due: Some(now),
            sent_at: None,
            ending: false,
            epoch: None,
        }
    }

    /// The lease, while it lasts.
    #[must_use]
    pub fn lease(&self, now: Instant) -> Option<Lease> {
        self.lease.filter(|lease| now < lease.until)
    }

    /// Why the box did not grant one when it was asked last; `None`: it did, or it said nothing.
    #[must_use]
    pub const fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Gives the lease back: one more request, which nothing follows.
    pub fn end(&mut self, now: Instant) {
        // What a request that is out brings has to be given back, too.
        let has = self.had.is_some() || self.waits;
        (self.lease, self.waits) = (None, false);
        if !core::mem::replace(&mut self.ending, true) {
            self.due = has.then_some(now);
        }
    }

    /// When to call [`LeaseClient::poll_request`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The next request, once its time has come.
    pub fn poll_request(&mut self, now: Instant) -> Option<Request> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        if self.lease.is_some() && self.lease(now).is_none() {
            (self.lease, self.tries) = (None, 0);
        }
        let lifetime = if self.ending { 0 } else { LIFETIME };
        let asked = Asked { inside: self.inside, nonce: self.nonce, had: self.had, lifetime };
        self.sent_at = Some(now);
        self.waits = !self.ending;
        self.due = (!self.ending).then(|| now.after(self.patience(now)));
        self.tries = self.tries.saturating_add(1);
        match self.protocol {
            Protocol::Pcp => pcp::request(&asked),
            Protocol::NatPmp => nat_pmp::request(&asked),
        }
    }

    /// How long an answer is waited for. A lease that stands is renewed in what is left of it, each
    /// time in the first half of the rest; else the wait doubles.
    fn patience(&self, now: Instant) -> Duration {
        if let Some(lease) = self.lease {
            let rest = lease.until.since(now);
            return rest.checked_div(2).unwrap_or_default().max(SHORTEST_WAIT);
        }
        let doubled = 1_u32.checked_shl(self.tries.into()).unwrap_or(u32::MAX);
        let wait = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
        // Up to a tenth more or less, so that a house full of appliances does not ask in step.
        let tenth = self.fraction(wait.checked_div(5).unwrap_or_default());
        wait.saturating_sub(wait.checked_div(10).unwrap_or_default()).saturating_add(tenth)
    }

    /// A part of this time, another one for each client and try.
    fn fraction(&self, of: Duration) -> Duration {
        let place = usize::from(self.tries).checked_rem(self.nonce.len()).unwrap_or(0);
        let drawn = self.nonce.get(place).copied().unwrap_or(0);
        of.saturating_mul(drawn.into()).checked_div(255).unwrap_or_default()
    }

    /// What came from the box's [`CONTROL_PORT`], or as an announcement. `false`: it was none of ours,
    /// and nothing has changed.
    pub fn handle_answer(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let read = match self.protocol {
            Protocol::Pcp => pcp::read(bytes, self.inside, &self.nonce),
            Protocol::NatPmp => nat_pmp::read(bytes, self.inside.port()),
        };
        let Some((answer, epoch)) = read else { return false };
        if answer != Answer::Announced && !self.waits {
            return false;
        }
        let kept = answer == Answer::OlderVersion || self.note_epoch(now, epoch);
        match answer {
            Answer::Granted { address, port, seconds } => {
                self.grant(now, (address, port), seconds);
            }
            Answer::Refused(why) => self.pause(now, why),
            Answer::OlderVersion if self.inside.is_ipv4() => {
                self.protocol = Protocol::NatPmp;
                (self.waits, self.tries, self.due) = (false, 0, Some(now));
            }
            Answer::OlderVersion => self.pause(now, Refused::Unsupported),
            // The box has lost its leases, or it is another one. Anybody nearby can say so: the lease
            // gets less time, and is not taken for lost before the box was asked.
            Answer::Announced if !kept && !self.ending => {
                let earliest = self.sent_at.map_or(now, |sent| sent.after(SHORTEST_WAIT));
                if let Some(lease) = &mut self.lease {
                    lease.until = lease.until.min(now.after(SOON));
                }
                (self.waits, self.tries, self.due) = (false, 0, Some(earliest.max(now)));
            }
            Answer::Announced => {}
        }
        true
    }

    fn grant(&mut self, now: Instant, (address, port): (Option<IpAddr>, u16), seconds: u32) {
        let seconds = seconds.min(LONGEST);
        let life = Duration::from_secs(seconds.into());
        if port == 0 || life < SHORTEST_WAIT {
            return self.pause(now, Refused::Other(0));
        }
        (self.waits, self.tries, self.refused) = (false, 0, None);
        self.had = Some((address, port));
        self.lease = Some(Lease { address, port, until: now.after(life) });
        // Renewed between half and five eighths of its life (RFC 6887 section 11.2.1).
        let half = life.checked_div(2).unwrap_or_default();
        let eighth = self.fraction(life.checked_div(8).unwrap_or_default());
        self.due = Some(now.after(half.saturating_add(eighth).max(SHORTEST_WAIT)));
    }

    /// A refusal of a renewal leaves the lease as long as it was granted for.
    fn pause(&mut self, now: Instant, why: Refused) {
        (self.waits, self.tries, self.refused) = (false, 0, Some(why));
        self.due = Some(now.after(why.pause()));
    }

    /// Whether the box has kept its state since it was last heard: its seconds have gone on as ours
    /// have, within a sixteenth and two seconds (RFC 6887 section 8.5).
    fn note_epoch(&mut self, now: Instant, epoch: u32) -> bool {
        let Some((before, at)) = self.epoch.replace((epoch, now)) else { return true };
        let Some(theirs) = epoch.saturating_add(1).checked_sub(before) else { return false };
        let theirs = u64::from(theirs).saturating_sub(1);
        let ours = micros(now.since(at)).checked_div(1_000_000).unwrap_or(0);
        let slow = |one: u64, other: u64| one.saturating_add(2) < other.saturating_sub(other >> 4);
        !slow(ours, theirs) && !slow(theirs, ours)
    }
}
