//! The figures of the README: bytes on a 32-bit target with Ethernet and IPv4 alone.

use genkan_turn::{Sessions, StreamStorage};
use smoltcp::iface::{Interface, SocketStorage};

use crate::node::Node;
use crate::storage::Storage;

macro_rules! sizes {
    ($($what:ty => $bytes:literal,)*) => {$(
        // A figure that is not right is a type error that tells the right one.
        const _: [(); $bytes] = [(); size_of::<$what>()];
    )*};
}

sizes! {
    Storage<1, 1> => 8_440,
    Storage<5, 1> => 18_840,
    Storage<5, 2> => 24_680,
    Storage<5, 4> => 36_360,
    Storage<11, 4> => 51_960,
    Storage<5, 2, 1_232, 1_234> => 17_936,
    [SocketStorage<'_>; 7] => 2_520,
    Interface => 376,
    StreamStorage<'_, 1, 1> => 4_464,
    StreamStorage<'_, 1, 2> => 8_928,
    Sessions<'_, (), 1, 2> => 2_544,
    Node<(), 5, 2> => 1_504,
}
