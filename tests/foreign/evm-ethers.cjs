// ethers 6 against a running node: the calls a web application makes.
const assert = require('node:assert/strict');
const { ethers } = require('ethers');

const url = `${process.env.ATOLL_URL}/evm/evm`;
const key = '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d';
const code = '0x60148060095f395ff35f54600101805f555f52602a60205fa160205ff3';

async function main() {
  // Blocks come every 100 ms; the answers that ethers keeps for 250 ms by itself would be stale.
  const options = { pollingInterval: 100, cacheTimeout: -1 };
  const provider = new ethers.JsonRpcProvider(url, undefined, options);
  const wallet = new ethers.Wallet(key, provider);
  assert.equal((await provider.getNetwork()).chainId, 3002n);
  const fees = await provider.getFeeData();
  assert.ok(fees.maxFeePerGas > 0n);

  const to = ethers.Wallet.createRandom().address;
  const sent = await wallet.sendTransaction({ to, value: ethers.parseEther('0.5') });
  const receipt = await sent.wait();
  assert.equal(receipt.status, 1);
  assert.equal(await provider.getBalance(to), ethers.parseEther('0.5'));
  const block = await provider.getBlock(receipt.blockNumber, true);
  assert.equal(block.hash, receipt.blockHash);
  assert.ok(block.prefetchedTransactions.some((t) => t.hash === sent.hash));

  const factory = new ethers.ContractFactory([], code, wallet);
  const contract = await factory.deploy();
  await contract.waitForDeployment();
  const address = await contract.getAddress();
  const call = await wallet.sendTransaction({ to: address });
  const called = await call.wait();
  assert.equal(called.logs.length, 1);
  assert.equal(BigInt(await provider.getStorage(address, 0)), 1n);
  const logs = await provider.getLogs({ address, fromBlock: called.blockNumber });
  assert.equal(logs.length, 1);
  assert.equal(await provider.getTransactionCount(wallet.address), 3);
  provider.destroy();
  console.log('ok ethers: network, fees, transfer, block, deploy, call, logs, storage');
}

main().catch((error) => {
  console.error('FAILED ethers:', error);
  process.exit(1);
});
