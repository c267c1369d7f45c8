import { useEffect, useLayoutEffect, useRef, useState, type FormEvent } from 'react';
import type { Client, History } from 'ringfence';
import { useHistory } from 'ringfence/react';
import { clock, duration } from '../logic/format.ts';
import { chatLine } from '../logic/chat-line.ts';
import { hueOf } from '../logic/hue.ts';

const kLinesShown = 100;
const kNameLengthMax = 24;

type Receipt = { readonly bad: boolean; readonly text: string };

export interface ChatProps {
  readonly client: Client;
  readonly history: History;
}

export function Chat({ client, history }: ChatProps) {
  const { items } = useHistory(history, { last: kLinesShown });
  const [name, setName] = useState(storedName);
  const [text, setText] = useState('');
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  const mounted = useRef(true);
  const lines = useRef<HTMLUListElement>(null);
  const atEnd = useRef(true);

  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);

  useLayoutEffect(() => {
    if (atEnd.current && lines.current) lines.current.scrollTop = lines.current.scrollHeight;
  }, [items]);

  const send = async (event: FormEvent) => {
    event.preventDefault();
    const line = { name: name.trim() || 'Visitor', text: text.trim() };
    if (line.text === '') return;
    storeName(line.name);
    setText('');
    setReceipt({ bad: false, text: 'Sending' });
    const sentAt = performance.now();
    try {
      const { seq } = await client.publish('chat', 'chat_message', line);
      atEnd.current = true;
      if (mounted.current)
        setReceipt({ bad: false, text: `Taken as number ${seq} in ${duration(performance.now() - sentAt)}` });
    } catch (error) {
      if (!mounted.current) return;
      setText((now) => now || line.text); // nothing that was typed is lost
      setReceipt({ bad: true, text: `Not sent: ${error instanceof Error ? error.message : String(error)}` });
    }
  };

  return (
    <section className="panel chat" aria-labelledby="chat-title">
      <header>
        <h2 id="chat-title">Chat</h2>
        <span className="quiet">between all open tabs</span>
      </header>
      <ul
        className="lines"
        ref={lines}
        tabIndex={0}
        aria-label="Messages"
        aria-live="polite"
        data-testid="chat-lines"
        onScroll={({ currentTarget: list }) => {
          atEnd.current = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
        }}
      >
        {items.length === 0 && (
          <li className="none">Nobody has said anything yet. Open this page in a second tab and talk to it.</li>
        )}
        {items.map((row) => {
          const line = chatLine(row.data);
          return (
            <li key={`${row.seq}/${row.time}`}>
              <b style={{ '--hue': hueOf(line.name) }}>{line.name}</b>
              {line.text}
              <time dateTime={new Date(row.time).toISOString()}>{clock(row.time).slice(0, 5)}</time>
            </li>
          );
        })}
      </ul>
      <form className="compose" onSubmit={send}>
        <input
          className="field name"
          aria-label="Your name"
          placeholder="Your name"
          autoComplete="off"
          maxLength={kNameLengthMax}
          value={name}
          onChange={(event) => setName(event.target.value)}
          data-testid="chat-name"
        />
        <input
          className="field"
          aria-label="Message"
          placeholder="Say something"
          autoComplete="off"
          value={text}
          onChange={(event) => setText(event.target.value)}
          data-testid="chat-text"
        />
        <button type="submit" className="button primary" disabled={text.trim() === ''} data-testid="chat-send">
          Send
        </button>
      </form>
      <p className={receipt?.bad ? 'receipt bad' : 'receipt'} role="status" data-testid="chat-receipt">
        {receipt?.text}
      </p>
    </section>
  );
}

function storedName(): string {
  try {
    return window.localStorage.getItem('ringfence.name') ?? `Visitor ${100 + Math.floor(Math.random() * 900)}`;
  } catch {
    return 'Visitor';
  }
}

function storeName(name: string): void {
  try {
    window.localStorage.setItem('ringfence.name', name);
  } catch {
    // storage is switched off: the name lasts as long as the page
  }
}
