//! Claim 1: what the server does with registrations and requests.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use genkan_core::{EquipmentId, ServerEvent};
use genkan_sim::Via;

use super::{Element, Spoil, defer, edit, hasten, remove};
use crate::claims::run::{
    ACCEPTOR, Held, ISSUER, OTHER, OWN, Run, SERVER, arrival, is_connect, is_notify, is_register,
    is_syn, is_wake, must,
};
use crate::story::{Packet, Told, What};

/// The longest time between two registrations in the scenarios: two intervals of 5 s, with a margin.
pub(crate) const PERIOD: Duration = Duration::from_secs(11);

/// The server's list has id, IP address and port of several equipments.
pub static KEEPS_LIST: Element = Element {
    id: "server/keeps-list",
    says: "the equipment information list holds IP address, port and equipment ID of each of the \
           equipments, the issuance and the acceptance equipment among them",
    check: keeps_list,
    spoils: &[
        Spoil("another equipment is not on the list", |run| {
            let id = run.story.id(OTHER);
            run.story.listed.retain(|entry| entry.id != id);
        }),
        Spoil("the issuance equipment is not on the list", |run| {
            let id = run.story.id(ISSUER);
            run.story.listed.retain(|entry| entry.id != id);
        }),
        Spoil("an entry has another port", |run| {
            for entry in &mut run.story.listed {
                entry.address = entry.address.map(|at| SocketAddr::new(at.ip(), 1));
            }
        }),
        Spoil("the entries came after the request", |run| {
            for entry in &mut run.story.listed {
                entry.at += Duration::from_secs(10_000);
            }
        }),
    ],
};

fn keeps_list(run: &Run) -> Held {
    let asked = arrival(run.first_request()?);
    let mut addresses = Vec::new();
    for name in [ACCEPTOR, OTHER, OWN] {
        let id = run.story.id(name);
        let entry = run.story.address_at(id, asked);
        let entry = entry.ok_or_else(|| format!("{name} is not on the list"))?;
        let mut from_there = run.story.between(name, SERVER);
        let registered = from_there.rfind(|packet| is_register(packet));
        let seen = registered.ok_or_else(|| format!("{name} has not registered"))?.source;
        must(seen == entry, "an entry's address is not the equipment's")?;
        addresses.push(entry);
    }
    must(run.story.id(OWN) == run.story.id(ISSUER), "the issuance equipment is not on the list")?;
    addresses.sort_unstable();
    addresses.dedup();
    must(addresses.len() == 3, "two equipments have one address")
}

/// The acceptor's registrations arrive again and again.
pub static RECEIVES_REGISTRATION: Element = Element {
    id: "server/receives-registration",
    says: "it receives an equipment registration signal with the acceptance equipment's \
           information, periodically",
    check: |run| {
        let asked = run.first_request()?.at;
        periodic(run, asked)?;
        must(
            run.registers().iter().all(|packet| packet.destination == run.story.server),
            "a registration went elsewhere",
        )
    },
    spoils: &[
        Spoil("none arrives", |run| remove(run, is_register)),
        Spoil("only one arrives", |run| {
            let first = run.registers()[0].at;
            remove(run, |packet| is_register(packet) && packet.at != first);
        }),
        Spoil("they come after the request", |run| defer(run, is_register)),
        Spoil("there is a long pause between them", |run| {
            let first = run.registers()[0].at;
            hasten(run, |packet| is_register(packet) && packet.at == first);
            edit(run, |packet| packet.at > Duration::ZERO, |packet| packet.at += PERIOD);
        }),
        Spoil("they carry another id", other_id),
    ],
};

pub(super) fn other_id(run: &mut Run) {
    edit(run, is_register, |packet| packet.what = What::Register { id: EquipmentId([7; 32]) });
}

/// At least three registrations of the acceptor came before `until`, in regular distances, with its
/// id.
pub(super) fn periodic(run: &Run, until: Duration) -> Held {
    let registers = run.registers();
    let times: Vec<Duration> =
        registers.iter().map(|packet| packet.at).filter(|at| *at < until).collect();
    must(times.len() >= 3, "not three registrations came before the request")?;
    let close = times.windows(2).all(|pair| pair[1] - pair[0] <= PERIOD);
    must(close, "a registration was overdue")?;
    let (id, source) = (run.story.id(ACCEPTOR), registers[0].source);
    let same = registers.iter().all(|packet| packet.source == source);
    must(same && source.port() != 0, "the registrations' address is not one")?;
    let ours = registers.iter().all(|packet| packet.what == What::Register { id });
    must(ours, "a registration carries another id")
}

