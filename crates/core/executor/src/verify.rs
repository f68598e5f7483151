//! Verification of a claim about a range of steps, from its witness alone.
//!
//! No database, no clock, no network: the spec, the claim's batch and its witness are all there
//! is. Every way in which a claim can be wrong has its own error that says what differs.

use crate::batch::Range;
use crate::machine::{Machine, Outcome};
use crate::spec::{EnvironmentSpec, VmSpec};
use crate::witness::Witness;
use alloc::vec::Vec;
use atoll_state::object::{LoadError, ReadSet};
use atoll_state::proof::{ProofError, VerifiedWitness};
use atoll_state::{MissingObject, Source, Witnessed, WriteSet, db};
use atoll_types::codec::CodecError;
use atoll_types::statement::PROTOCOL_VERSION;
use atoll_types::{B256, Decode, Encode, NetworkId, Reader, Statement};
use atoll_vm::evm::EvmVm;
use atoll_vm::exchange::ExchangeVm;
use atoll_vm::router::RouterVm;
use atoll_vm::{Identity, Vm};

/// A statement with everything needed to check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub statement: Statement,
    /// The steps it is about.
    pub range: Range,
    /// The objects they touch, proven.
    pub witness: Witness,
}

/// Why a claim is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Part of the statement is not what the spec, the batch or the execution gives.
    #[error("{what} differs: the statement says {claimed}, {source_of_truth} gives {found}")]
    Differs {
        /// Which part.
        what: &'static str,
        /// The claimed value.
        claimed: B256,
        /// Who says otherwise.
        source_of_truth: &'static str,
        /// The value found.
        found: B256,
    },
    /// A number of the statement is not what the batch gives.
    #[error("{what} differs: the statement says {claimed}, the batch gives {found}")]
    NumberDiffers {
        /// Which part.
        what: &'static str,
        /// The claimed value.
        claimed: u64,
        /// The value found.
        found: u64,
    },
    /// The statement is of another protocol version.
    #[error("the statement is of protocol version {0}, this program verifies {PROTOCOL_VERSION}")]
    Protocol(u32),
    /// The witness does not prove what it contains against the root before.
    #[error("the witness does not match the root before: {0}")]
    Proof(#[from] ProofError),
    /// The witness contains something that is no object.
    #[error("the witness holds a bad object: {0}")]
    Object(#[from] LoadError),
    /// The execution reads an object that the witness leaves out.
    #[error(transparent)]
    Missing(#[from] MissingObject),
}

/// Checks a claim; returns what the execution yielded.
pub fn verify(
    network: NetworkId,
    spec: &EnvironmentSpec,
    claim: &Claim,
) -> Result<Outcome, VerifyError> {
    match &spec.vm {
        VmSpec::Exchange(vm) => {
            verify_with::<ExchangeVm<Witnessed>>(network, spec, vm.clone(), claim)
        }
        VmSpec::Evm(vm) => verify_with::<EvmVm<Witnessed>>(network, spec, vm.clone(), claim),
        VmSpec::Router(vm) => verify_with::<RouterVm<Witnessed>>(network, spec, vm.clone(), claim),
    }
}

fn verify_with<V: Vm<Witnessed>>(
    network: NetworkId,
    spec: &EnvironmentSpec,
    vm_spec: V::Spec,
    claim: &Claim,
) -> Result<Outcome, VerifyError> {
    let Claim { statement, range, witness } = claim;
    if statement.protocol_version != PROTOCOL_VERSION {
        return Err(VerifyError::Protocol(statement.protocol_version));
    }
    let mut expected = statement_of(network, spec, range);
    let batch = "the batch";
    differs("network", statement.network.0, "this network", network.0)?;
    differs("spec hash", statement.spec_hash, "the spec", expected.spec_hash)?;
    differs("program id", statement.program_id, "the spec", expected.program_id)?;
    for (what, claimed, found) in [
        ("environment", statement.environment.0.into(), u64::from(range.environment.0)),
        ("environment", statement.environment.0.into(), u64::from(spec.id.0)),
        ("first slot", statement.slots.0, expected.slots.0),
        ("last slot", statement.slots.1, expected.slots.1),
        ("start time", statement.times_us.0, expected.times_us.0),
        ("end time", statement.times_us.1, expected.times_us.1),
        ("hub cursor before", statement.hub_cursor.0, expected.hub_cursor.0),
        ("hub cursor after", statement.hub_cursor.1, expected.hub_cursor.1),
    ] {
        if claimed != found {
            return Err(VerifyError::NumberDiffers { what, claimed, found });
        }
    }
    differs("batch hash", statement.batch, batch, expected.batch)?;
    differs("inbox root", statement.inbox, batch, expected.inbox)?;
    differs("foreign roots", statement.foreign_roots, batch, expected.foreign_roots)?;

    // The objects, proven against the root before.
    let objects: Vec<_> = witness
        .objects
        .iter()
        .map(|(key, value)| (db::key_path(key), value.map(db::value_hash)))
        .collect();
    let proven = VerifiedWitness::verify(statement.pre_root.0, &witness.proof, &objects)?;

    let identity = Identity { network, environment: spec.id };
    let mut machine = Machine::<V, Witnessed>::new(identity, vm_spec.clone(), 0);
    for (key, value) in witness.objects.iter() {
        machine.load(key, value)?;
    }
    let outcome = machine.run(&vm_spec, range);
    if let Some(missing) = machine.fault() {
        return Err(missing.into());
    }
    let writes = machine.seal(None);
    let post_root = proven.verify_update(&db::operations(&writes))?;

    expected.receipts = outcome.receipts_root();
    expected.outbox = outcome.outbox_root();
    differs("receipts root", statement.receipts, "re-execution", expected.receipts)?;
    differs("outbox root", statement.outbox, "re-execution", expected.outbox)?;
    differs("state root after", statement.post_root, "re-execution", B256::from(post_root))?;
    Ok(outcome)
}

fn differs(
    what: &'static str,
    claimed: B256,
    source_of_truth: &'static str,
    found: B256,
) -> Result<(), VerifyError> {
    if claimed == found {
        return Ok(());
    }
    Err(VerifyError::Differs { what, claimed, source_of_truth, found })
}

/// A statement with everything that spec and batch determine; roots of the execution are zero.
fn statement_of(network: NetworkId, spec: &EnvironmentSpec, range: &Range) -> Statement {
    Statement {
        protocol_version: PROTOCOL_VERSION,
        network,
        environment: range.environment,
        spec_hash: spec.hash(),
        program_id: spec.vm.program_id(),
        slots: (range.context.slot, range.context.slot),
        times_us: (range.context.time_us, range.last_time_us()),
        pre_root: B256::ZERO,
        post_root: B256::ZERO,
        batch: range.hash(),
        hub_cursor: range.hub_cursor,
        inbox: range.inbox_root(),
        outbox: B256::ZERO,
        receipts: B256::ZERO,
        foreign_roots: B256::ZERO,
    }
}

/// Executes a range on full state and makes the claim about it: the prover's side of [`verify`].
///
/// `prove` gives the encoded proof of the touched keys against the root before; `commit` applies
/// what changed and gives the root after.
pub fn make_claim<S: Source, V: Vm<S>>(
    network: NetworkId,
    spec: &EnvironmentSpec,
    vm_spec: &V::Spec,
    machine: &mut Machine<V, S>,
    range: Range,
    state: &mut impl db::StateDb,
) -> (Claim, Outcome) {
    let mut statement = statement_of(network, spec, &range);
    statement.pre_root = state.root();
    machine.begin_witnessed();
    let outcome = machine.run(vm_spec, &range);
    let mut objects = ReadSet::default();
    let writes: WriteSet = machine.seal(Some(&mut objects));
    let keys: Vec<_> = objects.iter().map(|(key, _)| db::key_path(key)).collect();
    let proof = state.prove(&keys);
    statement.post_root = state.commit(&writes);
    statement.receipts = outcome.receipts_root();
    statement.outbox = outcome.outbox_root();
    (Claim { statement, range, witness: Witness { objects, proof } }, outcome)
}

impl Encode for Claim {
    fn encode(&self, out: &mut Vec<u8>) {
        self.statement.encode(out);
        self.range.encode(out);
        self.witness.encode(out);
    }
}

impl Decode for Claim {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            statement: Statement::decode(r)?,
            range: Range::decode(r)?,
            witness: Witness::decode(r)?,
        })
    }
}
