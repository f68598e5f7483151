//! revm as environments run it.

use super::keccak::{self, Hashes};
use super::precompiles::Provider;
use revm::Database;
use revm::bytecode::opcode;
use revm::context::{BlockEnv, CfgEnv, Context, Journal, TxEnv};
use revm::context_interface::local::FrameStack;
use revm::handler::EthFrame;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::Instruction;
use revm::interpreter::interpreter::EthInterpreter;

/// What a transaction is executed with: block, configuration, state, and hashes that were computed before.
pub(super) type EvmContext<DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, Hashes>;

/// revm as on mainnet, with an environment's precompiled contracts.
pub(super) type Evm<DB, I = ()> = revm::context::Evm<
    EvmContext<DB>,
    I,
    EthInstructions<EthInterpreter, EvmContext<DB>>,
    Provider,
    EthFrame<EthInterpreter>,
>;

/// revm on a state. Frames, 32 KiB each, are made as calls go deep: an environment's transaction may be the
/// only one, and eight of them made ahead take longer than a payment.
pub(super) fn evm<DB: Database, I>(
    state: DB,
    (config, block): (CfgEnv, BlockEnv),
    inspector: I,
    precompiles: Provider,
) -> Evm<DB, I> {
    let spec = config.spec;
    let ctx = EvmContext::new(state, spec).with_cfg(config).with_block(block);
    let mut instruction = EthInstructions::new_mainnet_with_spec(spec);
    instruction.instruction_table_mut()[opcode::KECCAK256 as usize] =
        Instruction::new(keccak::keccak256);
    Evm { ctx, inspector, instruction, precompiles, frame_stack: FrameStack::new() }
}
