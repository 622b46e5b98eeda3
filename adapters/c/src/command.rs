//! Socket operations that the acceptor wants, as one flat structure: which fields count is said by the
//! kind, the others are 0.

use genkan_core::Command;

use crate::names::{genkan_address, genkan_stream_id};

/// A socket operation to carry out. None of them may block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum genkan_command_kind {
    /// Open a TCP connection to `remote` and name it `stream`; tell genkan_handle_connected or
    /// genkan_handle_closed.
    Connect = 0,
    /// Close `stream` after what is queued on it; forget it.
    Shutdown = 1,
    /// Listen for TCP connections as `socket`; answer with genkan_handle_bound.
    Listen = 2,
    /// Close the listener `socket`.
    Unlisten = 3,
    /// Open `count` UDP sockets, on consecutive ports where that can be, and name them `socket` and
    /// the numbers that follow. Answer with genkan_handle_bound for the first one; with no address
    /// when not all of them could be opened (none of them stays open then).
    Bind = 4,
    /// Close `count` UDP sockets from `socket` on. Numbers that are not open are passed over.
    Unbind = 5,
    /// As Connect, from the local port of the TCP connection `beside`, which stands: the other end
    /// does the same at the same time (simultaneous open, RFC 9293, section 3.5). A stack that cannot
    /// do this tells genkan_handle_closed.
    ConnectFrom = 6,
}

/// A socket operation to carry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct genkan_command {
    /// Connect, ConnectFrom: where to.
    pub remote: genkan_address,
    /// Connect, ConnectFrom, Shutdown: which TCP connection.
    pub stream: genkan_stream_id,
    /// ConnectFrom: the one whose local port it takes.
    pub beside: genkan_stream_id,
    /// Listen, Unlisten, Bind, Unbind: which socket, or the first.
    pub socket: u16,
    /// Bind, Unbind: how many.
    pub count: u8,
    /// What to do.
    pub kind: genkan_command_kind,
}

impl genkan_command {
    /// `None` for a command that this library does not know.
    pub(crate) fn of(command: Command) -> Option<Self> {
        let none = Self {
            remote: genkan_address::default(),
            stream: genkan_stream_id::default(),
            beside: genkan_stream_id::default(),
            socket: 0,
            count: 0,
            kind: genkan_command_kind::Connect,
        };
        Some(match command {
            Command::Connect { stream, remote } => {
                Self { remote: remote.into(), stream: stream.into(), ..none }
            }
            Command::ConnectFrom { stream, beside, remote } => Self {
                remote: remote.into(),
                stream: stream.into(),
                beside: beside.into(),
                kind: genkan_command_kind::ConnectFrom,
                ..none
            },
            Command::Shutdown { stream } => {
                Self { stream: stream.into(), kind: genkan_command_kind::Shutdown, ..none }
            }
            Command::Listen { socket } => {
                Self { socket: socket.0, kind: genkan_command_kind::Listen, ..none }
            }
            Command::Unlisten { socket } => {
                Self { socket: socket.0, kind: genkan_command_kind::Unlisten, ..none }
            }
            Command::Bind { first, count } => {
                Self { socket: first.0, count, kind: genkan_command_kind::Bind, ..none }
            }
            Command::Unbind { first, count } => {
                Self { socket: first.0, count, kind: genkan_command_kind::Unbind, ..none }
            }
            _ => return None,
        })
    }
}
