//! What equipment can be made to say to a server: bodies from the fields of a record.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use genkan_core::wire::message::{
    ConnectRequest, Fetch, Hello, NotifyReply, Reason, Register, Role, ToServer, Verdict,
};
use genkan_core::wire::{Kind, OFFER_LEN};
use genkan_core::{EquipmentId, StaticKey};
use genkan_tests::device::register;
use genkan_tests::evil::{Evil, WALL, body, hmac, siphash};

use crate::trial::Act;

/// The early key that registrations state, when they state one.
pub(crate) const EARLY_KEY: [u8; 16] = [8; 16];

fn verdict(byte: u8) -> Verdict {
    match byte % 4 {
        0 => Verdict::Accepted,
        1 => Verdict::Declined(Reason::Busy),
        2 => Verdict::Declined(Reason::WrongPassword),
        _ => Verdict::Declined(Reason::Unreachable),
    }
}

/// The address that an issuer states: mostly one that it may state.
fn stated(byte: u8, observed: SocketAddr) -> SocketAddr {
    let ip = match byte % 4 {
        0 => observed.ip(),
        1 | 2 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::from([192, 168, 1, byte]),
    };
    SocketAddr::new(ip, 40_000 + u16::from(byte >> 2))
}

/// A request for `target`.
fn request<'a>(
    target: EquipmentId,
    observed: SocketAddr,
    offer: &'a [u8; OFFER_LEN],
    act: &Act,
) -> ConnectRequest<'a> {
    let number = u32::from(act.byte(4));
    let tag = siphash(&EARLY_KEY, &[&number.to_be_bytes(), offer]);
    ConnectRequest {
        request: number,
        target,
        issuer: stated(act.byte(10), observed).into(),
        early_tag: act.flag(2, 5).then_some(tag),
        offer,
    }
}

/// An Initiation, with a request in it or without.
pub(crate) fn hello(
    evil: &mut Evil,
    role: Role,
    target: EquipmentId,
    since: u64,
    act: &Act,
) -> Vec<u8> {
    let offer = [act.byte(11); OFFER_LEN];
    let observed = SocketAddr::from(([0, 0, 0, 0], 0));
    let early = act.flag(2, 3).then(|| request(target, observed, &offer, act));
    let time = WALL + since + u64::from(act.byte(9));
    evil.initiation(&Hello { role, time, early })
}

/// A body for the server.
pub(crate) fn to_server(
    evil: &Evil,
    ids: &[EquipmentId],
    number: u32,
    observed: SocketAddr,
    act: &Act,
) -> Vec<u8> {
    let offer = [act.byte(11); OFFER_LEN];
    let target = ids[act.below(4, ids.len())];
    let message = match act.byte(2) & 7 {
        0 => ToServer::Confirm,
        1 => register(evil),
        2 => {
            let early_key = act.flag(2, 5).then_some(EARLY_KEY);
            let id = if act.flag(2, 6) { target } else { evil.id() };
            let capabilities = u32::from(act.byte(5));
            ToServer::Register(Register { id, local: observed.into(), capabilities, early_key })
        }
        3 => ToServer::Deregister,
        4 => ToServer::Connect(request(target, observed, &offer, act)),
        5 => ToServer::Reply(NotifyReply { request: number, verdict: verdict(act.byte(4)) }),
        6 => ToServer::Fetch(Fetch { request: number }),
        _ => return act.tail(4).to_vec(),
    };
    body(&message, 0)
}

/// A Resume of the session that stands.
pub(crate) fn resume(evil: &Evil, nonce: &[u8; 16]) -> Vec<u8> {
    let mut out = vec![Kind::Resume as u8, 0];
    out.extend(evil.handle.to_be_bytes());
    out.extend(nonce);
    out.extend(&hmac(&evil.root, &[b"resume tag", &out])[..16]);
    out
}

/// Takes the server's answer to a Resume.
pub(crate) fn resumed(evil: &mut Evil, nonce: &[u8; 16], answer: &[u8]) {
    let signed = [&answer[..22], nonce].concat();
    assert_eq!(hmac(&evil.root, &[b"resume tag", &signed])[..16], answer[22..], "Resumed");
    evil.root = hmac(&evil.root, &[b"resumed", nonce, &answer[6..22]]);
    evil.handle = u32::from_be_bytes(*answer[6..].first_chunk().expect("a handle"));
    evil.counter = 0;
}

/// The key of whoever has `secret`; made once, since making it costs more than most calls.
pub(crate) fn key(secret: u8) -> StaticKey {
    use std::sync::OnceLock;

    static KEYS: [OnceLock<StaticKey>; 256] = [const { OnceLock::new() }; 256];
    let made = || StaticKey::from_secret([secret; 32]);
    KEYS[usize::from(secret)].get_or_init(made).clone()
}
