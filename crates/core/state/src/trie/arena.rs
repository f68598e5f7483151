//! Storage of nodes: chunks that never move, numbered slots, a free list.

use alloc::vec::Vec;

const CHUNK_BITS: u32 = 14;
const CHUNK: usize = 1 << CHUNK_BITS;

/// A growing array in chunks of 16,384: growth never copies what is there and wastes at most one
/// chunk, where a doubling vector of a gigabyte would do both.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Chunked<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    pub(super) fn get(&self, slot: u32) -> &T {
        &self.chunks[(slot >> CHUNK_BITS) as usize][slot as usize % CHUNK]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[(slot >> CHUNK_BITS) as usize][slot as usize % CHUNK]
    }

    pub(super) fn push(&mut self, value: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(value),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self.chunks.last() {
            None => 0,
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

/// Slots that are free again. Kept apart from the slots, so that freeing touches one cache line.
#[derive(Clone, Debug)]
pub(super) struct FreeList(Vec<u32>);

impl FreeList {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        self.0.pop()
    }

    pub(super) fn give(&mut self, slot: u32) {
        self.0.push(slot);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }
}
