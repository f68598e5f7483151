//! Runs an environment's steps in order. Serial execution is the specification.

use crate::batch::{Range, Step};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use atoll_state::object::{self, ReadSet};
use atoll_state::{MissingObject, Source, WriteSet};
use atoll_types::{B256, Encode, HubEntry, Message, Reject, Transaction, merkle_root};
use atoll_vm::{Checked, Identity, Receipt, SlotContext, Vm};

/// A transaction that failed its static check and was ordered all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its hash.
    pub hash: B256,
    /// Why.
    pub reject: Reject,
}

/// A transaction's static check: what the order holds may still be refused, with a receipt.
pub type Prepared<T> = Result<Checked<T>, Refused>;

/// What a range of steps yielded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// One receipt per message, entry, input and transaction, in order.
    pub receipts: Vec<Receipt>,
}

impl Outcome {
    /// Merkle root of the receipts; zero for none.
    pub fn receipts_root(&self) -> B256 {
        receipts_root(&self.receipts)
    }

    /// Merkle root of the messages sent; zero for none.
    pub fn outbox_root(&self) -> B256 {
        outbox_root(&self.receipts)
    }
}

/// Merkle root of the messages that receipts sent; zero for none.
pub fn outbox_root(receipts: &[Receipt]) -> B256 {
    let messages = receipts.iter().flat_map(|receipt| &receipt.messages);
    let encoded: Vec<Vec<u8>> = messages.map(Encode::to_bytes).collect();
    merkle_root(encoded.iter().map(Vec::as_slice))
}

/// Merkle root of receipts; zero for none.
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    let encoded: Vec<Vec<u8>> = receipts.iter().map(Encode::to_bytes).collect();
    merkle_root(encoded.iter().map(Vec::as_slice))
}

/// An environment's VM with its state.
#[derive(Debug)]
pub struct Machine<V, S> {
    identity: Identity,
    vm: V,
    source: core::marker::PhantomData<S>,
}

impl<S: Source, V: Vm<S>> Machine<V, S> {
    /// An environment with an empty state.
    pub fn new(identity: Identity, spec: V::Spec, seed: u64) -> Self {
        let vm = V::new(identity, spec, seed);
        let mut machine = Self { identity, vm, source: core::marker::PhantomData };
        machine.begin();
        machine
    }

    /// Begins a range of which no witness will be asked: nearly all of them.
    fn begin(&mut self) {
        if V::PEEKS_BEFORE {
            object::begin(&mut self.vm);
        } else {
            object::begin_unwitnessed(&mut self.vm);
        }
    }

    /// Between two ranges: of the next one a witness will be asked.
    pub fn begin_witnessed(&mut self) {
        object::begin(&mut self.vm);
    }

    /// Writes the genesis state and returns it.
    pub fn genesis(&mut self) -> WriteSet {
        self.vm.genesis();
        self.seal(None)
    }

    /// [`Vm::keep_recent`].
    pub fn keep_recent(&mut self, bytes_max: usize) {
        self.vm.keep_recent(bytes_max);
    }

    /// The VM, for queries.
    pub fn vm(&self) -> &V {
        &self.vm
    }

    /// The VM, for who executes otherwise.
    #[cfg(feature = "std")]
    pub(crate) fn vm_mut(&mut self) -> &mut V {
        &mut self.vm
    }

