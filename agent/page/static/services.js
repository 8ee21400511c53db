// The list. Only the rows that are seen, and some around them, are asked for and drawn.
import {h, setText, plural, since, serviceLink} from './dom.js';

const AROUND = 20;
const NOT_COUNTED = 'New connections are not counted: in nftables mode --service-metrics switches that on.';

export function servicesView(app, initial) {
  const asked = {search: initial.get('search') || '', order: initial.get('order') || 'name', problems: initial.get('problems') === 'true'};
  const search = h('input', {type: 'search', id: 'search', value: asked.search, autocomplete: 'off', spellcheck: 'false',
    placeholder: 'name, address or port'});
  const order = h('select', {id: 'order'}, [['name', 'by name'], ['changed', 'last changed first'], ['problems', 'problems first']]
    .map(([value, text]) => h('option', {value, selected: value === asked.order}, text)));
  const only = h('input', {type: 'checkbox', id: 'only', checked: asked.problems});
  const count = h('p', {class: 'count', role: 'status'});
  const head = h('div', {class: 'row head', role: 'row'}, ['Service', 'Type', 'Addresses', 'Ready', 'New conn./s', 'Changed', 'State']
    .map((text) => h('span', {role: 'columnheader'}, text)));
  const space = h('div', {class: 'space', role: 'rowgroup'});
  const scroll = h('div', {class: 'scroll', tabindex: '0', 'aria-label': 'Services: arrow keys move, Enter opens'}, space);
  const table = h('div', {role: 'table', 'aria-label': 'Services', class: 'services'}, head, scroll);
  const empty = h('p', {class: 'empty', hidden: true});
  const uncounted = h('p', {class: 'hint', hidden: true}, NOT_COUNTED);
  const element = h('div', {class: 'list'},
    h('form', {class: 'bar', role: 'search', onsubmit: (event) => event.preventDefault()},
      h('label', {for: 'search'}, 'Search'), search, h('label', {for: 'order'}, 'Order'), order,
      h('label', {class: 'check'}, only, 'only with problems'), count),
    empty, table, uncounted);
  const rows = new Map();
  let page = null;
  let counts = true;
  let wanted = 0;

  const rowHeight = () => parseFloat(getComputedStyle(scroll).getPropertyValue('--row')) || 36;
  const visible = () => {
    const height = rowHeight();
    return {first: Math.floor(scroll.scrollTop / height), many: Math.ceil((scroll.clientHeight || 600) / height) + 1};
  };

  function makeRow() {
    const cells = Array.from({length: 7}, () => h('span', {role: 'cell'}));
    const link = h('a', {});
    cells[0].append(link);
    return {element: h('div', {class: 'row', role: 'row'}, cells), cells, link};
  }
  function fillRow(row, one) {
    const ready = one.endpoints.map((family) => `${family.ready}/${family.all}`);
    const state = one.problems.concat(one.drift ? [`drift healed ${one.drift}×`] : []);
    setText(row.link, `${one.namespace}/${one.name}`);
    row.link.href = serviceLink(one.namespace, one.name);
    const texts = [null, one.type, one.addresses.concat(one.external).join(' '), one.notServed ? '–' : [...new Set(ready)].join(' '),
      one.newConnections === undefined ? '–' : String(one.newConnections), one.changed ? since(one.changed) : '–',
      one.notServed || state.join('; ') || 'good'];
    for (let i = 1; i < texts.length; ++i) { setText(row.cells[i], texts[i]); row.cells[i].title = texts[i]; }
    row.cells[0].title = row.link.textContent;
    row.cells[4].title = counts ? '' : NOT_COUNTED;
    row.element.classList.toggle('bad', one.problems.length > 0);
    row.element.classList.toggle('drift', one.drift > 0);
    row.element.classList.toggle('aside', one.notServed !== '');
  }
  function draw() {
    if (!page) return;
    const height = rowHeight();
    const {first, many} = visible();
    space.style.height = `${page.matching * height}px`;
    const from = Math.max(0, first - 5);
    const to = Math.min(page.matching, first + many + 5);
    for (const [index, row] of rows) {
      if (index >= from && index < to) continue;
      row.element.remove();
      rows.delete(index);
    }
    for (let index = from; index < to; ++index) {
      const one = page.rows[index - page.offset];
      let row = rows.get(index);
      if (!one) {
        if (row) { row.element.remove(); rows.delete(index); }
        continue;
      }
      if (!row) {
        row = makeRow();
        rows.set(index, row);
        space.append(row.element);
      }
      row.element.style.transform = `translateY(${index * height}px)`;
      row.element.setAttribute('aria-rowindex', index + 2);
      fillRow(row, one);
    }
    table.setAttribute('aria-rowcount', page.matching + 1);
    const missing = first < page.offset || Math.min(page.matching, first + many) > page.offset + page.rows.length;
    if (missing && page.rows.length + page.offset !== wanted) { wanted = page.rows.length + page.offset; app.refresh(); }
  }
  function reason(document) {
    const {status, services} = document;
    if (!status.ready && services.services === 0) return `The agent is still starting: ${status.waitsFor || 'the first sync is not done'}.`;
    if (services.services === 0) return `No Service is known here. Objects come from ${status.objectsOf || 'nowhere'}; once it has a Service, it stands here.`;
    if (services.matching !== 0) return '';
    if (asked.search) return `None of ${plural(services.services, 'Service')} has “${asked.search}” in its name or an address of it, or as a port${asked.problems ? ', and a problem' : ''}.`;
    return 'No Service has a problem.';
  }
  function changed() {
    asked.search = search.value.trim();
    asked.order = order.value;
    asked.problems = only.checked;
    scroll.scrollTop = 0;
    wanted = -1;
    const words = new URLSearchParams();
    if (asked.search) words.set('search', asked.search);
    if (asked.order !== 'name') words.set('order', asked.order);
    if (asked.problems) words.set('problems', 'true');
    history.replaceState(null, '', `#/services${words.size ? `?${words}` : ''}`);
    app.refresh();
  }
  let typing = 0;
  search.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(changed, 150); });
  order.addEventListener('change', changed);
  only.addEventListener('change', changed);
  let frame = 0;
  scroll.addEventListener('scroll', () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); });
  const resized = new ResizeObserver(() => draw());
  resized.observe(scroll);
  scroll.addEventListener('keydown', (event) => {
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    const now = [...rows].find(([, row]) => row.link === document.activeElement);
    const index = now ? now[0] + step : visible().first;
    const height = rowHeight();
    if (index * height < scroll.scrollTop) scroll.scrollTop = index * height;
    else if ((index + 1) * height > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = (index + 1) * height - scroll.clientHeight;
    draw();
    const next = rows.get(index);
    if (next) next.link.focus({preventScroll: true});
  });

  return {
    name: 'services', title: 'Services', element,
    query() {
      const {first, many} = visible();
      const words = new URLSearchParams({view: 'services', order: asked.order, offset: Math.max(0, first - AROUND), limit: many + 2 * AROUND});
      if (asked.search) words.set('search', asked.search);
      if (asked.problems) words.set('problems', 'true');
      return words;
    },
    show(document) {
      page = document.services;
      counts = document.counts;
      setText(count, page.matching === page.services ? plural(page.services, 'Service') : `${page.matching.toLocaleString('en')} of ${plural(page.services, 'Service')}`);
      const why = reason(document);
      empty.hidden = why === '';
      setText(empty, why);
      table.hidden = why !== '';
      uncounted.hidden = counts || table.hidden;
      draw();
    },
    close() { resized.disconnect(); },
  };
}
