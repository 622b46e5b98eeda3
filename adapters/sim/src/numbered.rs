//! Lists whose numbers are given to callers as ids. A number that a list does not have is a mistake of
//! the caller's, who has most likely mixed two worlds up; the panic says so.

use core::ops::{Deref, DerefMut, Index, IndexMut};

/// Something that a world has several of.
pub(crate) trait Thing {
    /// What callers call it.
    const WHAT: &str;
}

/// All things of one kind, the first as number 0.
pub(crate) struct Numbered<T>(Vec<T>);

impl<T> Numbered<T> {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Numbered<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for Numbered<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T: Thing> Index<usize> for Numbered<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        self.0.get(number).unwrap_or_else(|| none_of(T::WHAT, number, self.0.len()))
    }
}

impl<T: Thing> IndexMut<usize> for Numbered<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        let count = self.0.len();
        self.0.get_mut(number).unwrap_or_else(|| none_of(T::WHAT, number, count))
    }
}

#[cold]
#[expect(clippy::panic, reason = "the test asked for what its world does not have")]
fn none_of(what: &str, number: usize, count: usize) -> ! {
    panic!(
        "this world has no {what} of number {number} (it has {count}, from 0 on): an id is good only \
         in the world that gave it"
    )
}
