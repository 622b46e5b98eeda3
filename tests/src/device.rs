//! What the tests without a network do again and again: a device on a desk's list, and a stream's
//! frames.

use core::net::SocketAddr;

use genkan_core::wire::message::{Register, Role, ToServer};
use genkan_core::{Instant, Machine, StreamId};

use crate::evil::{Desk, Evil, sa};

/// The registration of a device.
#[must_use]
pub fn register(evil: &Evil) -> ToServer<'static> {
    let (id, local) = (evil.id(), sa("0.0.0.0:0"));
    ToServer::Register(Register { id, local: local.into(), capabilities: 7, early_key: None })
}

/// A device that is registered at `desk` from this address.
pub fn device(desk: &mut Desk, secret: u8, from: SocketAddr) -> Evil {
    let mut evil = Evil::new(secret, desk.key.public());
    desk.admit(&mut evil, Role::Acceptor, from);
    let message = evil.transport(&register(&evil));
    assert_eq!(desk.tell(from, &message).1.len(), 1);
    assert_eq!(desk.server.location(&evil.id()), Some(from));
    evil
}

/// All frames that a machine has for a stream.
pub fn frames<M: Machine>(machine: &mut M, now: Instant, stream: StreamId) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(mut frame) = machine.poll_frame(now, stream) {
        let mut bytes = vec![0; frame.len()];
        frame.encode(&mut bytes).expect("room for a frame");
        frame.commit();
        all.push(bytes);
    }
    all
}
