// What happens to a packet: asked of the agent, drawn hook by hook.
import {h, put, copyButton, plural} from './dom.js';

const HOOKS = {ingress: 'As it comes in', prerouting: 'Before routing', input: 'To this node', forward: 'Through this node',
  output: 'From this node', postrouting: 'As it leaves'};
const TRIES = 60;
// Findings about the host and path that a browser asks for, not about the packet.
const AT_BROWSER = /^(ingress|gateway|route)-/;
const OUTCOMES = {'as-predicted': 'as explained', differs: 'not as explained', 'not-compared': ''};
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const place = (address, port) => (address ? `${address.includes(':') ? `[${address}]` : address}${port ? `:${port}` : ''}` : '');
const ruleKey = (table, step) => `${table} ${step.chain} ${step.rule || ''}`;
const originals = (traced) => traced.packets.filter((one) => one.direction === 'original');

// How many of the packets that were traced met each rule.
function countPassed(traced) {
  const passed = new Map();
  for (const packet of originals(traced)) {
    const met = new Set(packet.hops.flatMap((hop) => hop.steps.map((step) => ruleKey(hop.table, step))));
    for (const key of met) passed.set(key, (passed.get(key) || 0) + 1);
  }
  return passed;
}

function findingList(findings) {
  return findings.length ? h('ul', {class: 'findings'}, findings.map((one) => h('li', {class: one.weight === 'problem' ? 'bad' : ''},
    h('b', {}, one.weight === 'problem' ? 'Problem: ' : 'Remark: '), one.text, ' ', h('code', {}, one.code),
    one.details.length ? h('ul', {}, one.details.map((line) => h('li', {}, line))) : null))) : null;
}

function packetItem({first, last, end, compared: {outcome, why} = {}}) {
  const name = (header) => `${place(header.source, header.sourcePort)} → ${place(header.destination, header.port)}`;
  const parts = [name(first), name(last) === name(first) ? '' : `became ${name(last)}`, end.text, OUTCOMES[outcome], why];
  return h('li', {class: outcome === 'differs' ? 'bad' : ''}, parts.filter(Boolean).join(' · '));
}

function tracedView(traced) {
  const packets = originals(traced);
  return h('section', {class: `hook traced ${traced.conclusion === 'differs' ? 'last' : ''}`}, h('h3', {}, packets.length ? `${plural(packets.length, 'packet')} passed` : 'No packet passed meanwhile'),
    h('ul', {}, packets.map(packetItem)), findingList(traced.findings));
}

// `look` is how the answer is looked at: {all: with what did not fit, passed: packets that were traced, by rule}.
function stepItem(step, look) {
  const lit = look.passed.get(ruleKey(step.table, step));
  const text = step.rule || 'policy of the chain';
  const marks = [step.foreign ? 'of another program' : '', step.idle ? 'no rule in there fitted' : '', step.matched ? '' : 'did not fit'].filter(Boolean);
  return h('li', {class: `step ${step.matched ? '' : 'unfit'} ${step.foreign ? 'foreign' : ''} ${lit ? 'lit' : ''}`},
    h('span', {class: 'where'}, `${step.family ? `${step.family} ` : ''}${step.table} ${step.chain}`),
    h('code', {}, text), copyButton(text),
    lit ? h('b', {class: 'seen'}, `${plural(lit, 'packet')} passed now`) : null,
    step.counters ? h('span', {class: 'packets'}, plural(step.counters.packets, 'packet')) : null,
    marks.length ? h('span', {class: 'badge'}, marks.join(', ')) : null,
    step.why ? h('details', {}, h('summary', {}, 'why'), h('p', {}, step.why)) : null);
}

