//! The requests under the common keys, and the certificate that stands behind them.

use genkan_core::ServerEvent;

use super::spoil::{change, doubled, early, in_plain, lose, open_to_all, other_certificate};
use super::{is_certificate, sealed, since, trusted};
use crate::claims::elements::{Element, Spoil, edit};
use crate::claims::run::{Run, SERVER, arrival, is_notify, must};
use crate::story::{Packet, Told, What};

const SEALED_SPOILS_FIRST: &[Spoil] = &[
    Spoil("no key opens it", |run| change(Run::first_leg, run, is_request, open_to_all)),
    Spoil("two keys open it", |run| change(Run::first_leg, run, is_request, doubled)),
    Spoil("it travels in plain", |run| change(Run::first_leg, run, is_request, in_plain)),
    Spoil("it comes before the key", |run| change(Run::first_leg, run, is_request, early)),
];

const SEALED_SPOILS_SECOND: &[Spoil] = &[
    Spoil("no key opens it", |run| change(Run::second_leg, run, is_request, open_to_all)),
    Spoil("two keys open it", |run| change(Run::second_leg, run, is_request, doubled)),
    Spoil("it travels in plain", |run| change(Run::second_leg, run, is_request, in_plain)),
    Spoil("it comes before the key", |run| change(Run::second_leg, run, is_request, early)),
    Spoil("it is under the first key", |run| {
        let Ok(Some(first)) = run.first_request().map(Packet::key) else { return };
        edit(run, is_notify, |packet| packet.opened_by = vec![first]);
    }),
];

const fn is_request(packet: &Packet) -> bool {
    matches!(packet.what, What::Connect { .. } | What::Notify { .. })
}

/// The server opens the first request with the first common key.
pub static SERVER_DECRYPTS: Element = Element {
    id: "server/decrypts-first-request",
    says: "it receives the first connection request over the first TCP connection encrypted with \
           the first common key, and decrypts it with that key",
    check: |run| {
        let leg = run.first_leg()?;
        sealed(run, leg)?;
        let came = arrival(leg.request);
        must(since(run, SERVER, leg.request)? <= came, "it had no key yet")?;
        let understood = run.story.told.iter().any(
            |told| matches!(told, Told::Server(at, ServerEvent::Requested { .. }) if *at >= came),
        );
        must(understood, "it has not understood the request")
    },
    spoils: SEALED_SPOILS_FIRST,
};

/// The issuer seals the first request before it sends it.
pub static ISSUER_ENCRYPTS: Element = Element {
    id: "issuer/encrypts-first-request",
    says: "before transmitting the first connection request, it encrypts it with the first common \
           key, and transmits it so over the first TCP connection",
    check: |run| {
        let leg = run.first_leg()?;
        sealed(run, leg)?;
        let held = since(run, leg.client, leg.request)?;
        must(held <= leg.request.at, "it had no key yet")?;
        must(run.first_syn()?.tcp() == Some(leg.tcp), "it went over another connection")
    },
    spoils: SEALED_SPOILS_FIRST,
};

/// The server seals the second request.
pub static SERVER_ENCRYPTS: Element = Element {
    id: "server/encrypts-second-request",
    says: "after receiving the first connection request and before transmitting the second, it \
           encrypts the second with the second common key",
    check: |run| {
        let leg = run.second_leg()?;
        sealed(run, leg)?;
        must(leg.request.at >= arrival(run.first_request()?), "there was no first request yet")?;
        must(since(run, SERVER, leg.request)? <= leg.request.at, "it had no key yet")
    },
    spoils: SEALED_SPOILS_SECOND,
};

/// The acceptor opens the second request.
pub static ACCEPTOR_DECRYPTS: Element = Element {
    id: "acceptor/decrypts-second-request",
    says: "it receives the second connection request over the second TCP connection encrypted \
           with the second common key, and decrypts it with that key",
    check: |run| {
        use genkan_core::AcceptorEvent::Requested;
        let leg = run.second_leg()?;
        sealed(run, leg)?;
        let came = arrival(leg.request);
        must(since(run, leg.client, leg.request)? <= came, "it had no key yet")?;
        must(run.second_syn()?.tcp() == Some(leg.tcp), "it came over another connection")?;
        let mut told = run.story.acceptor_told(leg.client);
        let understood = told.any(|(at, event)| at >= came && matches!(event, Requested { .. }));
        must(understood, "it has not understood the request")
    },
    spoils: SEALED_SPOILS_SECOND,
};

/// The server has one certificate and shows it to all.
pub static STORES_CERTIFICATE: Element = Element {
    id: "server/stores-certificate",
    says: "it stores server certificate information that certifies its validity, and transmits \
           the same to every equipment",
    check: |run| {
        let sent = run.story.packets.iter().filter(|packet| packet.from == SERVER);
        let mut shown = sent.filter_map(|packet| match &packet.what {
            What::Certificate { bytes, .. } => Some((packet.to.as_str(), bytes)),
            _ => None,
        });
        let (_, stored) = shown.next().ok_or("it shows none")?;
        must(trusted(stored, run.authority), "the authority has not signed it")?;
        must(shown.all(|(_, bytes)| bytes == stored), "it shows different ones")
    },
    spoils: &[
        Spoil("it shows none", |run| edit(run, is_certificate, lose)),
        Spoil("it is not the authority's", |run| edit(run, is_certificate, other_certificate)),
        Spoil("it shows different ones", |run| {
            change(Run::second_leg, run, is_certificate, other_certificate);
        }),
    ],
};
