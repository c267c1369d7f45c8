// The npm `ws` peer of `bench fanout`: what its README shows for a broadcast, with compression off.
// One buffer for all, one send for each client. `node fanout_ws.mjs PORT`
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: false });
const subscribers = new Set();
server.on('connection', (socket, request) => {
  socket.on('error', () => socket.terminate());
  if (request.url === '/publish') {
    socket.on('message', (data) => {
      for (const subscriber of subscribers) subscriber.send(data, { binary: false });
    });
    return;
  }
  subscribers.add(socket);
  socket.on('close', () => subscribers.delete(socket));
});
