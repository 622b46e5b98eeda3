//! One sample of each message body, and the two operations on them.
//!
//! The core adds to this that a decoded body must have the one length that it would be encoded to;
//! that measurement is in [`decode`] as it is there.

use core::hint::black_box;

use genkan_core::wire::message::{
    ConnectNotify, ConnectRequest, Hello, NotifyReply, Plan, Refused, Register, Registered, Role,
    ToEquipment, ToServer, Verdict, Welcome,
};
use genkan_core::wire::{Body, OFFER_LEN};
use genkan_core::{EquipmentId, inspect};

use crate::world::{ACCEPTOR, ISSUER};

/// Room for any body.
pub type Buffer = [u8; genkan_core::wire::MAX_BODY];

static OFFER: [u8; OFFER_LEN] = [0x77; OFFER_LEN];

/// The device's registration.
#[must_use]
pub fn register() -> ToServer<'static> {
    ToServer::Register(Register {
        id: EquipmentId([0xa5; 32]),
        local: ACCEPTOR.into(),
        capabilities: 7,
        early_key: Some([0x3c; 16]),
    })
}

/// Its answer.
#[must_use]
pub fn registered() -> ToEquipment<'static> {
    ToEquipment::Registered(Registered {
        observed: ACCEPTOR.into(),
        interval: 25,
        register_every: 8,
    })
}

/// The first connection request.
#[must_use]
pub fn connect() -> ToServer<'static> {
    ToServer::Connect(request())
}

fn request() -> ConnectRequest<'static> {
    ConnectRequest {
        request: 0x1234_5678,
        target: EquipmentId([0xa5; 32]),
        issuer: ISSUER.into(),
        early_tag: Some([0x3c; 16]),
        offer: &OFFER,
    }
}

/// The second connection request.
#[must_use]
pub fn notify() -> ToEquipment<'static> {
    ToEquipment::Notify(ConnectNotify {
        request: 0x1234_5678,
        issuer: ISSUER.into(),
        paired: true,
        offer: &OFFER,
    })
}

/// The acceptor's word on it.
#[must_use]
pub const fn reply() -> ToServer<'static> {
    ToServer::Reply(NotifyReply { request: 0x1234_5678, verdict: Verdict::Accepted })
}

/// How the direct path comes about.
#[must_use]
pub fn plan() -> ToEquipment<'static> {
    ToEquipment::Plan(Plan { request: 0x1234_5678, acceptor: ACCEPTOR.into(), accepted: true })
}

/// A refusal.
#[must_use]
pub const fn refused() -> ToEquipment<'static> {
    let reason = genkan_core::wire::message::Reason::Unspecified;
    ToEquipment::Refused(Refused { request: 0x1234_5678, reason })
}

/// The payload of an issuer's Noise message 1, with a request in it.
#[must_use]
pub fn hello() -> Hello<'static> {
    Hello { role: Role::Issuer, time: 1_790_000_000, early: Some(request()) }
}

/// The payload of the server's Noise message 2.
#[must_use]
pub fn welcome() -> Welcome {
    Welcome { observed: ACCEPTOR.into(), time: 1_790_000_000, early_taken: false }
}

/// Encodes a body to the front of `out`, as the machines do; its length.
///
/// # Panics
/// When it does not fit.
pub fn encode<'a, T: Body<'a>>(value: &T, out: &mut Buffer) -> usize {
    inspect::write_body(black_box(value), out).unwrap()
}

/// Decodes a body that fills `bytes`, as the machines do.
///
/// # Panics
/// When it is not one.
pub fn decode<'a, T: Body<'a>>(bytes: &'a [u8]) -> T {
    inspect::body(black_box(bytes)).unwrap()
}
