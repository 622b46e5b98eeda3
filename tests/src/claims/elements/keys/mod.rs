//! Claims 4, 7 and 11: certificate, key generation information and common keys on both TCP
//! connections, and the requests under them.
//!
//! ```text
//! exchange   certificate, key generation information and common key of one connection, twice
//! sealed     the requests under the common keys, and the server's certificate
//! spoil      ways to spoil them
//! ```

mod exchange;
mod sealed;
mod spoil;

use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, Trust};
use genkan_sim::Via;
use genkan_sim::fleet::START;

use crate::claims::run::{ACCEPTOR, Held, ISSUER, Leg, Run, SERVER, arrival, must};
use crate::story::{Packet, Story, What};
pub use exchange::{
    FIRST_CERTIFICATE, FIRST_CHECKED, FIRST_INFO_DOWN, FIRST_INFO_UP, FIRST_KEY,
    SECOND_CERTIFICATE, SECOND_CHECKED, SECOND_INFO_DOWN, SECOND_INFO_UP, SECOND_KEY,
};
pub use sealed::{
    ACCEPTOR_DECRYPTS, ISSUER_ENCRYPTS, SERVER_DECRYPTS, SERVER_ENCRYPTS, STORES_CERTIFICATE,
};

type Which = fn(&Packet) -> bool;

const fn is_asking(packet: &Packet) -> bool {
    matches!(packet.what, What::CertificateRequest)
}

const fn is_certificate(packet: &Packet) -> bool {
    matches!(packet.what, What::Certificate { .. })
}

const fn is_info_up(packet: &Packet) -> bool {
    matches!(packet.what, What::Initiation(_))
}

const fn is_info_down(packet: &Packet) -> bool {
    matches!(packet.what, What::Response)
}

/// The packet on a connection that arrived and is what `is` says.
fn on<'r>(run: &'r Run, leg: Leg<'_>, name: &str, is: Which) -> Held<&'r Packet> {
    let found = run.story.packets.iter().find(|packet| {
        matches!(packet.via, Via::Tcp(id) if id == leg.tcp)
            && packet.arrived.is_some()
            && is(packet)
    });
    found.ok_or_else(|| format!("no {name} has arrived on the TCP connection"))
}

/// The certificate, as `anchor` sees it.
fn trusted(bytes: &[u8], anchor: [u8; 32]) -> bool {
    let authorities = [anchor];
    let trust =
        Trust { authorities: &authorities, name: None, min_serial: 0, floor: START, now: None };
    Certificate::parse(bytes).is_ok_and(|certificate| trust.check(&certificate).is_ok())
}

fn certificate(run: &Run, leg: Leg<'_>) -> Held {
    let asked = on(run, leg, "certificate request", is_asking)?;
    let sent = on(run, leg, "certificate", is_certificate)?;
    must(sent.goes(SERVER, leg.client), "it was not the server that sent it")?;
    must(sent.at >= arrival(asked), "it was sent unasked")?;
    let mut said = run.story.between(leg.client, SERVER);
    let first = said.find(|packet| matches!(packet.via, Via::Tcp(id) if id == leg.tcp));
    must(first == Some(asked), "the connection began with something else")?;
    must(arrival(sent) <= leg.request.at, "it came after the request")?;
    let What::Certificate { server_key, .. } = &sent.what else { return Err("none".into()) };
    must(*server_key == run.story.server_key, "it certifies another key")
}

/// The certificate that came is valid, and without a valid one no key information leaves.
fn checked(run: &Run, leg: Leg<'_>, forged: Option<&Story>) -> Held {
    let sent = on(run, leg, "certificate", is_certificate)?;
    let What::Certificate { bytes, .. } = &sent.what else { return Err("none".into()) };
    must(trusted(bytes, run.authority), "the authority has not signed it")?;
    let first = on(run, leg, "key generation information", is_info_up)?;
    must(first.at >= arrival(sent), "key information left before the certificate was there")?;
    let forged = forged.ok_or("an invalid certificate was never tried")?;
    let on_streams = |packet: &&Packet| matches!(packet.via, Via::Tcp(_));
    let mut sent = forged.between(SERVER, leg.client).filter(on_streams);
    let invalid = sent.any(|packet| match &packet.what {
        What::Certificate { bytes, .. } => {
            packet.arrived.is_some() && !trusted(bytes, run.authority)
        }
        _ => false,
    });
    must(invalid, "the counter-run's certificate was valid, or has not arrived")?;
    let mut left = forged.between(leg.client, SERVER).filter(on_streams);
    must(!left.any(is_info_up), "key information left for an invalid certificate")
}

fn info_up(run: &Run, leg: Leg<'_>) -> Held {
    let sent = on(run, leg, "certificate", is_certificate)?;
    let info = on(run, leg, "key generation information", is_info_up)?;
    must(info.goes(leg.client, SERVER), "it did not come from the equipment")?;
    must(info.at >= arrival(sent), "it is no response to the certificate")?;
    let id = run.story.id(leg.client);
    must(info.what == What::Initiation(Some(id)), "it is not made for the certificate's key")
}

fn info_down(run: &Run, leg: Leg<'_>) -> Held {
    let up = on(run, leg, "key generation information", is_info_up)?;
    let down = on(run, leg, "key generation information in return", is_info_down)?;
    must(down.goes(SERVER, leg.client), "it did not come from the server")?;
    must(down.at >= arrival(up), "it is no response to the equipment's")?;
    must(arrival(down) <= leg.request.at, "the request did not wait for it")
}

fn common_key(run: &Run, leg: Leg<'_>) -> Held {
    let root = run.key(leg.request)?;
    let since = |owner: &str| {
        let mut held = run.story.keys.iter().filter(|key| key.root == root);
        let key = held.find(|key| key.owner == owner);
        key.map(|key| key.at).ok_or_else(|| format!("{owner} does not hold the common key"))
    };
    let up = on(run, leg, "key generation information", is_info_up)?;
    let down = on(run, leg, "key generation information in return", is_info_down)?;
    must(since(SERVER)? >= arrival(up), "the server had it before the equipment's information")?;
    must(since(leg.client)? >= arrival(down), "the equipment had it before the server's")?;
    must(since(leg.client)? <= leg.request.at.max(arrival(leg.request)), "it came too late")?;
    let mut others = run.story.keys.iter().filter(|key| key.root == root);
    let ours = others.all(|key| key.owner == SERVER || key.owner == leg.client);
    must(ours, "a third holds it")
}

/// The request is under the leg's common key, under no other, and not to be read off the wire.
fn sealed(run: &Run, leg: Leg<'_>) -> Held {
    let root = run.key(leg.request)?;
    let other = if leg.client == ISSUER { run.second_leg() } else { run.first_leg() };
    if let Ok(other) = other {
        must(run.key(other.request)? != root, "both requests are under one key")?;
    }
    let (What::Connect { offer, .. } | What::Notify { offer, .. }) = &leg.request.what else {
        return Err("it is no connection request".into());
    };
    let start = &offer.bytes[..32];
    let id = run.story.id(ACCEPTOR);
    let shows = |part: &[u8]| leg.request.raw.windows(part.len()).any(|window| window == part);
    must(!shows(start) && !shows(id.as_bytes()), "it can be read off the wire")
}

/// Since when a machine has held the key of a request.
fn since(run: &Run, owner: &str, request: &Packet) -> Held<Duration> {
    let root = run.key(request)?;
    let mut keys = run.story.keys.iter().filter(|key| key.owner == owner && key.root == root);
    keys.next().map(|key| key.at).ok_or_else(|| format!("{owner} does not hold the key"))
}