/// What a registration says is stored when it arrives.
pub static STORES_REGISTRATION: Element = Element {
    id: "server/stores-registration",
    says: "it stores the information that the registration signal brought",
    check: |run| {
        let id = run.story.id(ACCEPTOR);
        let mut entries = run.story.listed.iter().filter(|entry| entry.id == id);
        let stored = entries.next().ok_or("nothing was stored")?;
        let registers = run.registers();
        let first = registers.first().ok_or("no registration has arrived")?;
        must(stored.at == arrival(first), "it was not stored when the registration arrived")?;
        must(stored.address == Some(first.source), "another address was stored")?;
        must(first.what == What::Register { id }, "the registration was another's")
    },
    spoils: &[
        Spoil("nothing is stored", |run| run.story.listed.clear()),
        Spoil("it was stored before", |run| {
            for entry in &mut run.story.listed {
                entry.at = Duration::ZERO;
            }
        }),
        Spoil("no registration arrived", |run| remove(run, is_register)),
        Spoil("the registration came from elsewhere", |run| {
            edit(run, is_register, |packet| packet.source.set_port(1));
        }),
    ],
};

/// The issuer's SYN arrives and is answered.
pub static RECEIVES_FIRST_SYN: Element = Element {
    id: "server/receives-first-tcp-start",
    says: "it receives a first TCP connection start signal from the issuance equipment, for a \
           first TCP connection",
    check: |run| {
        let syn = run.first_syn()?;
        must(syn.destination == run.story.server, "it went elsewhere")?;
        let answer = run.syn_ack(syn)?;
        must(arrival(answer) <= run.first_request()?.at, "the connection came after the request")
    },
    spoils: &[
        Spoil("it does not arrive", |run| remove(run, |packet| is_syn(packet, ISSUER, SERVER))),
        Spoil("it comes after the request", |run| {
            defer(run, |packet| is_syn(packet, ISSUER, SERVER));
        }),
        Spoil("it is not answered", |run| remove(run, |packet| packet.what == What::SynAck)),
        Spoil("it goes elsewhere", |run| {
            edit(
                run,
                |packet| is_syn(packet, ISSUER, SERVER),
                |packet| packet.destination.set_port(1),
            );
        }),
    ],
};

/// The first request arrives over the first TCP connection.
pub static RECEIVES_FIRST_REQUEST: Element = Element {
    id: "server/receives-first-request",
    says: "it receives, over the first TCP connection, a first connection request signal with the \
           acceptance equipment's ID and the issuance equipment's IP address and port",
    check: |run| {
        let (syn, request) = (run.first_syn()?, run.first_request()?);
        must(request.tcp() == syn.tcp(), "it did not come over the first TCP connection")?;
        must(request.at >= arrival(run.syn_ack(syn)?), "the connection did not stand yet")?;
        asks_for(run, request)
    },
    spoils: REQUEST_SPOILS,
};

pub(super) static REQUEST_SPOILS: &[Spoil] = &[
    Spoil("it is missing", |run| remove(run, is_connect)),
    Spoil("it comes in a datagram", |run| {
        edit(run, is_connect, |packet| packet.via = Via::Udp);
    }),
    Spoil("it comes before the connection", |run| hasten(run, is_connect)),
    Spoil("it asks for another equipment", |run| {
        let other = run.story.id(OTHER);
        edit(run, is_connect, |packet| {
            if let What::Connect { target, .. } = &mut packet.what {
                *target = other;
            }
        });
    }),
    Spoil("it carries no IP address", |run| {
        edit(run, is_connect, |packet| {
            if let What::Connect { issuer, .. } = &mut packet.what {
                issuer.set_ip(Ipv4Addr::UNSPECIFIED.into());
            }
        });
    }),
    Spoil("it carries no port", |run| {
        edit(run, is_connect, |packet| {
            if let What::Connect { issuer, .. } = &mut packet.what {
                issuer.set_port(0);
            }
        });
    }),
];

/// The first request names the acceptor, and the issuer's IP address and port.
pub(super) fn asks_for(run: &Run, request: &Packet) -> Held {
    let What::Connect { target, issuer, .. } = &request.what else {
        return Err("it is no first connection request".into());
    };
    must(*target == run.story.id(ACCEPTOR), "it asks for another equipment")?;
    must(issuer.ip() == request.source.ip(), "its IP address is not the issuance equipment's")?;
    must(issuer.port() != 0, "it carries no port")
}