// Steps of one hook stand together, in the order in which the packet meets them.
function stepList(steps, look) {
  const shown = steps.filter((step) => look.all || (step.matched && !step.idle));
  const groups = [];
  for (const step of shown) {
    const hook = step.table === 'kernel' ? 'kernel' : step.hook || '';
    if (!groups.length || groups.at(-1).hook !== hook) groups.push({hook, steps: []});
    groups.at(-1).steps.push(step);
  }
  return groups.map((group) => h('section', {class: 'hook'}, h('h3', {}, group.hook === 'kernel' ? 'The kernel itself' : HOOKS[group.hook] || 'Rules',
    group.hook && group.hook !== 'kernel' ? h('small', {}, ` ${group.hook}`) : null), h('ol', {}, group.steps.map((step) => stepItem(step, look)))));
}

function endItem(end, look) {
  const word = {forwarded: 'goes to', local: 'is taken by this node', dropped: 'is dropped', rejected: 'is refused', unknown: 'is not known'}[end.end] || end.end;
  const where = place(end.address, end.port);
  const odds = end.oddsKnown === false ? 'odds unknown' : `${(end.odds * 100).toFixed(1)} %`;
  return h('li', {class: `end ${['dropped', 'rejected'].includes(end.end) ? 'bad' : ''}`},
    h('meter', {min: 0, max: 1, value: end.oddsKnown === false ? 0 : end.odds, 'aria-label': odds}), h('b', {}, odds), ' ',
    h('span', {}, [word, ['dropped', 'rejected'].includes(end.end) ? '' : where, end.who, end.refusedWith, end.masqueraded ? 'masqueraded' : '',
      end.cause && end.cause !== 'rules' ? `by ${end.cause}` : ''].filter(Boolean).join(' · ')),
    end.steps.length ? h('details', {}, h('summary', {}, plural(end.steps.length, 'step')), stepList(end.steps, look)) : null);
}

function answerView(answer, look, depth = 0) {
  const {packet, ingress, client} = answer;
  const good = ['answer', 'local', 'redirect'].includes(client.code);
  const blamed = answer.findings.filter((one) => one.weight === 'problem');
  const atBrowser = blamed.some((one) => AT_BROWSER.test(one.code));
  return h('article', {class: 'answer'},
    depth ? h('h2', {}, 'Behind the controller') : null,
    depth || !client.text ? null : h('p', {class: `client ${good ? 'good' : client.code === 'unknown' || client.code === 'mixed' ? 'drift' : 'bad'}`}, h('b', {}, `The client sees: ${client.code}. `), client.text),
    findingList(answer.findings),
    ingress ? h('section', {class: `hook ${atBrowser ? 'last' : ''}`}, h('h3', {}, 'The browser asks'), h('p', {}, ingress.kind
      ? `${ingress.kind} ${ingress.name}: host ${ingress.host || 'any'}, path ${ingress.path || '/'} (${ingress.pathType}) leads to ${ingress.backend || 'nothing'}`
      : 'No Ingress and no HTTPRoute has this host and path.', ingress.controller ? `; the way in is ${ingress.controller}` : '')) : null,
    packet ? h('p', {class: 'packet-line'}, h('b', {}, `${packet.source} → ${packet.destination}:${packet.port}/${packet.protocol}`), packet.from ? ` from ${packet.from}` : '',
      answer.destination && answer.destination.name ? `, ${answer.destination.kind} of ${answer.destination.name}` : '', `, rules: ${answer.source}`) : null,
    stepList(answer.steps, look),
    answer.ends.length ? h('section', {class: `hook ${blamed.length && !atBrowser ? 'last' : ''}`}, h('h3', {}, 'Where it ends'), h('ul', {class: 'ends'}, answer.ends.map((end) => endItem(end, look)))) : null,
    answer.masquerade ? h('p', {class: 'hint'}, `Masqueraded: ${answer.masquerade}`) : null,
    (answer.differences || []).length ? h('section', {class: 'hook bad'}, h('h3', {}, 'Rules that are not as they should be'), h('ul', {}, answer.differences.map((one) =>
      h('li', {}, h('b', {}, `${one.what}: `), h('code', {}, `${one.table} ${one.chain} ${one.rule}`))))) : null,
    (answer.connections || []).length ? h('details', {}, h('summary', {}, plural(answer.connections.length, 'known connection')), h('ul', {}, answer.connections.map((one) =>
      h('li', {}, `${one.original} served by ${one.servedBy}`)))) : null,
    answer.backend ? answerView(answer.backend, look, depth + 1) : null);
}

