// One Service: from what clients ask for, through the chains or sets that decide, to the pods.
import {h, put, plural, since, copyButton} from './dom.js';
import {flow} from './flow.js';

const MOST = 30;  // boxes of a column; all stand in the tables
const BAD = ['missing', 'unwanted'];
const MARKS = {missing: '✗ missing: ', unwanted: '✗ unwanted: ', unknown: '? not read: ', there: ''};

const stateOf = (rules) => (rules.some((rule) => BAD.includes(rule.state)) ? 'bad' : '');
const joined = (address, port) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
const packetsOf = (rules) => rules.reduce((sum, rule) => sum + (rule.packets || 0), 0);

function whyUnused(endpoint) {
  if (endpoint.usedBy) return {all: '', cluster: 'for traffic policy Cluster', local: 'for traffic policy Local'}[endpoint.usedBy];
  if (!endpoint.ready) return endpoint.serving ? 'ends: used only while no other is ready' : 'not ready';
  return endpoint.here ? 'not chosen for this node' : 'not chosen here: traffic policy Local or topology hints';
}

// Where a rule that translates leads, in iptables' words or in those of an element of nft.
function targetOf(text) {
  const iptables = /--to-destination (\S+)/.exec(text);
  if (iptables) return iptables[1];
  const element = / : (\S+) \. (\d+)(?:$|\s)/.exec(text);
  return element ? joined(element[1], element[2]) : null;
}

// Whether a rule or element is about this frontend: "10.96.0.10:80/tcp", "NodePort 30080/tcp".
function isAbout(text, frontend) {
  const node = /NodePort (\d+)\//.exec(frontend);
  const port = node ? node[1] : /:(\d+)\//.exec(frontend)?.[1];
  const hasPort = new RegExp(`(--dport|dport|\\.) ${port}( |$)`).test(text) || new RegExp(`--dport ${port}\\b`).test(text);
  if (node) return hasPort && !/(^| )-d /.test(text);
  const address = frontend.slice(0, frontend.lastIndexOf(':')).replace(/[[\]]/g, '');
  return text.includes(`${address}/`) || text.startsWith(`${address} `) || text.includes(` ${address} `) ? hasPort || !/dport/.test(text) : false;
}

// The odds of each endpoint: what the draws before it have left.
function draws(rules) {
  let left = 1;
  const odds = new Map();
  for (const rule of rules) {
    if (!rule.to || !rule.to.startsWith('KUBE-SEP-') || / --rcheck /.test(rule.text)) continue;
    const chance = /--probability ([\d.]+)/.exec(rule.text);
    const share = chance ? left * Number(chance[1]) : left;
    odds.set(rule.to, share);
    left -= share;
  }
  return odds;
}

function columnOf(box) {
  if (box.name.startsWith('KUBE-SEP-') || /^@(local-|node-port-|node-port-local-)?endpoints/.test(box.name)) return 'endpoints';
  if (box.shared && !/larger|sticky/.test(box.name)) return 'dispatch';
  return /^KUBE-(EXT|FW)-/.test(box.name) ? 'outer' : 'policy';
}