/// The list is searched for the requested id.
pub static IDENTIFIES: Element = Element {
    id: "server/identifies-acceptor",
    says: "it searches the list for the ID in the first connection request, and identifies the \
           equipment with that ID, its IP address and port there",
    check: identifies,
    spoils: &[
        Spoil("the search finds nothing", |run| {
            for told in &mut run.story.told {
                if let Told::Server(_, ServerEvent::Requested { found, .. }) = told {
                    *found = false;
                }
            }
        }),
        Spoil("there was no search", |run| {
            run.story
                .told
                .retain(|told| !matches!(told, Told::Server(_, ServerEvent::Requested { .. })));
        }),
        Spoil("it sends to another equipment", |run| {
            edit(
                run,
                |packet| is_notify(packet) || is_wake(packet),
                |packet| packet.to = OTHER.into(),
            );
        }),
        Spoil("the list has another address", |run| {
            for entry in &mut run.story.listed {
                entry.address = Some(SocketAddr::from(([192, 0, 2, 200], 4_600)));
            }
        }),
    ],
};

fn identifies(run: &Run) -> Held {
    let request = run.first_request()?;
    let (issuer, acceptor) = (run.story.id(ISSUER), run.story.id(ACCEPTOR));
    let searched = run.story.told.iter().any(|told| match told {
        Told::Server(at, ServerEvent::Requested { issuer: who, target, found: true }) => {
            *at >= arrival(request) && *who == issuer && *target == acceptor
        }
        _ => false,
    });
    must(searched, "the search has not found the acceptance equipment")?;
    let first_word = run.third_request().or_else(|_| run.second_request())?;
    let entry = run.story.address_at(acceptor, first_word.at);
    must(entry == Some(first_word.destination), "it was sent elsewhere than the list says")?;
    let mut astray = run.story.packets.iter().filter(|packet| packet.to != ACCEPTOR);
    must(
        !astray.any(|packet| is_notify(packet) || is_wake(packet)),
        "another equipment was sent the request",
    )
}

/// The second request carries on the issuer's address.
pub static SENDS_SECOND_REQUEST: Element = Element {
    id: "server/sends-second-request",
    says: "it transmits to the identified equipment a second connection request signal with the \
           issuance equipment's IP address and port out of the first",
    check: |run| {
        let (first, second) = (run.first_request()?, run.second_request()?);
        must(second.at >= arrival(first), "it was sent before the first arrived")?;
        let (What::Connect { issuer: stated, .. }, What::Notify { issuer, .. }) =
            (&first.what, &second.what)
        else {
            return Err("they are no connection requests".into());
        };
        must(issuer == stated, "it carries another address than the first")
    },
    spoils: &[
        Spoil("it is missing", |run| remove(run, is_notify)),
        Spoil("it comes before the first", |run| hasten(run, is_notify)),
        Spoil("it carries another address", |run| {
            edit(run, is_notify, |packet| {
                if let What::Notify { issuer, .. } = &mut packet.what {
                    issuer.set_port(9);
                }
            });
        }),
    ],
};

/// What reaches the acceptor answers its registration, at the address on the list.
pub static ANSWERS_REGISTRATION: Element = Element {
    id: "server/answers-registration",
    says: "the second connection request (or the third, that leads to it) is a response to the \
           registration signal, with the identified IP address and port as destination",
    check: answers_registration,
    spoils: &[
        Spoil("it goes to another address", |run| {
            edit(
                run,
                |packet| is_notify(packet) || is_wake(packet),
                |packet| packet.destination.set_port(1),
            );
        }),
        Spoil("it does not belong to the registration", |run| {
            edit(run, is_register, |packet| packet.opened_by.clear());
        }),
        Spoil("there was no registration before it", |run| defer(run, is_register)),
        Spoil("it leaves from elsewhere", |run| {
            edit(
                run,
                |packet| is_notify(packet) || is_wake(packet),
                |packet| packet.source.set_port(1),
            );
        }),
    ],
};

pub(super) fn answers_registration(run: &Run) -> Held {
    let second = run.second_request()?;
    let first_word = match second.is_datagram() {
        true => second,
        false => run.third_request()?,
    };
    must(first_word.is_datagram(), "it is no answer to a datagram")?;
    must(first_word.source == run.story.server, "it did not leave from the server's address")?;
    let registers = run.registers();
    let mut before = registers.iter().filter(|packet| arrival(packet) <= first_word.at);
    let registration = before.next_back().ok_or("there was no registration before it")?;
    must(
        registration.destination == first_word.source
            && registration.source == first_word.destination,
        "it does not go back to where the registration came from",
    )?;
    let same = run.key(registration)? == run.key(first_word)?;
    must(same, "it is not of the registration's session")?;
    let entry = run.story.address_at(run.story.id(ACCEPTOR), first_word.at);
    must(entry == Some(first_word.destination), "its destination is not the identified address")?;
    must(
        second.destination.ip() == first_word.destination.ip(),
        "the second connection request went to another host",
    )
}
