//! Claim 8: what the acceptor does.

use core::time::Duration;

use genkan_core::AcceptorEvent;

use super::server::{PERIOD, answers_registration, other_id, periodic};
use super::{Element, Spoil, defer, edit, hasten, remove};
use crate::claims::run::{
    ACCEPTOR, Held, ISSUER, Run, SERVER, arrival, is_answer, is_connect, is_notify, is_payload,
    is_register, is_syn, is_wake, must,
};
use crate::story::{Packet, Told, What};

/// The acceptor knows its id.
pub static STORES_ID: Element = Element {
    id: "acceptor/stores-id",
    says: "it stores its equipment ID: every registration carries the same, its own",
    check: |run| {
        let id = run.story.id(ACCEPTOR);
        let sent = run.story.between(ACCEPTOR, SERVER).filter(|packet| is_register(packet));
        let mut count = 0;
        for packet in sent {
            must(packet.what == What::Register { id }, "a registration carries another id")?;
            count += 1;
        }
        must(count > 0, "there is no registration")
    },
    spoils: &[
        Spoil("there is no registration", |run| remove(run, is_register)),
        Spoil("they carry another id", other_id),
    ],
};

/// The acceptor registers again and again.
pub static REGISTERS: Element = Element {
    id: "acceptor/registers-periodically",
    says: "it periodically transmits an equipment registration signal with its ID to the server",
    check: |run| {
        let elsewhere =
            run.registers().into_iter().any(|packet| packet.destination != run.story.server);
        must(!elsewhere, "a registration went elsewhere")?;
        periodic(run, Duration::MAX)
    },
    spoils: &[
        Spoil("there is no registration", |run| remove(run, is_register)),
        Spoil("there is only one", |run| {
            let first = run.registers()[0].at;
            remove(run, |packet| is_register(packet) && packet.at != first);
        }),
        Spoil("there is a long pause between them", |run| {
            let first = run.registers()[0].at;
            edit(
                run,
                |packet| is_register(packet) && packet.at > first,
                |packet| packet.at += PERIOD,
            );
        }),
        Spoil("they go elsewhere", |run| {
            edit(run, is_register, |packet| packet.destination.set_port(1));
        }),
        Spoil("they carry another id", other_id),
    ],
};

/// The acceptor receives the second request with the issuer's address.
pub static RECEIVES_SECOND_REQUEST: Element = Element {
    id: "acceptor/receives-second-request",
    says: "it receives from the server, in response to its registration signal, a second \
           connection request signal with the issuance equipment's IP address and port",
    check: |run| {
        answers_registration(run)?;
        let second = run.second_request()?;
        let stated = issuer_in(second)?;
        let from = run.first_syn()?.source;
        must(stated.ip() == from.ip(), "the IP address is not the issuance equipment's")?;
        let understood = run.story.acceptor_told(ACCEPTOR).any(|(at, event)| match event {
            AcceptorEvent::Requested { issuer, address, .. } => {
                let ours = issuer == Some(run.story.id(ISSUER));
                at >= arrival(second) && address == stated && ours
            }
            _ => false,
        });
        must(understood, "it has not understood it")
    },
    spoils: &[
        Spoil("it is missing", |run| remove(run, is_notify)),
        Spoil("it answers no registration", |run| remove(run, is_register)),
        Spoil("it carries another address", |run| {
            edit(run, is_notify, |packet| {
                if let What::Notify { issuer, .. } = &mut packet.what {
                    *issuer = run_server();
                }
            });
        }),
        Spoil("the acceptor hears nothing of it", |run| {
            run.story.told.retain(|told| {
                !matches!(told, Told::Acceptor(_, _, AcceptorEvent::Requested { .. }))
            });
        }),
        Spoil("it goes elsewhere", |run| {
            edit(
                run,
                |packet| is_notify(packet) || is_wake(packet),
                |packet| packet.destination.set_port(1),
            );
        }),
    ],
};

const fn run_server() -> core::net::SocketAddr {
    core::net::SocketAddr::new(
        core::net::IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 1)),
        4_600,
    )
}

