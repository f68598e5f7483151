// Hardhat 3 with viem: a Governor's proposal from its beginning to its end, and an ERC-721.
import assert from 'node:assert/strict';
import { network } from 'hardhat';
import { encodeFunctionData, getAddress, keccak256, parseEther, stringToHex, toFunctionSelector, zeroAddress } from 'viem';

const { viem } = await network.create();
// Asks every 50 ms: blocks come every 100, and viem would look every 4 seconds.
const client = await viem.getPublicClient({ pollingInterval: 50 });
const deploy = (name, ...args) => viem.deployContract(name, args, { client: { public: client } });
const [owner, other] = await viem.getWalletClients();
const me = getAddress(owner.account.address);
const friend = getAddress(other.account.address);
assert.equal(await client.getChainId(), 3002);

const done = async (hash) => {
  const receipt = await client.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, 'success');
  return receipt;
};
const until = async (what, check) => {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not come`);
};

const supply = parseEther('1000000');
const token = await deploy('MarketToken', me, supply);
const seat = await deploy('Seat', me);
// Two seconds in the timelock; five blocks until the vote, forty for it.
const timelock = await deploy('TimelockController', 2n, [], [zeroAddress], me);
const council = await deploy('Council', token.address, timelock.address, 5, 40);
await done(await timelock.write.grantRole([await timelock.read.PROPOSER_ROLE(), council.address]));
await done(await token.write.delegate([me]));
await done(await token.write.transferOwnership([timelock.address]));

// The proposal: three seats' worth of tokens for a friend.
const amount = parseEther('3');
const call = encodeFunctionData({ abi: token.abi, functionName: 'mint', args: [friend, amount] });
const description = 'three for a friend';
const proposal = [[token.address], [0n], [call]];
const closed = [...proposal, keccak256(stringToHex(description))];
const State = { Pending: 0, Active: 1, Defeated: 3, Succeeded: 4, Queued: 5, Executed: 7 };
const state = () => council.read.state([id]);
const created = await done(await council.write.propose([...proposal, description]));
const [{ args }] = await council.getEvents.ProposalCreated({}, { fromBlock: created.blockNumber });
const id = args.proposalId;
assert.equal(id, await council.read.hashProposal(closed));
assert.equal(args.proposer, me);
assert.equal(args.voteStart, created.blockNumber + 5n);
assert.equal(args.voteEnd, created.blockNumber + 45n);

await until('the vote', async () => (await state()) === State.Active);
await done(await council.write.castVoteWithReason([id, 1, 'why not']));
assert.deepEqual(await council.read.proposalVotes([id]), [0n, supply, 0n]);
await assert.rejects(council.write.castVote([id, 1]), /GovernorAlreadyCastVote/);
await assert.rejects(council.write.queue(closed), /GovernorUnexpectedProposalState/);
await until("the vote's end", async () => (await state()) === State.Succeeded);
const queued = await done(await council.write.queue(closed));
assert.equal(await state(), State.Queued);
const { timestamp } = await client.getBlock({ blockNumber: queued.blockNumber });
assert.equal(await council.read.proposalEta([id]), timestamp + 2n);
// The timelock's own refusal: the council's ABI knows its selector only.
const early = new RegExp(toFunctionSelector('TimelockUnexpectedOperationState(bytes32,bytes32)'));
await assert.rejects(council.write.execute(closed), early);
await until('the end of the delay', async () => (await client.getBlock()).timestamp >= timestamp + 2n);
const executed = await done(await council.write.execute(closed));
assert.equal(await state(), State.Executed);
assert.equal(await token.read.balanceOf([friend]), amount);
assert.equal(await token.read.totalSupply(), supply + amount);
assert.equal((await council.getEvents.ProposalExecuted({}, { fromBlock: executed.blockNumber }))[0].args.proposalId, id);

// The seats.
const minted = await done(await seat.write.mint([me]));
await done(await seat.write.mint([friend]));
await done(await seat.write.transferFrom([me, friend, 1n]));
assert.equal(await seat.read.ownerOf([1n]), friend);
assert.equal(await seat.read.balanceOf([friend]), 2n);
assert.equal(await seat.read.tokenURI([2n]), 'https://seats.example/2');
const moves = await seat.getEvents.Transfer({}, { fromBlock: minted.blockNumber });
assert.deepEqual(
  moves.map((move) => [move.args.from, move.args.to, move.args.tokenId]),
  [[zeroAddress, me, 1n], [zeroAddress, friend, 2n], [me, friend, 1n]],
);
assert.equal((await seat.getEvents.Transfer({ from: me }, { fromBlock: minted.blockNumber })).length, 1);
const guest = await viem.getContractAt('Seat', seat.address, { client: { wallet: other } });
await assert.rejects(guest.write.mint([friend]), /OwnableUnauthorizedAccount/);
await assert.rejects(seat.write.transferFrom([me, friend, 1n]), /ERC721InsufficientApproval/);

console.log('ok Hardhat: a proposal proposed, voted for, queued, executed; seats minted and moved; events; refusals');
