//! Precompiled contracts that an environment may have on top of its hardfork's.
//!
//! Each is pure Rust, a function of its input alone, and priced before it works. An environment has
//! those that its spec names; recorded Ethereum has none of them. Like those of the hardfork they
//! are warm from the start, hold no code, and are called with CALL and its kin.
//!
//! `docs/evm/precompiles.md` is the table for those who call them.

pub mod ed25519;
mod verify;

use super::gas::Factors;
use alloc::collections::BTreeMap;
use alloc::string::String;
use atoll_types::Address;
use atoll_types::codec::CodecError;
use revm::context_interface::{Cfg, ContextTr};
use revm::handler::{EthPrecompiles, PrecompileProvider};
use revm::interpreter::{CallInputs, Gas, InterpreterResult};
use revm::precompile::{self, PrecompileId, PrecompileSpecId, Precompiles};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{AddressSet, OnceLock, address};

pub use verify::{BATCH_GAS, GasSchedule, SINGLE_GAS};

/// A precompiled contract of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Precompile {
    /// One Ed25519 signature.
    Ed25519 = 0,
    /// Many Ed25519 signatures at once.
    Ed25519Batch = 1,
}

impl Precompile {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::Ed25519Batch];

    /// The name, as spec files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Ed25519Batch => "ed25519-batch",
        }
    }

    /// The precompile with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|precompile| precompile.name() == name)
    }

    /// Where it is called. Behind the bridge contract, in the range that this project uses for what
    /// is part of an environment.
    pub fn address(self) -> Address {
        match self {
            Self::Ed25519 => address!("A701100000000000000000000000000000000002"),
            Self::Ed25519Batch => address!("A701100000000000000000000000000000000003"),
        }
    }

    fn function(self) -> precompile::Precompile {
        let run = match self {
            Self::Ed25519 => verify::single,
            Self::Ed25519Batch => verify::batch,
        };
        precompile::Precompile::new(PrecompileId::custom(self.name()), self.address(), run)
    }
}

/// Which of them an environment has. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrecompileSet(u8);

/// Number of different sets.
const SETS: usize = 1 << Precompile::ALL.len();

impl PrecompileSet {
    /// None: what Ethereum has.
    pub const NONE: Self = Self(0);
    /// All there are.
    pub const ALL: Self = Self(SETS as u8 - 1);

    /// The set with this one in it, too.
    #[must_use]
    pub fn with(self, precompile: Precompile) -> Self {
        Self(self.0 | 1 << precompile as u8)
    }

    /// Whether it is in the set.
    pub fn contains(self, precompile: Precompile) -> bool {
        self.0 & (1 << precompile as u8) != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Precompile> {
        Precompile::ALL.into_iter().filter(move |precompile| self.contains(*precompile))
    }

    /// One bit for each, the first in the lowest.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    /// # Errors
    /// A bit that stands for nothing is set.
    pub(super) fn from_bits(bits: u8) -> Result<Self, CodecError> {
        match usize::from(bits) < SETS {
            true => Ok(Self(bits)),
            false => Err(CodecError::Invalid("precompiles")),
        }
    }
}

/// The precompiles of a hardfork, and those of a set.
pub fn of(spec: SpecId, set: PrecompileSet) -> &'static Precompiles {
    const SPECS: usize = PrecompileSpecId::NEXT as usize + 1;
    static BUILT: [[OnceLock<Precompiles>; SETS]; SPECS] =
        [const { [const { OnceLock::new() }; SETS] }; SPECS];
    let spec = PrecompileSpecId::from_spec_id(spec);
    if set == PrecompileSet::NONE {
        return Precompiles::new(spec);
    }
    BUILT[spec as usize][usize::from(set.0)].get_or_init(|| {
        let mut all = Precompiles::new(spec).clone();
        all.extend(set.iter().map(Precompile::function));
        all
    })
}

/// The precompiled contracts of an environment: those on top of its hardfork's, and what they cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrecompileRules {
    /// Those on top.
    pub set: PrecompileSet,
    /// What they and the hardfork's cost.
    pub factors: Factors,
}

impl From<PrecompileSet> for PrecompileRules {
    fn from(set: PrecompileSet) -> Self {
        Self { set, factors: Factors::default() }
    }
}

/// What is at an address in place of what is there otherwise: the precompiled contract of another one, or
/// none. For simulations.
pub(super) type Moves = BTreeMap<Address, Option<Address>>;

/// What revm takes them from.
#[derive(Clone, Debug)]
pub struct Provider {
    contracts: EthPrecompiles,
    factors: Factors,
    moved: Option<Moved>,
}

#[derive(Clone, Debug)]
struct Moved {
    moves: Moves,
    warm: AddressSet,
}

impl Provider {
    /// The hardfork is the configured one, so that revm leaves it as it is.
    pub(super) fn new(spec: SpecId, rules: PrecompileRules) -> Self {
        let precompiles = of(spec, rules.set);
        let contracts = EthPrecompiles { precompiles, spec };
        Self { contracts, factors: rules.factors, moved: None }
    }

    /// The same with some elsewhere.
    pub(super) fn with_moves(mut self, moves: &Moves) -> Self {
        if !moves.is_empty() {
            let mut warm = self.contracts.warm_addresses().clone();
            for (address, found) in moves {
                match found {
                    Some(_) => warm.insert(*address),
                    None => warm.remove(address),
                };
            }
            self.moved = Some(Moved { moves: moves.clone(), warm });
        }
        self
    }

    /// Where the contract that runs at an address is otherwise.
    fn moved_from(&self, address: &Address) -> Option<Option<Address>> {
        self.moved.as_ref()?.moves.get(address).copied()
    }
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for Provider {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        PrecompileProvider::<CTX>::set_spec(&mut self.contracts, spec)
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let elsewhere;
        let inputs = match self.moved_from(&inputs.bytecode_address) {
            None => inputs,
            Some(None) => return Ok(None),
            Some(Some(bytecode_address)) => {
                elsewhere = CallInputs { bytecode_address, ..inputs.clone() };
                &elsewhere
            }
        };
        let factor = self.factors.of(&inputs.bytecode_address);
        if factor <= 1 {
            return self.contracts.run(context, inputs);
        }
        // Cost times factor is within the limit exactly if cost is within its part of the limit.
        let part = CallInputs { gas_limit: inputs.gas_limit / factor, ..inputs.clone() };
        let Some(mut result) = self.contracts.run(context, &part)? else { return Ok(None) };
        let used = part.gas_limit.saturating_sub(result.gas.remaining()).saturating_mul(factor);
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        match result.result.is_halt() {
            true => gas.spend_all(),
            false => gas.set_remaining(inputs.gas_limit.saturating_sub(used)),
        }
        result.gas = gas;
        Ok(Some(result))
    }

    fn warm_addresses(&self) -> &AddressSet {
        match &self.moved {
            Some(moved) => &moved.warm,
            None => self.contracts.warm_addresses(),
        }
    }

    fn contains(&self, address: &Address) -> bool {
        match self.moved_from(address) {
            Some(found) => found.is_some(),
            None => self.contracts.contains(address),
        }
    }
}
