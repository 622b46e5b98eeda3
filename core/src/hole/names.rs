//! The numbers of the UDP sockets that equipment opens: two for a measurement, and 255 for each
//! connection slot.

use crate::id::SocketId;

/// The first socket of a measurement.
pub(super) const MEASURING: SocketId = SocketId::FRESH;
/// How many it has.
pub(super) const MEASURING_COUNT: u8 = 2;
/// So many slots have numbers; those beyond punch no holes.
pub(super) const SLOTS: usize = 254;
/// Numbers of one connection slot: its attempt counts its sockets from 1.
const EACH: u16 = 256;

/// What the numbers of an attempt's sockets are added to.
pub(super) fn base(slot: usize) -> u16 {
    let slot = u16::try_from(slot).unwrap_or(u16::MAX);
    MEASURING.0.saturating_add(MEASURING_COUNT.into()).saturating_add(slot.saturating_mul(EACH))
}

/// The attempt's number for a socket: 0 for the registered one, `None` for another slot's.
pub(super) fn number(base: u16, socket: SocketId) -> Option<u8> {
    if socket == SocketId::MAIN {
        return Some(0);
    }
    u8::try_from(socket.0.checked_sub(base)?).ok().filter(|&number| number > 0)
}

/// Whether this slot's peer may be heard there: other slots and the measurement have sockets of their
/// own, which close when they do.
pub(crate) fn may_hear(slot: usize, socket: SocketId) -> bool {
    number(base(slot), socket).is_some()
}

/// The socket that an attempt calls by this number.
pub(super) fn socket(base: u16, number: u8) -> SocketId {
    match number {
        0 => SocketId::MAIN,
        number => SocketId(base.saturating_add(number.into())),
    }
}
