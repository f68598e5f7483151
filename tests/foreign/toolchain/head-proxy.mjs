// A fork asks for the state of the block at which it began, for as long as it runs. The node keeps the
// state of its head only, ten blocks a second. While nobody else writes both are the same, so this hands
// the fork's reads on with `latest` in the place of the number. It prints where it listens.
import { createServer } from 'node:http';

const node = process.argv[2];
const reads = ['eth_getBalance', 'eth_getCode', 'eth_getStorageAt', 'eth_getTransactionCount'];
const atHead = (call) =>
  reads.includes(call.method) ? { ...call, params: [...call.params.slice(0, -1), 'latest'] } : call;

const server = createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  const calls = JSON.parse(body);
  const answer = await fetch(node, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(Array.isArray(calls) ? calls.map(atHead) : atHead(calls)),
  });
  response.setHeader('content-type', 'application/json');
  response.end(await answer.text());
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
