//! Which packets tell the most about a NAT: six in all, the registration among them.
//!
//! The first socket has registered at the main end. The rest leaves back to back, so that few
//! foreign mappings come between. For a mapping that depends on the port they make five new
//! mappings in a row; for one that depends on the address three; for an endpoint-independent one
//! two.

use super::sighting::ServerEnd;

/// Packets of one measurement, the registration included.
pub const MEASURE_PACKETS: usize = 6;

/// One packet of a measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Probe {
    /// From which socket: 0 the one that is registered, 1 and 2 fresh ones.
    pub socket: u8,
    /// To which end of the server.
    pub server: ServerEnd,
}

const fn probe(socket: u8, server: ServerEnd) -> Probe {
    Probe { socket, server }
}

const ONE_ADDRESS: [Probe; MEASURE_PACKETS - 1] = [
    probe(0, ServerEnd::OtherPort),
    probe(1, ServerEnd::Main),
    probe(1, ServerEnd::OtherPort),
    probe(2, ServerEnd::Main),
    probe(2, ServerEnd::OtherPort),
];

const TWO_ADDRESSES: [Probe; MEASURE_PACKETS - 1] = [
    probe(0, ServerEnd::OtherPort),
    probe(1, ServerEnd::Main),
    probe(1, ServerEnd::OtherAddress),
    probe(2, ServerEnd::Main),
    probe(2, ServerEnd::OtherPort),
];

/// What to send after the registration, in this order and without a pause. Fresh sockets should be
/// bound to ports of one parity: a NAT that keeps it (RFC 4787 REQ-4) then shows its true step.
#[must_use]
pub const fn measurement(second_address: bool) -> &'static [Probe; MEASURE_PACKETS - 1] {
    if second_address { &TWO_ADDRESSES } else { &ONE_ADDRESS }
}