    /// Puts one object of a snapshot or a witness into the state.
    pub fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), object::LoadError> {
        object::load(&mut self.vm, key, value)
    }

    /// Ends the loading of a state: what queries derive from it is derived.
    pub fn loaded(&mut self) {
        self.vm.loaded();
    }

    /// The encoding of an object by its encoded key: for queries of a node.
    pub fn object(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        object::peek(&mut self.vm, key)
    }

    /// The first object that was touched but not proven, if any.
    pub fn fault(&mut self) -> Option<MissingObject> {
        object::fault(&mut self.vm)
    }

    /// The transaction's static check.
    pub fn prepare(&self, spec: &V::Spec, bytes: &[u8]) -> Prepared<V::Transaction> {
        prepare::<V, S>(&self.identity, spec, bytes)
    }

    /// Begins a slot.
    pub fn open_slot(&mut self, context: &SlotContext) {
        self.vm.open_slot(context);
    }

    /// Begins a tick.
    pub fn open_tick(&mut self, time_us: u64) {
        self.vm.open_tick(time_us);
    }

    /// Executes the transactions of a tick; while one runs, the memory is asked for what those after
    /// it touch.
    pub fn execute_all<'a>(
        &mut self,
        mut transactions: impl Iterator<Item = Result<&'a Checked<V::Transaction>, &'a Refused>>,
    ) -> Vec<Receipt>
    where
        V::Transaction: 'a,
    {
        let mut receipts = Vec::with_capacity(transactions.size_hint().0);
        let mut known: VecDeque<_> = transactions.by_ref().take(V::AHEAD + 1).collect();
        while let Some(transaction) = known.pop_front() {
            for (n, next) in known.iter().enumerate() {
                if let Ok(next) = next {
                    self.vm.prefetch(next, n + 1);
                }
            }
            receipts.push(self.execute(transaction));
            known.extend(transactions.next());
        }
        receipts
    }

    /// Asks the memory for what the next transactions of a tick touch.
    pub(crate) fn prefetch(&self, next: &[Result<&Checked<V::Transaction>, &Refused>]) {
        for (n, next) in next.iter().take(V::AHEAD).enumerate() {
            if let Ok(next) = next {
                self.vm.prefetch(next, n + 1);
            }
        }
    }

    /// Executes a transaction of a tick.
    pub fn execute(&mut self, prepared: Result<&Checked<V::Transaction>, &Refused>) -> Receipt {
        match prepared {
            Ok(checked) => self.vm.execute(checked),
            Err(refused) => refusal(refused),
        }
    }

    /// Executes an input of a slot's opening.
    pub fn execute_input(
        &mut self,
        prepared: Result<&Checked<V::Transaction>, &Refused>,
    ) -> Receipt {
        match prepared {
            Ok(checked) => self.vm.execute_input(checked),
            Err(refused) => refusal(refused),
        }
    }

    /// Takes in a message that the router delivers; the router itself takes what was sent.
    pub fn receive(&mut self, message: &Message) -> Receipt {
        self.vm.receive(message.hash(), message)
    }

    /// Takes in an entry of the hub's queue: a deposit, or a forced transaction, which executes as
    /// any other.
    pub fn enter(&mut self, spec: &V::Spec, entry: &HubEntry) -> Receipt {
        match entry.message() {
            Some(message) => self.vm.receive(entry.hash(), &message),
            None => {
                let prepared = self.prepare(spec, &entry.data);
                self.execute(prepared.as_ref())
            }
        }
    }

    /// Ends a range: what was written, and on request what was touched, if it began with
    /// [`Self::begin_witnessed`]; the next range begins.
    pub fn seal(&mut self, reads: Option<&mut ReadSet>) -> WriteSet {
        let mut writes = WriteSet::default();
        self.vm.sealing();
        object::seal(&mut self.vm, &mut writes, reads);
        self.begin();
        writes
    }

    /// Executes consecutive steps.
    pub fn run(&mut self, spec: &V::Spec, range: &Range) -> Outcome {
        let identity = self.identity;
        self.run_prepared(spec, range, |bytes| prepare::<V, S>(&identity, spec, bytes))
    }

    /// The same where the static checks were made before, on other threads for instance: `prepared`
    /// is asked for the check of each input and transaction, in order.
    pub fn run_prepared(
        &mut self,
        spec: &V::Spec,
        range: &Range,
        mut prepared: impl FnMut(&[u8]) -> Prepared<V::Transaction>,
    ) -> Outcome {
        if range.start == 0 {
            self.vm.open_slot(&range.context);
        } else {
            self.vm.resume(&range.context, range.tick_time_us);
        }
        let mut receipts = Vec::new();
        for step in &range.steps {
            match step {
                Step::Input(bytes) => {
                    receipts.push(self.execute_input(prepared(bytes).as_ref()));
                }
                Step::Message(message) => receipts.push(self.receive(message)),
                Step::Entry(entry) => receipts.push(self.enter(spec, entry)),
                Step::Tick { time_us } => self.vm.open_tick(*time_us),
                Step::Transaction(bytes) => {
                    receipts.push(self.execute(prepared(bytes).as_ref()));
                }
            }
        }
        Outcome { receipts }
    }
}

/// The static check of a transaction, with its hash either way.
pub fn prepare<V: Vm<S>, S: Source>(
    identity: &Identity,
    spec: &V::Spec,
    bytes: &[u8],
) -> Prepared<V::Transaction> {
    V::check(identity, spec, bytes).map_err(|reject| Refused {
        hash: Transaction::hash_parts(identity.environment, bytes),
        reject,
    })
}

fn refusal(refused: &Refused) -> Receipt {
    Receipt {
        hash: refused.hash,
        code: refused.reject.code.number(),
        payload: Vec::new(),
        messages: Vec::new(),
    }
}
