"""How the report looks: its style sheet, in ASCII, light and dark. Knows nothing of what it dresses but class names."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #1c2130; --soft: #5a6275; --rule: #e2e1da;
  --base: #7d879b; --adapter: #d07a00; --teacher: #4a55c8; --prompt: #2c8a99;
  --other: #a04d9c; --good: #1d7a45; --bad: #b23a2e; --note: #fff3dc; }
@media (prefers-color-scheme: dark) { :root {
  --page: #11141d; --card: #181c28; --ink: #e8e9ef; --soft: #a2a9bb; --rule: #2d3344;
  --base: #8f99ad; --adapter: #f2a63b; --teacher: #8c97ff; --prompt: #55bccb;
  --other: #d68bd2; --good: #62cf92; --bad: #ff8f80; --note: #2b2618; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2.3rem; line-height: 1.15; margin: .2rem 0 1rem; letter-spacing: -.02em; }
h2 { font-size: 1.35rem; margin: 0 0 .6rem; }
h3 { font-size: 1.02rem; margin: 1.4rem 0 .3rem; }
h4 { font-size: .9rem; margin: 0 0 .5rem; }
p { margin: 0 0 .8rem; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 1.5rem;
  margin-top: 1.5rem; }
.brand { color: var(--adapter); font-weight: 700; margin: 0; letter-spacing: .02em; }
.lede { font-size: 1.08rem; max-width: 46rem; }
.under { margin-top: .6rem; }
.note { background: var(--note); border-left: 4px solid var(--adapter); padding: .6rem .9rem; border-radius: 4px; }
.small, small { color: var(--soft); font-size: .82rem; }
small { display: block; font-weight: 400; min-height: 1.2em; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem; margin-top: 1.3rem; }
.figures div { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 1rem 1.1rem; }
.figures b { display: block; font-size: 1.5rem; letter-spacing: -.01em; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: .88rem; }
.plot { overflow-x: auto; margin: .4rem 0 1rem; }
svg { display: block; width: 100%; min-width: 34rem; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg text { fill: var(--soft); } svg .name { fill: var(--ink); } svg .value { fill: var(--ink); font-weight: 600; }
svg .tight { font-size: 9px; }
svg .mid { text-anchor: middle; } svg .end { text-anchor: end; }
.grid { stroke: var(--rule); } .whisker { stroke: var(--ink); stroke-width: 1.3; }
.base { fill: var(--base); background: var(--base); }
.adapter { fill: var(--adapter); background: var(--adapter); }
.teacher { fill: var(--teacher); background: var(--teacher); }
.prompt { fill: var(--prompt); background: var(--prompt); }
.other { fill: var(--other); background: var(--other); }
.bad { fill: var(--bad); background: var(--bad); } .good { fill: var(--good); background: var(--good); }
.pale1 { opacity: .74; } .pale2 { opacity: .56; } .pale3 { opacity: .42; } .pale4 { opacity: .3; }
.pale5 { opacity: .2; } .faint { opacity: .38; }
line.target { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; }
.curve { fill: none; stroke: var(--adapter); stroke-width: 2.2; stroke-linejoin: round; } .dot { fill: var(--adapter); }
.key { display: inline-block; width: .72rem; height: .72rem; border-radius: 3px; margin-right: .4rem; }
.key.target { height: 0; border-top: 2px dashed var(--ink); border-radius: 0; width: 1.1rem; vertical-align: middle; }
.legend span { margin-right: 1.2rem; white-space: nowrap; font-size: .88rem; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, .words { text-align: left; } .words { white-space: normal; } tbody th { font-weight: 500; }
thead th { font-weight: 600; vertical-align: bottom; }
.wide { width: 70%; vertical-align: middle; }
.time { display: block; height: .7rem; border-radius: 3px; background: var(--teacher); }
.met { color: var(--good); } .missed { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: 0; font-size: .93rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
article { border-top: 1px solid var(--rule); } article:first-of-type { border-top: 0; }
article .small { margin: 0 0 .6rem; }
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .9rem; margin-bottom: 1rem; }
.three > div { border: 1px solid var(--rule); border-radius: 8px; padding: .8rem; min-width: 0; }
.three h4 span { float: right; font-weight: 500; }
.three p { overflow-wrap: anywhere; white-space: pre-line; margin: 0; unicode-bidi: isolate; font-size: .92rem; }
pre { font: .8rem/1.45 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; background: var(--page); border-radius: 6px; padding: .45rem .6rem; margin: 0 0 .5rem;
  unicode-bidi: isolate; }
.three p b { font-weight: 600; }
.doubt { color: var(--adapter); }
ul { margin: .3rem 0 .6rem; padding-left: 1.2rem; } li { margin: .25rem 0; overflow-wrap: anywhere; }
details details { margin-left: .4rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0 0; } dd { margin-bottom: .5rem; }
  section { padding: 1rem; } }
@media print { section, .figures div { break-inside: avoid; } }
"""
