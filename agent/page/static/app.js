// One view at a time, and one document that is asked for once a second while somebody looks.
import {h, put, setText} from './dom.js';
import {servicesView} from './services.js';
import {serviceView} from './service.js';
import {packetView} from './packet.js';
import {historyView} from './history.js';

const main = document.getElementById('main');
const trouble = document.getElementById('trouble');
const problems = document.getElementById('problems');
const PERIOD = 1000;
let view = null;
let tags = new Map();
let timer = 0;
let asking = null;
let last = null;
let shown = 0;

function parts() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return {path: path.split('/').map(decodeURIComponent), query: new URLSearchParams(query)};
}

function open() {
  let where;
  try { where = parts(); } catch { where = {path: ['services'], query: new URLSearchParams()}; }
  const [name, ns, service] = where.path;
  const app = {refresh, status: () => last && last.status};
  if (view && view.close) view.close();
  if (name === 'service' && ns && service) view = serviceView(app, ns, service);
  else if (name === 'packet') view = packetView(app, where.query);
  else if (name === 'history') view = historyView(app);
  else view = servicesView(app, where.query);
  for (const link of document.querySelectorAll('nav a')) {
    const own = link.getAttribute('href').slice(2);
    if (own === name || (own === 'services' && view.name.startsWith('service'))) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${view.title} · kubenatd`;
  main.className = `view-${view.name}`;
  main.replaceChildren(view.element);
  tags = new Map();
  refresh();
}

function showHead(document_) {
  const {node, mode, version, kernel} = document_.status;
  setText(document.getElementById('node'), `${version} on ${node || 'this node'}, mode ${mode}, Linux ${kernel}`);
  const list = document_.status.problems;
  problems.hidden = list.length === 0;
  const text = list.join('\n');
  if (problems.dataset.text === text) return;
  problems.dataset.text = text;
  put(problems, h('ul', {}, list.map((one) => h('li', {}, one))));
}

function say(text) {
  trouble.hidden = text === '';
  setText(trouble, text);
}

function draw(mine) {
  shown = Date.now();
  mine.show(last);
}

async function ask() {
  const mine = view;
  const url = `api/now?${mine.query()}`;
  if (asking) asking.abort();
  const control = new AbortController();
  asking = control;
  try {
    const headers = tags.has(url) ? {'If-None-Match': tags.get(url)} : {};
    const answer = await fetch(url, {headers, cache: 'no-store', signal: control.signal});
    if (mine !== view) return;
    if (answer.status === 304) {
      say('');
      if (Date.now() - shown > 10000) draw(mine);  // "5 s ago" goes on
      return;
    }
    if (!answer.ok) { say(`The agent says: ${(await answer.text()).trim()}`); return; }
    const told = await answer.json();
    if (mine !== view) return;
    tags = new Map([[url, answer.headers.get('ETag')]]);
    last = told;
    say('');
    showHead(told);
    draw(mine);
  } catch (error) {
    if (error.name !== 'AbortError') say('The agent does not answer. What is shown is what it said last. Asking again every second.');
  } finally {
    if (asking === control) asking = null;
  }
}

function schedule() {
  clearTimeout(timer);
  if (document.visibilityState === 'visible') timer = setTimeout(tick, PERIOD);
}
async function tick() {
  if (!asking) await ask();
  schedule();
}
function refresh() {
  clearTimeout(timer);
  ask().then(schedule);
}

addEventListener('hashchange', open);
document.addEventListener('visibilitychange', () => (document.visibilityState === 'visible' ? refresh() : clearTimeout(timer)));
document.addEventListener('keydown', (event) => {
  if (event.target.closest('input, select, textarea') || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/') {
    const input = main.querySelector('input');
    if (input) { input.focus(); event.preventDefault(); }
  }
});
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
open();
