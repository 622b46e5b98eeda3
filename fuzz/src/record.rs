//! Bytes as records of one size.
//!
//! A scenario is a header and then records of one size, each field at a place of its own. A flipped
//! bit thus changes one thing in the scenario; it never moves everything behind it.

/// `N` bytes with a meaning for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<const N: usize>([u8; N]);

impl<const N: usize> Record<N> {
    /// The record that `bytes` begin with; what is missing is zero.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut record = [0; N];
        record.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(record)
    }

    /// The byte at `at`; zero beyond the end.
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The byte at `at` as a number below `bound`, which is not 0.
    pub(crate) fn below(&self, at: usize, bound: usize) -> usize {
        usize::from(self.byte(at)) % bound
    }

    /// Bit `bit` of the byte at `at`.
    pub(crate) fn flag(&self, at: usize, bit: u8) -> bool {
        self.byte(at) & (1 << (bit & 7)) != 0
    }

    /// The two bytes at `at`, as a number.
    pub(crate) fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.byte(at), self.byte(at + 1)])
    }

    /// The four bytes at `at`, as a number.
    pub(crate) fn long(&self, at: usize) -> u32 {
        u32::from(self.word(at)) << 16 | u32::from(self.word(at + 2))
    }

    /// The bytes from `at` on.
    pub(crate) fn tail(&self, at: usize) -> &[u8] {
        self.0.get(at..).unwrap_or_default()
    }

    /// A time from the byte at `at`: the two low bits scale the others from milliseconds to hours.
    pub(crate) fn time(&self, at: usize) -> core::time::Duration {
        let scale = [1, 50, 2_000, 300_000];
        let byte = self.byte(at);
        let millis = u64::from(byte >> 2) * scale[usize::from(byte & 3)];
        core::time::Duration::from_millis(millis)
    }
}

/// A header of `H` bytes and at most `most` records of `N`.
pub(crate) fn split<const H: usize, const N: usize>(
    data: &[u8],
    most: usize,
) -> (Record<H>, impl Iterator<Item = Record<N>>) {
    let (head, rest) = data.split_at(data.len().min(H));
    (Record::new(head), rest.chunks(N).take(most).map(Record::new))
}

/// Changes `bytes` in one of eight ways, as `how` says; says whether that made a difference.
pub(crate) fn mar(bytes: &mut Vec<u8>, how: u8, at: u16, with: u8) -> bool {
    let before = bytes.clone();
    let place = usize::from(at) % bytes.len().max(1);
    match how % 8 {
        0 => {}
        1 => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << (with & 7)),
        2 => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte = with),
        3 => bytes.truncate(place),
        4 => bytes.extend(core::iter::repeat_n(with, 1 + usize::from(at % 64))),
        5 => bytes.insert(place.min(bytes.len()), with),
        6 => {
            bytes.drain(place..bytes.len().min(place + 1));
        }
        _ => bytes.iter_mut().skip(place).take(4).for_each(|byte| *byte = with),
    }
    bytes.truncate(genkan_core::MAX_DATAGRAM);
    *bytes != before
}
