// Uniswap v2 as it was published: a pair, liquidity in and out, swaps by tokens and by money.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { network } from 'hardhat';
import { getAddress, getContract, getContractAddress, encodePacked, keccak256, parseEther, parseEventLogs } from 'viem';

const require = createRequire(import.meta.url);
const published = (path) => {
  const { abi, bytecode, evm } = require(path);
  const code = bytecode ?? evm.bytecode.object;
  return { abi, bytecode: code.startsWith('0x') ? code : `0x${code}` };
};
const factoryCode = published('@uniswap/v2-core/build/UniswapV2Factory.json');
const pairCode = published('@uniswap/v2-core/build/UniswapV2Pair.json');
const routerCode = published('@uniswap/v2-periphery/build/UniswapV2Router02.json');
const wethCode = published('@uniswap/v2-periphery/build/WETH9.json');

const { viem } = await network.create();
const client = await viem.getPublicClient({ pollingInterval: 50 });
const [, wallet] = await viem.getWalletClients();
const me = getAddress(wallet.account.address);

const done = async (hash) => {
  const receipt = await client.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, 'success');
  return receipt;
};
const at = (abi, address) => getContract({ abi, address, client: { public: client, wallet } });
const deploy = async ({ abi, bytecode }, args) =>
  at(abi, getAddress((await done(await wallet.deployContract({ abi, bytecode, args }))).contractAddress));
const token = (supply) =>
  viem.deployContract('MarketToken', [me, supply], { client: { public: client, wallet } });
const logs = (receipt, eventName) =>
  parseEventLogs({ abi: pairCode.abi, eventName, logs: receipt.logs }).filter(
    (log) => getAddress(log.address) === pair.address,
  ).map((log) => log.args);

const factory = await deploy(factoryCode, [me]);
const weth = await deploy(wethCode, []);
const router = await deploy(routerCode, [factory.address, weth.address]);
const a = await token(parseEther('1000000'));
const b = await token(parseEther('1000000'));
const soon = async () => (await client.getBlock()).timestamp + 600n;

// The pair lies where CREATE2 puts it: the router computes the address and never asks.
const [first, second] = BigInt(a.address) < BigInt(b.address) ? [a, b] : [b, a];
const made = await done(await factory.write.createPair([a.address, b.address]));
const pair = at(pairCode.abi, await factory.read.getPair([b.address, a.address]));
assert.equal(pair.address, getContractAddress({
  opcode: 'CREATE2', from: factory.address, bytecodeHash: keccak256(pairCode.bytecode),
  salt: keccak256(encodePacked(['address', 'address'], [first.address, second.address])),
}));
const [created] = parseEventLogs({ abi: factoryCode.abi, eventName: 'PairCreated', logs: made.logs });
// The last of the event's values has no name, so they come as a list.
assert.deepEqual(created.args, [getAddress(first.address), getAddress(second.address), pair.address, 1n]);
await assert.rejects(factory.write.createPair([a.address, b.address]), /PAIR_EXISTS/);

// Liquidity: the first share is the root of the product, a thousand of which nobody gets.
const root = (n) => { // Newton's
  let x = n, y = (n + 1n) / 2n;
  while (y < x) [x, y] = [y, (y + n / y) / 2n];
  return x;
};
for (const each of [a, b]) await done(await each.write.approve([router.address, 2n ** 256n - 1n]));
const [inA, inB] = [parseEther('1000'), parseEther('4000') + 7n];
const added = await done(
  await router.write.addLiquidity([a.address, b.address, inA, inB, inA, inB, me, await soon()]),
);
const reserves = async () => {
  const [r0, r1] = await pair.read.getReserves();
  return first === a ? [r0, r1] : [r1, r0];
};
assert.deepEqual(await reserves(), [inA, inB]);
const shares = root(inA * inB) - 1000n;
assert.equal(await pair.read.balanceOf([me]), shares);
assert.deepEqual(logs(added, 'Mint'), [{
  sender: router.address, amount0: first === a ? inA : inB, amount1: first === a ? inB : inA,
}]);

// A swap: three thousandths stay with the pool, what comes out is rounded down.
const out = (input, from, to) => (input * 997n * to) / (from * 1000n + input * 997n);
const input = parseEther('12') + 345n;
const expected = out(input, inA, inB);
assert.deepEqual(await router.read.getAmountsOut([input, [a.address, b.address]]), [input, expected]);
await assert.rejects(
  router.write.swapExactTokensForTokens([input, expected + 1n, [a.address, b.address], me, await soon()]),
  /INSUFFICIENT_OUTPUT_AMOUNT/,
);
await assert.rejects(
  router.write.swapExactTokensForTokens([input, 0n, [a.address, b.address], me, 1n]), /EXPIRED/,
);
const before = await b.read.balanceOf([me]);
const swapped = await done(
  await router.write.swapExactTokensForTokens([input, expected, [a.address, b.address], me, await soon()]),
);
assert.equal((await b.read.balanceOf([me])) - before, expected);
assert.deepEqual(await reserves(), [inA + input, inB - expected]);
const [swap] = logs(swapped, 'Swap');
assert.deepEqual(
  first === a ? [swap.amount0In, swap.amount1Out] : [swap.amount1In, swap.amount0Out], [input, expected],
);
const [sync] = logs(swapped, 'Sync');
assert.deepEqual(
  first === a ? [sync.reserve0, sync.reserve1] : [sync.reserve1, sync.reserve0], await reserves(),
);
const found = await client.getContractEvents({
  abi: pairCode.abi, address: pair.address, eventName: 'Swap', fromBlock: made.blockNumber,
});
assert.deepEqual(found.map((log) => log.transactionHash), [swapped.transactionHash]);

// Money for tokens and through two pools: a price in each.
const [inMoney, inA2] = [parseEther('5'), parseEther('500')];
await done(await router.write.addLiquidityETH([a.address, inA2, inA2, inMoney, me, await soon()], { value: inMoney }));
const [resA, resB] = await reserves();
const money = parseEther('1') / 7n;
const middle = out(money, inMoney, inA2);
const end = out(middle, resA, resB);
const [money0, tokens0] = [await client.getBalance({ address: me }), await b.read.balanceOf([me])];
const bought = await done(
  await router.write.swapExactETHForTokens(
    [end, [weth.address, a.address, b.address], me, await soon()], { value: money },
  ),
);
assert.equal((await b.read.balanceOf([me])) - tokens0, end);
assert.equal(money0 - (await client.getBalance({ address: me })), money + bought.gasUsed * bought.effectiveGasPrice);
assert.deepEqual(await reserves(), [resA + middle, resB - end]);

// All shares out: in proportion, rounded down; what the thousand are worth stays.
const [lastA, lastB] = await reserves();
const all = await pair.read.totalSupply();
await done(await pair.write.approve([router.address, shares]));
await done(await router.write.removeLiquidity([a.address, b.address, shares, 0n, 0n, me, await soon()]));
assert.deepEqual(await reserves(), [lastA - (shares * lastA) / all, lastB - (shares * lastB) / all]);
assert.equal(await pair.read.totalSupply(), 1000n);

console.log('ok Uniswap v2: pair by CREATE2, liquidity in and out, swaps of one and two hops to the unit, events, refusals');
