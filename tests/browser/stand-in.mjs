// A server before a real one that answers some live streams itself: ten thousand events a minute do not come from calls.
import { once } from 'node:events';
import { createServer, request } from 'node:http';

/** `streams`: a function a path, which writes events; all else is asked of the server at `host:port`. */
export async function standIn(api, streams) {
  const [hostname, port] = api.split(':');
  const server = createServer((incoming, response) => {
    const path = incoming.url.split('?')[0];
    if (streams[path]) return void tell(response, streams[path]);
    const onward = request({ hostname, port, path: incoming.url, method: incoming.method, headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    incoming.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function tell(response, stream) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  await stream(async (name, data) => {
    if (!response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)) await once(response, 'drain');
  });
  // open, and alive for as long as it is looked at
  const pulse = setInterval(() => response.write('event: tick\ndata: {}\n\n'), 1_000);
  response.on('close', () => clearInterval(pulse));
}