function graph(family, ports, open) {
  const columns = {entry: [], dispatch: [], outer: [], policy: [], endpoints: [], pods: []};
  const ways = [];
  const isChains = family.boxes.some((box) => box.name.startsWith('KUBE-'));
  const boxes = family.boxes.filter((box) => box.rules.length || box.missing);
  const ids = new Map();
  for (const box of boxes) {
    const id = `${box.table} ${box.name}`;
    ids.set(box.name, ids.get(box.name) || id);
    const column = columnOf(box);
    if (columns[column].length >= MOST) continue;
    const bad = box.rules.filter((rule) => BAD.includes(rule.state)).length;
    const lines = [box.missing ? 'the chain is not there' : plural(box.rules.length, box.name.startsWith('@') ? 'element' : 'rule')];
    if (bad && !box.missing) lines.push(`${bad} missing or unwanted`);
    else if (isChains && !box.missing) lines.push(plural(packetsOf(box.rules), 'packet'));
    columns[column].push({id, title: box.name, lines, state: box.missing ? 'bad' : stateOf(box.rules), open: () => open(box)});
  }
  const addWay = (from, to, rest) => ways.push({from, to, ...rest});
  const dispatch = boxes.filter((box) => columnOf(box) === 'dispatch');
  const frontends = ports.flatMap((port) => port.frontends.map((text) => ({text, port})));
  for (const {text, port} of frontends) {
    if (columns.entry.length >= MOST) break;
    const id = `entry ${text}`;
    columns.entry.push({id, title: text, lines: [port.name ? `port ${port.name}` : 'an entry'], state: 'entry'});
    for (const box of dispatch) {
      const rules = box.rules.filter((rule) => isAbout(rule.text, text));
      if (rules.length) addWay(id, `${box.table} ${box.name}`, {state: stateOf(rules)});
    }
  }
  for (const {port, to} of family.hostPorts) {
    columns.entry.push({id: `host ${port} ${to}`, title: `hostPort ${port}`, lines: ['of a pod, past the Service'], state: 'entry'});
    addWay(`host ${port} ${to}`, `pod ${to}`, {});
  }
  for (const box of boxes) {
    const from = `${box.table} ${box.name}`;
    const odds = draws(box.rules);
    const targets = new Map();
    for (const rule of box.rules) {
      const pod = targetOf(rule.text);
      const key = rule.to && ids.has(rule.to) ? ids.get(rule.to) : pod ? `pod ${pod}` : null;
      if (key) targets.set(key, [...(targets.get(key) || []), rule]);
    }
    for (const [to, rules] of targets) {
      const share = rules.map((rule) => odds.get(rule.to)).find((one) => one !== undefined);
      const figures = [];
      if (share !== undefined) figures.push(`${(share * 100).toFixed(share * 100 % 1 ? 1 : 0)} %`);
      if (isChains && rules.some((rule) => rule.packets !== undefined)) figures.push(`${packetsOf(rules).toLocaleString('en')} pkts`);
      addWay(from, to, {odds: share, text: figures.join(', '), state: stateOf(rules)});
    }
  }
  if (!isChains) {
    const sets = boxes.filter((box) => columnOf(box) === 'endpoints');
    for (const box of dispatch)
      if (!/no-/.test(box.name)) for (const to of sets)
        if (/node-port/.test(to.name) === /node-port/.test(box.name)) addWay(`${box.table} ${box.name}`, `${to.table} ${to.name}`, {});
  }
  const seen = new Set();
  for (const endpoint of ports.flatMap((port) => port.endpoints)) {
    if (seen.has(endpoint.address) || columns.pods.length >= MOST) continue;
    seen.add(endpoint.address);
    const why = whyUnused(endpoint);
    columns.pods.push({id: `pod ${endpoint.address}`, title: endpoint.address, state: endpoint.usedBy ? 'pod' : 'unused',
      lines: [endpoint.here ? 'on this node' : 'on another node', ...(why ? [why] : [])]});
  }
  return flow([
    {title: 'Asked for', boxes: columns.entry}, {title: isChains ? 'Dispatch' : 'Sets that decide', boxes: columns.dispatch},
    {title: 'From outside', boxes: columns.outer}, {title: 'Policy', boxes: columns.policy},
    {title: isChains ? 'Endpoint chains' : 'Sets of endpoints', boxes: columns.endpoints}, {title: 'Pods', boxes: columns.pods},
  ], ways, `The way of a packet to the Service, ${family.family}`);
}

function ruleList(box) {
  if (!box.rules.length) return h('p', {}, box.missing ? 'The chain is not in the kernel.' : 'No rule of the Service stands here.');
  const isChain = !box.name.startsWith('@');
  return h('ol', {class: 'rules'}, box.rules.map((rule) => {
    const text = isChain ? `-A ${box.name} ${rule.text}` : rule.text;
    return h('li', {class: BAD.includes(rule.state) ? 'bad' : ''}, h('b', {}, MARKS[rule.state]), h('code', {}, text),
      rule.packets === undefined ? null : h('span', {class: 'packets'}, plural(rule.packets, 'packet')), copyButton(text));
  }));
}

