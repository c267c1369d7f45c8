// The four servers of `bench fanout`: how each is started for one channel, many subscribers, one core.
// Each has compression off and its defaults otherwise, save limits that would end the run.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const KEPT_MESSAGES = 10_000;
const NCHAN_MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so';

function output(command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch {
    return '';
  }
}

function wsVersion() {
  try {
    return createRequire(import.meta.url)('ws/package.json').version;
  } catch {
    return '';
  }
}

/** name, version ('' when it is not installed), how to install it, and the command for a port and a folder. */
export const servers = (ringfence) => [
  {
    name: 'ringfence',
    version: () => output(ringfence, ['--version']).split('\n')[0].replace(/^\D*/, ''),
    install: './dev build',
    // As many messages as Nchan may keep: the defaults' 1,000 are a third of a second at 3,000/s.
    command: (port) => [
      ringfence,
      [
        '--port',
        String(port),
        '--threads',
        '1',
        '--log-level',
        'warn',
        '--history-records',
        String(KEPT_MESSAGES),
        '--history-bytes',
        '8MiB',
        '--inbound-messages', // the publisher has no API key
        '1000000',
        '--inbound-window-s',
        '1',
      ],
    ],
  },
  {
    name: 'ws',
    version: wsVersion,
    install: 'npm install',
    command: (port) => [process.execPath, [here('fanout_ws.mjs'), String(port)]],
  },
  {
    name: 'nats',
    version: () => output('nats-server', ['-v']).replace(/^\D*/, ''),
    install: 'apt-get install nats-server',
    command(port, folder) {
      writeFileSync(
        `${folder}/nats.conf`,
        [
          `listen: "127.0.0.1:${port + 1}"`,
          `websocket { listen: "127.0.0.1:${port}", no_tls: true, compression: false }`,
        ].join('\n'),
      );
      return ['nats-server', ['-c', `${folder}/nats.conf`]];
    },
  },
  {
    name: 'nchan',
    version: () => output('dpkg-query', ['-W', '-f', '${Version}', 'libnginx-mod-nchan']).replace(/^\d+:|\+.*$/g, ''),
    install: 'apt-get install nginx-core libnginx-mod-nchan',
    command(port, folder) {
      mkdirSync(`${folder}/tmp`, { recursive: true });
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (kind) => `${kind}_temp_path ${folder}/tmp;`,
      );
      writeFileSync(
        `${folder}/nginx.conf`,
        `
load_module ${NCHAN_MODULE};
${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary.join('\n  ')}
  nchan_shared_memory_size 256M;
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location = /sub/bench {
      nchan_subscriber websocket;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
    }
    location = /pub/bench {
      nchan_publisher websocket;
      nchan_channel_id bench;
      nchan_message_buffer_length ${KEPT_MESSAGES};
      nchan_message_timeout 60s;
    }
  }
}
`,
      );
      return ['nginx', ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', `${folder}/error.log`]];
    },
  },
];
