//! Bodies are read here and not by postcard, for one rule that it does not have: each value has one
//! encoding (BODY-6). Writing again what was read, to see whether it comes out as long, took a
//! microcontroller more flash than this. What is read how is said by the types' derives, as ever.
//!
//! The fuzzers hold this against postcard, and the tests below.

use core::fmt::{Display, Formatter};

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::codec::Reader;

/// It is not the encoding of a value; nobody is told why.
#[derive(Debug)]
pub(crate) struct Refused;

impl serde::de::Error for Refused {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.write_str("not the encoding of a value")
    }
}

impl core::error::Error for Refused {}

type Result<T> = core::result::Result<T, Refused>;

impl<'a> Reader<'a> {
    // One copy each of what every field takes.

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn take(&mut self) -> Result<u8> {
        self.byte().ok_or(Refused)
    }

    /// A byte that is 0 or 1.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn flag(&mut self) -> Result<bool> {
        match self.take()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Refused),
        }
    }

    /// A number of up to 64 bits in as few bytes as it takes.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.take()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Refused);
            }
            value |= shifted;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Refused)
    }

    /// A number of up to 32 bits.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn small(&mut self) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| Refused)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Refused;

    /// All that no body has.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Refused)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_bool(self.flag()?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u8(self.take()?)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_i8(self.take()?.cast_signed())
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u16(u16::try_from(self.small()?).map_err(|_| Refused)?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u32(self.small()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u64(self.varint()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let len = usize::try_from(self.small()?).map_err(|_| Refused)?;
        visitor.visit_borrowed_bytes(self.slice(len).ok_or(Refused)?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.flag()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let left = usize::try_from(self.small()?).map_err(|_| Refused)?;
        visitor.visit_seq(Elements { of: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        i16 i32 i64 f32 f64 char str string byte_buf unit unit_struct map identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Fields, of which a type takes as many as it has.
impl<'de> SeqAccess<'de> for &mut Reader<'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        seed.deserialize(&mut **self).map(Some)
    }
}

/// The elements of a list.
struct Elements<'r, 'de> {
    of: &'r mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.of).map(Some)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self)> {
        let number: U32Deserializer<Refused> = self.small()?.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = Refused;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::fmt::Debug;
    use std::vec::Vec;

    use crate::addr::Endpoint;
    use crate::id::EquipmentId;
    use crate::nat::PortRange;
    use crate::wire::codec::{Body, body_len, read_body};
    use crate::wire::message::*;

    /// What postcard reads, where it writes the same again.
    fn by_postcard<'d, T: Body<'d>>(bytes: &'d [u8]) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
        (rest.is_empty() && body_len(&value) == bytes.len()).then_some(value)
    }

    fn hold<'d, T: Body<'d> + PartialEq + Debug>(bytes: &'d [u8]) {
        assert_eq!(read_body::<T>(bytes), by_postcard::<T>(bytes), "{bytes:?}");
    }

    /// Holds a value's encoding, and what is near it, against postcard.
    macro_rules! hold_near {
        ($($of:ty: $value:expr),+ $(,)?) => { $(
            let mut space = [0; 600];
            let bytes = postcard::to_slice(&$value, &mut space).unwrap();
            assert_eq!(read_body(bytes), Some($value));
            for at in 0..bytes.len() {
                hold::<$of>(&bytes[..at]);
                let mut near = bytes.to_vec();
                for byte in 0..=u8::MAX {
                    near[at] = byte;
                    hold::<$of>(&near);
                }
                // Needless bytes in a varint, and a byte more anywhere.
                near[at] = bytes[at] | 0x80;
                for byte in [0, 1, 0x80] {
                    near.insert(at + 1, byte);
                    hold::<$of>(&near);
                }
            }
        )+ };
    }

    fn six(port: u16) -> Endpoint {
        Endpoint::from((core::net::Ipv6Addr::LOCALHOST, port))
    }

    #[test]
    #[cfg(feature = "punch")]
    fn what_a_server_says_is_read_as_postcard_reads_it_in_one_encoding() {
        use crate::nat::{Count, Differential, Forecast};
        use crate::punch::{self, Bracket, Burst};

        let burst = |ports| {
            let burst = Burst::from_fresh(1, 255, 0, Bracket::FreshSockets);
            let burst = Burst { ports, count: 300, ..burst };
            ToEquipment::Punch(Punch { request: 1 << 31, peer: six(1), burst })
        };
        let differential = Differential::new(-64).unwrap();
        let (observed, request) = (six(65_535), u32::MAX);
        let mut packets = heapless::Vec::new();
        for packet in [(1, six(0)), (200, Endpoint::UNSPECIFIED)] {
            packets.push(packet).unwrap();
        }
        let seen = Seen { request: 0, round: 128, packets };
        let registered = Registered { observed, interval: 128, register_every: 128 };
        let (paired, offer) = (false, &[128; 288]);
        let notify = ConnectNotify { request: 127, issuer: observed, paired, offer };
        let plan = Plan { request, acceptor: Endpoint::UNSPECIFIED, accepted: true };
        let foreign = Count::Split { number: 128, part: 128, rest: 0 };
        let ends = Measure { other_port: 3_479, other_address: Some(observed), now: true };
        let call = |peer| ToEquipment::Call(Call { request, peer });
        let hopeless = |why| ToEquipment::Hopeless(Hopeless { request, why });
        hold_near! {
            ToEquipment<'_>: ToEquipment::Registered(registered),
            ToEquipment<'_>: ToEquipment::Notify(notify),
            ToEquipment<'_>: ToEquipment::Notify(ConnectNotify { paired: true, offer: &[], ..notify }),
            ToEquipment<'_>: ToEquipment::Wake(Wake { request }),
            ToEquipment<'_>: ToEquipment::Plan(plan),
            ToEquipment<'_>: ToEquipment::Refused(Refused { request, reason: Reason::Unreachable }),
            ToEquipment<'_>: ToEquipment::Goodbye,
            ToEquipment<'_>: ToEquipment::Measure(ends),
            ToEquipment<'_>: ToEquipment::Seen(seen.clone()),
            ToEquipment<'_>: burst(Forecast::Counter { last: 128, differential, nth: 1, foreign }),
            ToEquipment<'_>: burst(Forecast::Among { low: 0, high: 65_535, margin: 16_384 }),
            ToEquipment<'_>: hopeless(punch::Hopeless::BothUnpredictable),
            ToEquipment<'_>: hopeless(punch::Hopeless::Sockets),
            ToEquipment<'_>: call(None),
            ToEquipment<'_>: call(Some(observed)),
            ToEquipment<'_>: call(Some(Endpoint::from(([192, 0, 2, 1], 128)))),
        }
    }

    #[test]
    fn what_others_say_is_read_as_postcard_reads_it_in_one_encoding() {
        let (id, key) = (EquipmentId([128; 32]), Some([128; 16]));
        let register = Register { id, local: six(1), capabilities: u32::MAX, early_key: key };
        let request = ConnectRequest {
            request: 128,
            target: id,
            issuer: six(9),
            early_tag: key,
            offer: &[128; 288],
        };
        let mut candidates = heapless::Vec::new();
        candidates.push(six(128)).unwrap();
        let (password, punch_key) = (Some([0; 32]), [255; 16]);
        let (counter, time) = (u64::MAX, 1 << 63);
        let offer = Offer { index: 0, password, punch_key, counter, time, candidates };
        let range = |differential| {
            let range = PortRange { before: 128, after: 65_535, differential, bubbles: 255 };
            ToServer::Range(Range { request: 16_384, round: 1, range })
        };
        let reply = |verdict| ToServer::Reply(NotifyReply { request: 1 << 21, verdict });
        hold_near! {
            Hello<'_>: Hello { role: Role::Issuer, time, early: Some(request) },
            Welcome: Welcome { observed: six(128), time: 127, early_taken: true },
            ToServer<'_>: ToServer::Register(register),
            ToServer<'_>: ToServer::Connect(request),
            ToServer<'_>: reply(Verdict::Accepted),
            ToServer<'_>: reply(Verdict::Declined(Reason::Unspecified)),
            ToServer<'_>: reply(Verdict::Declined(Reason::Unreachable)),
            ToServer<'_>: ToServer::Fetch(Fetch { request: 127 }),
            ToServer<'_>: ToServer::Heard(Heard { request: 128 }),
            ToServer<'_>: range(None),
            ToServer<'_>: range(crate::nat::Differential::new(-64)),
            ToServer<'_>: ToServer::Life(Life { port: 16_384, lifetime: 255 }),
            ToServer<'_>: ToServer::Reached([128; 6]),
            ToServer<'_>: ToServer::Confirm,
            ToServer<'_>: ToServer::Deregister,
            ToServer<'_>: ToServer::Leased(128),
            ToServer<'_>: ToServer::Can(1 << 28),
            WholeOffer: WholeOffer { offer: offer.clone(), renewal: true },
            Accept: Accept { early_key: key },
            PeerMessage: PeerMessage::EarlyKey([128; 16]),
        }
    }

    /// BODY-5: it has a form of its own, which is shorter.
    #[test]
    fn an_ipv4_address_in_ipv6_is_refused() {
        let mut bytes = Vec::from([1]);
        bytes.extend(core::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        bytes.push(7);
        assert_eq!(read_body::<Endpoint>(&bytes), None);
        assert_eq!(read_body(&[0, 127, 0, 0, 1, 7]), Some(Endpoint::from(([127, 0, 0, 1], 7))));
    }
}