export function packetView(app, initial) {
  const to = h('input', {id: 'to', name: 'to', required: true, autocomplete: 'off', spellcheck: 'false', value: initial.get('to') || '', maxlength: 500,
    placeholder: '10.96.0.10:53/udp, node:30080 or http://shop.local/cart'});
  const from = h('input', {id: 'from', name: 'from', autocomplete: 'off', spellcheck: 'false', value: initial.get('from') || '', maxlength: 100,
    placeholder: 'an address, node, or nothing'});
  const all = h('input', {type: 'checkbox', id: 'all'});
  const button = h('button', {type: 'submit'}, 'Explain');
  const state = h('p', {class: 'empty', role: 'status'}, 'Ask about a ClusterIP, a NodePort, a hostPort, a pod or a URL. The first packet of a connection is walked through everybody’s rules, as the kernel does it.');
  const result = h('div', {});
  const watch = h('button', {type: 'button', id: 'trace', hidden: true, onclick: () => trace()}, 'Watch real packets');
  let answer = null;
  let traced = null;
  let traces = false;
  let asked = 0;

  function draw() {
    const look = {all: all.checked, passed: traced ? countPassed(traced) : new Map()};
    put(result, traced ? tracedView(traced) : '', answer ? answerView(answer, look) : '');
    watch.hidden = !traces || !answer;
  }
  // Asks until there is an answer, and gives it to `take`; null: there is none.
  async function ask(path, waiting, take) {
    const mine = ++asked;
    const words = new URLSearchParams({to: to.value.trim(), from: from.value.trim(), ask: `${Date.now()}-${mine}`});
    state.hidden = false;
    state.className = 'empty';
    state.textContent = waiting;
    button.disabled = watch.disabled = true;
    try {
      for (let i = 0; i < TRIES && mine === asked; ++i) {
        const told = await fetch(`${path}?${words}`, {cache: 'no-store'});
        if (told.status === 200) {
          take(await told.json());
          state.hidden = true;
          draw();
          return;
        }
        const text = (await told.text()).trim();
        if (told.status !== 202 && told.status !== 429) {
          take(null);
          draw();
          state.className = 'empty bad';
          state.textContent = text;
          return;
        }
        if (told.status === 429) state.textContent = 'Another question is being answered; this one is next…';
        await pause(700);
      }
      state.textContent = 'There was no answer in time. The agent may be busy, or the API server away.';
    } catch {
      state.textContent = 'The agent does not answer.';
    } finally {
      button.disabled = watch.disabled = false;
    }
  }
  function explain() {
    history.replaceState(null, '', `#/packet?${new URLSearchParams({to: to.value.trim(), from: from.value.trim()})}`);
    ask('api/explain', 'The agent reads objects and rules for it…', (told) => { answer = told; traced = null; });
  }
  function trace() {
    ask('api/trace', 'The kernel tells what packets do, for ten seconds or until some have passed…', (told) => { traced = told; });
  }
  all.addEventListener('change', draw);
  const form = h('form', {class: 'bar ask', onsubmit: (event) => { event.preventDefault(); explain(); }},
    h('label', {for: 'to'}, 'To'), to, h('label', {for: 'from'}, 'From'), from, button, watch,
    h('label', {class: 'check'}, all, 'also what did not fit'));
  if (initial.get('go')) explain();
  return {
    name: 'packet', title: 'A packet', element: h('div', {}, form, state, result),
    query: () => new URLSearchParams({view: 'packet'}),
    show(now) { traces = Boolean(now && now.traces); watch.hidden = !traces || !answer; },
    close() { ++asked; },
  };
}