fn issuer_in(packet: &Packet) -> Held<core::net::SocketAddr> {
    match &packet.what {
        What::Notify { issuer, .. } => Ok(*issuer),
        _ => Err("it is no second connection request".into()),
    }
}

/// The acceptor contacts the issuer at that address.
pub static SENDS_COMMUNICATION_REQUEST: Element = Element {
    id: "acceptor/sends-communication-request",
    says: "it transmits a communication request signal to the IP address and port in the second \
           connection request",
    check: sends_communication_request,
    spoils: &[
        Spoil("it is missing", |run| remove(run, is_answer)),
        Spoil("it comes before the second request", |run| {
            hasten(run, |packet| packet.goes(ACCEPTOR, ISSUER));
        }),
        Spoil("it goes to another address", |run| {
            edit(run, is_answer, |packet| packet.destination.set_port(1));
        }),
        Spoil("its connection goes to another address", |run| {
            edit(
                run,
                |packet| is_syn(packet, ACCEPTOR, ISSUER),
                |packet| packet.destination.set_port(1),
            );
        }),
        Spoil("there was no second request", |run| remove(run, is_notify)),
        Spoil("the second request comes after it", |run| defer(run, is_notify)),
    ],
};

fn sends_communication_request(run: &Run) -> Held {
    let second = run.second_request()?;
    let address = issuer_in(second)?;
    let syn = run.first(ACCEPTOR, ISSUER, "TCP start signal", |packet| packet.what == What::Syn)?;
    must(syn.at >= arrival(second), "it contacted the issuance equipment unasked")?;
    must(syn.destination == address, "it connects to another address")?;
    let request = run.communication_request()?;
    must(request.tcp() == syn.tcp(), "it does not go over that connection")?;
    must(request.destination == address, "it goes to another address")?;
    must(request.at >= arrival(run.syn_ack(syn)?), "the connection did not stand yet")
}

/// The acceptor starts the communication when the issuer has accepted.
pub static STARTS: Element = Element {
    id: "acceptor/starts-communication",
    says: "after the issuance equipment has accepted the communication in response to the \
           communication request signal, it starts the communication",
    check: starts,
    spoils: &[
        Spoil("the issuer accepts nothing", |run| {
            remove(run, |packet| packet.goes(ISSUER, ACCEPTOR) && !is_syn_ack(packet));
        }),
        Spoil("the issuer accepts late", |run| {
            defer(run, |packet| packet.goes(ISSUER, ACCEPTOR) && !is_syn_ack(packet));
        }),
        Spoil("the acceptor says nothing", |run| {
            remove(run, |packet| is_payload(packet) && packet.goes(ACCEPTOR, ISSUER));
        }),
        Spoil("the acceptor speaks before", |run| {
            hasten(run, |packet| is_payload(packet) && packet.goes(ACCEPTOR, ISSUER));
        }),
        Spoil("the connection stands before", |run| {
            for told in &mut run.story.told {
                if let Told::Acceptor(at, _, AcceptorEvent::Connected { .. }) = told {
                    *at = Duration::ZERO;
                }
            }
        }),
        Spoil("it is a connection with another", |run| {
            let other = run.story.id(ACCEPTOR);
            for told in &mut run.story.told {
                if let Told::Acceptor(_, _, AcceptorEvent::Connected { peer, .. }) = told {
                    *peer = other;
                }
            }
        }),
        Spoil("there was no request at all", |run| {
            remove(run, |packet| is_answer(packet) || is_connect(packet));
        }),
    ],
};

fn is_syn_ack(packet: &Packet) -> bool {
    packet.what == What::SynAck
}

fn starts(run: &Run) -> Held {
    let (asked, accepted) = (run.communication_request()?, run.acceptance()?);
    must(accepted.at >= arrival(asked), "the acceptance is no response")?;
    let (connected, peer) = run.acceptor_connected()?;
    must(connected >= arrival(accepted), "it started before the issuance equipment accepted")?;
    must(peer == run.story.id(ISSUER), "it is a connection with another")?;
    let data = run.data(ACCEPTOR, ISSUER)?;
    must(data.at >= connected, "it spoke before the issuance equipment accepted")?;
    must(data.tcp() == asked.tcp() && data.key().is_some(), "it spoke elsewhere")
}