export function serviceView(app, ns, name) {
  const element = h('div', {class: 'service'}, h('p', {class: 'empty'}, 'Asking the agent…'));
  let chosen = '';
  let last = null;
  let text = '';

  function details(family) {
    const box = family && family.boxes.find((one) => `${one.table} ${one.name}` === chosen);
    if (!box) return h('section', {class: 'details', 'aria-live': 'polite'}, h('p', {class: 'hint'}, 'Choose a box of the picture to read its rules.'));
    return h('section', {class: 'details', 'aria-live': 'polite'}, h('h2', {}, `${box.table} ${box.name}`), ruleList(box));
  }
  function endpointTable(ports) {
    const rows = ports.flatMap((port) => port.endpoints.map((endpoint) => ({port, endpoint})));
    const more = ports.reduce((sum, port) => sum + port.moreEndpoints, 0);
    if (!rows.length) return h('p', {class: 'empty'}, 'It has no endpoint: no pod that its selector finds, or none has an address yet.');
    return h('table', {}, h('caption', {}, 'Endpoints'),
      h('thead', {}, h('tr', {}, ['Address', 'Port', 'State', 'Where', 'Used'].map((one) => h('th', {scope: 'col'}, one)))),
      h('tbody', {}, rows.map(({port, endpoint}) => h('tr', {class: endpoint.usedBy ? '' : 'unused'}, h('td', {}, endpoint.address), h('td', {}, port.name || '–'),
        h('td', {}, endpoint.ready ? 'ready' : endpoint.serving ? 'ending' : 'not ready'), h('td', {}, endpoint.here ? 'this node' : 'another node'),
        h('td', {}, endpoint.usedBy ? whyUnused(endpoint) || 'yes' : `no: ${whyUnused(endpoint)}`)))),
      more ? h('tfoot', {}, h('tr', {}, h('td', {colspan: 5}, `and ${more} more`))) : null);
  }
  function draw() {
    const row = last.services.rows[0];
    if (!row) {
      put(element, h('h1', {}, `${ns}/${name}`), h('p', {class: 'empty'},
        last.status.ready ? 'There is no such Service here. It was deleted, or it never was.' : `The agent is still starting: ${last.status.waitsFor}.`));
      return;
    }
    const focused = document.activeElement?.closest?.('.box')?.dataset.id;
    const left = element.querySelector('.picture')?.scrollLeft || 0;
    const families = last.families || [];
    const told = [['Type', row.type], ['Addresses', row.addresses.concat(row.external).join(' ') || 'none'], ['Ports', row.ports.join(' ')],
      ['Ready', row.endpoints.map((one) => `${one.ready} of ${one.all} ${one.family}`).join(', ') || '–'],
      ['New connections', row.newConnections === undefined ? (last.counts ? 'being counted' : 'not counted: in nftables mode --service-metrics switches that on') : `${row.newConnections} a second`],
      ['Last change', row.changed ? since(row.changed) : 'not since the agent started'], ['Drift', row.drift ? `healed ${row.drift} times, last ${since(row.lastDrift)}` : 'none']];
    put(element, 
      h('p', {}, h('a', {href: '#/services'}, '← Services')), h('h1', {}, `${row.namespace}/${row.name}`),
      row.problems.length ? h('ul', {class: 'problem'}, row.problems.map((one) => h('li', {}, one))) : null,
      h('dl', {class: 'facts'}, told.map(([title, value]) => h('div', {}, h('dt', {}, title), h('dd', {}, value)))),
      row.notServed ? h('p', {class: 'empty'}, `No rule is made for it: ${row.notServed}.`)
        : families.length ? families.map((family) => {
          const ports = row.detail.filter((port) => port.family === family.family);
          const first = ports.flatMap((port) => port.frontends)[0];
          return h('section', {}, families.length > 1 ? h('h2', {}, family.family) : null,
            family.error ? h('p', {class: 'problem'}, `The kernel's rules could not be read: ${family.error}`) : null,
            h('div', {class: 'picture', tabindex: 0, 'aria-label': 'Picture; it scrolls sideways'}, graph(family, ports, (box) => { chosen = `${box.table} ${box.name}`; text = ''; draw(); })),
            h('p', {class: 'hint'}, 'Width: how likely. Number: packets counted by the rule. Red and dashed: a rule is missing or unwanted. Grey: an endpoint that is not used.'),
            first && !first.startsWith('NodePort') ? h('p', {}, h('a', {class: 'button', href: `#/packet?to=${encodeURIComponent(first)}&go=1`}, `Explain a packet to ${first}`)) : null,
            details(family), endpointTable(ports));
        }) : h('p', {class: 'empty'}, 'It has no service port in force here: the kernel refused it, or it asks for nothing that this node serves.'));
    const picture = element.querySelector('.picture');
    if (picture) picture.scrollLeft = left;
    if (focused) [...element.querySelectorAll('.box')].find((one) => one.dataset.id === focused)?.focus({preventScroll: true});
  }
  return {
    name: 'service', title: `${ns}/${name}`, element,
    query: () => new URLSearchParams({view: 'service', namespace: ns, name}),
    show(document) {
      last = document;
      const now = JSON.stringify([document.services, document.families, document.status.ready]);
      if (now === text) return;  // what is marked or focused stays
      text = now;
      draw();
    },
  };
}
