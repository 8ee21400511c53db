// A picture in layers: columns of boxes, and ways between them whose width is their odds.
import {s} from './dom.js';

const WIDTH = 190;
const GAP = 62;
const LINE = 18;
const SPACE = 14;
const TOP = 34;
const LETTERS = 25;

const short = (text, most = LETTERS) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// columns: [{title, boxes: [{id, title, lines: [], state, label, open}]}], ways: [{from, to, odds, text, state}]
export function flow(columns, ways, label) {
  const used = columns.filter((column) => column.boxes.length);
  const places = new Map();
  const heightOf = (box) => 12 + LINE * (1 + box.lines.length);
  const heights = used.map((column) => column.boxes.reduce((sum, box) => sum + heightOf(box) + SPACE, 0));
  const height = TOP + Math.max(60, ...heights) + 10;
  const width = used.length * (WIDTH + GAP) - GAP + 4;
  const titles = [];
  const boxes = [];
  used.forEach((column, index) => {
    const x = 2 + index * (WIDTH + GAP);
    titles.push(s('text', {x, y: 16, class: 'column'}, column.title));
    let y = TOP + (Math.max(...heights) - heights[index]) / 2;
    for (const box of column.boxes) {
      const tall = heightOf(box);
      places.set(box.id, {x, y, tall});
      const open = () => box.open && box.open();
      boxes.push(s('g', {class: `box ${box.state || ''}`, transform: `translate(${x} ${y})`, tabindex: box.open ? 0 : null,
        role: box.open ? 'button' : null, 'aria-label': `${box.title}. ${box.label || box.lines.join('. ')}`, 'data-id': box.id, onclick: open,
        onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); open(); } }},
        s('title', {}, [box.title, ...box.lines].join('\n')),
        s('rect', {width: WIDTH, height: tall, rx: 6}),
        s('text', {x: 8, y: 18, class: 'name'}, short(box.title)),
        box.lines.map((line, number) => s('text', {x: 8, y: 18 + LINE * (number + 1)}, short(line, LETTERS + 3)))));
      y += tall + SPACE;
    }
  });
  const leaving = new Map();
  const drawn = ways.filter((way) => places.has(way.from) && places.has(way.to)).map((way) => {
    const from = places.get(way.from);
    const to = places.get(way.to);
    const number = leaving.get(way.from) || 0;
    leaving.set(way.from, number + 1);
    const y1 = from.y + from.tall / 2;
    const y2 = to.y + to.tall / 2;
    const x1 = from.x + WIDTH;
    const bend = Math.max(30, (to.x - x1) / 2);
    const stroke = way.odds === undefined ? 1.5 : 1.5 + 8 * way.odds;
    return [
      s('path', {class: `way ${way.state || ''}`, d: `M${x1} ${y1} C${x1 + bend} ${y1} ${to.x - bend} ${y2} ${to.x} ${y2}`, 'stroke-width': stroke.toFixed(1)}),
      way.text && s('text', {class: 'figure', x: to.x - 6, y: y2 - 5 - stroke / 2, 'text-anchor': 'end'}, way.text),
    ];
  });
  return s('svg', {class: 'flow', viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': label}, titles, drawn, boxes);
}
