/** The style of the page of a recording, light and dark. */

export const pageStyle = String.raw`
:root {
  color-scheme: light dark;
  --bg: #f7f8fa; --card: #ffffff; --text: #1c2128; --quiet: #5c6672; --line: #d8dde3; --grid: #eceff2; --soft: #f0f3f6;
  --accent: #0b62c4; --focus: #0b62c4; --row: #f3f7fc; --pick: #dcebfb;
  --read: #3b82d6; --write: #d98324; --zero: #2a9d8f; --discard: #9a5fc9; --flush: #7b8794;
  --hold: #b7791f; --hold-bg: #fbe9c3; --wait: #7b8794; --wait-bg: #e8ebef;
  --tick: #10151b; --hit: #7c3aed; --fail: #cf222e; --state: #0f8a5f; --on-bar: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #12161c; --card: #1a2028; --text: #e3e8ee; --quiet: #98a4b1; --line: #323b46; --grid: #252d37; --soft: #222a34;
    --accent: #6cb2ff; --focus: #6cb2ff; --row: #1f2731; --pick: #24384f;
    --read: #5b9bea; --write: #e39a46; --zero: #45b8aa; --discard: #b487dd; --flush: #8c98a6;
    --hold: #e8b04a; --hold-bg: #4a3a17; --wait: #93a0ae; --wait-bg: #2f3843;
    --tick: #f4f7fa; --hit: #b99cff; --fail: #ff6b6b; --state: #45d6a0; --on-bar: #10151b;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--bg); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
h1, h2, p, ul, dl, dd { margin: 0; padding: 0; }
h1 { font-size: 18px; font-weight: 650; white-space: nowrap; }
h2 { font-size: 14px; font-weight: 650; }
ul { list-style: none; }
code, .mono, td, #chain { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 12.5px; }
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 8px 32px; align-items: baseline; padding: 14px 20px 0; }
.title { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; min-width: 0; }
#chain { color: var(--quiet); overflow-wrap: anywhere; }
#facts { display: flex; flex-wrap: wrap; gap: 4px 20px; color: var(--quiet); }
#facts b { color: var(--text); font-weight: 650; font-variant-numeric: tabular-nums; }
#facts .bad b { color: var(--fail); }
#notes { margin: 12px 20px 0; padding: 8px 12px; border: 1px solid var(--hold); border-radius: 6px; background: var(--hold-bg); }
main { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 16px; padding: 14px 20px 28px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; min-width: 0; }
section:first-child, #detail-section { grid-column: 1 / -1; }
.bar { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; }
.bar h2 { margin-right: 4px; }
.filter { display: flex; gap: 8px; align-items: center; flex: 1 1 240px; color: var(--quiet); }
input, button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 4px 10px; }
input { flex: 1; min-width: 0; }
button { cursor: pointer; }
button:hover { background: var(--soft); }
button[aria-pressed='true'], button[aria-expanded='true'] { background: var(--pick); border-color: var(--accent); }
.group { display: flex; }
.group button { border-radius: 0; margin-left: -1px; }
.group button:first-child { border-radius: 6px 0 0 6px; margin-left: 0; }
.group button:last-child { border-radius: 0 6px 6px 0; }
.group button[aria-pressed='true'] { position: relative; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; }
#key-list { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 2px 24px; margin-top: 10px; padding: 8px 12px; background: var(--soft); border-radius: 6px; }
#key-list div { display: flex; justify-content: space-between; gap: 12px; }
#key-list dt { font-weight: 600; }
#key-list dd { color: var(--quiet); text-align: right; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 10px 0 8px; font-size: 12.5px; color: var(--quiet); }
.legend li { display: flex; align-items: center; gap: 5px; }
.k { width: 12px; height: 12px; border-radius: 2px; }
i.read { background: var(--read); } i.write { background: var(--write); } i.zero { background: var(--zero); }
i.discard { background: var(--discard); } i.flush { background: var(--flush); }
#overview, #axis, #rows { user-select: none; }
#overview { height: 44px; border: 1px solid var(--line); border-radius: 6px 6px 0 0; cursor: crosshair; overflow: hidden; }
#axis { height: 34px; border: solid var(--line); border-width: 0 1px; cursor: ew-resize; overflow: hidden; }
#chart { position: relative; overflow-x: hidden; overflow-y: auto; max-height: 462px; border: 1px solid var(--line); border-radius: 0 0 6px 6px; }
#chart:focus-visible { outline-offset: -2px; }
#rows { position: absolute; inset: 0 0 auto 0; cursor: grab; }
#rows.grabbed { cursor: grabbing; }
svg { display: block; }
svg text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: var(--text); }
svg .quiet { fill: var(--quiet); }
svg .small { font-size: 11px; }
.odd { fill: var(--row); } .picked { fill: var(--pick); }
.grid { stroke: var(--grid); } .edge { stroke: var(--line); }
rect.read { fill: var(--read); } rect.write { fill: var(--write); } rect.zero { fill: var(--zero); }
rect.discard { fill: var(--discard); } rect.flush { fill: var(--flush); }
rect.d0 { fill-opacity: .38; } rect.d1 { fill-opacity: .62; } rect.d2 { fill-opacity: 1; }
rect.hold { fill: url(#hatch-hold); stroke: var(--hold); }
rect.wait { fill: url(#hatch-wait); stroke: var(--wait); stroke-dasharray: 3 2; }
.hatch-hold-bg { fill: var(--hold-bg); } .hatch-hold-line { stroke: var(--hold); stroke-width: 2.4; }
.hatch-wait-bg { fill: var(--wait-bg); } .hatch-wait-line { stroke: var(--wait); stroke-width: 1.2; }
text.tag { font-weight: 700; fill: var(--text); } rect.pill { fill: var(--hold-bg); stroke: var(--hold); }
.tick { stroke: var(--tick); stroke-width: 1.2; } .tick.far { stroke-opacity: .35; } .tick.found { stroke: var(--accent); stroke-width: 3; }
.hit { fill: var(--hit); stroke: var(--card); }
.fail { stroke: var(--fail); stroke-width: 2.2; fill: none; }
.hazard { fill: var(--fail); stroke: var(--card); }
text.fail { fill: var(--fail); stroke: var(--card); stroke-width: 3px; paint-order: stroke; font-weight: 700; }
.state { stroke: var(--state); stroke-width: 1.6; stroke-dasharray: 5 3; }
.legend .state { stroke-dasharray: none; stroke-width: 2; }
text.state { fill: var(--state); stroke: none; font-weight: 700; }
.open-end { stroke: var(--quiet); stroke-dasharray: 2 3; }
.density { fill: var(--read); fill-opacity: .55; } .density.hold { fill: var(--hold); stroke: none; fill-opacity: .9; }
.window { fill: var(--accent); fill-opacity: .12; stroke: var(--accent); } .shade { fill: var(--bg); fill-opacity: .6; }
.range { fill: var(--accent); fill-opacity: .2; }
#count { margin-top: 6px; font-size: 12.5px; color: var(--quiet); }
#empty { padding: 18px; text-align: center; color: var(--quiet); }
.quiet { color: var(--quiet); }
#detail { margin-top: 6px; }
#detail .steps table { width: auto; min-width: 50%; }
#detail .steps { max-height: 260px; overflow: auto; margin-top: 8px; }
.scroll { overflow: auto; max-height: 420px; margin-top: 6px; }
table { border-collapse: collapse; width: 100%; }
th { position: sticky; top: 0; background: var(--card); text-align: left; font-weight: 600; font-size: 12.5px; color: var(--quiet); padding: 3px 10px 3px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { padding: 3px 10px 3px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
#detail td, #detail th { padding-right: 22px; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { white-space: nowrap; }
td.share { width: 40%; min-width: 60px; vertical-align: middle; padding-right: 0; }
td.share i { display: block; height: 8px; border-radius: 2px; background: var(--read); min-width: 2px; }
tr.t-fail td, tr.t-hazard td { color: var(--fail); } tr.t-hold td:nth-child(3) { color: var(--hold); font-weight: 600; } tr.t-state td:nth-child(3) { color: var(--state); font-weight: 600; } tr.t-hit td:nth-child(3) { color: var(--hit); font-weight: 600; }
section#commands-section { grid-column: 1 / -1; }
button.link { border: 0; padding: 0; background: none; color: var(--accent); text-align: left; font: inherit; overflow-wrap: anywhere; }
td.line { width: 100%; }
pre.output { margin: 6px 0 0; max-height: 140px; overflow: auto; color: var(--quiet); font: 12.5px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
.spent { color: var(--quiet); }
#tip { position: fixed; z-index: 2; max-width: 420px; pointer-events: none; background: var(--text); color: var(--bg); border-radius: 6px; padding: 5px 9px; font-size: 12.5px; white-space: pre-line; box-shadow: 0 2px 10px rgb(0 0 0 / .3); }
@media (max-width: 900px) {
  main { grid-template-columns: minmax(0, 1fr); padding: 12px; gap: 12px; }
  header { padding: 12px 12px 0; } #notes { margin: 10px 12px 0; }
}
@media print { #chart { max-height: none; } .bar .group, #keys { display: none; } }
@media (forced-colors: active) { rect, path, text { forced-color-adjust: none; } }
`;
