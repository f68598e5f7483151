// viem 2 against a running node: filters, subscriptions, overrides, access lists, simulations, traces.
const assert = require('node:assert/strict');
const viem = require('viem');
const { privateKeyToAccount } = require('viem/accounts');

const url = `${process.env.ATOLL_URL}/evm/evm`;
const account = privateKeyToAccount(
  '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
);
// Each call adds one to slot 0, logs the new value under topic 0x2a and returns it.
const code = '0x60148060095f395ff35f54600101805f555f52602a60205fa160205ff3';
const word = (value) => viem.pad(viem.toHex(value), { size: 32 });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, check) {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await sleep(50);
  }
  throw new Error(`${what} did not come`);
}

async function main() {
  const parameters = await (await fetch(`${url}/chain.json`)).json();
  const chain = viem.defineChain({
    id: Number(parameters.chainId),
    name: parameters.chainName,
    nativeCurrency: parameters.nativeCurrency,
    rpcUrls: { default: { http: [parameters.rpcUrls[0]], webSocket: [parameters.rpcUrls[1]] } },
  });
  const client = viem.createPublicClient({ chain, transport: viem.http(), pollingInterval: 50 });
  const socket = viem.createPublicClient({ chain, transport: viem.webSocket() });
  const wallet = viem.createWalletClient({ chain, account, transport: viem.http() });
  const receipt = (hash) => client.waitForTransactionReceipt({ hash });

  const deployed = await receipt(await wallet.deployContract({ abi: [], bytecode: code }));
  const address = viem.getAddress(deployed.contractAddress);

  // Subscriptions and filters, told of the same transactions.
  const heads = [];
  const pending = [];
  const logs = [];
  const stops = [
    socket.watchBlocks({ onBlock: (block) => heads.push(block.number) }),
    socket.watchPendingTransactions({ onTransactions: (hashes) => pending.push(...hashes) }),
    socket.watchEvent({ address, onLogs: (found) => logs.push(...found) }),
  ];
  await sleep(200);
  const filter = await client.createEventFilter({ address });
  const blocks = await client.createBlockFilter();
  const arrivals = await client.createPendingTransactionFilter();
  const sent = [];
  for (let i = 0; i < 3; i++) {
    const hash = await wallet.sendTransaction({ to: address });
    assert.equal((await receipt(hash)).status, 'success');
    sent.push(hash);
  }
  const polled = await client.getFilterChanges({ filter });
  assert.deepEqual(polled.map((log) => log.data), [1, 2, 3].map(word));
  assert.deepEqual(await client.getFilterLogs({ filter }), await client.getLogs({ address }));
  assert.deepEqual(await client.getFilterChanges({ filter: arrivals }), sent);
  assert.ok((await client.getFilterChanges({ filter: blocks })).length > 0);
  assert.equal(await client.uninstallFilter({ filter }), true);
  await assert.rejects(client.getFilterChanges({ filter }), /filter not found/);
  await until('events', () => logs.length >= 3 && pending.length >= 3 && heads.length > 0);
  assert.deepEqual(logs.map((log) => log.data), [1, 2, 3].map(word));
  assert.deepEqual(pending, sent);
  stops.forEach((stop) => stop());

  // Overrides, access lists, simulations.
  const stateOverride = [{ address, stateDiff: [{ slot: word(0), value: word(41) }] }];
  assert.equal((await client.call({ to: address, stateOverride })).data, word(42));
  const touched = await client.createAccessList({ to: address });
  assert.deepEqual(touched.accessList, [
    { address: address.toLowerCase(), storageKeys: [word(0)] },
  ]);
  const call = { from: account.address, to: address };
  const simulated = await client.simulateBlocks({
    blocks: [{ calls: [call, call] }, { calls: [call] }],
  });
  assert.deepEqual(
    simulated.map((block) => block.calls.map((done) => done.data)),
    [[word(4), word(5)], [word(6)]],
  );

  // Traces.
  const trace = await client.request({
    method: 'debug_traceTransaction',
    params: [sent[2], { tracer: 'callTracer', tracerConfig: { withLog: true } }],
  });
  assert.equal(trace.output, word(3));
  assert.equal(trace.logs[0].data, word(3));
  const traced = await client.request({
    method: 'debug_traceCall',
    params: [{ to: address }, 'latest', { tracer: 'prestateTracer' }],
  });
  assert.equal(traced[address.toLowerCase()].storage[word(0)], word(3));

  // EIP-7702: an account takes on the contract's code.
  const delegate = privateKeyToAccount(viem.keccak256('0x01'));
  const authorization = await delegate.signAuthorization({
    contractAddress: address, chainId: chain.id, nonce: 0,
  });
  const delegated = await receipt(
    await wallet.sendTransaction({ to: address, authorizationList: [authorization] }),
  );
  assert.equal(delegated.type, 'eip7702');
  const own = await client.getCode({ address: delegate.address });
  assert.equal(own, `0xef0100${address.slice(2).toLowerCase()}`);

  const fees = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
  assert.equal(fees.baseFeePerGas.length, 5);
  await assert.rejects(client.getProof({ address, storageKeys: [] }), /atoll_getProof/);
  const rpc = await socket.transport.getRpcClient();
  rpc.close();
  console.log('ok viem: filters, subscriptions, overrides, access list, simulation, traces, 7702');
}

main().then(() => process.exit(0), (error) => {
  console.error('FAILED viem:', error);
  process.exit(1);
});
