// What happened, newest first. The agent keeps the last 256 entries, and so does this.
import {h, put, plural, since, lasted} from './dom.js';

const MOST = 256;
const WORDS = {
  drift: ['Drift healed', 'drift'], disputed: ['Changed again and again', 'bad'], refused: ['Refused by the kernel', 'bad'],
  'in-force': ['Taken by the kernel now', 'good'], 'sync-failed': ['Sync failed', 'bad'], 'sync-works': ['Sync works again', 'good'],
  'source-down': ['API or folder is away', 'bad'], 'source-up': ['API or folder is back', 'good'], 'other-proxy': ['Another proxy', 'drift'],
  'events-lost': ['Events lost', 'drift'], 'first-sync': ['First sync', 'good'],
};

function textOf(one) {
  const parts = [];
  if (one.what) parts.push(one.what);
  if (one.objects) parts.push(one.objects.join(', ') + (one.moreObjects ? ` and ${one.moreObjects} more` : ''));
  if (one.kind === 'drift') {
    const written = [[one.chainsWritten, 'chain'], [one.rulesWritten, 'rule'], [one.elementsWritten, 'element']].filter(([count]) => count);
    parts.push(`written: ${written.length ? written.map(([count, what]) => plural(count, what)).join(', ') : 'nothing'}`);
  }
  if (one.writers) parts.push(`changed by ${one.writers.join(', ')}`);
  else if (one.kind === 'drift') parts.push('by whom was not seen');
  if (one.stoodSeconds !== undefined) parts.push(`${one.kind === 'drift' ? 'stood' : 'lasted'} ${lasted(one.stoodSeconds)}`);
  return parts.join(' · ');
}

export function historyView() {
  const kind = h('select', {id: 'kind'}, h('option', {value: ''}, 'everything'), Object.entries(WORDS).map(([value, [text]]) => h('option', {value}, text)));
  const syncs = h('div', {class: 'cards'});
  const body = h('tbody');
  const table = h('table', {class: 'history'}, h('thead', {}, h('tr', {}, ['When', 'What', 'About'].map((text) => h('th', {scope: 'col'}, text)))), body);
  const empty = h('p', {class: 'empty', hidden: true});
  const element = h('div', {}, syncs, h('div', {class: 'bar'}, h('label', {for: 'kind'}, 'Show'), kind), empty, table);
  let entries = [];
  let life = '';
  let after = 0;

  function draw() {
    const shown = entries.filter((one) => !kind.value || one.kind === kind.value).reverse();
    put(body, shown.map((one) => {
      const [text, mark] = WORDS[one.kind] || [one.kind, ''];
      return h('tr', {}, h('td', {}, h('time', {datetime: one.at, title: one.at}, since(one.at))),
        h('td', {}, h('span', {class: `badge ${mark}`}, text), one.family ? ` ${one.family}` : ''), h('td', {}, textOf(one)));
    }));
    table.hidden = shown.length === 0;
    empty.hidden = shown.length !== 0;
    empty.textContent = entries.length ? 'Nothing of this kind is among the last 256 entries.'
      : 'Nothing has happened since the agent started: no drift, no refusal, no outage.';
  }
  function card(title, lines) {
    return h('section', {class: 'card'}, h('h2', {}, title), h('dl', {}, lines.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])));
  }
  kind.addEventListener('change', draw);

  return {
    name: 'history', title: 'History', element,
    query: () => new URLSearchParams({view: 'history', after}),
    show({status, history}) {
      if (life !== status.started) {
        const fresh = after === 0;
        life = status.started;
        entries = [];
        after = 0;
        if (!fresh) return;  // numbers begin anew; everything is asked for with the next look
      }
      entries = entries.concat(history.happenings.filter((one) => one.number > after)).slice(-MOST);
      after = Math.max(after, history.last);
      put(syncs, status.families.map((family) => card(`Syncs of ${family.family}`, [
        ['last good sync', family.lastSync ? since(family.lastSync) : 'none yet'],
        ['syncs', `${family.syncs}${family.failedSyncs ? `, ${family.failedSyncs} failed` : ''}`],
        ['drift found, healed', `${family.driftFound}, ${family.driftHealed}`],
        ...(family.fastPath ? [['fast path', `${family.fastPath} on ${family.fastPathDevices.length} devices`]] : []),
        ...(family.error ? [['fails', family.error]] : []),
      ])), ...status.sources.map((source) => card(source.resource, [
        ['state', source.absent ? `absent: ${source.absent}` : source.up ? 'up to date' : source.failure || 'being tried'],
        ['objects', String(source.objects)], ...(source.since ? [['since', since(source.since)]] : []),
      ])));
      draw();
    },
  };
}
