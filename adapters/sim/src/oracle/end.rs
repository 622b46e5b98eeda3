//! What stands between an end and the public internet.

use crate::nat::{Leases, NatConfig, Translation};

/// A box on an end's way out.
#[derive(Clone, PartialEq, Debug)]
pub struct Gate {
    /// Which box it is: two ends that name the same box are behind the same one.
    pub id: u32,
    /// How it behaves.
    pub config: NatConfig,
    /// External addresses, at least 1; more than one is a pool ([`NatConfig::pooling`]).
    pub addresses: u32,
    /// It forwards a port to the end, by configuration or by a lease (RFC 6886, RFC 6887): the
    /// end's external address there is known, and anybody may send to it.
    pub forwarded: bool,
}

impl Gate {
    /// A box with one external address that forwards nothing.
    #[must_use]
    pub const fn new(id: u32, config: NatConfig) -> Self {
        Self { id, config, addresses: 1, forwarded: false }
    }

    /// With a pool of `addresses` external addresses.
    #[must_use]
    pub fn pool(mut self, addresses: u32) -> Self {
        self.addresses = addresses.max(1);
        self
    }

    /// With a port forwarded to the end.
    #[must_use]
    pub const fn forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    pub(crate) fn translates(&self) -> bool {
        self.config.translation == Translation::AddressAndPort
    }
}

/// One of two that want to talk: for each address family that it has, the boxes from the inside to
/// the outside. No box: a public address.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct End {
    /// IPv4; `None`: it has none.
    pub v4: Option<Vec<Gate>>,
    /// IPv6; `None`: it has none.
    pub v6: Option<Vec<Gate>>,
}

impl End {
    /// A public IPv4 address.
    #[must_use]
    pub const fn public() -> Self {
        Self { v4: Some(Vec::new()), v6: None }
    }

    /// IPv4 behind these boxes, the innermost first.
    #[must_use]
    pub fn behind(gates: impl IntoIterator<Item = Gate>) -> Self {
        Self { v4: Some(gates.into_iter().collect()), v6: None }
    }

    /// IPv6 as well, behind these boxes; none: without a firewall.
    #[must_use]
    pub fn with_v6(mut self, gates: impl IntoIterator<Item = Gate>) -> Self {
        self.v6 = Some(gates.into_iter().collect());
        self
    }

    /// The end asks the innermost box of its IPv4 way for a port, as NAT-PMP and PCP do (RFC 6886,
    /// RFC 6887: the request goes to the default router), and gets it where the box grants leases.
    #[must_use]
    pub fn asking(mut self) -> Self {
        if let Some(gate) = self.v4.as_mut().and_then(|gates| gates.first_mut()) {
            let grants = |leases: Leases| {
                leases.most > 0 && !leases.longest.is_zero() && (leases.nat_pmp || leases.pcp)
            };
            gate.forwarded |= gate.config.leases.is_some_and(grants);
        }
        self
    }
}

/// How two ways out meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meeting {
    /// In the public internet, or in a network where each has the address that the other knows.
    Apart,
    /// Both are in one network behind the same box, where the addresses that they know of each other
    /// belong to that box.
    Neighbours,
    /// Further in, they have boxes of their own.
    SameOuter,
}

/// Takes away the boxes that nothing between the two ends crosses: shared firewalls outside the
/// addresses by which they know each other.
pub(crate) fn trim<'a>(a: &'a [Gate], b: &'a [Gate]) -> (&'a [Gate], &'a [Gate], Meeting) {
    let shared = shared(a, b);
    let beyond = a.iter().rev().take(shared).take_while(|gate| !gate.translates()).count();
    let (a, b) = (&a[..a.len() - beyond], &b[..b.len() - beyond]);
    let rest = shared - beyond;
    let meeting = match rest {
        0 => Meeting::Apart,
        _ if a.len() == rest && b.len() == rest => Meeting::Neighbours,
        _ => Meeting::SameOuter,
    };
    (a, b, meeting)
}

/// How many boxes both go through, counted from the outside.
fn shared(a: &[Gate], b: &[Gate]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a.id == b.id).count()
}
